"""Read the results of trackers on one sequence, and find where they fail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from fusion.base.errors import UserError
from fusion.images.video import VIDEO_SUFFIXES
from tracker.data import sequences
from tracker.data.annotations import is_mot, read_regions, regions_to_boxes
from tracker.data.boxes import box_iou, polygons_to_boxes
from tracker.data.drawing import Color, colors_of
from tracker.data.frames import MODALITIES, ImageFrames, VideoFrames
from tracker.data.masks import Mask
from tracker.evaluation.ope.figures import LOST_OVERLAP, first_loss
from tracker.evaluation.ope.files import corners_to_boxes
from tracker.evaluation.vot.trajectories import read_trajectory


@dataclass(frozen=True, eq=False)
class Run:
    """A tracker's boxes on a sequence, compared with the annotation.

    Attributes:
        name: the tracker's.
        color: RGB 0..255.
        boxes: ``(N, 4)`` ``x, y, w, h``; NaN where the tracker gives none.
        overlaps: ``(N,)`` IoU with the annotation, the better of two (as MSR of GTOT and RGBT234);
            0 without a box, NaN where no target is annotated.
    """

    name: str
    color: Color
    boxes: np.ndarray
    overlaps: np.ndarray

    @cached_property
    def counted(self) -> np.ndarray:
        """``(N,)`` bool: frames that show the target, without the first, whose box is given."""
        counted = np.isfinite(self.overlaps)
        counted[:1] = False
        return counted

    @cached_property
    def missed(self) -> np.ndarray:
        """``(N,)`` bool: counted frames with an overlap of at most `LOST_OVERLAP`."""
        return self.counted & ~(self.overlaps > LOST_OVERLAP)

    @cached_property
    def lost(self) -> int | None:
        """The frame of the first loss by `first_loss` among the counted frames, from 0."""
        frames = np.flatnonzero(self.counted)
        place = first_loss(self.overlaps[frames])
        return None if place is None else int(frames[place])

    @cached_property
    def mean(self) -> float:
        """Mean overlap over the counted frames; NaN without one."""
        return float(self.overlaps[self.counted].mean()) if self.counted.any() else float("nan")


@dataclass(frozen=True, eq=False)
class Footage:
    """A sequence with its annotation and the runs of trackers on it.

    Attributes:
        sequence: the frames.
        frames: their number.
        truth: by modality, boxes ``(N, 4)``, NaN where none is annotated; empty without annotation.
        runs: at least one, in the order in which they are listed.
    """

    sequence: sequences.Sequence
    frames: int
    truth: Mapping[str, np.ndarray]
    runs: Sequence[Run] = field(default_factory=list)

    @cached_property
    def modalities(self) -> list[str]:
        """The modalities that have images at all."""
        sources = {"rgb": self.sequence.rgb, "ir": self.sequence.ir}
        return [modality for modality in MODALITIES if len(sources[modality])]


def open_sequence(
    rgb: Path,
    ir: Path | None = None,
    layout: str | None = None,
    resize: bool = False,
    stretch: bool = False,
    pair: str | None = None,
    percentiles: tuple[float, float] | None = None,
    needs_boxes: bool = True,
) -> sequences.Sequence:
    """Open what is drawn on: as `tracker.data.sequences.load_sequence`, or a single video.

    Raises:
        UserError: as `load_sequence`; or the modalities differ in size.
    """
    if ir is None and rgb.is_file() and rgb.suffix.lower() in VIDEO_SUFFIXES:
        nothing = ImageFrames(rgb.parent, [])
        sequence = sequences.Sequence.unannotated(rgb.stem, "video", VideoFrames(rgb), nothing)
    else:
        sequence = sequences.load_sequence(
            rgb if ir is None else (rgb, ir),
            layout,
            resize or stretch,
            stretch=stretch,
            pair=pair,
            percentiles=percentiles,
            needs_boxes=needs_boxes,
        )
    sequence.check_sizes()
    return sequence


def count_frames(sequence: sequences.Sequence) -> int:
    """The number of frames; a video is decoded to its end, as its stated length may be wrong."""
    if isinstance(sequence.rgb, VideoFrames) or isinstance(sequence.ir, VideoFrames):
        return sum(1 for _ in sequence)
    return len(sequence)


# --- Reading --------------------------------------------------------------------------------------


def read_truth(path: Path, frames: int, sequence: str) -> np.ndarray:
    """Read an annotation, ``(N, 4)``, which is then the same for both modalities.

    Raises:
        UserError: it is unreadable, or its number of boxes is not that of frames.
    """
    return regions_to_boxes(of_length(path, _read(path), frames, sequence))


def annotation(sequence: sequences.Sequence, frames: int) -> dict[str, np.ndarray]:
    """A sequence's own boxes by modality, `frames` each; empty if no frame has one."""
    boxes = {"rgb": sequence.boxes_rgb, "ir": sequence.boxes_ir}
    found = {modality: for_frames(rows, frames) for modality, rows in boxes.items()}
    return {m: rows for m, rows in found.items() if np.isfinite(rows).all(axis=1).any()}


def for_frames(boxes: np.ndarray, frames: int) -> np.ndarray:
    """Boxes ``(N, 4)`` cut to a number of frames, or filled up with NaN."""
    rows = np.full((frames, 4), np.nan)
    rows[: len(boxes)] = boxes[:frames]
    return rows


def read_run(
    path: Path, name: str, frames: int, sequence: str, truth: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, list[str]]:
    """Read a tracker's result on one sequence.

    It has one line per frame as for `tracker.data.annotations.read_regions`, or is a binary
    trajectory of the VOT toolkit. Polygons and masks become boxes. Results that are corners are
    recognized by their first line, as in ``tracker evaluate``. A code in place of the first region,
    as in VOT, stands for the annotated box.

    Returns:
        Boxes ``(N, 4)``, and remarks.

    Raises:
        UserError: it is unreadable, or its number of boxes is not that of frames.
    """
    regions = of_length(path, _read(path), frames, sequence)
    raw = {sequence: regions}
    remarks = corners_to_boxes(name, raw, {sequence: tuple(truth.values())})
    return start_filled(regions_to_boxes(raw[sequence]), truth), remarks


def start_filled(boxes: np.ndarray, truth: Mapping[str, np.ndarray]) -> np.ndarray:
    """A run's boxes, whose first is the annotated one if the run has none there."""
    if not np.isfinite(boxes[0]).all():
        boxes = boxes.copy()
        for start in (rows[0] for rows in truth.values()):
            if np.isfinite(start).all():
                boxes[0] = start
                break
    return boxes


def _read(path: Path) -> np.ndarray:
    """Regions ``(N, 4)`` or ``(N, 8)`` of a text file, or boxes of a binary trajectory."""
    if path.suffix.lower() != ".bin":
        return read_regions(path)
    regions = read_trajectory(path)
    boxes = regions.boxes.astype(float)
    for frame, shape in regions.shapes.items():
        boxes[frame] = shape.box() if isinstance(shape, Mask) else polygons_to_boxes(shape)
    return boxes


def of_length(path: Path, rows: np.ndarray, frames: int, sequence: str) -> np.ndarray:
    """Regions that were read from a file, one per frame; a MOT file may end with the target.

    Raises:
        UserError: there are more or fewer than frames.
    """
    if len(rows) < frames and path.suffix.lower() != ".bin" and is_mot(path):
        absent = np.full((frames - len(rows), rows.shape[1]), np.nan)
        return np.concatenate([rows, absent])
    if len(rows) != frames:
        raise UserError(
            f"{path}: {len(rows)} boxes for the {frames} frames of {sequence}; give the result of "
            "this sequence, with one line per frame"
        )
    return rows


# --- Comparing ------------------------------------------------------------------------------------


def compare(
    boxes: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], frames: int
) -> list[Run]:
    """The runs of trackers by name, each with its own colour and its overlaps."""
    runs = []
    for (name, rows), color in zip(boxes.items(), colors_of(len(boxes)), strict=True):
        overlaps = np.full(frames, np.nan)
        for annotated in truth.values():
            found = np.where(np.isfinite(rows).all(axis=1), box_iou(rows, annotated), 0)
            found[~np.isfinite(annotated).all(axis=1)] = np.nan
            overlaps = np.fmax(overlaps, found)
        runs.append(Run(name, color, rows, overlaps))
    return runs
