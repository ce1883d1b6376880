"""Frames with the boxes of all trackers: as a video, and chosen ones as a contact sheet."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from tqdm import tqdm

from fusion.images.video import VideoWriter
from tracker.data.drawing import WHITE, Marked, Words, draw_boxes
from tracker.data.frames import Frame
from tracker.evaluation.drawn.runs import Footage, Run
from tracker.evaluation.ope.figures import LOST_FRAMES, LOST_OVERLAP
from tracker.evaluation.ope.sheet import TRUTH, draw_cell

__all__ = ["chosen_frames", "draw", "sheet", "write_video"]

_COLUMNS = 3


def frames_of(footage: Footage) -> Iterator[Frame]:
    """All frames, with a progress bar."""
    yield from tqdm(
        (footage.sequence.frame(index) for index in range(footage.frames)),
        total=footage.frames,
        desc=footage.sequence.name,
        unit="frame",
        disable=None,
    )


def draw(footage: Footage, frame: Frame, panel_width: tuple[int, int] = (480, 960)) -> np.ndarray:
    """Draw a frame with all boxes, below a caption with each tracker's overlap.

    A box that misses the target is crossed out, and its overlap is set on red.

    Returns:
        RGB uint8, of the same size for every frame.
    """
    index = frame.number - 1
    words = [Words(f"frame {frame.number}", room=f"frame {footage.frames}")]
    words += [Words("annotated", WHITE)] * bool(footage.truth)
    boxes = []
    for run in footage.runs:
        missed = bool(run.missed[index])
        name = run.name.encode("ascii", "replace").decode()
        text = f"{name} {_overlap(run, index)}" + " miss" * missed
        words.append(Words(text, run.color, f"{name} 0.00 miss", missed))
        boxes.append(Marked(run.boxes[index], run.color, missed))
    truth = {m: Marked(rows[index], WHITE) for m, rows in footage.truth.items()}
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


# --- Contact sheet --------------------------------------------------------------------------------


def chosen_frames(footage: Footage, count: int) -> dict[int, list[str]]:
    """The frames to show, selected by a fixed rule and not by hand.

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


def sheet(footage: Footage, count: int = 8) -> Figure:
    """Draw `chosen_frames`, cropped to the boxes, with the overlaps of all trackers."""
    chosen = chosen_frames(footage, count)
    rows = -(-len(chosen) // _COLUMNS)
    width = 4.6 if len(footage.modalities) > 1 else 3.0
    figure = Figure(figsize=(width * _COLUMNS, 2.25 * rows + 1.0), layout="constrained")
    cells = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    first = next(iter(footage.truth.values()), np.full((footage.frames, 4), np.nan))
    # In order, so that a video is decoded once.
    for cell, (index, lost) in zip(cells, chosen.items(), strict=False):
        shown = {_hex(run.color): run.boxes[index] for run in footage.runs}
        draw_cell(cell, footage.sequence.frame(index), {TRUTH: first[index], **shown})
        title = f"frame {index + 1}" + (f": first loss of {', '.join(lost)}" if lost else "")
        cell.set_title(title, fontsize=8, pad=3, color="#b00000" if lost else "black")
        for place, run in enumerate(footage.runs):
            cell.text(
                (place + 0.5) / len(footage.runs),
                -0.03,
                _overlap(run, index) + " miss" * bool(run.missed[index]),
                transform=cell.transAxes,
                ha="center",
                va="top",
                fontsize=8,
                bbox={
                    "facecolor": "0.25" if not run.missed[index] else "#600000",
                    "pad": 1.5,
                    "edgecolor": "none",
                },
                color=_hex(run.color),
            )
    for cell in cells[len(chosen) :]:
        cell.set_axis_off()
    handles = [Line2D([], [], color=_hex(run.color), linewidth=2) for run in footage.runs]
    labels = [_summary(run) for run in footage.runs]
    if footage.truth:
        handles.append(Line2D([], [], color=TRUTH, linewidth=2))
        labels.append("annotated")
    legend = figure.legend(
        handles, labels, loc="outside upper center", ncols=4, facecolor="0.25", fontsize=9
    )
    for text in legend.get_texts():
        text.set_color("white")
    figure.supxlabel(
        f"{footage.sequence.name}: {count} frames at equal distances and the first loss of each "
        f"tracker (IoU of at most {LOST_OVERLAP:g} for {LOST_FRAMES} annotated frames or to the "
        "end). Below each frame: IoU, in the legend's order.",
        fontsize=8,
    )
    return figure


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _summary(run: Run) -> str:
    if not run.counted.any():
        return run.name
    lost = "" if run.lost is None else f", lost at {run.lost + 1}"
    return f"{run.name}: mean IoU {run.mean:.2f}{lost}"
