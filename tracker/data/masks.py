"""Pixel masks in the run-length format of VOT since 2020: ``m x,y,w,h,runs...``.

The runs are the lengths of alternating background and object stretches, row by row through the
mask's own rectangle. Pixels after the last run are background.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Largest number of pixels of a mask or frame, so that a typing error cannot exhaust memory.
LARGEST = 1 << 28


@dataclass(frozen=True, eq=False)
class Mask:
    """A pixel mask: ``pixels[i, j]`` is the image's pixel ``(x + j, y + i)``."""

    x: int
    y: int
    pixels: np.ndarray

    def box(self) -> np.ndarray:
        """The bounding box ``x, y, w, h`` of the object's pixels; NaN if there are none."""
        rows, columns = np.nonzero(self.pixels)
        if not len(rows):
            return np.full(4, np.nan)
        return np.array(
            [
                self.x + columns.min(),
                self.y + rows.min(),
                np.ptp(columns) + 1,
                np.ptp(rows) + 1,
            ],
            float,
        )


def decode_mask(values: Sequence[int]) -> Mask:
    """Decode a mask from its numbers ``x, y, w, h, runs...``.

    Raises:
        ValueError: the runs do not fit the size.
    """
    x, y, width, height, *runs = values
    fits = runs and min(width, height, *runs) >= 0 and sum(runs) <= width * height <= LARGEST
    if not fits or max(abs(x), abs(y)) > LARGEST:
        raise ValueError(f"the mask's runs do not fit its size {width}x{height}")
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    filled = np.zeros(width * height, bool)
    filled[: len(pixels)] = pixels
    return Mask(x, y, filled.reshape(height, width))
