"""Multistart evaluation: accuracy, robustness and EAO as VOT2020-RGBT defines them.

A tracker is started at several anchor frames of each sequence and runs from each to the end of the
sequence, or back to its beginning (Kristan et al., The Eighth Visual Object Tracking VOT2020
Challenge Results). A run fails where the overlap is 0.1 or less in 10 consecutive frames that show
the target; the first of these frames is its progress, and a run that does not fail progresses to
its end.

- A, accuracy: the sum of the overlaps before failure over the number of those frames, of all runs.
- R, robustness: a sequence's share of frames before failure, averaged over sequences with their
  numbers of frames as weights.
- EAO, expected average overlap: the mean of the EAO curve from 115 to 755 frames. The curve at j is
  the mean overlap over the frames 1 to j of a run, averaged over the runs of all sequences that are
  long enough, and over those that failed, for which the frames that are missing have overlap 0.

The VOT toolkit's analysis gives the same numbers; this one takes a small part of its time, because
it works on the arrays of all runs at once. Where the toolkit's code decides more than the
definition does, it is followed:

- Regions overlap by their pixels, see `tracker.evaluation.regions`.
- The first frame of a run holds no region but a code; its overlap is 0. It counts in A, so that the
  A of a perfect tracker is below 1, and not in the EAO curve.
- A frame without target is not lost; the count of lost frames starts anew after it.
- The curve divides a failed run's overlaps by j - 1, not j, beyond its last frame. It ends at
  ``high - 1``, so that the mean is over 115 to 754.
- R weighs a sequence by its frames, A by the frames before failure of its runs.

Published figures of DFAT (EAO 0.390, A 0.672, R 0.779 in the VOT2020 report; 0.4079, 0.6739, 0.7785
in Table 8 of the LRRNet paper) are not met by the raw results published with it, which give
EAO 0.3705, A 0.6782, R 0.7430, here and in toolkits 0.5.1, 0.7.4 and 0.9.0 alike. These results
look like the real-time experiment's: after the fifth frame of a run about every other box, 92,356
of 178,128 in all, repeats the one before at a time of 0.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fusion.configuration import read_yaml
from fusion.errors import UserError
from fusion.files import read_text
from fusion.images import read_image
from tracker.evaluation.regions import (
    LARGEST,
    Regions,
    concatenate,
    read_trajectory,
    region_overlaps,
)
from tracker.frames import LONGEST
from tracker.sequences import other_length, read_vot_meta

FAILURE_OVERLAP = 0.1
FAILURE_FRAMES = 10
# Typical lengths of sequences, as the stack of VOT2020-RGBT sets them.
EAO_LOW, EAO_HIGH = 115, 755

# --- Sequences and workspaces ---------------------------------------------------------------------


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


# --- Figures --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class RunScores:
    """How a run went.

    Attributes:
        run: where it started.
        overlaps: ``(n,)``, a frame; the first is 0.
        progress: frames before failure; all of them if it did not fail.
    """

    run: Run
    overlaps: np.ndarray
    progress: int

    @property
    def failed(self) -> bool:
        """Whether the target was lost before the run's end."""
        return self.progress < len(self.overlaps)

    @property
    def failure_frame(self) -> int | None:
        """The sequence's frame, from 0, on which the run failed; None if it did not."""
        return int(self.run.frames[self.progress]) if self.failed else None


@dataclass(frozen=True, eq=False)
class SequenceScores:
    """Figures of a sequence.

    Attributes:
        name: the sequence's.
        frames: its length, which is its weight in R.
        runs: one for each anchor.
        curve_sum: ``(high,)``, sum over the runs that count at each length of the EAO curve.
        curve_runs: ``(high,)``, how many count.
    """

    name: str
    frames: int
    runs: list[RunScores]
    curve_sum: np.ndarray
    curve_runs: np.ndarray

    @property
    def progress(self) -> int:
        """Frames before failure, of all runs."""
        return sum(run.progress for run in self.runs)

    @property
    def failures(self) -> int:
        """How many runs failed."""
        return sum(run.failed for run in self.runs)

    @property
    def A(self) -> float:
        overlap = sum(run.overlaps[: run.progress].sum() for run in self.runs)
        return float(overlap / self.progress) if self.progress else 0.0

    @property
    def R(self) -> float:
        return self.progress / sum(len(run.overlaps) for run in self.runs)

    @property
    def curve(self) -> np.ndarray:
        """The sequence's EAO curve, 0 where no run counts."""
        return self.curve_sum / np.maximum(self.curve_runs, 1)

    def eao(self, low: int, high: int) -> float:
        """Mean of the curve over those lengths between low and high that a run counts at.

        NaN where no run is that long. The EAO over all sequences is not the mean of these.
        """
        counts = self.curve_runs[low : high + 1] > 0
        return float(self.curve[low : high + 1][counts].mean()) if counts.any() else float("nan")


@dataclass(frozen=True, eq=False)
class Scores:
    """Figures of a tracker.

    Attributes:
        low, high: bounds of the EAO.
        sequences: figures of each.
    """

    low: int
    high: int
    sequences: list[SequenceScores]

    @property
    def A(self) -> float:
        """Accuracy: sequences weighted by the frames before failure."""
        progress = sum(sequence.progress for sequence in self.sequences)
        total = sum(sequence.A * sequence.progress for sequence in self.sequences)
        return total / progress if progress else 0.0

    @property
    def R(self) -> float:
        """Robustness: sequences weighted by their length."""
        frames = sum(sequence.frames for sequence in self.sequences)
        return sum(sequence.R * sequence.frames for sequence in self.sequences) / frames

    @property
    def curve(self) -> np.ndarray:
        """EAO curve, ``(high,)``: at j the expected average overlap over j frames; 0 at 0."""
        total = np.sum([sequence.curve_sum for sequence in self.sequences], axis=0)
        runs = np.sum([sequence.curve_runs for sequence in self.sequences], axis=0)
        return total / np.maximum(runs, 1)

    @property
    def EAO(self) -> float:
        """Expected average overlap: mean of the curve from low to high."""
        return float(self.curve[self.low : self.high + 1].mean())

    def figures(self) -> dict[str, float]:
        """EAO, A and R by name."""
        return {"EAO": self.EAO, "A": self.A, "R": self.R}


def run_progress(overlaps: np.ndarray, present: np.ndarray) -> int:
    """Frames of a run before it fails; all of them if it does not.

    Args:
        overlaps: ``(n,)``.
        present: ``(n,)`` bool, frames that show the target.
    """
    lost = (overlaps <= FAILURE_OVERLAP) & present
    if len(lost) < FAILURE_FRAMES:
        return len(lost)
    streaks = np.convolve(lost, np.ones(FAILURE_FRAMES, int), mode="valid") == FAILURE_FRAMES
    return int(np.argmax(streaks)) if streaks.any() else len(lost)


def _curve(runs: list[RunScores], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the runs that count at each length of the EAO curve."""
    total, number = np.zeros(length), np.zeros(length)
    lengths = np.arange(length)
    for run in runs:
        kept = np.where(np.arange(len(run.overlaps)) < run.progress, run.overlaps, 0)
        sums = np.cumsum(kept[1:length])
        reached = len(sums) + 1
        total[1:reached] += sums / lengths[1:reached]
        number[1:reached] += 1
        if run.failed and reached < length:
            total[reached:] += sums[-1] / (lengths[reached:] - 1)
            number[reached:] += 1
    return total, number


def evaluate(
    sequences: Sequence[AnchoredSequence],
    trajectories: dict[str, list[Regions]],
    low: int = EAO_LOW,
    high: int = EAO_HIGH,
) -> Scores:
    """Figures of a tracker.

        workspace = read_workspace("vot_workspace")
        runs = read_runs(workspace.results("DFAT"), workspace.sequences)
        print(evaluate(workspace.sequences, runs).figures())

    Args:
        trajectories: by sequence, a `Regions` for each of its runs, in their order.
        low, high: bounds of the EAO, in frames.

    Raises:
        ValueError: no sequence, or trajectories that do not fit the runs.
    """
    if not sequences:
        raise ValueError("evaluate needs a sequence")
    starts = [(sequence, run) for sequence in sequences for run in sequence.runs]
    found = [regions for sequence in sequences for regions in trajectories[sequence.name]]
    lengths = [len(run.frames) for _, run in starts]
    if [len(regions) for regions in found] != lengths:
        raise ValueError("trajectories do not fit the runs of the sequences")

    # All frames of all runs at once.
    truth = concatenate(sequence.groundtruth.take(run.frames) for sequence, run in starts)
    sizes = np.repeat([sequence.size for sequence, _ in starts], lengths, axis=0)
    overlaps = region_overlaps(concatenate(found), truth, sizes)
    cuts = np.cumsum(lengths)[:-1]
    by_run = zip(starts, np.split(overlaps, cuts), np.split(truth.present(), cuts), strict=True)
    scores: dict[str, list[RunScores]] = {sequence.name: [] for sequence in sequences}
    for (sequence, run), overlap, present in by_run:
        scores[sequence.name].append(RunScores(run, overlap, run_progress(overlap, present)))
    return Scores(
        low,
        high,
        [
            SequenceScores(
                sequence.name,
                len(sequence),
                scores[sequence.name],
                *_curve(scores[sequence.name], high),
            )
            for sequence in sequences
        ],
    )


def score_trackers(
    workspace: Workspace, trackers: Sequence[str] = ()
) -> tuple[dict[str, tuple[Scores, dict[str, list[Regions]]]], list[str]]:
    """Figures of a workspace's trackers, and the trajectories they are of.

    Args:
        trackers: references; all with results where there is none.

    Returns:
        `evaluate`'s and `read_runs`' by tracker, and a line for each whose results cannot be used.

    Raises:
        UserError: no results, or none of a tracker that was named.
    """
    known = workspace.trackers()
    unknown = [name for name in trackers if name not in known]
    if unknown:
        raise UserError(
            f"{workspace.folder / 'results'}: no results of {', '.join(unknown)}; there are "
            f"results of {', '.join(known)}"
        )
    found: dict[str, tuple[Scores, dict[str, list[Regions]]]] = {}
    faults = []
    for name in dict.fromkeys(trackers or known):
        try:
            runs = read_runs(workspace.results(name), workspace.sequences)
        except UserError as error:
            faults.append(str(error))
            continue
        scores = evaluate(workspace.sequences, runs, workspace.low, workspace.high)
        found[name] = scores, runs
    return found, faults
