"""Metrics of fused videos: flicker, warping error and still change.

Frames that are fused separately may each score well and still flicker, for example if every frame
is stretched by its own range. All measures compare a video with itself over time, so they are also
defined for the sources: a fused video should not be far above its sources.

**Flicker**, in grey levels: with ``m(t)`` the mean level of frame ``t``,

    sqrt(mean over t of (m(t) - (m(t - 1) + m(t + 1)) / 2)^2).

A linear change of brightness has no flicker. A brightness that alternates between ``m`` and
``m + d`` has the flicker ``d``. The measure responds to changes of the whole frame, not to single
objects.

**Warping error**, in grey levels (the warping error of Lai et al., ECCV 2018, with the motion of
two sources): frame ``t + 1`` is warped to frame ``t`` along the optical flow, and the mean absolute
difference is computed. The flow is estimated on the infrared and on the visible video, never on the
fused video, so that the same motion is used for all methods. At each pixel, the smaller difference
along the two flows counts, so motion may be visible in only one source. A flow is valid where
following it forward and backward ends within about one pixel (Sundaram et al., ECCV 2010); this
excludes covered and uncovered areas. A blurred or constant video has a low warping error, so
combine it with a measure of detail.

**Still change**, in grey levels: see `fusion.evaluation.stillness`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from fusion.evaluation.metrics.inputs import grey_opencv, require_one_size
from fusion.evaluation.stillness import StillMeter

__all__ = ["MOTION_MEASURES", "MotionMeasure", "VideoMeter", "measure_video"]


@dataclass(frozen=True)
class MotionMeasure:
    """A column of the table of videos; lower is always better."""

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
    MotionMeasure("still_change", "Still change"),
)

#: Names of the sources among the videos.
INFRARED, VISIBLE = "infrared", "visible"


class VideoMeter:
    """Compute the measures of fused videos and their sources, frame by frame.

    Only two frames of each video are in memory, whatever their length.

    >>> rng = np.random.default_rng(0)
    >>> still = rng.integers(0, 200, (48, 64), np.uint8)
    >>> meter = VideoMeter()
    >>> for t in range(4):
    ...     meter.update(still, still, {"steady": still, "flickering": still + 10 * (t % 2)})
    >>> meter.compute()["steady"]
    {'flicker': 0.0, 'warping_error': 0.0, 'still_change': 0.0}
    >>> meter.compute()["flickering"]
    {'flicker': 10.0, 'warping_error': 10.0, 'still_change': 10.0}
    """

    def __init__(self) -> None:
        self._means: dict[str, list[float]] = {}
        self._errors: dict[str, float] = {}
        self._pixels = 0
        self._before: dict[str, np.ndarray] | None = None
        self._still = StillMeter()

    def update(self, ir: np.ndarray, vis: np.ndarray, fused: Mapping[str, np.ndarray]) -> None:
        """Add one frame of every video.

        Args:
            ir, vis: uint8 ``HxW`` or RGB ``HxWx3`` of at least 16x16 pixels; colour is converted to
                luma.
            fused: the frame of each method in the same form, by name; the names must be the same
                for every frame.

        Raises:
            ValueError: sizes differ, from each other or from the frame before, a frame is too
                small for optical flow, or the names change.
        """
        frames = {name: grey_opencv(image) for name, image in fused.items()}
        for title in (INFRARED, VISIBLE):
            if title in frames:
                raise ValueError(f"no method can be named {title!r}, the name of a source")
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
        self._still.update(frames[INFRARED], frames[VISIBLE], frames)
        for name, frame in frames.items():
            self._means.setdefault(name, []).append(float(frame.mean()))
        self._before = frames

    def compute(self) -> dict[str, dict[str, float]]:
        """Measures by name of the video, with "infrared" and "visible" among them.

        Flicker is NaN for fewer than three frames, the warping error for fewer than two or if no
        flow is valid, the still change likewise or if no pixel is still.
        """
        still = self._still.compute()
        return {
            name: {
                "flicker": flicker(means),
                "warping_error": self._errors.get(name, 0.0) / self._pixels
                if self._pixels
                else float("nan"),
                "still_change": still[name],
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
    """Measure whole videos, given as frames in order; see `VideoMeter`.

    Raises:
        ValueError: as for `VideoMeter.update`, or a video has fewer frames than another.
    """
    meter = VideoMeter()
    for of_ir, of_vis, *others in zip(ir, vis, *fused.values(), strict=True):
        meter.update(of_ir, of_vis, dict(zip(fused, others, strict=True)))
    return meter.compute()


# --- Optical flow ---------------------------------------------------------------------------------

_LEAST_SIDE = 16
#: From Sundaram et al.: bound on the squared distance after following the flow forward and back.
_RELATIVE_SLACK, _SLACK = 0.01, 0.5


def _motion(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position of each pixel of ``before`` in ``after``, ``HxWx2``, and its validity, ``HxW``."""
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
