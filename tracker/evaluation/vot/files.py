"""Files of a VOT workspace as evaluation reads them: anchored sequences, the stack, trajectories.

What lays a workspace out is in `tracker.evaluation.vot.workspace`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fusion.base.configuration import read_yaml
from fusion.base.errors import UserError
from fusion.base.files import read_text
from fusion.images.reading import read_image
from tracker.data.frames import LONGEST
from tracker.data.sequences import other_length, read_vot_meta
from tracker.evaluation.vot.regions import LARGEST, Regions, read_trajectory

# Typical lengths of sequences, as the stack of VOT2020-RGBT sets them.
EAO_LOW, EAO_HIGH = 115, 755

# --- Sequences ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Run:
    """One start of a tracker in a sequence.

    Attributes:
        anchor: the frame it starts on, from 0.
        frames: the sequence's frames in the order of the run; the anchor first.
    """

    anchor: int
    frames: np.ndarray

    @property
    def is_backward(self) -> bool:
        """Whether it runs towards the sequence's first frame."""
        return len(self.frames) > 1 and self.frames[1] < self.frames[0]


@dataclass(frozen=True, eq=False)
class AnchoredSequence:
    """What evaluation has to know of a sequence.

    Attributes:
        folder: in VOT's layout.
        groundtruth: a region for each frame.
        anchors: ``(N,)``; positive: a run starts here and goes forward, negative: backward.
        size: ``(width, height)`` of its frames.
    """

    folder: Path
    groundtruth: Regions
    anchors: np.ndarray
    size: tuple[int, int]

    @property
    def name(self) -> str:
        """The folder's."""
        return self.folder.name

    def __len__(self) -> int:
        return len(self.groundtruth)

    @cached_property
    def runs(self) -> list[Run]:
        """The forward runs, then the backward ones, each in the order of anchors."""
        frames = np.arange(len(self))
        forward = [Run(int(a), frames[a:]) for a in np.flatnonzero(self.anchors > 0)]
        backward = [Run(int(a), frames[a::-1]) for a in np.flatnonzero(self.anchors < 0)]
        return forward + backward


def read_anchored_sequence(folder: str | Path) -> AnchoredSequence:
    """Read ``sequence``, ``groundtruth.txt`` and ``anchor.value`` of a sequence in VOT's layout.

    A picture is opened only where ``sequence`` does not state width and height.

    Raises:
        UserError: a file is missing or does not fit, or there are no anchors.
    """
    folder = Path(folder)
    if not (folder / "sequence").is_file():
        raise UserError(f"{folder}: no file named sequence in it; is this a sequence of VOT?")
    meta = read_vot_meta(folder)
    groundtruth = read_trajectory(folder / meta.get("groundtruth", "groundtruth.txt"))
    length = len(groundtruth)
    if stated := other_length(meta, length):
        raise UserError(
            f"{folder}: sequence states length={stated}, groundtruth.txt has {length} lines"
        )
    path = folder / "anchor.value"
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; multistart needs a line a frame, 1 for a forward start, -1 for "
            "a backward one, 0 for none"
        )
    try:
        anchors = np.array([float(value) for value in read_text(path).split()])
    except ValueError:
        raise UserError(f"{path}: not a number a line; give 1, -1 or 0") from None
    if not np.isfinite(anchors).all():
        raise UserError(f"{path}: not a number a line; give 1, -1 or 0")
    if len(anchors) > length:
        raise UserError(f"{path}: {len(anchors)} lines for {length} frames")
    anchors = np.pad(anchors, (0, length - len(anchors)))
    if not anchors.any():
        raise UserError(f"{path}: no anchor in it; mark a frame with 1 (forward) or -1 (backward)")
    return AnchoredSequence(folder, groundtruth, anchors, _frame_size(folder, meta))


def _frame_size(folder: Path, meta: dict[str, str]) -> tuple[int, int]:
    stated = [meta.get("width", ""), meta.get("height", "")]
    if all(text.isdecimal() for text in stated):
        # Python makes no number of thousands of digits.
        width, height = (int(text) if len(text) < 10 else LARGEST + 1 for text in stated)
        if not 0 < width * height <= LARGEST:
            shown = "x".join(f"{text:.20}" for text in stated)
            raise UserError(f"{folder / 'sequence'}: states frames of {shown} pixels")
        return width, height
    patterns = [meta.get(f"channels.{name}") for name in ("color", "depth", "ir")]
    pattern = next((p for p in patterns if p), "color/%08d.jpg")
    try:
        first = folder / (pattern % 1)
    except (TypeError, ValueError):
        raise UserError(
            f"{folder / 'sequence'}: {pattern!r} is no pattern of names, such as color/%08d.jpg"
        ) from None
    height, width = read_image(first).shape[:2]
    return width, height


# --- Workspaces -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Workspace:
    """A workspace of the VOT toolkit, as far as evaluation needs it.

    Attributes:
        folder: where ``config.yaml`` is.
        experiment: the multistart experiment of its stack.
        low, high: bounds of the EAO.
        sequences: in the order of ``list.txt``.
    """

    folder: Path
    experiment: str
    low: int
    high: int
    sequences: list[AnchoredSequence]

    def results(self, tracker: str) -> Path:
        """Where a tracker's trajectories are: a folder for each sequence."""
        return self.folder / "results" / tracker / self.experiment

    def trackers(self) -> list[str]:
        """Those with results, by name.

        Raises:
            UserError: there are none.
        """
        found = sorted(
            path.parent.name for path in self.folder.glob(f"results/*/{self.experiment}")
        )
        if not found:
            raise UserError(
                f"{self.folder / 'results'}: no results of experiment {self.experiment}; "
                "run a tracker in this workspace first"
            )
        return found


def read_workspace(folder: str | Path, experiment: str | None = None) -> Workspace:
    """Read ``config.yaml``, its stack, and the sequences.

    Args:
        experiment: a multistart experiment of the stack; needed where it has several.

    Raises:
        UserError: a file is missing or does not fit; names it.
    """
    folder = Path(folder)
    config = read_yaml(folder / "config.yaml", "give the folder of a VOT workspace")
    experiment, low, high = _read_stack(folder, config, experiment)
    root = named_sequences_folder(folder, config)
    listing = root / "list.txt"
    if not listing.is_file():
        raise UserError(
            f"{listing}: no such file; run tracker vot init, or name the sequences in it"
        )
    names = read_text(listing).split()
    if not names:
        raise UserError(f"{listing}: names no sequence")
    sequences = [read_anchored_sequence(root / name) for name in names]
    return Workspace(folder, experiment, low, high, sequences)


def named_sequences_folder(workspace: Path, settings: dict) -> Path:
    """Where a workspace's ``config.yaml`` has its sequences; its ``sequences`` if it says nothing.

    Raises:
        UserError: the setting is no path.
    """
    place = settings.get("sequences", "sequences")
    if not isinstance(place, str):
        raise UserError(f"{workspace / 'config.yaml'}: sequences: {place!r} is no folder's name")
    return workspace / Path(place).expanduser()


# Stacks that come with the toolkit and use this module's defaults.
RGBT_STACKS = ("vot2020/rgbtir", "vot2019/rgbtir")


def _read_stack(folder: Path, config: dict, wanted: str | None) -> tuple[str, int, int]:
    """Name of the experiment, and the bounds of its EAO."""
    stack = config.get("stack")
    if stack in RGBT_STACKS:
        if wanted not in (None, "baseline"):
            raise UserError(f"experiment {wanted}: stack {stack} has only baseline")
        return "baseline", EAO_LOW, EAO_HIGH
    if not isinstance(stack, str):
        raise UserError(f"{folder / 'config.yaml'}: names no stack; add a line stack: stack.yaml")
    path = folder / stack
    content = read_yaml(path, f"give a stack file, or one of {', '.join(RGBT_STACKS)}")
    entries = content.get("experiments")
    experiments = {
        str(name): entry
        for name, entry in (entries if isinstance(entries, dict) else {}).items()
        if isinstance(entry, dict) and entry.get("type") == "multistart"
    }
    if wanted is None and len(experiments) == 1:
        (wanted,) = experiments
    if wanted not in experiments:
        names = ", ".join(experiments) or "none"
        raise UserError(
            f"{path}: multistart experiments are: {names}; "
            + (f"there is no {wanted}" if wanted else "name one with --experiment")
        )
    analyses = experiments[wanted].get("analyses")
    for analysis in analyses if isinstance(analyses, list) else []:
        if isinstance(analysis, dict) and analysis.get("type") == "multistart_eao_score":
            unknown = analysis.keys() - {"type", "name", "low", "high"}
            if unknown:
                names = ", ".join(sorted(map(str, unknown)))
                raise UserError(
                    f"{path}: {names} of multistart_eao_score is not known here; leave it "
                    "out, or use the VOT toolkit's own analysis"
                )
            return wanted, *_bounds(path, analysis)
    return wanted, EAO_LOW, EAO_HIGH


def _bounds(path: Path, analysis: dict) -> tuple[int, int]:
    low, high = analysis.get("low"), analysis.get("high")
    if not (type(low) is int and type(high) is int and 0 <= low < high <= LONGEST):
        raise UserError(
            f"{path}: low: {low} and high: {high} of multistart_eao_score are no numbers of "
            f"frames, 0 <= low < high <= {LONGEST}"
        )
    return low, high


# --- Results --------------------------------------------------------------------------------------


def trajectory_path(folder: Path, sequence: str, anchor: int) -> Path | None:
    """A run's file in ``<tracker>/<experiment>``; text before binary, as the toolkit has it."""
    stem = folder / sequence / f"{sequence}_{anchor:08d}"
    paths = (stem.with_name(stem.name + suffix) for suffix in (".txt", ".bin"))
    return next((path for path in paths if path.is_file()), None)


def read_runs(
    folder: str | Path, sequences: Iterable[AnchoredSequence]
) -> dict[str, list[Regions]]:
    """A tracker's trajectories.

    Args:
        folder: ``results/<tracker>/<experiment>``.

    Returns:
        By sequence, in the order of `AnchoredSequence.runs`.

    Raises:
        UserError: runs that are missing or of the wrong length, all of them in one line.
    """
    folder = Path(folder)
    trajectories: dict[str, list[Regions]] = {}
    faults = []
    total = 0
    for sequence in sequences:
        trajectories[sequence.name] = found = []
        for run in sequence.runs:
            total += 1
            label = f"{sequence.name} anchor {run.anchor}"
            path = trajectory_path(folder, sequence.name, run.anchor)
            if path is None:
                faults.append(f"{label} (missing)")
                continue
            try:
                found.append(read_trajectory(path))
            except UserError as error:
                faults.append(f"{label} ({str(error).removeprefix(f'{path}: ')})")
                continue
            if len(found[-1]) != len(run.frames):
                faults.append(f"{label} ({len(found[-1])} of {len(run.frames)} frames)")
    if faults:
        shown = "; ".join(faults[:8]) + (f"; and {len(faults) - 8} more" if len(faults) > 8 else "")
        raise UserError(
            f"{folder}: {len(faults)} of {total} runs cannot be used: {shown}; run the tracker "
            "again to complete them"
        )
    return trajectories
