"""Read annotation and result files (lines of numbers) and masks as boxes.

Numbers may be separated by commas, blanks, tabs or semicolons. Each line contains 4 numbers (a
box), 8 numbers (a polygon, see `tracker.data.boxes.polygons_to_boxes`) or a mask in VOT's format
(``m`` and numbers). NaN, or a single number as in VOT, means that the target is absent. MOT files
with one object (``frame, id, x, y, w, h, ...``, also exported by CVAT) are read too. YOLO text and
CVAT XML files are recognized and refused.
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

#: Largest number of frames of a sequence, so that a typing error in a file cannot exhaust memory.
LONGEST = 1_000_000


def read_regions(path: str | Path) -> np.ndarray:
    """Read the numbers of an annotation or result file unchanged, one row per frame.

    Lines end in LF, CRLF or CR. Numbers are separated by commas, blanks, tabs or semicolons. Blank
    lines at the end are ignored. A line with one number (VOT's special codes) becomes a row of NaN.
    If some lines have 4 numbers and others 8, boxes are converted to polygons.

    Returns:
        ``(N, 4)`` or ``(N, 8)`` float64.

    Raises:
        UserError: the file is missing or empty, has a blank line between others, or has a line that
            is not 1, 4 or 8 numbers or a mask (the message names the line); or it is a MOT file
            with several objects, a YOLO file or a CVAT XML file.
    """
    fix = "give one line of 4 or 8 numbers per frame"
    text = read_text(path, fix)
    lines = text.rstrip().splitlines()
    if not lines:
        raise UserError(f"{path}: the file is empty; {fix}")
    if text.lstrip().startswith(("<?xml", "<annotations")):
        raise UserError(
            f"{path}: an XML file, as from CVAT; export MOT 1.1 instead and give its gt.txt"
        )
    fields = _fields(lines)
    if _are_mot(fields):
        return _read_mot(path, fields)
    rows = []
    for number, (line, values) in enumerate(zip(lines, fields, strict=True), start=1):
        row = _mask_box(path, number, line) if line.startswith("m") else _numbers(values)
        if len(row) == 5 and all(0 <= value <= 1 for value in row[1:]):
            raise UserError(
                f"{path}, line {number}: {line.strip()[:60]!r} looks like YOLO's class and "
                "relative box; convert it to x,y,w,h in pixels"
            )
        if len(row) not in (1, 4, 8) or any(abs(value) == float("inf") for value in row):
            raise UserError(
                f"{path}, line {number}: {line.strip()[:60]!r} is not 4 or 8 numbers "
                "(write NaN if the target is absent)"
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


def is_mot(path: str | Path) -> bool:
    """Whether a file has MOT lines, which name their frame and end with the last box; frames after
    it have no target.

    Raises:
        UserError: the file cannot be read.
    """
    return _are_mot(_fields(read_text(path).rstrip().splitlines()))


def _fields(lines: list[str]) -> list[list[str]]:
    fields = [re.split(r"\s*[,;]\s*|\s+", line.strip()) for line in lines]
    for values in fields:
        if values[-1] == "":  # a separator at the end of the line
            values.pop()
    return fields


def _are_mot(fields: list[list[str]]) -> bool:
    foreign = {len(values) for values in fields} - {0}
    return len(foreign) == 1 and foreign <= {7, 9, 10} and bool(_numbers(fields[0]))


def _numbers(fields: list[str]) -> list[float]:
    """The numbers of a line; empty if one of its fields is not a number."""
    try:
        return [float(value) for value in fields]
    except ValueError:
        return []


def _mask_box(path: str | Path, number: int, line: str) -> list[float]:
    """The bounding box of a mask, which VOT uses to initialize box trackers."""
    try:
        values = [int(value) for value in line.strip().lstrip("m").split(",")]
        if len(values) < 5:
            raise ValueError("a mask is m followed by x,y,w,h and the run lengths")
        return decode_mask(values).box().tolist()
    except ValueError as error:
        raise UserError(f"{path}, line {number}: {error}") from None


def _read_mot(path: str | Path, fields: list[list[str]]) -> np.ndarray:
    """The boxes of a MOT file with a single object; NaN for frames without a line."""
    rows = [_numbers(values) for values in fields]
    for number, row in enumerate(rows, start=1):
        if len(row) < 7 or not np.isfinite(row[:6]).all() or row[0] % 1 or row[0] < 1:
            raise UserError(f"{path}, line {number}: not a MOT line: frame, id, x, y, w, h, ...")
    objects = sorted({row[1] for row in rows})
    if len(objects) > 1:
        listed = ", ".join(f"{value:g}" for value in objects[:8])
        raise UserError(
            f"{path}: a MOT file with {len(objects)} objects ({listed}); keep the lines of one"
        )
    frames = [int(row[0]) for row in rows]
    if len(set(frames)) < len(frames):
        raise UserError(f"{path}: a MOT file with two lines for one frame; keep one of them")
    if max(frames) > LONGEST:
        raise UserError(f"{path}: a box for frame {max(frames)}; at most {LONGEST} frames are read")
    regions = np.full((max(frames), 4), np.nan)
    regions[np.array(frames) - 1] = [row[2:6] for row in rows]
    return regions


def regions_to_boxes(regions: np.ndarray, corners: bool = False) -> np.ndarray:
    """Convert the regions from `read_regions` to boxes ``(N, 4)``; NaN if the target is absent.

    The target is absent if the row contains NaN, or if the width, height or area is not positive
    (as in LasHeR).

    Args:
        regions: ``(N, 4)`` boxes or ``(N, 8)`` polygons.
        corners: whether four numbers mean two opposite corners ``x1, y1, x2, y2`` (GTOT).
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
    """The box of the largest connected part of a saliency mask; NaN if the mask is empty.

    Several parts are usually several objects, and a box around all of them would contain mostly
    background. Connectivity is 8: pixels that touch at a corner are connected.

    Args:
        mask: ``HxW`` or ``HxWx3``. Object pixels are brighter than half the mask's maximum, because
            masks are stored as 0/1, as 0/255 or, in JPEG files, with values in between.
    """
    mask = luminance(mask)
    foreground = (mask > mask.max() / 2).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(foreground, connectivity=8)
    if count < 2:  # only background
        return np.full(4, np.nan)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return stats[largest, :4].astype(float)  # left, top, width, height
