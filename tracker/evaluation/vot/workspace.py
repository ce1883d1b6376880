"""A workspace of the VOT toolkit, read once: sequences, experiment, trackers and their results.

`read_workspace` reads the settings and the annotations; the commands that run trackers, compute
figures, report or choose settings all work on the `Workspace` that it returns. What fills a
workspace with sequences is in `tracker.evaluation.vot.creation`.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fusion.base.configuration import read_yaml
from fusion.base.errors import UserError
from tracker.evaluation.vot.regions import Regions
from tracker.evaluation.vot.sequences import AnchoredSequence, list_sequences, read_sequence
from tracker.evaluation.vot.stack import Experiment, find_experiment
from tracker.evaluation.vot.trackers_ini import Entry, parse_reference, read_trackers
from tracker.evaluation.vot.trajectories import read_trajectory


@dataclass(frozen=True, eq=False)
class Workspace:
    """A workspace and everything in it that evaluation needs.

    Attributes:
        folder: the folder that contains ``config.yaml``.
        settings: the contents of ``config.yaml``.
        experiment: the multistart experiment that is evaluated.
        sequences: the sequences in the order of ``list.txt``.
    """

    folder: Path
    settings: dict
    experiment: Experiment
    sequences: list[AnchoredSequence]

    @property
    def num_runs(self) -> int:
        """Number of runs of a tracker on all sequences."""
        return sum(len(sequence.runs) for sequence in self.sequences)

    # --- Trackers ---

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """The entries of ``trackers.ini`` by identifier.

        Raises:
            UserError: the file cannot be read.
        """
        return read_trackers(self.folder, self.settings.get("registry"))

    def entry(self, reference: str) -> Entry:
        """The entry of ``IDENTIFIER`` or ``IDENTIFIER@VERSION``.

        Raises:
            UserError: the entry does not exist; the message lists the existing ones.
        """
        identifier, version = parse_reference(reference)
        if identifier not in self.entries:
            known = ", ".join(self.entries) or "none"
            raise UserError(
                f"tracker {reference}: not in {self.folder / 'trackers.ini'}; it has: {known}"
            )
        return self.entries[identifier].at(version)

    def title(self, reference: str) -> str:
        """The display name of a tracker; the reference itself if it has no entry."""
        identifier, _, version = reference.partition("@")
        return self.entries.get(identifier, Entry(identifier, identifier, {})).at(version).title

    # --- Results ---

    def results(self, tracker: str) -> Path:
        """The folder of a tracker's trajectories, with one folder per sequence."""
        return self.folder / "results" / tracker / self.experiment.name

    def trackers(self) -> list[str]:
        """References of the trackers with results, in alphabetical order.

        Raises:
            UserError: there are no results.
        """
        found = sorted(p.parent.name for p in self.folder.glob(f"results/*/{self.experiment.name}"))
        if not found:
            raise UserError(
                f"{self.folder / 'results'}: no results of experiment {self.experiment.name}; "
                "run a tracker in this workspace first"
            )
        return found

    def trajectory(self, tracker: str, sequence: str, anchor: int) -> Path | None:
        """The file of a run, text before binary as in the toolkit; None if it is missing."""
        folder = self.results(tracker) / sequence
        paths = (folder / f"{sequence}_{anchor:08d}{suffix}" for suffix in (".txt", ".bin"))
        return next((path for path in paths if path.is_file()), None)

    def read_runs(self, tracker: str) -> dict[str, list[Regions]]:
        """Read a tracker's trajectories by sequence, in the order of `AnchoredSequence.runs`.

        Raises:
            UserError: runs are missing or have the wrong length; one line lists them all.
        """
        trajectories: dict[str, list[Regions]] = {}
        faults = []
        for sequence in self.sequences:
            trajectories[sequence.name] = found = []
            for run in sequence.runs:
                path = self.trajectory(tracker, sequence.name, run.anchor)
                try:
                    if path is None:
                        raise UserError("missing")
                    found.append(read_trajectory(path))
                    if len(found[-1]) != len(run.frames):
                        raise UserError(f"{len(found[-1])} of {len(run.frames)} frames")
                except UserError as error:
                    reason = str(error).removeprefix(f"{path}: ")
                    faults.append(f"{sequence.name} anchor {run.anchor} ({reason})")
        if faults:
            shown = "; ".join(faults[:8])
            shown += f"; and {len(faults) - 8} more" if len(faults) > 8 else ""
            raise UserError(
                f"{self.results(tracker)}: {len(faults)} of {self.num_runs} runs cannot be used: "
                f"{shown}; run the tracker again to complete them"
            )
        return trajectories


def read_workspace(folder: str | Path, experiment: str | None = None) -> Workspace:
    """Read ``config.yaml``, its stack, and the sequences.

    Args:
        experiment: a multistart experiment of the stack; required if it has several.

    Raises:
        UserError: a file is missing or inconsistent; the message names it.
    """
    folder = Path(folder)
    fix = "run tracker vot init, or give the folder of a VOT workspace"
    settings = read_yaml(folder / "config.yaml", fix)
    chosen = find_experiment(folder, settings.get("stack"), experiment)
    place = settings.get("sequences", "sequences")
    if not isinstance(place, str):
        raise UserError(f"{folder / 'config.yaml'}: sequences: {place!r} is no folder's name")
    root = folder / Path(place).expanduser()
    sequences = [read_sequence(root / name) for name in list_sequences(root)]
    return Workspace(folder, settings, chosen, sequences)
