"""Which frame of an infrared video belongs to which frame of a visible one.

**By time**, the default where both have times: each visible frame goes with the infrared frame
nearest in time; where two are as near, with the earlier one. Where both rates are one and all times
regular, this is the same as by number.

*When both start.* The first frames are taken for one moment, unless both clocks start at zero (not
MPEG-TS, which starts anywhere) and one recording's frames start later by more than what sound or
the order of decoding may shift them: then that difference is real, and it is reported.

**By number** (``index``): the k-th with the k-th, for recordings whose times are wrong, such as a
thermal camera's 9 frames per second stated as 30.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from fusion.base.errors import UserError
from fusion.images.video import Video, VideoDamaged, VideoFrame

__all__ = ["PAIRINGS", "Nearest", "VideoPairing", "pair_videos"]

#: What ``--pair`` takes: `time` and `index` for videos, `name` and `index` for folders.
PAIRINGS = ("time", "name", "index")

# Times of Matroska are whole milliseconds: two distances that differ by no more are one.
_ROUNDING = 0.0021

# Sound that starts before the pictures moves these by one packet of it at most.
_SOUND = 0.1


@dataclass(frozen=True)
class VideoPairing:
    """How the frames of two videos are matched.

    Attributes:
        by_time: by nearest time, else by number.
        delay: seconds by which the infrared's first frame comes after the visible's.
        notes: what is to be said about it.
    """

    by_time: bool
    delay: float
    notes: list[str]


def pair_videos(ir: Video, vis: Video, pair: str | None = None) -> VideoPairing:
    """Decide how the frames of two videos are matched.

    Args:
        pair: ``time`` or ``index``; None: by time where both have times.

    Raises:
        UserError: ``name``, which is for folders; or ``time`` where a video has no times.
    """
    if pair == "name":
        raise UserError("--pair name: goes with two folders; give time or index for two videos")
    without = [video for video in (ir, vis) if not video.has_clock]
    if pair == "time" and without:
        raise UserError(f"{without[0].path}: its frames have no times; give --pair index")
    rates = abs(ir.fps / vis.fps - 1) > 0.001
    if pair == "index" or without:
        notes = []
        if rates:
            notes.append(
                f"the rates differ: {ir.path.name} has {ir.fps:.4g} frames/s, {vis.path.name} "
                f"{vis.fps:.4g}; frames are paired by their number all the same"
            )
        elif without:
            notes.append(f"{without[0].path.name}: no times in it; frames are paired by number")
        return VideoPairing(False, 0.0, notes)
    delay = _delay(ir, vis)
    notes = []
    steady = ir.scan.steady and vis.scan.steady
    if rates or not steady:
        what = (
            f"{ir.path.name} has {ir.fps:.4g} frames/s, {vis.path.name} {vis.fps:.4g}"
            if rates
            else f"{(vis if ir.scan.steady else ir).path.name}: frames at varying distances"
        )
        notes.append(f"{what}: frames are paired by time (--pair index: by number)")
        if rates and ir.frame_count == vis.frame_count > 1:
            notes.append(
                f"both hold {ir.frame_count} frames: if they were taken together and a stated rate "
                "is wrong, give --pair index"
            )
    if delay:
        first, second = (vis, ir) if delay > 0 else (ir, vis)
        notes.append(
            f"{second.path.name}: starts {abs(delay):.3f} s after {first.path.name} by its times "
            "(--pair index: first frame with first frame)"
        )
    return VideoPairing(True, delay, notes)


def _delay(ir: Video, vis: Video) -> float:
    """Seconds by which the infrared's first frame comes after the visible's, if that is real."""
    scans = ir.scan, vis.scan
    starts = [scan.first or 0.0 for scan in scans]
    delay = starts[0] - starts[1]
    if ir.clock_is_its_own or vis.clock_is_its_own:
        return 0.0
    least = _SOUND if ir.has_sound or vis.has_sound else 0.0
    if abs(delay) <= max(least, _ROUNDING):
        return 0.0
    spans = [(scan.last or 0.0) - (scan.first or 0.0) for scan in scans]
    return delay if abs(delay) < min(spans) / 2 else 0.0  # else one tells the time of day


class Nearest:
    """The frames of a video, asked for by rising times.

    Two frames are held at a time, however long the video is.

    Args:
        frames: of `Video.frames`.
        delay: seconds that the first frame comes after time 0.
        fps: its frames per second.
    """

    def __init__(self, frames: Iterator[VideoFrame], delay: float, fps: float):
        self._frames = frames
        self._delay = delay
        self._reach = 0.5 / fps + _ROUNDING
        self._damage: VideoDamaged | None = None
        self._before = self._next()
        self._after = self._next()

    def _next(self) -> VideoFrame | None:
        try:
            return next(self._frames, None)
        except VideoDamaged as damage:  # said when its frames are asked for
            self._damage = damage
            return None

    def _time(self, frame: VideoFrame) -> float:
        return frame.time + self._delay

    @property
    def is_over(self) -> bool:
        """Whether the last frame is among those held."""
        return self._after is None

    def at(self, time: float) -> VideoFrame | None:
        """The frame nearest to a time, the earlier one of two.

        None before the first and after the last frame by more than half the usual distance of two.

        Raises:
            VideoDamaged: the video is damaged there.
        """
        while self._after is not None and self._time(self._after) <= time:
            self._before, self._after = self._after, self._next()
        if self._before is None:
            self._say_damage()
            return None
        apart = abs(time - self._time(self._before))
        if self._after is None or time < self._time(self._before):
            if apart <= self._reach:
                return self._before
            self._say_damage()
            return None
        later = self._time(self._after) - time
        return self._after if later < apart - _ROUNDING else self._before

    def _say_damage(self) -> None:
        if self._damage is not None and self._after is None:
            raise self._damage
