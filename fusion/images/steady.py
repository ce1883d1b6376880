"""Steady frames of a video: hold the range of levels, and average pixels that do not move.

A network that fuses each frame by itself passes on the noise of both cameras and of their codecs.
If it stretches each frame by its own range of levels, a single bright spot also changes the
brightness of everything else. `HeldRange` lets the range follow slowly, `SteadyPixels` averages
over time where nothing moves. Both work on one frame at a time and need only the preceding result.
"""

from typing import Any

import cv2
import numpy as np


class HeldRange:
    """The range of levels of a video, which follows that of its frames.

        low(t) = low(t - 1) + FOLLOWS (min(t) - low(t - 1)),  and likewise for the highest level

    After a change of the scene, nine tenths of the new range are reached in about 22 frames.

    >>> held = HeldRange()
    >>> held(np.array([[0, 100]])), held(np.array([[0, 200]]))
    ((0.0, 100.0), (0.0, 110.0))
    """

    #: Share of the distance to the present frame's range that is covered in a frame.
    FOLLOWS = 0.1

    def __init__(self) -> None:
        self._range: tuple[float, float] | None = None

    def __call__(self, image: np.ndarray) -> tuple[float, float]:
        """The range to use for a frame.

        Args:
            image: levels, ``HxW``.

        Returns:
            The lowest and the highest level; those of the frame itself for the first one.
        """
        low, high = float(image.min()), float(image.max())
        if self._range is not None:
            before = self._range
            low = before[0] + self.FOLLOWS * (low - before[0])
            high = before[1] + self.FOLLOWS * (high - before[1])
        self._range = low, high
        return self._range


class SteadyPixels:
    """A recursive average over time of the pixels that do not move.

        y(t) = y(t - 1) + a (x(t) - y(t - 1)),
        a = LEAST + (1 - LEAST) clip((d - STILL) / (MOVING - STILL), 0, 1)

    where d is the mean of ``|x(t) - y(t - 1)|`` over the WINDOW x WINDOW pixels around each pixel.
    Noise of a still background is well below STILL; a target or an edge that moves is above MOVING
    and is passed on unchanged, without a trail.
    """

    #: Weight of the present frame where nothing moves.
    LEAST = 0.25
    #: Mean differences, in grey levels, up to which all is noise and from which all is motion.
    STILL, MOVING = 2.0, 6.0
    #: Side of the window in pixels.
    WINDOW = 7

    def __init__(self) -> None:
        self._before: np.ndarray | None = None

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The next frame.

        Args:
            image: uint8 ``HxW``. A frame of another size than the one before starts anew.

        Returns:
            uint8 ``HxW``.
        """
        if self._before is None or self._before.shape != image.shape:
            self._before = image.astype(np.float32)
            return image
        change: Any = image - self._before
        weight: Any = cv2.blur(np.abs(change), (self.WINDOW, self.WINDOW))
        slope = (1 - self.LEAST) / (self.MOVING - self.STILL)
        weight *= slope
        weight += self.LEAST - slope * self.STILL
        np.clip(weight, self.LEAST, 1, out=weight)
        change *= weight
        self._before += change
        return cv2.convertScaleAbs(self._before)
