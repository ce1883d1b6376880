"""Anchored sequences: the annotation, the anchors and the runs of a sequence in VOT's layout."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fusion.base.errors import UserError
from fusion.base.files import read_text
from fusion.images.reading import read_image
from tracker.data.frames import MODALITY_NAMES, ImageFrames, number_ranges
from tracker.data.sequences import Sequence, load_sequence
from tracker.data.vot_files import other_length, read_vot_meta
from tracker.evaluation.vot.regions import Regions
from tracker.evaluation.vot.trajectories import LARGEST, read_trajectory

ANCHOR_SPACING = 50  # frames


def anchor_directions(length: int) -> np.ndarray:
    """The start frames and directions of the runs of a sequence, by the rule of VOT2020.

    Anchors are every `ANCHOR_SPACING` frames from the first frame, and the last frame. An anchor
    closer to the last frame than half the spacing is omitted. Runs from anchors whose number (from
    1) is below half the length go forward, the others backward.

    Returns:
        ``(length,)`` int: 1 forward, -1 backward, 0 no anchor.
    """
    anchors = np.arange(0, length, ANCHOR_SPACING)
    anchors = np.append(anchors[length - 1 - anchors >= ANCHOR_SPACING / 2], length - 1)
    directions = np.zeros(length, int)
    directions[anchors] = np.where(anchors + 1 < length // 2, 1, -1)
    return directions


@dataclass(frozen=True, eq=False)
class Run:
    """One start of a tracker in a sequence.

    Attributes:
        anchor: index of the start frame, from 0.
        frames: frame indices in the order of the run, starting with the anchor.
    """

    anchor: int
    frames: np.ndarray

    @property
    def is_backward(self) -> bool:
        """Whether it runs towards the sequence's first frame."""
        return len(self.frames) > 1 and self.frames[1] < self.frames[0]


@dataclass(frozen=True, eq=False)
class AnchoredSequence:
    """A sequence with the data that evaluation needs.

    Attributes:
        folder: the sequence's folder in VOT's layout.
        groundtruth: one region per frame.
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

    @cached_property
    def pictures(self) -> Sequence:
        """The frames of the sequence, opened on demand.

        Raises:
            UserError: a channel's folder is missing or cannot be read.
        """
        return load_sequence(self.folder, "vot")

    def fault(self) -> str | None:
        """Why the toolkit cannot run the sequence, in one line; None if it can."""
        try:
            faults = toolkit_faults(self.pictures)
        except UserError as error:
            return str(error)
        if not faults and not self.groundtruth.present()[self.anchors != 0].all():
            faults = ["an anchor is on a frame without the target"]
        return f"{self.folder}: {faults[0]}" if faults else None


def toolkit_faults(sequence: Sequence) -> list[str]:
    """Reasons why the toolkit cannot run a sequence of any layout, one phrase each."""
    faults = []
    for name, frames in zip(MODALITY_NAMES.values(), (sequence.rgb, sequence.ir), strict=True):
        if not isinstance(frames, ImageFrames):
            faults.append(f"the {name} frames are a video, not images")
        elif frames.missing():
            numbers = number_ranges(index + 1 for index in frames.missing())
            faults.append(f"no {name} image for frame {numbers} of {len(sequence)}")
    if not sequence.annotated.all():
        lines = int(sequence.annotated.sum())
        faults.append(f"{lines} annotation lines for {len(sequence)} frames")
    return faults


def check_sequences(sequences: Iterable[AnchoredSequence]) -> None:
    """Make sure that the toolkit can run every sequence: both channels, annotation, anchors.

    Raises:
        UserError: the first fault found, with the number of further sequences that have one.
    """
    faults = [fault for sequence in sequences if (fault := sequence.fault())]
    if faults:
        more = f" ({len(faults) - 1} more sequences have faults)" if len(faults) > 1 else ""
        raise UserError(f"{faults[0]}{more}; fix it, or run tracker vot init")


# --- Reading --------------------------------------------------------------------------------------


def list_sequences(root: Path) -> list[str]:
    """Read the names in the ``list.txt`` of a folder of sequences.

    Raises:
        UserError: the file does not exist or contains no name.
    """
    listing = root / "list.txt"
    if not listing.is_file():
        raise UserError(
            f"{listing}: no such file; run tracker vot init, or name the sequences in it"
        )
    lines = read_text(listing).splitlines()
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise UserError(f"{listing}: names no sequence")
    return names


def read_sequence(folder: str | Path) -> AnchoredSequence:
    """Read ``sequence``, ``groundtruth.txt`` and ``anchor.value`` of a sequence in VOT's layout.

    An image is opened only if ``sequence`` does not state the width and height.

    Raises:
        UserError: a file is missing or inconsistent, or there are no anchors.
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
    return AnchoredSequence(
        folder,
        groundtruth,
        _read_anchors(folder / "anchor.value", length),
        _frame_size(folder, meta),
    )


def _read_anchors(path: Path, length: int) -> np.ndarray:
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; multistart needs one line per frame, 1 for a forward start, "
            "-1 for a backward one, 0 for none"
        )
    try:
        anchors = np.array([float(value) for value in read_text(path).split()])
    except ValueError:
        anchors = np.array([np.nan])
    if not np.isfinite(anchors).all():
        raise UserError(f"{path}: needs one number per line; give 1, -1 or 0")
    if len(anchors) > length:
        raise UserError(f"{path}: {len(anchors)} lines for {length} frames")
    if not anchors.any():
        raise UserError(f"{path}: no anchor in it; mark a frame with 1 (forward) or -1 (backward)")
    return np.pad(anchors, (0, length - len(anchors)))


def _frame_size(folder: Path, meta: dict[str, str]) -> tuple[int, int]:
    stated = [meta.get("width", ""), meta.get("height", "")]
    if all(text.isdecimal() for text in stated):
        # Python refuses to convert thousands of digits.
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
