"""Pairs of pictures of two cameras at a reduced size, and the warp from one to the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fusion.images.alignment.fields import structure
from fusion.images.alignment.geometry import Size, scaling


@dataclass(frozen=True)
class Level:
    """Pairs at one size.

    Attributes:
        size: ``(width, height)`` of the grid, the visible pictures' at this level.
        infrared: pictures ``HxW`` float32, of a size of their own.
        masks: where each has data, ``HxW`` uint8, 0 or 1.
        visible: structure fields ``HxWx2`` on the grid.
        base: 3x3, from the pixels of `infrared` to the grid, for the expected transform.
        to_full: 3x3, from the grid to full-size visible pixels.
    """

    size: Size
    infrared: list[np.ndarray]
    masks: list[np.ndarray]
    visible: list[np.ndarray]
    base: np.ndarray
    to_full: np.ndarray

    def __len__(self) -> int:
        return len(self.infrared)

    def first(self, count: int) -> "Level":
        """The first pairs alone."""
        parts = self.infrared[:count], self.masks[:count], self.visible[:count]
        return Level(self.size, *parts, self.base, self.to_full)

    def warped(self, index: int, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The structure field of an infrared picture on the grid, and where it has data.

        Args:
            matrix: 3x3, of the grid, after `base`.
        """
        whole = matrix @ self.base
        picture = cv2.warpPerspective(
            self.infrared[index], whole, self.size, None, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
        )
        inside = cv2.warpPerspective(
            self.masks[index], whole, self.size, None, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT
        ).astype(bool)
        return structure(picture, inside), inside

    def at_full_size(self, matrix: np.ndarray) -> np.ndarray:
        """A transform of this grid as one of full-size visible pixels."""
        return self.to_full @ matrix @ np.linalg.inv(self.to_full)

    def from_full_size(self, matrix: np.ndarray) -> np.ndarray:
        """The inverse of `at_full_size`."""
        return np.linalg.inv(self.to_full) @ matrix @ self.to_full


def make_level(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    masks: Sequence[np.ndarray] | None,
    base: np.ndarray,
    width: int,
) -> Level:
    """Reduce pairs to a width.

    Args:
        pairs: infrared and visible pictures, ``HxW`` float32, each side of one size.
        masks: where the infrared pictures have data, ``HxW`` bool; None: everywhere.
        base: the expected transform, from infrared to visible pixels.
        width: of the grid in pixels; visible pictures are never enlarged.
    """
    (ir_height, ir_width), (height, full) = pairs[0][0].shape, pairs[0][1].shape
    width = min(width, full)
    size = (width, max(1, round(height * width / full)))
    down = scaling((full, height), size)
    # Infrared pixels that are smaller than those of the grid are averaged before they are warped.
    factor = min(1.0, float(np.sqrt(abs(np.linalg.det((down @ base)[:2, :2])))))
    shrunk = max(1, round(ir_width * factor)), max(1, round(ir_height * factor))
    if masks is None:
        masks = [np.ones((ir_height, ir_width), bool)] * len(pairs)
    return Level(
        size=size,
        infrared=[_shrunk(ir, shrunk) for ir, _ in pairs],
        masks=[
            (_shrunk(mask.astype(np.float32), shrunk) > 0.99).astype(np.uint8) for mask in masks
        ],
        visible=[structure(_shrunk(vis, size)) for _, vis in pairs],
        base=down @ base @ scaling(shrunk, (ir_width, ir_height)),
        to_full=np.linalg.inv(down),
    )


def _shrunk(image: np.ndarray, size: Size) -> np.ndarray:
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
