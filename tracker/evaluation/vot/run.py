"""Running a workspace's trackers through the VOT toolkit, in parallel, resumable.

The toolkit (0.7.4) runs one sequence after another, ends with success even if a tracker failed, and
accepts truncated files of a killed run as complete. `run_trackers` has its experiment run sequences
in parallel processes, reports which runs are missing at the end and why, and repeats damaged ones.
The processes write separate sequences into one results folder, so nothing has to be merged.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from fusion.base.errors import UserError
from tracker.evaluation.origin import is_of_other_origin, write_origin
from tracker.evaluation.vot.entries import entry_origin
from tracker.evaluation.vot.pool import SequenceFailure, WorkerPool
from tracker.evaluation.vot.sequences import check_sequences
from tracker.evaluation.vot.trackers_ini import UNTRAINED, Entry
from tracker.evaluation.vot.trajectories import read_trajectory
from tracker.evaluation.vot.workspace import Workspace


@dataclass
class RunOutcome:
    """Outcome of `run_trackers`.

    Attributes:
        runs: number of runs that the experiment has of each tracker.
        new: by tracker, the number of runs executed now.
        missing: by tracker, sequences and anchors without a result at the end.
        failures: the reasons, where known.
        damaged: result files that were set aside (renamed to end in ``.old``) and run again.
        outdated: trackers whose results had other weights or settings and were set aside in the
            same way.
        seconds: total time.
    """

    runs: int
    new: dict[str, int] = field(default_factory=dict)
    missing: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    failures: list[SequenceFailure] = field(default_factory=list)
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


def choose_trackers(
    workspace: Workspace,
    trackers: Sequence[str] = (),
    untrained: bool = False,
    environment: Mapping[str, str] | None = None,
) -> tuple[list[str], list[str]]:
    """Select the entries of a workspace to run.

    Args:
        trackers: references to use; by default, every entry that can run.
        untrained: use entries without weights as ``NAME@untrained``.
        environment: variables for the trackers, see `run_trackers`.

    Returns:
        References for `run_trackers`, and a line for each entry left out because a requirement is
        missing.

    Raises:
        UserError: an unknown tracker, or a named tracker whose requirements are missing.
    """
    chosen, left_out = [], []
    for reference in trackers or list(workspace.entries):
        entry = workspace.entry(reference)
        try:
            _origin(workspace, entry, environment)
        except UserError as error:
            if untrained:
                entry = entry.at(UNTRAINED)
            elif trackers:
                raise
            else:
                left_out.append(str(error))
                continue
        chosen.append(entry.reference)
    if not chosen:
        reason = left_out[0] if left_out else "it has none"
        raise UserError(f"{workspace.folder / 'trackers.ini'}: no entry can run; {reason}")
    return list(dict.fromkeys(chosen)), left_out


def _origin(workspace: Workspace, entry: Entry, outside: Mapping[str, str] | None) -> str | None:
    """The settings on which the results of an entry depend; None for trackers of other packages.

    Args:
        outside: variables for the trackers, in addition to this process's environment.

    Raises:
        UserError: a requirement of the entry is missing; the message names the entry.
    """
    environment = entry.environment({**os.environ, **(outside or {})})
    name = environment.get("RGBT_TRACKER")
    if not name:
        return None
    environment["RGBT_UNTRAINED"] = "1" if entry.version == UNTRAINED else ""
    try:
        return entry_origin(name, workspace.folder, environment)
    except UserError as error:
        raise UserError(f"{entry.identifier}: {error}") from None


def run_trackers(
    workspace: Workspace,
    trackers: Sequence[str],
    *,
    workers: int = 1,
    force: bool = False,
    start_limit: float = 300,
    environment: Mapping[str, str] | None = None,
    progress: bool = True,
) -> RunOutcome:
    """Run trackers on all sequences of a workspace, by the toolkit's own experiment.

    Runs that have a result are not repeated, so an interrupted evaluation resumes; results of other
    weights or settings than the tracker's current ones are repeated. A tracker that fails on a
    sequence does not stop the others.

    Args:
        trackers: references: identifiers of trackers.ini; ``NAME@VERSION`` to keep results apart;
            ``NAME@untrained`` for a network without trained weights.
        workers: number of processes; each runs a tracker on one sequence, in one thread unless
            OMP_NUM_THREADS is set.
        force: repeat runs that have a result.
        start_limit: maximum time in seconds for a tracker to start. (The limit for replies is set
            in trackers.ini.)
        environment: variables for the trackers, such as RGBT_DEVICE.
        progress: show a progress bar.

    Raises:
        UserError: a tracker is unknown or has no weights, sequences are unusable, several workers
            are requested for a real-time experiment, or another evaluation is running here.
        ValueError: workers is less than 1.
    """
    if workers < 1:
        raise ValueError(f"run_trackers needs a worker, got {workers}")
    experiment = workspace.experiment
    if workers > 1 and experiment.is_realtime:
        raise UserError(
            f"--workers {workers}: {experiment.name} is in real time, where trackers side by side "
            "would slow each other down; use one worker"
        )
    start = time.perf_counter()
    check_sequences(workspace.sequences)
    entries = [workspace.entry(reference) for reference in dict.fromkeys(trackers)]
    origins = {entry.reference: _origin(workspace, entry, environment) for entry in entries}

    outcome = RunOutcome(workspace.num_runs)
    lengths = {sequence.name: len(sequence) for sequence in workspace.sequences}
    with _alone(workspace.folder):
        tasks: list[tuple[str, str]] = []
        for tracker, origin in origins.items():
            if origin is not None:
                _note_origin(workspace, tracker, origin, outcome)
            if force:
                _put_aside(workspace, tracker, lambda *_: True)
            outcome.damaged += _put_aside(workspace, tracker, _is_damaged)
            missing = _missing(workspace, tracker)
            outcome.new[tracker] = sum(map(len, missing.values()))
            # The longest sequences first, so that no worker is left with one at the end.
            names = sorted(missing, key=lambda name: -lengths[name] * len(missing[name]))
            tasks += [(tracker, name) for name in names]
        with tqdm(
            total=sum(outcome.new.values()), unit="run", disable=None if progress else True
        ) as bar:
            pool = WorkerPool(
                workspace.folder, experiment.name, workers, start_limit, environment or {}
            )
            outcome.failures = pool.run(tasks, bar.update)
    for tracker in origins:
        outcome.missing[tracker] = _missing(workspace, tracker)
        outcome.new[tracker] -= sum(map(len, outcome.missing[tracker].values()))
    outcome.seconds = time.perf_counter() - start
    return outcome


def _note_origin(workspace: Workspace, tracker: str, origin: str, outcome: RunOutcome) -> None:
    """Set results of another origin aside, and record the origin of those to come."""
    results = workspace.results(tracker)
    if is_of_other_origin(results, origin):
        outcome.outdated.append(tracker)
        _put_aside(workspace, tracker, lambda *_: True)
    write_origin(results, origin)  # only after the other results are set aside


def _missing(workspace: Workspace, tracker: str) -> dict[str, list[int]]:
    """Anchors without a trajectory, by sequence; complete sequences are left out."""
    missing = {
        sequence.name: [
            run.anchor
            for run in sequence.runs
            if workspace.trajectory(tracker, sequence.name, run.anchor) is None
        ]
        for sequence in workspace.sequences
    }
    return {name: anchors for name, anchors in missing.items() if anchors}


def _put_aside(
    workspace: Workspace, tracker: str, condition: Callable[[Path, int], bool]
) -> list[Path]:
    """Rename trajectories, so that they are run again; returns which."""
    found = []
    for sequence in workspace.sequences:
        for run in sequence.runs:
            path = workspace.trajectory(tracker, sequence.name, run.anchor)
            while path is not None and condition(path, len(run.frames)):
                path.replace(path.with_name(path.name + ".old"))
                found.append(path)
                path = workspace.trajectory(tracker, sequence.name, run.anchor)
    return found


def _is_damaged(path: Path, length: int) -> bool:
    """Whether a trajectory cannot be that of a complete run."""
    try:
        return len(read_trajectory(path)) != length
    except UserError:
        return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Prevent a second evaluation in the workspace; the lock ends with the process in any case."""
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
                f"{folder}: an evaluation is running in this workspace; wait for it to end"
            ) from None
        yield
