"""One camera: the size of its pictures and its lens."""

from dataclasses import dataclass

import cv2
import numpy as np

from fusion.images.alignment.geometry import Size, map_points

__all__ = ["Camera"]

_DISTORTIONS = (4, 5, 8, 12, 14)


@dataclass(frozen=True, eq=False)
class Camera:
    """One camera: the size of its pictures and, if known, its lens.

    Attributes:
        size: ``(width, height)`` in pixels.
        matrix: OpenCV's 3x3 camera matrix; None without distortion.
        distortion: OpenCV's 4, 5, 8, 12 or 14 distortion coefficients; None without distortion.
    """

    size: Size
    matrix: np.ndarray | None = None
    distortion: np.ndarray | None = None

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise ValueError(f"a size is positive, got {self.size}")
        if (self.matrix is None) != (self.distortion is None):
            raise ValueError("matrix and distortion go together, one of them is missing")
        if self.matrix is not None and self.distortion is not None:
            if self.matrix.shape != (3, 3) or not np.isfinite(self.matrix).all():
                raise ValueError("matrix is not a 3x3 matrix")
            if min(self.matrix[0, 0], self.matrix[1, 1]) <= 0:
                raise ValueError("matrix has no positive focal length")
            known = self.distortion.shape in [(count,) for count in _DISTORTIONS]
            if not known or not np.isfinite(self.distortion).all():
                raise ValueError(f"distortion has {' or '.join(map(str, _DISTORTIONS))} numbers")

    def distort(self, points: np.ndarray) -> np.ndarray:
        """Where points ``(N, 2)`` of the picture without distortion are in the camera's picture."""
        if self.matrix is None:
            return points
        rays = map_points(np.linalg.inv(self.matrix), points)
        rays = np.column_stack([rays, np.ones(len(rays))])
        zero = np.zeros(3)
        return cv2.projectPoints(rays, zero, zero, self.matrix, self.distortion)[0][:, 0]

    def straighten(self, points: np.ndarray) -> np.ndarray:
        """The inverse of `distort`."""
        if self.matrix is None or not len(points):
            return points
        points = np.asarray(points, float)[:, None]
        return cv2.undistortPoints(points, self.matrix, self.distortion, P=self.matrix)[:, 0]

    def straighten_boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes ``(N, 4)`` without distortion, between the middles of their sides."""
        boxes = np.asarray(boxes, float)
        if self.matrix is None or not len(boxes):
            return boxes
        x, y, w, h = boxes.T - [[0.5], [0.5], [0], [0]]
        left, right, top, bottom = (
            self.straighten(np.column_stack(points))
            for points in ((x, y + h / 2), (x + w, y + h / 2), (x + w / 2, y), (x + w / 2, y + h))
        )
        start = np.column_stack([left[:, 0], top[:, 1]])
        end = np.column_stack([right[:, 0], bottom[:, 1]])
        return np.column_stack([start + 0.5, end - start])
