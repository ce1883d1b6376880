"""One self-contained HTML page of a sequence: all frames, boxes and overlaps, to look through.

The frames are embedded as JPEG files, and boxes are drawn by the page, so that each tracker can be
hidden. The page loads nothing from anywhere, and says so in its content security policy.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fusion.base.errors import UserError
from fusion.images.pixels import narrowed
from fusion.images.reading import data_address, jpeg
from tracker.data.frames import MODALITY_NAMES, Frame
from tracker.evaluation.drawn.pictures import frames_of
from tracker.evaluation.drawn.runs import Footage, Run
from tracker.evaluation.ope.figures import LOST_FRAMES, LOST_OVERLAP
from tracker.evaluation.pages import write_html

LIMIT = 40.0
"""Default limit of the embedded images in megabytes, which browsers open without delay."""

_WIDTHS = (640, 480, 360, 270)
_QUALITY = 80
_PROBES = 6  # frames from which the size of all is estimated
_MEGABYTE = 1_000_000


def write_page(footage: Footage, path: Path, limit: float = LIMIT) -> int:
    """Write the page.

    Images are at most 640 pixels wide. If that exceeds the limit, they become narrower, down to
    270 pixels; if that is not enough, the page has every second frame, every third and so on, and
    the first loss of each tracker in any case. The plot always has all frames.

    Args:
        path: the HTML file; a failure leaves no partial file.
        limit: of the embedded images, in megabytes.

    Returns:
        The number of frames that are shown.

    Raises:
        UserError: not even a few frames fit into the limit, or the file cannot be written.
    """
    images, shown = _images(footage, round(limit * _MEGABYTE))
    content = {
        "name": footage.sequence.name,
        "frames": footage.frames,
        "size": footage.sequence.frame_size(),
        "shown": shown,
        "panels": [
            {"key": m, "name": MODALITY_NAMES[m], "images": images[m]} for m in footage.modalities
        ],
        "truth": {m: _rows(boxes) for m, boxes in footage.truth.items()},
        "trackers": [_tracker(run) for run in footage.runs],
        "note": _note(footage, len(shown)),
    }
    write_html("drawn.html", path, title=footage.sequence.name, content=content)
    return len(shown)


def _note(footage: Footage, shown: int) -> str:
    note = (
        f"Lost: the first frame from which the IoU stays at {LOST_OVERLAP:g} or less for "
        f"{LOST_FRAMES} annotated frames or to the end. Means do not count the first frame."
    )
    if shown < footage.frames:
        note = f"{shown} of {footage.frames} frames are shown, all are plotted. {note}"
    return note


def _tracker(run: Run) -> dict[str, Any]:
    return {
        "name": run.name,
        "color": "#{:02x}{:02x}{:02x}".format(*run.color),
        "boxes": _rows(run.boxes),
        "iou": [round(v, 3) if np.isfinite(v) else None for v in run.overlaps.tolist()],
        "missed": np.flatnonzero(run.missed).tolist(),
        "lost": run.lost,
        "mean": round(run.mean, 3) if np.isfinite(run.mean) else None,
    }


def _rows(boxes: np.ndarray) -> list[list[float] | None]:
    finite = np.isfinite(boxes).all(axis=1)
    rows = boxes.round(1).tolist()
    return [row if there else None for row, there in zip(rows, finite, strict=True)]


# --- Images ---------------------------------------------------------------------------------------


def _images(footage: Footage, limit: int) -> tuple[dict[str, list[str | None]], list[int]]:
    """Data addresses by modality and the frames that they show, within ``limit`` bytes."""
    width, step = _plan(footage, limit)
    losses = {run.lost for run in footage.runs if run.lost is not None}
    while True:
        shown = sorted({*range(0, footage.frames, step), *losses})
        wanted = set(shown)
        frames = (frame for frame in frames_of(footage) if frame.number - 1 in wanted)
        images = _encoded(footage, frames, width, limit)
        if images is not None:
            return images, shown
        if step >= footage.frames:
            raise UserError(
                f"--limit: {len(shown)} frames of {footage.sequence.name} do not fit into "
                f"{limit / _MEGABYTE:g} megabytes; give more"
            )
        step += 1


def _plan(footage: Footage, limit: int) -> tuple[int, int]:
    """Width and distance of the frames whose estimated size fits; the estimate may be wrong."""
    probes = sorted(set(np.linspace(0, footage.frames - 1, _PROBES).astype(int).tolist()))
    read = [footage.sequence.frame(index) for index in probes]
    needed = 0.0
    for width in _WIDTHS:
        sizes = [_bytes(footage, frame, width) for frame in read]
        needed = float(np.mean(sizes)) * footage.frames
        if needed <= limit:
            return width, 1
    return _WIDTHS[-1], max(1, int(np.ceil(needed / limit)))


def _bytes(footage: Footage, frame: Frame, width: int) -> int:
    return sum(len(_address(frame, m, width) or "") for m in footage.modalities)


def _encoded(
    footage: Footage, frames: Iterable[Frame], width: int, limit: int
) -> dict[str, list[str | None]] | None:
    images: dict[str, list[str | None]] = {m: [] for m in footage.modalities}
    total = 0
    for frame in frames:
        for modality, addresses in images.items():
            addresses.append(_address(frame, modality, width))
            total += len(addresses[-1] or "")
        if total > limit:
            return None
    return images


def _address(frame: Frame, modality: str, width: int) -> str | None:
    """A frame's image as a data address; None without an image."""
    image = getattr(frame, modality)
    if image is None:
        return None
    return data_address(jpeg(narrowed(image, width), _QUALITY))
