"""Finds a camera that stands still: its picture repeats while the other modality's changes.

A camera that stops delivering is often repeated by the recorder or the driver. Nothing in such a
picture is wrong except its time, so a network cannot know; two equal pictures of a real sensor,
however, are a rare accident.
"""

from collections.abc import Mapping

import numpy as np


class Standstill:
    """Counts repeated pictures of each modality.

    Args:
        repeats: number of successive repetitions from which a modality stands still; 0 for never.
            A slow camera in a fast recording repeats its pictures as well, so that this number
            should be above the ratio of both frame rates.
    """

    def __init__(self, repeats: int):
        self.repeats = repeats
        self._last: dict[str, np.ndarray] = {}
        self._count: dict[str, int] = {}

    def still(self, frames: Mapping[str, np.ndarray]) -> frozenset[str]:
        """The modalities that stand still, given the next frame's images by modality.

        An image that is missing neither counts as a repetition nor ends a standstill. Where all
        modalities repeat, the recording itself is paused and none of them is named.
        """
        if not self.repeats:
            return frozenset()
        for name, image in frames.items():
            last = self._last.get(name)
            if last is None or last.shape != image.shape or last.dtype != image.dtype:
                self._last[name] = image.copy()  # callers may reuse their buffers
                self._count[name] = 0
            elif np.array_equal(last, image):
                self._count[name] += 1
            else:
                np.copyto(last, image)
                self._count[name] = 0
        if all(self._count[name] for name in frames):
            return frozenset()
        return frozenset(name for name in frames if self._count[name] >= self.repeats)
