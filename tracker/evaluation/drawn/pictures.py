"""Frames with the boxes of all trackers: as a video, and chosen ones as a contact sheet."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fusion.evaluation.sheet import fitted
from fusion.images.pixels import tile
from fusion.images.video import VideoWriter
from tracker.data.drawing import WHITE, Marked, Words, draw_boxes
from tracker.data.frames import Frame
from tracker.evaluation.drawn.runs import Footage, Run

__all__ = ["chosen_frames", "draw", "overview", "sheet", "write_video"]

PARTS = (0.25, 0.5, 0.75, 1.0)
"""Frames of a row of `overview`, as fractions of the sequence's length."""

_COLUMNS = 3
_PANEL = 320  # width of one modality's image in a contact sheet
_ASPECT = 4 / 3  # and its width by its height
_SMALLEST = 0.3  # minimum share of the frame's width that it shows


def frames_of(footage: Footage) -> Iterator[Frame]:
    """All frames, with a progress bar."""
    yield from tqdm(
        (footage.sequence.frame(index) for index in range(footage.frames)),
        total=footage.frames,
        desc=footage.sequence.name,
        unit="frame",
        disable=None,
    )


def draw(
    footage: Footage,
    frame: Frame,
    panel_width: tuple[int, int] = (480, 960),
    corner: tuple[int, int] = (0, 0),
) -> np.ndarray:
    """Draw a frame with all boxes, below a caption with each tracker's overlap.

    A box that misses the target is crossed out, and its overlap is set on red.

    Args:
        frame: a frame of the footage, or a part of it.
        panel_width: see `tracker.data.drawing.draw_boxes`.
        corner: where the part's first pixel is in the frame, x and y.

    Returns:
        RGB uint8, of the same size for all frames of one size.
    """
    index = frame.number - 1
    offset = [*corner, 0, 0]
    words = [Words(f"frame {frame.number}", room=f"frame {footage.frames}")]
    words += [Words("annotated", WHITE)] * bool(footage.truth)
    boxes = []
    for run in footage.runs:
        missed = bool(run.missed[index])
        name = run.name.encode("ascii", "replace").decode()
        text = f"{name} {_overlap(run, index)}" + " miss" * missed
        words.append(Words(text, run.color, f"{name} 0.00 miss", missed))
        boxes.append(Marked(run.boxes[index] - offset, run.color, missed))
    truth = {m: Marked(rows[index] - offset, WHITE) for m, rows in footage.truth.items()}
    return draw_boxes(
        frame,
        boxes,
        words,
        truth=truth,
        size=footage.sequence.frame_size(),
        panel_width=panel_width,
        modalities=footage.modalities,
    )


def _overlap(run: Run, index: int) -> str:
    value = run.overlaps[index]
    return f"{value:.2f}" if np.isfinite(value) else "-"


def write_video(footage: Footage, path: Path, fps: float | None = None) -> None:
    """Write all frames as a video.

    Args:
        fps: frames per second; None takes those of the sequence, or 25.

    Raises:
        UserError: the format is unknown, or the file cannot be written.
    """
    with VideoWriter(path, fps or footage.sequence.fps or 25.0) as writer:
        for frame in frames_of(footage):
            writer.write(draw(footage, frame))


# --- Contact sheets -------------------------------------------------------------------------------


def chosen_frames(footage: Footage, count: int) -> dict[int, list[str]]:
    """The frames of a `sheet`, selected by a fixed rule and not by hand.

    These are ``count`` frames at equal distances from the first to the last, and the frame on which
    each tracker first loses the target (`tracker.evaluation.ope.figures.first_loss`).

    Returns:
        By frame, ascending from 0, the trackers that are lost there.
    """
    chosen: dict[int, list[str]] = {
        int(frame): [] for frame in np.linspace(0, footage.frames - 1, count).round()
    }
    for run in footage.runs:
        if run.lost is not None:
            chosen.setdefault(run.lost, []).append(run.name)
    return dict(sorted(chosen.items()))


def sheet(footage: Footage, count: int = 8) -> np.ndarray:
    """Draw `chosen_frames`, enlarged around the boxes; RGB uint8."""
    # In order, so that a video is decoded once.
    cells = [
        (f"first loss of {', '.join(lost)}" if lost else "", _enlarged(footage, index))
        for index, lost in chosen_frames(footage, count).items()
    ]
    return tile([cells[start : start + _COLUMNS] for start in range(0, len(cells), _COLUMNS)])


def overview_frames(run: Run) -> list[int]:
    """The frames of a row of `overview`: at `PARTS` of the length, and the run's worst.

    The worst is the frame with the smallest overlap, of those that count.
    """
    overlaps = np.where(run.counted, run.overlaps, np.inf)
    return [max(1, round(part * (len(overlaps) - 1))) for part in PARTS] + [int(overlaps.argmin())]


def overview(footages: Iterable[Footage]) -> np.ndarray:
    """Draw a row of `overview_frames` of the first run for each sequence; RGB uint8.

    Successes and failures are shown alike; none is selected by hand.
    """
    rows = []
    for footage in footages:
        reference = footage.runs[0]
        row = [(footage.sequence.name, _enlarged(footage, i)) for i in overview_frames(reference)]
        rows.append([*row[:-1], (f"{row[-1][0]}: worst of {reference.name}", row[-1][1])])
    return tile(rows)


def _enlarged(footage: Footage, index: int) -> np.ndarray:
    """The part of a frame that shows all boxes, in the same size for every frame."""
    frame, size = footage.sequence.frame(index), footage.sequence.frame_size()
    boxes = [rows[index] for rows in footage.truth.values()]
    boxes += [run.boxes[index] for run in footage.runs]
    left, top, right, bottom = view(np.array(boxes, float), size)
    inside = slice(top, bottom), slice(left, right)
    part = replace(
        frame,
        rgb=None if frame.rgb is None else frame.rgb[inside],
        ir=None if frame.ir is None else frame.ir[inside],
    )
    picture = draw(footage, part, (_PANEL, _PANEL), (left, top))
    width = len(footage.modalities) * _PANEL
    return fitted(picture, (width, round(_PANEL / _ASPECT) + 24))


def view(boxes: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of a frame that shows the boxes with a margin: left, top, right, bottom.

    Args:
        boxes: ``(K, 4)``; boxes that are not finite are ignored.
        size: ``(width, height)`` of the frame.
    """
    width, height = size
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    if len(boxes) == 0:
        return 0, 0, width, height
    margin = boxes[0, 2:].max()  # the annotated box comes first
    low = np.clip(boxes[:, :2].min(axis=0) - margin, 0, size)
    high = np.clip((boxes[:, :2] + boxes[:, 2:]).max(axis=0) + margin, 0, size)
    sides = np.maximum(high - low, [_SMALLEST * width, _SMALLEST * width / _ASPECT])
    sides = np.minimum(np.maximum(sides, [sides[1] * _ASPECT, sides[0] / _ASPECT]), size)
    low = np.clip((low + high - sides) / 2, 0, np.array(size) - sides)
    left, top = np.floor(low).astype(int).tolist()
    right, bottom = np.ceil(low + sides).astype(int).tolist()
    return left, top, min(right, width), min(bottom, height)
