"""Heavy work, one task at a time for all visitors, away from the thread that answers browsers."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np

Draw: TypeAlias = Callable[[], np.ndarray]


class Stopped(Exception):
    """The job was stopped by its visitor, or because the visitor left."""


class Job:
    """A task that waits, runs and ends. The page reads its state; the work reports it.

    Attributes:
        done, total: the progress in steps such as frames; ``total`` is 0 if it is unknown.
        draw: makes the latest picture to show, RGB uint8 ``HxWx3`` or ``HxW``; or None.
    """

    def __init__(self, work: Callable[["Job"], Any], worker: "Worker"):
        self.done = self.total = 0
        self.draw: Draw | None = None
        self._work = work
        self._worker = worker
        self._stop = threading.Event()
        self._future: Future = Future()

    def report(self, done: int = 0, total: int = 0, draw: Draw | None = None) -> None:
        """Say how far the work is.

        Args:
            draw: makes a picture of it, which is called only if the page has time to show it.

        Raises:
            Stopped: the job is to end here.
        """
        if self._stop.is_set():
            raise Stopped
        self.done, self.total = done, total
        if draw is not None:
            self.draw = draw

    def stop(self) -> None:
        """End the job before it starts, or at its next report."""
        self._stop.set()

    @property
    def ahead(self) -> int:
        """Number of jobs that run before this one; 0 when it runs or has ended."""
        return self._worker.ahead_of(self)

    @property
    def has_ended(self) -> bool:
        """Whether there is a result or an exception."""
        return self._future.done()

    async def result(self) -> Any:
        """What the work returned.

        Raises:
            Stopped: it was stopped.
            Exception: whatever the work raised.
        """
        return await asyncio.wrap_future(self._future)

    def run(self) -> None:
        """Do the work; called by the worker."""
        try:
            self.report()
            result = self._work(self)
        except BaseException as error:  # belongs to the one who waits for the result
            self._future.set_exception(error)
        else:
            self._future.set_result(result)


class Worker:
    """Runs jobs in the order of their arrival, one at a time, in a thread of its own.

    PyTorch and OpenCV use all cores for one job and let other threads of Python run meanwhile.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="app-job")
        self._jobs: list[Job] = []  # the running one first

    def start(self, work: Callable[[Job], Any]) -> Job:
        """Append a job, whose work gets the job itself to report to."""
        job = Job(work, self)
        self._jobs.append(job)
        self._thread.submit(self._run, job)
        return job

    def _run(self, job: Job) -> None:
        job.run()
        self._jobs.remove(job)

    def ahead_of(self, job: Job) -> int:
        """See `Job.ahead`."""
        try:
            return self._jobs.index(job)
        except ValueError:
            return 0

    def afterwards(self, call: Callable[[], object]) -> None:
        """Call a function after all jobs that are known now."""
        self._thread.submit(call)

    def close(self) -> None:
        """Stop all jobs, and return when none runs."""
        for job in list(self._jobs):
            job.stop()
        self._thread.shutdown(wait=True)
