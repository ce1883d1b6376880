"""Painted layers, and how sideways steps of the camera move them."""

from dataclasses import dataclass

import numpy as np

PLATE_SCALE = 1.2  # plate pixels per frame pixel, to allow some zoom
PLATE_REACH = 1.75  # half width of the painted area, in frame widths


@dataclass(frozen=True)
class Plate:
    """A painted layer and how it moves.

    Attributes:
        rgbt: premultiplied uint8 (h, w, 4).
        alpha: uint8 (h, w), or None if the plate is opaque and fills the frame.
        origin: (u, v) of its pixel (0, 0) with the camera at Xc = 0.
        scale: plate pixels per unit of (u, v).
        shift: change of u per metre of Xc.
        shear: change of u per metre of Xc and unit of v.
        z: distance, for the drawing order.
    """

    rgbt: np.ndarray
    alpha: np.ndarray | None
    origin: tuple[float, float]
    scale: float
    shift: float
    shear: float
    z: float

    def matrix(self, camera_x: float) -> np.ndarray:
        """3x3 matrix from plate pixels to (u, v)."""
        (u, v), s = self.origin, 1.0 / self.scale
        shear, shift = self.shear * camera_x, self.shift * camera_x
        return np.array([[s, shear * s, u + shift + shear * v], [0, s, v], [0, 0, 1]])


def make_plate(
    rgbt: np.ndarray,
    alpha: np.ndarray | None,
    origin: tuple[float, float],
    scale: float,
    shift: float,
    shear: float,
    z: float,
) -> Plate:
    """Create a plate from float paint (0-255, not premultiplied) and float cover (0-1)."""
    if alpha is None:
        ready = np.clip(rgbt + 0.5, 0, 255).astype(np.uint8)
    else:
        ready = np.clip(rgbt * alpha[..., None] + 0.5, 0, 255).astype(np.uint8)
        alpha = np.clip(alpha * 255 + 0.5, 0, 255).astype(np.uint8)
    return Plate(ready, alpha, origin, scale, shift, shear, z)
