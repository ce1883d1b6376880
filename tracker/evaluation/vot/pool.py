"""Processes that run the toolkit's experiment on one sequence each."""

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

from vot.experiment.multistart import MultiStartExperiment
from vot.tracker import TrackerException, TrackerRuntime
from vot.workspace import Workspace

from fusion.base.errors import UserError
from tracker.evaluation.vot.toolkit import one_line, open_workspace
from tracker.evaluation.vot.workspace import UNTRAINED

#: Reports an event, its name first, to the evaluating process.
Send = Callable[[tuple], object]


@dataclass(frozen=True)
class Failure:
    """A sequence that a tracker did not get through.

    Attributes:
        reason: one line.
        log: the file with what the tracker wrote, if it wrote anything.
    """

    tracker: str
    sequence: str
    reason: str
    log: str | None = None

    def __str__(self) -> str:
        log = f" (log: {self.log})" if self.log else ""
        return f"{self.tracker} on {self.sequence}: {self.reason}{log}"


class _Worker:
    """A process with the toolkit loaded, which takes a sequence at a time."""

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
        with suppress(OSError):  # it died idle: its end of the pipe tells, as for any other death
            self.connection.send(task)

    def failure(self, reason: str, log: str | None = None) -> Failure:
        """Of the task at hand, which is then no more."""
        assert self.task is not None
        (tracker, sequence), self.task = self.task, None
        self.starting_since = None
        return Failure(tracker, sequence, reason, log)

    def kill(self) -> None:
        """End the process and the tracker it runs, which may hang and not notice otherwise."""
        assert self.process.pid is not None  # it was started
        with suppress(ProcessLookupError, PermissionError, AttributeError):
            os.killpg(self.process.pid, signal.SIGKILL)  # no groups on Windows
        self.process.kill()
        self.process.join()
        self.connection.close()


class Pool:
    """Keeps workers at work, replaces those that die, and gives up on trackers that never start."""

    def __init__(
        self,
        folder: Path,
        experiment: str,
        workers: int,
        start_limit: float,
        environment: Mapping[str, str],
    ):
        # Trackers side by side must not each take all cores, and a network's boxes depend in the
        # last digits on the number of threads: figures should not depend on that of workers.
        defaults = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": "1"}
        self._make = lambda: _Worker(folder, experiment, defaults | dict(environment))
        self._count = workers
        self._start_limit = start_limit

    def run(self, tasks: list[tuple[str, str]], on_run: Callable[[], object]) -> list[Failure]:
        """Run all tasks, pairs of tracker and sequence; ``on_run()`` is called after each run."""
        waiting = list(tasks)
        failures: list[Failure] = []
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
                # One that died at its task is still to be heard of.
                workers = [w for w in workers if w.task or w.process.is_alive()]
        finally:
            for worker in workers:
                worker.kill()
        return failures

    def _listen(
        self, worker: _Worker, failures: list[Failure], on_run: Callable[[], object]
    ) -> None:
        try:
            event, *details = worker.connection.recv()
        except (EOFError, OSError):
            worker.process.join(5)
            reason = f"the evaluating process ended (exit code {worker.process.exitcode})"
            worker.kill()  # and the tracker it may have left
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
    """A worker's life: sequences from the pipe, until it is ended or its parent is gone."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # a group with its tracker: killed together, and out of reach of Ctrl-C
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(environment)
    try:
        workspace = open_workspace(Path(folder))
        experiment = workspace.stack.experiments[name]
    except (UserError, KeyError) as error:
        while pipe.recv():
            pipe.send(("failed", one_line(error)))
    while True:
        reference, sequence = pipe.recv()
        pipe.send(_run_sequence(workspace, experiment, reference, sequence, pipe.send))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _run_sequence(
    workspace: Workspace, experiment: MultiStartExperiment, reference: str, name: str, send: Send
) -> tuple:
    """Have the toolkit run one tracker on one sequence; returns the event to report."""
    tracker = workspace.registry[reference]
    if tracker.version == UNTRAINED:
        os.environ["RGBT_UNTRAINED"] = "1"
    else:
        os.environ.pop("RGBT_UNTRAINED", None)
    # The experiment asks the tracker for its runtime: the place to see it start.
    make_runtime = tracker.runtime
    tracker.runtime = lambda log=False: _Watched(make_runtime(log), send)
    try:
        for sequence in experiment.transform([workspace.dataset[name]]):
            experiment.execute(tracker, sequence, callback=lambda _: send(("run",)))
    except TrackerException as error:
        log = error.log or ""
        path = None
        if log.strip():
            with experiment.log(tracker.identifier) as file:
                file.write(log)
                path = file.name
        return ("failed", _reason(error, log), path)
    except Exception as error:  # unreadable data, a full disk: the others go on
        return ("failed", f"{type(error).__name__}: {one_line(error)}")
    finally:
        del tracker.runtime
    return ("done",)


def _reason(error: TrackerException, log: str) -> str:
    """What went wrong, in a line: a hang by the toolkit's word, a crash by the tracker's last."""
    if "did not reply" in str(error):
        return f"hangs: {one_line(error)}"
    lines = [line.strip() for line in log.splitlines()]
    # Not the protocol's lines, nor what the toolkit adds.
    spoken = [line for line in lines if line and not line.startswith(("@@TRAX:", "Process "))]
    return f"crashed: {spoken[-1] if spoken else one_line(error)}"


class _Watched(TrackerRuntime):
    """A runtime that says when its tracker is being started and when it is ready."""

    def __init__(self, runtime: TrackerRuntime, send: Send):
        super().__init__(runtime.tracker)
        self._runtime = runtime
        self._send = send
        self._is_started = False

    @property
    def multiobject(self) -> bool:
        return self._runtime.multiobject

    def stop(self) -> None:
        self._runtime.stop()

    def restart(self) -> None:
        self._send(("starting",))
        self._runtime.restart()
        self._send(("started",))
        self._is_started = True

    def initialize(self, frame: Any, new: Any = None, properties: Any = None) -> Any:
        if not self._is_started:
            self.restart()
        return self._runtime.initialize(frame, new, properties)

    def update(self, frame: Any, new: Any = None, properties: Any = None) -> Any:
        return self._runtime.update(frame, new, properties)
