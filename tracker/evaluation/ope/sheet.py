"""A contact sheet of one-pass results: frames of every sequence with the boxes of all trackers.

Each row is a sequence, with frames at fixed fractions of its length, and the frame on which the
first tracker is worst. Successes and failures are shown alike; none is selected by hand.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from fusion.evaluation.comparison import COLOURS
from tracker.data.boxes import box_iou
from tracker.data.frames import Frame
from tracker.data.sequences import Dataset
from tracker.evaluation.ope.figures import OPEScores

PARTS = (0.25, 0.5, 0.75, 1.0)
"""Frames of a row, as fractions of the sequence's length; the worst frame follows them."""

TRUTH = "white"
_ASPECT = 4 / 3  # of one modality's image in a cell
_SMALLEST = 0.3  # minimum share of the frame's width that a cell shows


def sheet_frames(result: np.ndarray, annotation: np.ndarray) -> list[int]:
    """The frames of a sequence that the sheet shows: at `PARTS` of its length, and the worst.

    Args:
        result, annotation: ``(N, 4)`` boxes ``x, y, w, h``; N > 1.

    Returns:
        Frame numbers from 0; the last is the annotated frame, except the first, with the smallest
        overlap.
    """
    frames = min(len(result), len(annotation))
    overlaps = np.nan_to_num(box_iou(result[:frames], annotation[:frames]))
    overlaps[~np.isfinite(annotation[:frames]).all(axis=1)] = 2  # no target, no failure
    overlaps[0] = 2
    return [max(1, round(part * (frames - 1))) for part in PARTS] + [int(np.argmin(overlaps))]


def contact_sheet(
    dataset: Dataset,
    annotations: Mapping[str, tuple[np.ndarray, ...]],
    results: Mapping[str, Mapping[str, np.ndarray]],
    scores: Mapping[str, OPEScores],
) -> Figure:
    """Draw both modalities with the boxes of all trackers, one row per sequence.

    Args:
        dataset: the dataset with the images.
        annotations: by sequence, the boxes ``(N, 4)`` of each annotation; the first is drawn.
        results: by tracker and sequence, ``(N, 4)``; the first tracker determines the worst frame.
        scores: by tracker; each row states their SR on its sequence.

    Raises:
        ValueError: there is no tracker or no sequence.
        UserError: a sequence cannot be read.
    """
    if not results or not annotations:
        raise ValueError("a contact sheet needs at least one tracker and one sequence")
    rows, columns = len(annotations), len(PARTS) + 1
    figure = Figure(figsize=(3.6 * columns, 1.48 * rows + 0.6), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    colors = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(results)}
    reference = next(iter(results))
    for (name, (truth, *_)), axes in zip(annotations.items(), grid, strict=True):
        sequence = dataset[name]
        boxes = {tracker: found[name] for tracker, found in results.items()}
        for place, (number, cell) in enumerate(
            zip(sheet_frames(boxes[reference], truth), axes, strict=True)
        ):
            shown = {colors[t]: b[number] for t, b in boxes.items() if number < len(b)}
            draw_cell(cell, sequence.frame(number), {TRUTH: truth[number], **shown})
            worst = f", worst of {reference}" if place == len(PARTS) else ""
            cell.set_title(f"frame {number + 1}{worst}", fontsize=7, pad=2)
        figures = "\n".join(f"{t} {scores[t].subset([name]).SR:.2f}" for t in boxes)
        axes[0].set_ylabel(f"{name}\n{figures}", fontsize=7, rotation=0, ha="right", va="center")
    handles = [Line2D([], [], color=color, linewidth=2) for color in colors.values()]
    handles.append(Line2D([], [], color=TRUTH, linewidth=2))
    labels = [f"{name} {scores[name].SR:.3f}" for name in colors]
    figure.legend(
        handles, [*labels, "annotated"], loc="outside upper center", ncols=6, facecolor="0.75"
    )
    return figure


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


def draw_cell(axes: Axes, frame: Frame, boxes: Mapping[str, np.ndarray]) -> None:
    """Draw visible and infrared side by side, cropped to a `view` of the boxes.

    Args:
        boxes: ``x, y, w, h`` by colour, the annotated one (`TRUTH`) first.
    """
    axes.set(xticks=[], yticks=[])
    pictures = [picture for picture in (frame.rgb, frame.ir) if picture is not None]
    if not pictures:
        axes.set_xlabel("no image", fontsize=7)
        return
    height, width = pictures[0].shape[:2]
    left, top, right, bottom = view(np.array(list(boxes.values()), float), (width, height))
    for place, picture in enumerate(pictures):
        start = place * (right - left)
        shown = picture[top:bottom, left:right]
        extent = (start, start + right - left, bottom - top, 0.0)
        axes.imshow(shown, cmap="gray", vmin=0, vmax=255, extent=extent)
        clip = Rectangle((start, 0), right - left, bottom - top, transform=axes.transData)
        for color, (x, y, w, h) in boxes.items():
            if np.isfinite([x, y, w, h]).all():
                corner = (start + x - left, y - top)
                line = 2.2 if color == TRUTH else 1.3
                patch = Rectangle(corner, w, h, fill=False, edgecolor=color, linewidth=line)
                axes.add_patch(patch)
                patch.set_clip_path(clip)
    axes.set(xlim=(0, len(pictures) * (right - left)), ylim=(bottom - top, 0))
