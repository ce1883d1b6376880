"""Square crops around a box."""

from typing import Any

import cv2
import numpy as np

# Context around a box, as a fraction of width plus height (SiamFC).
CONTEXT = 0.5


def context_side(width: Any, height: Any, context: float = CONTEXT) -> Any:
    """Side length of the square with the area of a box plus context, for floats or tensors."""
    margin = context * (width + height)
    return ((width + margin) * (height + margin)) ** 0.5


def is_usable(frame: np.ndarray | None) -> bool:
    """Whether a frame is usable: not None, not constant, and all values finite."""
    if frame is None:
        return False
    # The difference of the extremes is NaN or infinite if any value is.
    spread = float(frame.max()) - float(frame.min())
    return bool(np.isfinite(spread)) and spread > 0


def mean_colour(frame: np.ndarray) -> np.ndarray:
    """Mean of a frame ``HxW`` or ``HxWxC`` per channel: ``(C,)`` float64."""
    return np.array(cv2.mean(frame)[: 1 if frame.ndim == 2 else frame.shape[2]])


def crop_square(
    frame: np.ndarray,
    centre: tuple[float, float],
    side: float,
    size: int,
    fill: np.ndarray | None,
) -> np.ndarray:
    """Crop a square around a point and resize it.

    Args:
        frame: ``HxW`` or ``HxWxC``.
        centre: x and y in pixels.
        side: side length of the square in pixels; rounded to whole pixels.
        size: side length of the result in pixels.
        fill: ``C`` values that fill the area outside the frame; None repeats the nearest pixel of
            the frame.

    Returns:
        ``size x size`` or ``size x size x C``, of the frame's dtype.
    """
    height, width = frame.shape[:2]
    side = max(1, round(side))
    left, top = (int(np.floor(c - (side + 1) / 2 + 0.5)) for c in centre)
    rows = slice(max(top, 0), max(0, min(top + side, height)))
    columns = slice(max(left, 0), max(0, min(left + side, width)))
    if side == columns.stop - columns.start and side == rows.stop - rows.start:
        patch = frame[rows, columns]
    elif fill is None:
        # A square outside the frame is filled from the nearest edge of the frame.
        rows = slice(min(rows.start, height - 1), max(rows.stop, 1))
        columns = slice(min(columns.start, width - 1), max(columns.stop, 1))
        top, left = min(top, rows.start), min(left, columns.start)
        below, right = max(side + top - rows.stop, 0), max(side + left - columns.stop, 0)
        margins = (rows.start - top, below, columns.start - left, right)
        patch = cv2.copyMakeBorder(frame[rows, columns], *margins, cv2.BORDER_REPLICATE)
    else:
        patch = np.empty((side, side, *frame.shape[2:]), frame.dtype)
        # A camera may switch to grey after its mean colour was measured.
        patch[:] = (fill.mean() if frame.ndim == 2 else fill).astype(frame.dtype)
        if rows.stop > rows.start and columns.stop > columns.start:
            patch[
                rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
            ] = frame[rows, columns]
    if side == size:
        return patch
    return cv2.resize(np.ascontiguousarray(patch), (size, size), interpolation=cv2.INTER_LINEAR)
