"""Read files with one region per frame: trajectories and annotations, as text or binary."""

import struct
from pathlib import Path

import numpy as np

from fusion.base.errors import UserError
from tracker.data.masks import LARGEST, Mask, decode_mask
from tracker.evaluation.vot.regions import Regions

__all__ = ["LARGEST", "read_trajectory"]


def read_trajectory(path: str | Path) -> Regions:
    """Read the regions of a run or an annotation in the toolkit's text or binary format.

    Text has one line per frame: ``x,y,w,h``, a polygon ``x1,y1,x2,y2,...``, a mask
    ``mx,y,w,h,runs...`` (alternating runs of background and object, row by row), or a single number
    in place of a region. NaN stands for an absent target.

    Binary (``.bin``), little-endian: int16 version 1, uint32 number of regions, and for each a
    uint8 type with its data: 0, uint32 code; 1, four float32 ``x, y, w, h``; 2, uint16 number of
    corners and two float32 for each; 3, int16 x and y, uint16 width, height and number of runs, and
    a uint16 for each run.

    Raises:
        UserError: the file is missing, truncated, or has neither format.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: an impossible file name
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be read ({reason})") from None
    return _parse_binary(path, data) if path.suffix == ".bin" else _parse_text(path, data)


def _parse_text(path: Path, data: bytes) -> Regions:
    try:
        lines = data.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file; a binary one ends in .bin") from None
    while lines and not lines[-1].strip():
        lines.pop()
    boxes = np.full((len(lines), 4), np.nan, np.float32)
    shapes: dict[int, np.ndarray | Mask] = {}
    # Nearly every file has one code and then only boxes; these are parsed at once.
    tail = lines[1:]
    if tail and all(line.count(",") == 3 and line[0] != "m" for line in tail):
        try:
            boxes[1:] = np.array(",".join(tail).split(","), float).reshape(-1, 4)
            lines = lines[:1]
        except ValueError:
            pass  # the loop below finds the invalid line
    for frame, line in enumerate(lines):
        is_mask = line.startswith("m")
        try:
            values = [float(value) for value in line.lstrip("m").split(",")]
        except ValueError:
            values = []
        if is_mask and len(values) > 4 and np.isfinite(values).all():
            shapes[frame] = _mask(path, frame, [int(value) for value in values])
        elif not is_mask and len(values) == 4:
            boxes[frame] = values
        elif not is_mask and len(values) >= 6 and len(values) % 2 == 0:
            if np.isfinite(values).all():
                shapes[frame] = np.array(values, np.float32).reshape(-1, 2)
        elif is_mask or len(values) != 1:
            raise UserError(
                f"{path}, line {frame + 1}: {line.strip()[:60]!r} is no region; give x,y,w,h, "
                "a polygon, a mask or a code"
            )
    boxes[~np.isfinite(boxes).all(axis=1)] = np.nan
    return Regions(boxes, shapes)


_BOX_RECORD = np.dtype([("type", "u1"), ("box", "<f4", 4)])


def _parse_binary(path: Path, data: bytes) -> Regions:
    offset = 0

    def take(layout: str) -> tuple:
        nonlocal offset
        values = struct.unpack_from(layout, data, offset)
        offset += struct.calcsize(layout)
        return values

    try:
        version, length = take("<hI")
        if version != 1:
            raise UserError(f"{path}: not a trajectory of version 1; write it again")
        # Every region takes at least 5 bytes.
        if length > len(data) // 5:
            raise struct.error
        boxes = np.full((length, 4), np.nan, np.float32)
        shapes: dict[int, np.ndarray | Mask] = {}
        frame = 0
        while frame < length:
            rest = length - frame
            if len(data) - offset == rest * _BOX_RECORD.itemsize:
                records = np.frombuffer(data, _BOX_RECORD, offset=offset)
                if (records["type"] == 1).all():
                    boxes[frame:] = records["box"]
                    break
            (kind,) = take("<B")
            if kind == 0:
                take("<I")
            elif kind == 1:
                boxes[frame] = take("<4f")
            elif kind == 2:
                (corners,) = take("<H")
                values = take(f"<{2 * corners}f")
                shapes[frame] = np.array(values, np.float32).reshape(-1, 2)
            elif kind == 3:
                x, y, width, height, runs = take("<hhHHH")
                shapes[frame] = _mask(path, frame, [x, y, width, height, *take(f"<{runs}H")])
            else:
                raise UserError(
                    f"{path}: region {frame + 1} is of unknown type {kind}; run it again"
                )
            frame += 1
    except struct.error:
        raise UserError(
            f"{path}: the file is cut off; delete it and run the tracker again"
        ) from None
    return Regions(boxes, shapes)


def _mask(path: Path, frame: int, values: list[int]) -> Mask:
    try:
        return decode_mask(values)
    except ValueError as error:
        raise UserError(f"{path}, frame {frame + 1}: {error}") from None
