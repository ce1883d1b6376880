"""Annotations and result files: lines of numbers, and masks, as boxes.

Any of them may be separated by commas, blanks, tabs or semicolons, hold 8 numbers (a polygon, see
`tracker.data.boxes.polygons_to_boxes`) instead of 4, and say NaN, or one number as VOT does, where
there
is no target.
"""

import re
from pathlib import Path

import cv2
import numpy as np

from fusion.base.errors import UserError
from fusion.base.files import read_text
from fusion.images.pixels import luminance
from tracker.data.boxes import box_corners, polygons_to_boxes, xyxy_to_xywh

__all__ = ["mask_to_box", "read_regions", "regions_to_boxes"]


def read_regions(path: str | Path) -> np.ndarray:
    """The numbers of an annotation or result file, a row a frame, as they stand.

    Lines end in LF, CRLF or CR, numbers are separated by commas, blanks, tabs or semicolons; blank
    lines at the end do not count. A line of one number (VOT's special codes) is a row of NaN. Where
    some lines have 4 numbers and some 8, boxes become polygons.

    Returns:
        ``(N, 4)`` or ``(N, 8)`` float64.

    Raises:
        UserError: missing or empty file, a blank line between others, or a line that is not 1, 4
            or 8 numbers; names the line.
    """
    mend = "give a line of 4 or 8 numbers a frame"
    lines = read_text(path, mend).rstrip().splitlines()
    if not lines:
        raise UserError(f"{path}: the file is empty; {mend}")
    rows = []
    for number, line in enumerate(lines, start=1):
        fields = re.split(r"\s*[,;]\s*|\s+", line.strip())
        if fields[-1] == "":  # a separator at the end of the line
            fields.pop()
        try:
            row = [float(value) for value in fields]
        except ValueError:
            row = []
        if len(row) not in (1, 4, 8) or any(abs(value) == float("inf") for value in row):
            raise UserError(
                f"{path}, line {number}: {line.strip()[:60]!r} is not 4 or 8 numbers "
                "(NaN where the target is absent)"
            )
        rows.append(row)
    width = max(4, *(len(row) for row in rows))
    regions = np.full((len(rows), width), np.nan)
    for region, row in zip(regions, rows, strict=True):
        if len(row) == width:
            region[:] = row
        elif len(row) == 4:
            region[:] = box_corners(np.array(row)).ravel()
    return regions


def regions_to_boxes(regions: np.ndarray, corners: bool = False) -> np.ndarray:
    """Boxes ``(N, 4)`` of `read_regions`; NaN where the target is absent.

    Absent is a row with NaN, or with a width, height or area that is not positive (LasHeR).

    Args:
        regions: ``(N, 4)`` boxes or ``(N, 8)`` polygons.
        corners: four numbers are two opposite corners ``x1, y1, x2, y2`` (GTOT).
    """
    if regions.shape[1] == 8:
        boxes = polygons_to_boxes(regions.reshape(-1, 4, 2))
    elif corners:
        pairs = regions.reshape(-1, 2, 2)
        boxes = xyxy_to_xywh(np.concatenate([pairs.min(1), pairs.max(1)], axis=1))
    else:
        boxes = regions.copy()
    present = np.isfinite(boxes).all(1) & (boxes[:, 2] > 0) & (boxes[:, 3] > 0)
    boxes[~present] = np.nan
    return boxes


def mask_to_box(mask: np.ndarray) -> np.ndarray:
    """The box of a saliency mask's largest connected part; NaN where the mask is empty.

    Several parts are several objects, and a box about them all would be mostly background. Parts
    touching at a corner are one.

    Args:
        mask: ``HxW`` or ``HxWx3``; object pixels are brighter than half the mask's maximum (masks
            come as 0/1, 0/255 and, as JPEG, in between).
    """
    mask = luminance(mask)
    foreground = (mask > mask.max() / 2).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(foreground, connectivity=8)
    if count < 2:  # the background alone
        return np.full(4, np.nan)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return stats[largest, :4].astype(float)  # left, top, width, height
