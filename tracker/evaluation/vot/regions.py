"""Regions of a run or an annotation, frame by frame, and their overlap.

A region is a box, a polygon or a mask of pixels. The VOT toolkit's code defines their overlap:

- Regions are rasterised: boxes are rounded to integers (in single precision, halves to even), and
  polygons include their right and bottom edge. Both are clipped to the image.
- Regions whose common extent is at most one pixel wide or high have an overlap of 1; if this holds
  only within the image, of 0.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tracker.data.boxes import bounding_box
from tracker.data.masks import Mask

__all__ = ["Mask", "Region", "Regions", "concatenate", "region_overlaps"]


@dataclass(frozen=True, eq=False)
class Regions:
    """A region for each frame.

    Attributes:
        boxes: ``(N, 4)`` float32 ``x, y, w, h``; NaN for frames without a box.
        shapes: regions other than boxes, by frame: polygons ``(K, 2)`` float32, or masks.

    A frame in neither has a code instead of a region: the first of a run, or an absent target.
    """

    boxes: np.ndarray
    shapes: dict[int, np.ndarray | Mask] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, frames: np.ndarray) -> "Regions":
        """The regions of the given frames, in their order."""
        shapes = {}
        if self.shapes:
            shapes = {
                place: self.shapes[frame]
                for place, frame in enumerate(frames.tolist())
                if frame in self.shapes
            }
        return Regions(self.boxes[frames], shapes)

    def present(self) -> np.ndarray:
        """``(N,)`` bool: frames with a non-empty region."""
        present = (self.boxes[:, 2] > 0) & (self.boxes[:, 3] > 0)
        frames, corners = self.quadrilaterals
        present[frames] = (np.ptp(corners, axis=1) > 0).all(axis=1)
        for frame in self.shapes.keys() - set(frames.tolist()):
            shape = self.shapes[frame]
            if isinstance(shape, Mask):
                # As in the toolkit: a mask of a single row or column counts as empty.
                rows, columns = np.nonzero(shape.pixels)
                present[frame] = len(rows) > 0 and rows.max() > 0 and columns.max() > 0
            else:
                present[frame] = (np.ptp(shape, axis=0) > 0).all()
        return present

    def start(self, frame: int) -> np.ndarray:
        """The box ``x, y, w, h`` on which a tracker starts; for a polygon, its bounding box.

        This follows the toolkit. NaN if the frame has neither.
        """
        shape = self.shapes.get(frame)
        if shape is None or isinstance(shape, Mask):
            return self.boxes[frame]
        return bounding_box(shape)

    @cached_property
    def quadrilaterals(self) -> tuple[np.ndarray, np.ndarray]:
        """Frames whose shape is a polygon with four corners, ``(M,)``, and these, ``(M, 4, 2)``.

        Most polygons are of this kind, and can be processed together.
        """
        found = {
            frame: shape
            for frame, shape in self.shapes.items()
            if not isinstance(shape, Mask) and len(shape) == 4
        }
        corners = np.stack(list(found.values())) if found else np.zeros((0, 4, 2), np.float32)
        return np.array(list(found), int), corners


def concatenate(parts: Iterable[Regions]) -> Regions:
    """Concatenate several `Regions`."""
    parts = list(parts)
    shapes: dict[int, np.ndarray | Mask] = {}
    start = 0
    for part in parts:
        shapes |= {start + frame: shape for frame, shape in part.shapes.items()}
        start += len(part)
    return Regions(np.concatenate([part.boxes for part in parts]), shapes)


def region_overlaps(a: Regions, b: Regions, size: np.ndarray | tuple[int, int]) -> np.ndarray:
    """Overlap (IoU) of regions, frame by frame, on the pixels of the image.

    Args:
        a, b: of equal length.
        size: ``(width, height)`` of the image, or ``(N, 2)`` of each frame's.

    Returns:
        ``(N,)`` in 0..1.

    Raises:
        ValueError: lengths differ.
    """
    if len(a) != len(b):
        raise ValueError(f"regions to compare differ in length: {len(a)} and {len(b)}")
    size = np.broadcast_to(np.asarray(size), (len(a), 2))
    # First and last pixel along x and y, ``(N, 2)`` each; a code has pixel 0 and no area.
    first_a, last_a, area_a, irregular_a = _pixel_ranges(a)
    first_b, last_b, area_b, irregular_b = _pixel_ranges(b)
    first, last = np.minimum(first_a, first_b), np.maximum(last_a, last_b)
    clip_first, clip_last = np.maximum(first, 0), np.minimum(last, size - 1)

    def count(from_pixel: np.ndarray, to_pixel: np.ndarray) -> np.ndarray:
        sides = np.minimum(to_pixel, clip_last) - np.maximum(from_pixel, clip_first) + 1
        return np.prod(np.maximum(sides, 0), axis=1)

    both = area_a & area_b
    common = both * count(np.maximum(first_a, first_b), np.minimum(last_a, last_b))
    union = area_a * count(first_a, last_a) + area_b * count(first_b, last_b) - common
    overlaps = np.where(union > 0, common / np.maximum(union, 1), 0.0)
    overlaps[(clip_first >= clip_last).any(axis=1)] = 0
    overlaps[(first >= last).any(axis=1)] = 1
    for frame in irregular_a | irregular_b:
        overlaps[frame] = _shape_overlap(_region(a, frame), _region(b, frame), size[frame])
    return overlaps


def _pixel_ranges(regions: Regions) -> tuple[np.ndarray, np.ndarray, np.ndarray, set[int]]:
    """First and last pixels, whether there is an area, and the frames that need further checks."""
    has_area = np.isfinite(regions.boxes).all(axis=1)
    boxes = np.where(has_area[:, None], regions.boxes, 0).astype(np.float32)
    rounded = np.round(boxes).astype(float)
    first = rounded[:, :2]
    last = np.where(has_area[:, None], first + rounded[:, 2:] - 1, 0)

    # Polygons with sides alternately along x and y are ranges too.
    frames, corners = regions.quadrilaterals
    corners = np.round(corners)
    along = corners != np.roll(corners, 1, axis=1)
    turns = np.array([[True, False], [False, True]] * 2)
    upright = (along == turns).all(axis=(1, 2)) | (along == ~turns).all(axis=(1, 2))
    frames, corners = frames[upright], corners[upright]
    first[frames], last[frames], has_area[frames] = corners.min(axis=1), corners.max(axis=1), True
    return first, last, has_area, set(regions.shapes) - set(frames.tolist())


#: A box, a polygon ``(K, 2)``, a mask, or None for a code.
Region = np.ndarray | Mask | None


def _region(regions: Regions, frame: int) -> Region:
    if frame in regions.shapes:
        return regions.shapes[frame]
    box = regions.boxes[frame]
    return box if np.isfinite(box).all() else None


def _shape_overlap(a: Region, b: Region, size: np.ndarray) -> float:
    """`region_overlaps` of two regions of any kind, by their pixels."""
    extents = np.array([_extent(region) for region in (a, b)])
    first, last = extents[:, :2].min(axis=0), extents[:, 2:].max(axis=0)
    if (first >= last).any():
        return 1.0
    first, last = np.maximum(first, 0), np.minimum(last, size - 1)
    if (first >= last).any():
        return 0.0
    pixels = [_raster(region, first, last) for region in (a, b)]
    union = np.count_nonzero(pixels[0] | pixels[1])
    return np.count_nonzero(pixels[0] & pixels[1]) / union if union else 0.0


def _extent(region: Region) -> np.ndarray:
    """First and last pixel of a region: ``x1, y1, x2, y2``."""
    if region is None:
        return np.zeros(4, int)
    if isinstance(region, Mask):
        rows, columns = np.nonzero(region.pixels)
        if len(rows) == 0:
            return np.array([region.x, region.y] * 2)
        ends = np.array([columns.min(), rows.min(), columns.max(), rows.max()])
        return ends + [region.x, region.y] * 2
    if region.ndim == 2:
        corners = np.round(region)
        return np.concatenate([corners.min(axis=0), corners.max(axis=0)]).astype(int)
    x, y, w, h = np.round(region).astype(int)
    return np.array([x, y, x + w - 1, y + h - 1])


def _raster(region: Region, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Pixels of a region between two pixels of the image, both included."""
    width, height = (last - first + 1).astype(int)
    x, y = np.arange(width) + first[0], np.arange(height) + first[1]
    if region is None:
        return np.zeros((height, width), bool)
    if isinstance(region, Mask):
        rows, columns = y - region.y, x - region.x
        inside_rows = (rows >= 0) & (rows < region.pixels.shape[0])
        inside_columns = (columns >= 0) & (columns < region.pixels.shape[1])
        pixels = np.zeros((height, width), bool)
        pixels[np.ix_(inside_rows, inside_columns)] = region.pixels[
            np.ix_(rows[inside_rows], columns[inside_columns])
        ]
        return pixels
    if region.ndim == 2:
        return _raster_polygon(np.round(region).astype(float) - first, width, height)
    x1, y1, x2, y2 = _extent(region)
    return ((y >= y1) & (y <= y2))[:, None] & ((x >= x1) & (x <= x2))


def _raster_polygon(corners: np.ndarray, width: int, height: int) -> np.ndarray:
    """Pixels of a polygon: in each row those from an odd crossing of its edges to the next even.

    Args:
        corners: ``(K, 2)``, whole numbers, counted from the raster's first pixel.
    """
    rows, columns = np.arange(height)[:, None], np.arange(width)
    (x1, y1), (x2, y2) = corners.T, np.roll(corners, 1, axis=0).T
    crossed = (np.minimum(y1, y2) <= rows) & (rows <= np.maximum(y1, y2))
    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = np.trunc(x1 + (rows - y1) / (y2 - y1) * (x2 - x1))
    crossings = np.where(y1 == y2, x1, crossings)
    crossings = np.sort(np.where(crossed, crossings, np.inf), axis=1)
    counts = crossed.sum(axis=1)
    pixels = (crossings[:, :1] <= columns) & (columns <= crossings[:, 1:2]) & (counts == 2)[:, None]
    for row in np.flatnonzero(counts > 2):
        for left, right in _spans(crossings[row, : counts[row]].tolist()):
            pixels[row] |= (left <= columns) & (columns <= right)
    return pixels


def _spans(crossings: list[float]) -> list[tuple[float, float]]:
    """Pairs of crossings to fill between. Two edges that meet in a corner cross once.

    As in the toolkit, positions that differ by rounding are two crossings, and the last two
    crossings both count.
    """
    spans = []
    while len(crossings) >= 2:
        left, right, *rest = crossings
        if left == right and rest:
            crossings = crossings[1:]
        else:
            spans.append((left, right))
            crossings = rest
    return spans
