"""Box and polygon geometry.

A box is ``(x, y, w, h)``: 0-based top-left corner, width and height as floats in pixels.
Coordinates are continuous: a box of width 10 extends from x to x + 10, and its centre is x + 5.
Conventions that include the last pixel (``w = x2 - x1 + 1``) are converted when files are read.

Box functions accept arrays ``(..., 4)`` and broadcast. NaN stands for an absent target and is
propagated. A polygon is an array ``(K, 2)`` of corners in order, or a flat sequence of 2K numbers.
"""

import numpy as np
from numpy.typing import ArrayLike

from fusion.base.errors import UserError

Box = tuple[float, float, float, float]

# --- Conversions ----------------------------------------------------------------------------------


def xywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    """``(..., 4)`` boxes to corners ``x1, y1, x2, y2``."""
    boxes = np.asarray(boxes, float)
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def xyxy_to_xywh(corners: np.ndarray) -> np.ndarray:
    """``(..., 4)`` corners ``x1, y1, x2, y2`` to boxes."""
    corners = np.asarray(corners, float)
    return np.concatenate([corners[..., :2], corners[..., 2:] - corners[..., :2]], axis=-1)


def xywh_to_cxcywh(boxes: np.ndarray) -> np.ndarray:
    """``(..., 4)`` boxes to centre and size."""
    boxes = np.asarray(boxes, float)
    return np.concatenate([boxes[..., :2] + boxes[..., 2:] / 2, boxes[..., 2:]], axis=-1)


def cxcywh_to_xywh(centred: np.ndarray) -> np.ndarray:
    """``(..., 4)`` centre and size to boxes."""
    centred = np.asarray(centred, float)
    return np.concatenate([centred[..., :2] - centred[..., 2:] / 2, centred[..., 2:]], axis=-1)


def box_corners(boxes: np.ndarray) -> np.ndarray:
    """``(..., 4)`` boxes to polygons ``(..., 4, 2)``, clockwise from the top-left corner."""
    x1, y1, x2, y2 = np.moveaxis(xywh_to_xyxy(boxes), -1, 0)
    return np.stack([x1, y1, x2, y1, x2, y2, x1, y2], axis=-1).reshape(*x1.shape, 4, 2)


# --- Boxes ----------------------------------------------------------------------------------------


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union, elementwise with broadcasting.

    ``box_iou(a[:, None], b[None])`` gives the matrix of all pairs.

    Args:
        a: boxes ``(..., 4)``; a negative width or height counts as 0.
        b: boxes broadcastable to ``a``.

    Returns:
        ``(...)`` in 0..1; 0 if both boxes are empty, NaN if one of them is NaN.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    size_a, size_b = np.maximum(a[..., 2:], 0), np.maximum(b[..., 2:], 0)
    top_left = np.maximum(a[..., :2], b[..., :2])
    bottom_right = np.minimum(a[..., :2] + size_a, b[..., :2] + size_b)
    intersection = np.prod(np.maximum(bottom_right - top_left, 0), axis=-1)
    union = np.prod(size_a, axis=-1) + np.prod(size_b, axis=-1) - intersection
    # Rounding may raise the ratio of equal boxes above 1.
    return np.minimum(intersection / np.where(union == 0, 1, union), 1)


def clip_box(boxes: np.ndarray, width: float, height: float) -> np.ndarray:
    """Clip ``(..., 4)`` boxes to an image; width or height is 0 if nothing is inside."""
    corners = np.clip(xywh_to_xyxy(boxes), 0, [width, height, width, height])
    return xyxy_to_xywh(corners)


# --- Polygons -------------------------------------------------------------------------------------


def as_polygon(region: ArrayLike) -> np.ndarray:
    """Corners ``(K, 2)`` of a box (4 numbers) or a polygon (2K >= 6 numbers, or ``(K, 2)``).

    Raises:
        ValueError: the shape is not one of these, or the numbers are not finite.
    """
    points = np.asarray(region, float)
    is_row = points.ndim == 1 and (points.size == 4 or (points.size >= 6 and points.size % 2 == 0))
    is_table = points.ndim == 2 and points.shape[0] >= 3 and points.shape[1] == 2
    if not (is_row or is_table):
        raise ValueError(
            "a region is 4 numbers x,y,w,h, or a polygon of 3 or more corners x,y; "
            f"got an array of shape {points.shape}"
        )
    if not np.isfinite(points).all():
        raise ValueError("the numbers of a region must be finite")
    if points.size == 4:
        return box_corners(points)
    return points.reshape(-1, 2)


def polygon_area(points: np.ndarray) -> np.ndarray:
    """Area of simple polygons ``(..., K, 2)`` by the shoelace formula, for either orientation."""
    points = np.asarray(points, float)
    # Coordinates relative to the first corner avoid cancellation far from the origin.
    x, y = np.moveaxis(points - points[..., :1, :], -1, 0)
    return np.abs(np.sum(x * np.roll(y, -1, -1) - np.roll(x, -1, -1) * y, axis=-1)) / 2


def bounding_box(points: np.ndarray) -> np.ndarray:
    """Bounding boxes ``(..., 4)`` of polygons ``(..., K, 2)``."""
    points = np.asarray(points, float)
    return xyxy_to_xywh(np.concatenate([points.min(axis=-2), points.max(axis=-2)], axis=-1))


def polygon_iou(a: ArrayLike, b: ArrayLike, size: tuple[float, float] | None = None) -> float:
    """Intersection over union of two regions, each a box or a polygon.

    Args:
        a, b: regions as in `as_polygon`. A polygon that crosses itself counts as the area it
            encloses.
        size: ``(width, height)`` of an image to which both are clipped first, as in VOT.

    Returns:
        A value in 0..1; 0 if both areas are 0.
    """
    import shapely  # imported here because no tracker needs it

    shapes = [shapely.make_valid(shapely.Polygon(as_polygon(region))) for region in (a, b)]
    if size is not None:
        shapes = [shapely.intersection(shape, shapely.box(0, 0, *size)) for shape in shapes]
    union = shapely.union(*shapes).area
    return float(shapely.intersection(*shapes).area / union) if union > 0 else 0.0


# --- A box for any region -------------------------------------------------------------------------


def polygons_to_boxes(points: np.ndarray) -> np.ndarray:
    """Approximate polygons, usually rotated rectangles, by axis-aligned boxes.

    The centre of the box is the mean of the corners, its area is the area of the polygon, and its
    aspect ratio is that of the bounding box. The bounding box itself would contain much background
    for a rotated target. SiamFC introduced the rule for VOT's rotated annotations; SiamRPN++ and
    DFAT initialize with it. (Their boxes include the last pixel and are one pixel larger; ours are
    not.) An axis-aligned rectangle is unchanged.

    Args:
        points: ``(..., K, 2)``.

    Returns:
        Boxes ``(..., 4)``; NaN if the polygon has no area or contains NaN.
    """
    points = np.asarray(points, float)
    size = bounding_box(points)[..., 2:]
    area = polygon_area(points)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = size * np.sqrt(area / np.prod(size, axis=-1))[..., None]
    size = np.where((area > 0)[..., None], size, np.nan)
    centre = np.where((area > 0)[..., None], points.mean(axis=-2), np.nan)
    return cxcywh_to_xywh(np.concatenate([centre, size], axis=-1))


def region_to_box(region: ArrayLike) -> Box:
    """The box that initializes a tracker: boxes unchanged, polygons by `polygons_to_boxes`.

    Args:
        region: 4 numbers ``x, y, w, h``, or a polygon: 8 (or any 2K >= 6) numbers or ``(K, 2)``.

    Raises:
        ValueError: the shape is not supported, the numbers are not finite, or the area is 0.
    """
    points = as_polygon(region)
    numbers = np.asarray(region, float)
    box = numbers if numbers.size == 4 else polygons_to_boxes(points)
    x, y, w, h = (float(value) for value in box)
    if not (w > 0 and h > 0):
        raise ValueError(f"a region needs a positive area, got {_shown(numbers)}")
    return x, y, w, h


def _shown(region: ArrayLike) -> str:
    """The numbers as ``--box`` takes them, always on one line."""
    return ",".join(f"{value:g}" for value in np.asarray(region, np.float64).ravel())


def start_box(region: ArrayLike, width: float, height: float) -> Box:
    """The box that initializes a tracker, checked against the first frame.

    Args:
        region: as in `region_to_box`.
        width, height: size of the frame in pixels.

    Raises:
        UserError: the region has no area, lies outside the frame, or is more than twice its size.
    """
    shown = _shown(region)
    frame = f"the frame of {width}x{height} pixels"
    try:
        x, y, w, h = region_to_box(region)
    except ValueError as error:
        raise UserError(f"box {shown}: {error}") from error
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise UserError(
            f"box {shown}: outside {frame}; give x, y of the top left corner, width and height"
        )
    if w > 2 * width or h > 2 * height:
        raise UserError(
            f"box {shown}: more than twice {frame}; give x, y, width and height in pixels"
        )
    return x, y, w, h
