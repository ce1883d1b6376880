"""How much still pixels of a video change from one frame to the next.

A pixel is still from frame t to t + 1 where neither source changes: the mean of ``|x(t+1) - x(t)|``
over the WINDOW x WINDOW pixels around it is below STILL in the infrared and in the visible video.
The **still change** of a video, in grey levels, is the mean of ``|x(t+1) - x(t)|`` over the still
pixels of a frame, averaged over the frames. What remains there is noise of cameras and codecs, and
whatever fusion adds: a fused video should not be above the average of its sources.
"""

from collections.abc import Mapping

import cv2
import numpy as np

#: Mean change of the pixels around, in grey levels, below which a pixel of a source is still.
STILL = 4.0
#: Side of the window around a pixel.
WINDOW = 9


def still_pixels(
    before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Where both sources are still.

    Args:
        before, after: infrared and visible frame, uint8 ``HxW`` each.

    Returns:
        bool ``HxW``.
    """
    changes = (
        cv2.blur(cv2.absdiff(*pair).astype(np.float32), (WINDOW, WINDOW))
        for pair in zip(before, after, strict=True)
    )
    return np.logical_and(*(change < STILL for change in changes))


class StillMeter:
    """The still change of any number of videos with common sources, frame by frame.

    >>> rng = np.random.default_rng(0)
    >>> frame = rng.integers(0, 200, (48, 64), np.uint8)
    >>> meter = StillMeter()
    >>> for t in range(4):
    ...     meter.update(frame, frame, {"fused": frame, "flickering": frame + 3 * (t % 2)})
    >>> meter.compute()
    {'fused': 0.0, 'flickering': 3.0}
    """

    def __init__(self) -> None:
        self._before: tuple[np.ndarray, np.ndarray, Mapping[str, np.ndarray]] | None = None
        self._changes: dict[str, list[float]] = {}

    def update(self, ir: np.ndarray, vis: np.ndarray, videos: Mapping[str, np.ndarray]) -> None:
        """Add one frame.

        Args:
            ir, vis: the sources, uint8 ``HxW``, which decide what is still.
            videos: frames to be measured by name, uint8 ``HxW``; the names are the same for every
                frame. The sources may be among them.
        """
        for name in videos:
            self._changes.setdefault(name, [])
        if self._before is not None:
            still = still_pixels(self._before[:2], (ir, vis))
            if still.any():
                for name, frame in videos.items():
                    change = cv2.absdiff(self._before[2][name], frame)
                    self._changes[name].append(float(change[still].mean()))
        self._before = ir, vis, dict(videos)

    def compute(self) -> dict[str, float]:
        """Still change by name, in grey levels; NaN if no pixel was ever still."""
        return {
            name: float(np.mean(changes)) if changes else float("nan")
            for name, changes in self._changes.items()
        }
