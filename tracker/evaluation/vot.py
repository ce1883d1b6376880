"""The VOT toolkit: its download, its experiments, its analysis. The one module that imports it.

The toolkit (0.7.4) runs one sequence after another, ends with success when a tracker failed, and
takes half a file of a killed run for a whole one. `evaluate` has its experiment run sequences in
parallel processes, says which runs are missing in the end and why, and repeats damaged ones. The
processes write into one results folder, each a sequence of its own; there is nothing to merge.
"""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm
from vot.analysis import AnalysisProcessor
from vot.analysis.multistart import AverageAccuracyRobustness, EAOScore
from vot.dataset import download_dataset
from vot.experiment.multistart import MultiStartExperiment
from vot.stack import Stack, resolve_stack
from vot.tracker import Tracker, TrackerException, TrackerRuntime
from vot.utilities import ThreadPoolExecutor
from vot.workspace import Workspace

from fusion.errors import UserError
from fusion.files import read_text
from tracker.evaluation import vot_files
from tracker.evaluation.entries import find_weights, needs_weights, require_baseline
from tracker.evaluation.origin import is_of_other_origin, weights_digest, write_origin
from tracker.evaluation.regions import read_trajectory
from tracker.evaluation.workspace import (
    UNTRAINED,
    check_sequences,
    sequences_folder,
)
from tracker.sequences import read_vot_meta

__all__ = [
    "Failure",
    "Outcome",
    "ToolkitScores",
    "choose_entries",
    "download",
    "evaluate",
    "official_url",
    "toolkit_scores",
]


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


def _open(folder: Path) -> Workspace:
    logging.getLogger("vot").setLevel(logging.ERROR)
    sequences_folder(folder)  # says what is missing better than the toolkit does
    try:
        return Workspace.load(str(folder))
    except Exception as error:  # the toolkit raises of every kind here
        raise UserError(f"{folder}: the VOT toolkit cannot open it ({_one_line(error)})") from error


# --- Download -------------------------------------------------------------------------------------


def official_url(stack: str) -> str:
    """Where the toolkit has the data of one of its own stacks.

    Raises:
        UserError: it has no such stack.
    """
    path = resolve_stack(stack)
    dataset = None if path is None else Stack.read(path).dataset
    if not dataset:
        raise UserError(f"--stack {stack}: not a stack of the toolkit with data to download")
    return dataset


def download(url: str, folder: Path, attempts: int = 3) -> list[str]:
    """Download a dataset through the toolkit, and check it.

    The toolkit resumes a broken connection, and skips sequences it has whole. It also takes one for
    whole whose pictures failed to arrive; such a sequence is found here, and fetched again.

    Args:
        url: of the dataset's ``description.json``.
        folder: gets the sequences and ``list.txt``.
        attempts: before it is given up.

    Returns:
        Names of the sequences.

    Raises:
        UserError: no connection, or sequences that are still not whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    reason = ""
    for _ in range(attempts):
        try:
            download_dataset(url, str(folder))
        except Exception as error:  # requests', zipfile's, the toolkit's own
            reason = _one_line(error)
        listing = folder / "list.txt"
        names = read_text(listing).split() if listing.is_file() else []
        # Without a list the toolkit missed some; what it has must be checked all the same.
        found = names or [path.parent.name for path in folder.glob("*/sequence")]
        faults = {name: fault for name in found if (fault := _lacking(folder / name))}
        if names and not faults:
            return names
        for name in faults:
            # Without this file the toolkit fetches the sequence again.
            (folder / name / "sequence").unlink(missing_ok=True)
        listing.unlink(missing_ok=True)
        reason = next(iter(faults.values()), reason) or "the server lacks some of its files"
    raise UserError(
        f"{url}: the download is not complete ({reason}); run the command again to go on, or give "
        "a local copy with --dataset or --rgbt234"
    )


def _lacking(folder: Path) -> str | None:
    """What did not arrive of a downloaded sequence; None if all did.

    Pictures are counted, and nothing else is judged: what arrived whole and is wrong would be the
    same when fetched again. `evaluate` looks closer.
    """
    truth = folder / "groundtruth.txt"
    try:
        meta = read_vot_meta(folder)
        lines = len(read_text(truth).split()) if truth.is_file() else 0
    except UserError as error:
        return str(error)
    places = [(folder / value).parent for key, value in meta.items() if key.startswith("channels.")]
    counts = {place.name: len(list(place.glob("*.*"))) for place in places}
    if len(counts) > 1 and min(counts.values()) == max(counts.values()) >= lines > 0:
        return None
    shown = ", ".join(f"{count} pictures in {name}" for name, count in counts.items())
    return f"{folder.name}: {shown or 'no pictures'} for {lines} annotation lines"


# --- Evaluation -----------------------------------------------------------------------------------


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


@dataclass
class Outcome:
    """What `evaluate` did.

    Attributes:
        runs: by tracker, all runs the experiment has of it.
        new: by tracker, those that were run now.
        missing: by tracker, sequences and anchors that have no result in the end.
        failures: why, where a reason is known.
        damaged: result files that were put aside (renamed to end in ``.old``) and run again.
        outdated: trackers whose results were of other weights, or of other modalities, and were put
            aside likewise.
        seconds: in all.
    """

    runs: dict[str, int] = field(default_factory=dict)
    new: dict[str, int] = field(default_factory=dict)
    missing: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    damaged: list[Path] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether every run has a result."""
        return not any(self.missing.values())

    def faults(self) -> list[str]:
        """A line for each failure, and for each sequence that lacks runs without one."""
        explained = {(failure.tracker, failure.sequence) for failure in self.failures}
        return [str(failure) for failure in self.failures] + [
            f"{tracker} on {sequence}: no result for anchor {', '.join(map(str, anchors))}"
            for tracker, by_sequence in self.missing.items()
            for sequence, anchors in by_sequence.items()
            if (tracker, sequence) not in explained
        ]


def choose_entries(
    folder: str | Path,
    trackers: Sequence[str] = (),
    untrained: bool = False,
    environment: Mapping[str, str] | None = None,
) -> tuple[list[str], list[str]]:
    """Which entries of a workspace to run.

    Args:
        folder: the workspace.
        trackers: references to take; every entry that can run where there is none.
        untrained: take entries that have no weights as ``NAME@untrained``.
        environment: variables for the trackers, see `evaluate`.

    Returns:
        References for `evaluate`, and a line for each entry left out because it has no weights.

    Raises:
        UserError: no workspace, an unknown tracker, or one without weights that was named.
    """
    folder = Path(folder).resolve()
    workspace = _open(folder)
    chosen, left_out = [], []
    for reference in trackers or [tracker.identifier for tracker in workspace.registry]:
        tracker = _resolve(workspace, folder, reference)
        try:
            with _variables(environment or {}):
                _weights(folder, tracker)
        except UserError as error:
            if untrained:
                reference = f"{tracker.identifier}@{UNTRAINED}"
            elif trackers:
                raise
            else:
                left_out.append(str(error))
                continue
        chosen.append(reference)
    if not chosen:
        reason = left_out[0] if left_out else "it has none"
        raise UserError(f"{folder / 'trackers.ini'}: no entry can run; {reason}")
    return list(dict.fromkeys(chosen)), left_out


def _resolve(workspace: Workspace, folder: Path, reference: str) -> Tracker:
    try:
        return workspace.registry[reference]
    except Exception as error:  # an unknown name is a bare ToolkitException
        known = ", ".join(sorted(workspace.registry.identifiers())) or "none"
        raise UserError(
            f"tracker {reference}: not in {folder / 'trackers.ini'}; it has: {known}"
        ) from error


def _weights(folder: Path, tracker: Tracker) -> Path | None:
    """The weights file of an entry of ours; None for one that has none by its nature.

    Raises:
        UserError: what the entry needs to run is not there.
    """
    environment = _environment(tracker)
    name = environment.get("RGBT_TRACKER")
    if not name or tracker.version == UNTRAINED:
        return None
    try:
        if not needs_weights(name):
            require_baseline(name)
            return None
        return find_weights(name, folder, environment)
    except UserError as error:
        raise UserError(f"{tracker.identifier}: {error}") from None


def _environment(tracker: Tracker) -> dict[str, str]:
    """What an entry's process gets, the entry's own settings first."""
    return {**os.environ, **tracker.describe()["env"]}


def _origin(folder: Path, tracker: Tracker) -> str | None:
    """Of what an entry's results are, its weights and the modality that it sees alone; None for an
    entry without weights.

    Raises:
        UserError: what the entry needs to run is not there.
    """
    file = _weights(folder, tracker)
    if file is None:
        return None
    modality = _environment(tracker).get("RGBT_MODALITY")
    return f"{weights_digest(file)} {modality}" if modality else weights_digest(file)


def evaluate(
    folder: str | Path,
    trackers: Sequence[str],
    *,
    workers: int = 1,
    experiment: str | None = None,
    force: bool = False,
    start_limit: float = 300,
    environment: Mapping[str, str] | None = None,
    progress: bool = True,
) -> Outcome:
    """Run trackers on all sequences of a workspace, by the toolkit's own experiment.

    Runs that have a result are not repeated, so that an evaluation goes on where it ended, however
    it did; those of other weights than the tracker has now are. A tracker that fails on a sequence
    does not stop the others.

    Args:
        folder: the workspace.
        trackers: references: identifiers of trackers.ini; ``NAME@VERSION`` for results to be kept
            apart; ``NAME@untrained`` for a network that is to run without weights.
        workers: processes; each has a tracker at work on a sequence, which computes in one thread
            unless OMP_NUM_THREADS says otherwise.
        experiment: a multistart experiment of the stack; needed where it has several.
        force: repeat runs that have a result.
        start_limit: seconds a tracker may take from its start to being ready. (Replies have the
            limit that trackers.ini sets.)
        environment: variables for the trackers, such as RGBT_DEVICE.
        progress: show a bar.

    Raises:
        UserError: no workspace, no such tracker, no weights, unusable sequences, several workers
            for an experiment in real time, or an evaluation that is going on here already.
        ValueError: no worker.
    """
    if workers < 1:
        raise ValueError(f"evaluate needs a worker, got {workers}")
    folder, trackers = Path(folder).resolve(), list(dict.fromkeys(trackers))
    start = time.perf_counter()
    plan = vot_files.read_workspace(folder, experiment)
    sequences = {sequence.name: sequence for sequence in plan.sequences}
    check_sequences(sequences_folder(folder), sequences)
    workspace = _open(folder)
    if workers > 1 and workspace.stack.experiments[plan.experiment].realtime is not None:
        raise UserError(
            f"--workers {workers}: {plan.experiment} is in real time, where trackers side by side "
            "would slow each other down; use one worker"
        )
    with _variables(environment or {}):
        origins = {
            reference: _origin(folder, _resolve(workspace, folder, reference))
            for reference in trackers
        }

    outcome = Outcome()
    with _alone(folder):
        tasks = []
        for reference in trackers:
            results = plan.results(reference)
            origin = origins[reference]
            if origin is not None and is_of_other_origin(results, origin):
                outcome.outdated.append(reference)
            if force or reference in outcome.outdated:
                _put_aside(results, sequences.values(), lambda *_: True)
            if origin is not None:
                # Only now: what was made with other weights is out of the way.
                write_origin(results, origin)
            outcome.damaged += _put_aside(results, sequences.values(), _is_damaged)
            missing = _missing(results, sequences.values())
            outcome.runs[reference] = sum(len(s.runs) for s in sequences.values())
            outcome.new[reference] = sum(map(len, missing.values()))
            # The longest first, so that no worker is left with one in the end.
            tasks += sorted(
                ((reference, name, len(anchors)) for name, anchors in missing.items()),
                key=lambda task: -len(sequences[task[1]]) * task[2],
            )
        with tqdm(
            total=sum(count for *_, count in tasks), unit="run", disable=None if progress else True
        ) as bar:
            pool = _Pool(folder, plan.experiment, workers, start_limit, environment or {})
            outcome.failures = pool.run([task[:2] for task in tasks], bar.update)
    for reference in trackers:
        outcome.missing[reference] = _missing(plan.results(reference), sequences.values())
        outcome.new[reference] -= sum(map(len, outcome.missing[reference].values()))
    outcome.seconds = time.perf_counter() - start
    return outcome


def _missing(
    results: Path, sequences: Iterable[vot_files.AnchoredSequence]
) -> dict[str, list[int]]:
    """Anchors without a trajectory, by sequence; sequences that have all are left out."""
    missing = {
        sequence.name: [
            run.anchor
            for run in sequence.runs
            if vot_files.trajectory_path(results, sequence.name, run.anchor) is None
        ]
        for sequence in sequences
    }
    return {name: anchors for name, anchors in missing.items() if anchors}


def _put_aside(
    results: Path,
    sequences: Iterable[vot_files.AnchoredSequence],
    condition: Callable[[Path, int], bool],
) -> list[Path]:
    """Rename trajectories, so that they are run again; returns which."""
    found = []
    for sequence in sequences:
        for run in sequence.runs:
            path = vot_files.trajectory_path(results, sequence.name, run.anchor)
            while path is not None and condition(path, len(run.frames)):
                path.replace(path.with_name(path.name + ".old"))
                found.append(path)
                path = vot_files.trajectory_path(results, sequence.name, run.anchor)
    return found


def _is_damaged(path: Path, length: int) -> bool:
    """Whether a trajectory cannot be that of a whole run."""
    try:
        return len(read_trajectory(path)) != length
    except UserError:
        return True


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second evaluation out of the workspace; the lock ends with the process, however."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    (folder / "results").mkdir(exist_ok=True)
    with (folder / "results" / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"{folder}: an evaluation is going on in this workspace; wait for it to end"
            ) from None
        yield


# --- Worker processes -----------------------------------------------------------------------------


#: Reports an event, its name first, to the evaluating process.
Send = Callable[[tuple], object]


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


class _Pool:
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
        workspace = _open(Path(folder))
        experiment = workspace.stack.experiments[name]
    except (UserError, KeyError) as error:
        while pipe.recv():
            pipe.send(("failed", _one_line(error)))
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
        return ("failed", f"{type(error).__name__}: {_one_line(error)}")
    finally:
        del tracker.runtime
    return ("done",)


def _reason(error: TrackerException, log: str) -> str:
    """What went wrong, in a line: a hang by the toolkit's word, a crash by the tracker's last."""
    if "did not reply" in str(error):
        return f"hangs: {_one_line(error)}"
    lines = [line.strip() for line in log.splitlines()]
    # Not the protocol's lines, nor what the toolkit adds.
    spoken = [line for line in lines if line and not line.startswith(("@@TRAX:", "Process "))]
    return f"crashed: {spoken[-1] if spoken else _one_line(error)}"


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


# --- Analysis -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ToolkitScores:
    """A tracker's figures by the toolkit's analysis.

    Attributes:
        A, R, EAO: over all sequences.
        curve: ``(high,)``, the EAO curve.
        sequences: A and R by sequence.
    """

    A: float
    R: float
    EAO: float
    curve: np.ndarray
    sequences: dict[str, tuple[float, float]]

    def figures(self) -> dict[str, float]:
        """EAO, A and R by name."""
        return {"EAO": self.EAO, "A": self.A, "R": self.R}


def toolkit_scores(
    folder: str | Path, trackers: Sequence[str], experiment: str | None = None
) -> dict[str, ToolkitScores]:
    """Figures of trackers by the toolkit's own analysis, in the settings of the workspace's stack.

    Nothing is cached on disk: the toolkit's cache does not notice results that changed.

    Args:
        folder: the workspace.
        trackers: references, as `evaluate` takes them.
        experiment: a multistart experiment of the stack; needed where it has several.

    Raises:
        UserError: no workspace or tracker, missing results, or a stack without these analyses.
    """
    folder = Path(folder).resolve()
    name = vot_files.read_workspace(folder, experiment).experiment
    workspace = _open(folder)
    chosen = workspace.stack.experiments[name]
    found = [_resolve(workspace, folder, reference) for reference in trackers]
    analyses = {type(analysis): analysis for analysis in chosen.analyses}
    try:
        accuracy, score = analyses[AverageAccuracyRobustness], analyses[EAOScore]
    except KeyError as error:
        raise UserError(
            f"{folder}: the stack lacks multistart_average_ar or multistart_eao_score; "
            "start from the stack.yaml of tracker vot init"
        ) from error
    (by_sequence,), (curve,) = accuracy.dependencies(), score.dependencies()
    sequences = chosen.transform(workspace.dataset)
    grids: dict[Any, Any] = {}
    cache: dict[Any, Any] = {}
    executor = ThreadPoolExecutor(1)
    try:
        for analysis in (by_sequence, accuracy, curve, score):
            with AnalysisProcessor(executor, cache) as processor:
                grids[analysis] = processor.run(analysis, chosen, found, sequences)
    except Exception as error:  # of the toolkit's own kinds, around whatever was the cause
        cause = getattr(error, "root_cause", None) or error
        raise UserError(
            f"{folder}: the toolkit's analysis failed ({type(cause).__name__} "
            f"{_one_line(cause)}); tracker vot evaluate completes missing results"
        ) from error
    finally:
        executor.shutdown()
    return {
        reference: ToolkitScores(
            A=float(grids[accuracy][row, 0][0]),
            R=float(grids[accuracy][row, 0][1]),
            EAO=float(grids[score][row, 0][0]),
            curve=np.array(grids[curve][row, 0][0], float),
            sequences={
                sequence.name: (
                    float(grids[by_sequence][row, column][0]),
                    float(grids[by_sequence][row, column][1]),
                )
                for column, sequence in enumerate(sequences)
            },
        )
        for row, reference in enumerate(trackers)
    }
