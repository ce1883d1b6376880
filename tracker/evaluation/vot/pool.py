"""Processes that run trackers through the VOT toolkit, each on one sequence at a time."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any

from fusion.base.errors import UserError


@dataclass(frozen=True)
class SequenceFailure:
    """A sequence that a tracker failed to complete.

    Attributes:
        reason: one line.
        log: the file with the tracker's output, if there was any.
    """

    tracker: str
    sequence: str
    reason: str
    log: str | None = None

    def __str__(self) -> str:
        log = f" (log: {self.log})" if self.log else ""
        return f"{self.tracker} on {self.sequence}: {self.reason}{log}"


class _Worker:
    """A process with the toolkit loaded, which runs one sequence at a time."""

    def __init__(self, folder: Path, experiment: str, environment: dict[str, str]):
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(
            target=_work, args=(other, str(folder), experiment, environment)
        )
        self.process.start()
        other.close()
        self.task: tuple[str, str] | None = None
        self.starting_since: float | None = None

    def give(self, task: tuple[str, str]) -> None:
        self.task = task
        with suppress(OSError):  # it died while idle, which the closed pipe shows
            self.connection.send(task)

    def failure(self, reason: str, log: str | None = None) -> SequenceFailure:
        """The failure of the current task, which is then finished."""
        assert self.task is not None
        (tracker, sequence), self.task = self.task, None
        self.starting_since = None
        return SequenceFailure(tracker, sequence, reason, log)

    def kill(self) -> None:
        """End the process and its tracker, which may hang and not notice otherwise."""
        assert self.process.pid is not None  # it was started
        with suppress(ProcessLookupError, PermissionError, AttributeError):
            os.killpg(self.process.pid, signal.SIGKILL)  # no groups on Windows
        self.process.kill()
        self.process.join()
        self.connection.close()


class WorkerPool:
    """Keeps workers busy, replaces those that die, and gives up on trackers that never start."""

    def __init__(
        self,
        folder: Path,
        experiment: str,
        workers: int,
        start_limit: float,
        environment: Mapping[str, str],
    ):
        # Trackers in parallel must not each use all cores. The last digits of a network's boxes
        # depend on the number of threads, which must therefore not depend on that of workers.
        single = ("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
        defaults = {name: "1" for name in single if name not in os.environ}
        self._make = lambda: _Worker(folder, experiment, defaults | dict(environment))
        self._count = workers
        self._start_limit = start_limit

    def run(
        self, tasks: list[tuple[str, str]], on_run: Callable[[], object]
    ) -> list[SequenceFailure]:
        """Run all tasks, pairs of tracker and sequence; ``on_run()`` is called after each run."""
        waiting = list(tasks)
        failures: list[SequenceFailure] = []
        workers: list[_Worker] = []
        try:
            while waiting or any(worker.task for worker in workers):
                for worker in [w for w in workers if w.task is None][: len(waiting)]:
                    worker.give(waiting.pop(0))
                while waiting and len(workers) < self._count:
                    workers.append(self._make())
                    workers[-1].give(waiting.pop(0))
                busy: dict[Any, _Worker] = {w.connection: w for w in workers if w.task}
                for ready in connection.wait(list(busy), timeout=0.5):
                    self._listen(busy[ready], failures, on_run)
                for worker in busy.values():
                    since = worker.starting_since
                    if since is not None and time.monotonic() - since > self._start_limit:
                        limit = f"{self._start_limit:g} seconds"
                        reason = f"not ready {limit} after its start; it was stopped"
                        failures.append(worker.failure(reason))
                        worker.kill()
                # A worker that died during its task still has to be reported.
                workers = [w for w in workers if w.task or w.process.is_alive()]
        finally:
            for worker in workers:
                worker.kill()
        return failures

    def _listen(
        self, worker: _Worker, failures: list[SequenceFailure], on_run: Callable[[], object]
    ) -> None:
        try:
            event, *details = worker.connection.recv()
        except (EOFError, OSError):
            worker.process.join(5)
            reason = f"the evaluating process ended (exit code {worker.process.exitcode})"
            worker.kill()  # and the tracker that it may have left running
            failures.append(worker.failure(reason))
            return
        if event == "starting":
            worker.starting_since = time.monotonic()
        elif event == "started":
            worker.starting_since = None
        elif event == "run":
            on_run()
        else:
            worker.starting_since = None
            if event == "failed":
                failures.append(worker.failure(*details))
            worker.task = None


def _work(pipe: connection.Connection, folder: str, name: str, environment: dict[str, str]) -> None:
    """Main loop of a worker: run sequences from the pipe until ended or its parent is gone."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # a group with its tracker: killed together, and not reached by Ctrl-C
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(environment)
    from tracker.evaluation.vot.toolkit import SequenceRunner  # only in this process: it is slow

    try:
        runner = SequenceRunner(Path(folder), name)
    except (UserError, KeyError) as error:
        reason = " ".join(str(error).split())
        while pipe.recv():
            pipe.send(("failed", reason))
    while True:
        reference, sequence = pipe.recv()
        pipe.send(runner.run(reference, sequence, pipe.send))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
