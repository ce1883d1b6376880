"""Plane transforms between two pictures, and the area that both cover.

A transform is a 3x3 matrix that maps homogeneous pixel coordinates ``(x, y, 1)`` of one picture to
those of another. Whole numbers are the centres of pixels, as in OpenCV; a picture of width ``w``
reaches from -0.5 to ``w - 0.5``. Boxes count from the left and upper edge of the picture instead,
half a pixel more.
"""

import cv2
import numpy as np

#: Kinds of transforms and their number of parameters, each a special case of the next.
MODELS = {"shift": 2, "similarity": 4, "affine": 6, "homography": 8}

Size = tuple[int, int]  # width, height


def scaling(source: Size, target: Size) -> np.ndarray:
    """The transform that resizes a picture of size ``source`` to ``target``, edges to edges."""
    x, y = target[0] / source[0], target[1] / source[1]
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])


def similarity(scale: float, degrees: float, shift: tuple[float, float], size: Size) -> np.ndarray:
    """Scaling and rotation about the centre of a picture of ``size``, then a shift in pixels.

    Args:
        degrees: counter-clockwise as seen.
    """
    centre = ((size[0] - 1) / 2, (size[1] - 1) / 2)
    matrix = np.vstack([cv2.getRotationMatrix2D(centre, degrees, scale), [0, 0, 1]])
    matrix[:2, 2] += shift
    return matrix


def map_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points ``(N, 2)`` after a transform; NaN or infinite where it sends them to infinity."""
    points = np.asarray(points, float)
    mapped = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return mapped[:, :2] / mapped[:, 2:]


def map_boxes(matrix: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Boxes ``(N, 4)`` ``x, y, w, h`` after a transform, again with sides along the axes.

    The result is the box around the ellipse that touches the four sides of the given box, mapped by
    the transform's linear part at the box's centre: with the linear part ``A`` and ``(w, h)``, the
    new width is ``sqrt((A11 w)^2 + (A12 h)^2)``. It is exact for shifts and scaling. Under a
    rotation the box around the four corners would grow by the corners, which targets leave empty.
    """
    boxes = np.asarray(boxes, float)
    centres = boxes[:, :2] + boxes[:, 2:] / 2 - 0.5
    homogeneous = np.column_stack([centres, np.ones(len(boxes))]) @ matrix.T
    mapped = homogeneous[:, :2] / homogeneous[:, 2:]
    # Derivative of (a . p) / (c . p): (a - mapped * c) / (c . p).
    linear = matrix[None, :2, :2] - mapped[:, :, None] * matrix[None, 2:, :2]
    linear /= homogeneous[:, 2, None, None]
    sides = np.sqrt(((linear * boxes[:, None, 2:]) ** 2).sum(axis=2))
    return np.column_stack([mapped + 0.5 - sides / 2, sides])


def corners(size: Size) -> np.ndarray:
    """The outer corners ``(4, 2)`` of a picture, clockwise from the upper left."""
    right, bottom = size[0] - 0.5, size[1] - 0.5
    return np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]])


def corner_error(first: np.ndarray, second: np.ndarray, size: Size) -> float:
    """Mean distance in pixels of the corners of a picture of ``size`` after two transforms."""
    apart = map_points(first, corners(size)) - map_points(second, corners(size))
    return float(np.hypot(*apart.T).mean())


def largest_rectangle(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The largest rectangle ``x, y, w, h`` of true pixels; rows with gaps count as empty.

    Args:
        mask: ``HxW`` bool. The area that two cameras share has no gaps.
    """
    height, width = mask.shape
    left = mask.argmax(axis=1)
    right = width - mask[:, ::-1].argmax(axis=1)  # exclusive
    whole = mask.sum(axis=1) == right - left
    left, right = np.where(whole & mask.any(axis=1), (left, right), ((width,), (0,)))
    best, found = 0, (0, 0, 0, 0)
    for top in range(height):
        # The narrowest row from here to each row below bounds a rectangle between the two.
        lefts = np.maximum.accumulate(left[top:])
        widths = np.minimum.accumulate(right[top:]) - lefts
        areas = widths * np.arange(1, height - top + 1)
        last = int(areas.argmax())
        if areas[last] > best:
            best = int(areas[last])
            found = int(lefts[last]), top, int(widths[last]), last + 1
    return found
