"""Annotations and result files: lines of numbers, and masks, as boxes.

Numbers may be separated by commas, blanks, tabs or semicolons. A line holds 4 of them (a box), 8 (a
polygon, see `tracker.data.boxes.polygons_to_boxes`), a mask as VOT writes it (``m`` and numbers),
or NaN or one number, as VOT does, where there is no target. MOT's text of one object (``frame, id,
x, y, w, h, ...``, also from CVAT) is read too; YOLO's and CVAT's XML are named and refused.
"""

import re
from pathlib import Path

import cv2
import numpy as np

from fusion.base.errors import UserError
from fusion.base.files import read_text
from fusion.images.pixels import luminance
from tracker.data.boxes import box_corners, polygons_to_boxes, xyxy_to_xywh
from tracker.data.masks import decode_mask

__all__ = ["LONGEST", "mask_to_box", "read_regions", "regions_to_boxes"]

#: Frames of the longest sequence that is read: a slip in a file must not take all memory.
LONGEST = 1_000_000


def read_regions(path: str | Path) -> np.ndarray:
    """The numbers of an annotation or result file, a row a frame, as they stand.

    Lines end in LF, CRLF or CR, numbers are separated by commas, blanks, tabs or semicolons; blank
    lines at the end do not count. A line of one number (VOT's special codes) is a row of NaN. Where
    some lines have 4 numbers and some 8, boxes become polygons.

    Returns:
        ``(N, 4)`` or ``(N, 8)`` float64.

    Raises:
        UserError: missing or empty file, a blank line between others, a line that is not 1, 4 or 8
            numbers or a mask; names the line. MOT's text of several objects, YOLO's, CVAT's XML.
    """
    mend = "give a line of 4 or 8 numbers per frame"
    text = read_text(path, mend)
    lines = text.rstrip().splitlines()
    if not lines:
        raise UserError(f"{path}: the file is empty; {mend}")
    if text.lstrip().startswith(("<?xml", "<annotations")):
        raise UserError(f"{path}: XML, as CVAT writes it; export MOT 1.1 there and give its gt.txt")
    fields = [re.split(r"\s*[,;]\s*|\s+", line.strip()) for line in lines]
    for values in fields:
        if values[-1] == "":  # a separator at the end of the line
            values.pop()
    foreign = {len(values) for values in fields} - {0}
    if len(foreign) == 1 and foreign <= {7, 9, 10} and _numbers(fields[0]):
        return _read_mot(path, fields)
    rows = []
    for number, (line, values) in enumerate(zip(lines, fields, strict=True), start=1):
        row = _mask_box(path, number, line) if line.startswith("m") else _numbers(values)
        if len(row) == 5 and all(0 <= value <= 1 for value in row[1:]):
            raise UserError(
                f"{path}, line {number}: {line.strip()[:60]!r} looks like YOLO's class and box in "
                "shares of the picture; convert it to x,y,w,h in pixels"
            )
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


def _numbers(fields: list[str]) -> list[float]:
    """A line's numbers; none where one of its fields is no number."""
    try:
        return [float(value) for value in fields]
    except ValueError:
        return []


def _mask_box(path: str | Path, number: int, line: str) -> list[float]:
    """The smallest box about a mask, by which VOT starts a tracker of boxes."""
    try:
        values = [int(value) for value in line.strip().lstrip("m").split(",")]
        if len(values) < 5:
            raise ValueError("a mask is m and its x,y,w,h and runs")
        return decode_mask(values).box().tolist()
    except ValueError as error:
        raise UserError(f"{path}, line {number}: {error}") from None


def _read_mot(path: str | Path, fields: list[list[str]]) -> np.ndarray:
    """The boxes of the one object of a MOT file; frames without a line have none."""
    rows = [_numbers(values) for values in fields]
    for number, row in enumerate(rows, start=1):
        if len(row) < 7 or not np.isfinite(row[:6]).all() or row[0] % 1 or row[0] < 1:
            raise UserError(f"{path}, line {number}: not MOT's frame, id, x, y, w, h, ...")
    objects = sorted({row[1] for row in rows})
    if len(objects) > 1:
        listed = ", ".join(f"{value:g}" for value in objects[:8])
        raise UserError(
            f"{path}: MOT's text of {len(objects)} objects ({listed}); keep the lines of one"
        )
    frames = [int(row[0]) for row in rows]
    if len(set(frames)) < len(frames):
        raise UserError(f"{path}: MOT's text with two lines for one frame; keep one of them")
    if max(frames) > LONGEST:
        raise UserError(f"{path}: a box for frame {max(frames)}; a sequence has {LONGEST} at most")
    regions = np.full((max(frames), 4), np.nan)
    regions[np.array(frames) - 1] = [row[2:6] for row in rows]
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
