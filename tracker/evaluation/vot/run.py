"""The VOT toolkit: its download, its experiments, its analysis. The one module that imports it.

The toolkit (0.7.4) runs one sequence after another, ends with success when a tracker failed, and
takes half a file of a killed run for a whole one. `evaluate` has its experiment run sequences in
parallel processes, says which runs are missing in the end and why, and repeats damaged ones. The
processes write into one results folder, each a sequence of its own; there is nothing to merge.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm
from vot.tracker import Tracker

from fusion.base.errors import UserError
from tracker.evaluation.origin import is_of_other_origin, weights_digest, write_origin
from tracker.evaluation.vot import files as vot_files
from tracker.evaluation.vot.entries import find_weights, needs_weights, require_baseline
from tracker.evaluation.vot.pool import Failure, Pool
from tracker.evaluation.vot.regions import read_trajectory
from tracker.evaluation.vot.toolkit import open_workspace, resolve_tracker
from tracker.evaluation.vot.workspace import UNTRAINED, check_sequences, sequences_folder

__all__ = ["Failure", "Outcome", "choose_entries", "evaluate"]


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
    workspace = open_workspace(folder)
    chosen, left_out = [], []
    for reference in trackers or [tracker.identifier for tracker in workspace.registry]:
        tracker = resolve_tracker(workspace, folder, reference)
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
    workspace = open_workspace(folder)
    if workers > 1 and workspace.stack.experiments[plan.experiment].realtime is not None:
        raise UserError(
            f"--workers {workers}: {plan.experiment} is in real time, where trackers side by side "
            "would slow each other down; use one worker"
        )
    with _variables(environment or {}):
        origins = {
            reference: _origin(folder, resolve_tracker(workspace, folder, reference))
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
            pool = Pool(folder, plan.experiment, workers, start_limit, environment or {})
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


# --- Analysis -------------------------------------------------------------------------------------
