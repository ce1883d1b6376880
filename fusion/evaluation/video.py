"""Metrics of fused videos: flicker and warping error.

Images fused one by one may each score well and still flicker, for example where every frame is
stretched from its own smallest to its own largest value. Both measures compare a video with itself
over time, so sources have them too: a fused video should not be far above its sources.

**Flicker**, in grey levels: with ``m(t)`` the mean level of frame ``t``,

    sqrt(mean over t of (m(t) - (m(t - 1) + m(t + 1)) / 2)^2).

A steady change of brightness is none; a brightness that alternates between ``m`` and ``m + d`` has
``d``. It sees what the whole frame does together, not what single objects do.

**Warping error**, in grey levels (the warping error of Lai et al., ECCV 2018, with the motion of
two sources): frame ``t + 1`` is brought back to ``t`` along optical flow and compared with frame
``t``, by the mean absolute difference. The flow is estimated on the infrared and on the visible
video, never on the fused one, so that all methods are judged by the same motion. At a pixel the
smaller difference along either flow counts, so that motion which one source shows is enough. A flow
counts where going forth and back ends within a pixel or so (Sundaram et al., ECCV 2010), which
leaves out what is covered or uncovered. A blurred or constant video has little of it: read it
beside a measure of detail.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from fusion.evaluation.metrics.inputs import grey_opencv, require_one_size

__all__ = ["MOTION_MEASURES", "MotionMeasure", "VideoMeter", "measure_video"]


@dataclass(frozen=True)
class MotionMeasure:
    """A column of the table of videos; lower is better in all of them."""

    name: str
    title: str
    unit: str = "level"

    @property
    def heading(self) -> str:
        """Title with unit."""
        return f"{self.title} [{self.unit}]"


MOTION_MEASURES = (
    MotionMeasure("flicker", "Flicker"),
    MotionMeasure("warping_error", "Warping error"),
)

#: Names of the sources among the videos.
INFRARED, VISIBLE = "infrared", "visible"


class VideoMeter:
    """Flicker and warping error of fused videos and of their sources, frame by frame.

    It keeps two frames of each video, whatever their length.

    >>> rng = np.random.default_rng(0)
    >>> still = rng.integers(0, 200, (48, 64), np.uint8)
    >>> meter = VideoMeter()
    >>> for t in range(4):
    ...     meter.update(still, still, {"steady": still, "flickering": still + 10 * (t % 2)})
    >>> meter.compute()["steady"]
    {'flicker': 0.0, 'warping_error': 0.0}
    >>> meter.compute()["flickering"]
    {'flicker': 10.0, 'warping_error': 10.0}
    """

    def __init__(self) -> None:
        self._means: dict[str, list[float]] = {}
        self._errors: dict[str, float] = {}
        self._pixels = 0
        self._before: dict[str, np.ndarray] | None = None

    def update(self, ir: np.ndarray, vis: np.ndarray, fused: Mapping[str, np.ndarray]) -> None:
        """Add one frame of every video.

        Args:
            ir, vis: uint8 ``HxW`` or RGB ``HxWx3``, of at least 16 pixels a side; colour is
                measured by its luma.
            fused: the methods' frames, likewise, by name; the same names at every frame.

        Raises:
            ValueError: sizes differ, from each other or from the frame before, a frame is too
                small for optical flow, or the names change.
        """
        frames = {name: grey_opencv(image) for name, image in fused.items()}
        for title in (INFRARED, VISIBLE):
            if title in frames:
                raise ValueError(f"no method can be named {title!r}, which is a source")
        frames |= {INFRARED: grey_opencv(ir), VISIBLE: grey_opencv(vis)}
        for frame in frames.values():
            require_one_size(frame, frames[INFRARED], frames[VISIBLE])
        if min(frames[INFRARED].shape) < _LEAST_SIDE:
            raise ValueError(f"frames need at least {_LEAST_SIDE} pixels a side for optical flow")
        if self._before is not None:
            if frames.keys() != self._before.keys():
                raise ValueError("every frame needs the same methods")
            if frames[INFRARED].shape != self._before[INFRARED].shape:
                raise ValueError("all frames of a video must have one size")
            self._compare(self._before, frames)
        for name, frame in frames.items():
            self._means.setdefault(name, []).append(float(frame.mean()))
        self._before = frames

    def compute(self) -> dict[str, dict[str, float]]:
        """Measures by name of the video, with "infrared" and "visible" among them.

        Flicker is NaN below three frames, the warping error below two or where no flow counts.
        """
        return {
            name: {
                "flicker": flicker(means),
                "warping_error": self._errors.get(name, 0.0) / self._pixels
                if self._pixels
                else float("nan"),
            }
            for name, means in self._means.items()
        }

    def _compare(self, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> None:
        motions = [_motion(before[source], after[source]) for source in (INFRARED, VISIBLE)]
        counted = motions[0][1] | motions[1][1]
        self._pixels += int(counted.sum())
        for name in before:
            reference = before[name].astype(np.float32)
            smallest = np.full(reference.shape, np.inf, np.float32)
            for places, valid in motions:
                difference = np.abs(_sample(after[name].astype(np.float32), places) - reference)
                np.minimum(smallest, difference, out=smallest, where=valid)
            total = float(smallest[counted].sum(dtype=np.float64))
            self._errors[name] = self._errors.get(name, 0.0) + total


def flicker(means: Iterable[float]) -> float:
    """Root mean square of ``m(t) - (m(t-1) + m(t+1)) / 2``; NaN below three means."""
    m = np.asarray(list(means), np.float64)
    if len(m) < 3:
        return float("nan")
    return float(np.sqrt(np.square(m[1:-1] - (m[:-2] + m[2:]) / 2).mean()))


def measure_video(
    ir: Iterable[np.ndarray], vis: Iterable[np.ndarray], fused: Mapping[str, Iterable[np.ndarray]]
) -> dict[str, dict[str, float]]:
    """Measures of whole videos, given as frames in order; see `VideoMeter`.

    Raises:
        ValueError: as for `VideoMeter.update`, or a video has fewer frames than another.
    """
    meter = VideoMeter()
    for of_ir, of_vis, *others in zip(ir, vis, *fused.values(), strict=True):
        meter.update(of_ir, of_vis, dict(zip(fused, others, strict=True)))
    return meter.compute()


# --- Optical flow ---------------------------------------------------------------------------------

_LEAST_SIDE = 16
#: Of Sundaram et al.: how far, squared, forth and back may end from the start.
_RELATIVE_SLACK, _SLACK = 0.01, 0.5


def _motion(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel of ``before`` is in ``after``, ``HxWx2``, and where that counts, ``HxW``."""
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    height, width = before.shape
    forth = np.asarray(estimator.calc(before, after, np.zeros((height, width, 2), np.float32)))
    back = np.asarray(estimator.calc(after, before, np.zeros((height, width, 2), np.float32)))
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    places = forth + np.dstack([x, y])
    back_there = _sample(back, places)
    gap = np.square(forth + back_there).sum(2)
    length = np.square(forth).sum(2) + np.square(back_there).sum(2)
    valid = gap <= _RELATIVE_SLACK * length + _SLACK
    valid &= (places[..., 0] >= 0) & (places[..., 0] <= width - 1)
    valid &= (places[..., 1] >= 0) & (places[..., 1] <= height - 1)
    return places, valid


def _sample(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    x, y = places[..., 0], places[..., 1]
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
