"""Match the frames of an infrared video with the frames of a visible one.

**By time**, the default if both videos have timestamps: each visible frame is paired with the
infrared frame nearest in time, or with the earlier one if two are equally near. If both videos have
the same rate and regular timestamps, this equals pairing by number. Where the infrared recording
has a gap, the visible frames that are further than `BRIDGED` frame intervals from its ends have no
partner. The frames of two live cameras are paired by the same rule within `REACH` intervals
(`fusion.live.pairing`).

*Start.* The recordings of `fusion.live.recording` name the clock that both belong to. Otherwise,
the first frames are assumed to show the same moment. The exception: both clocks start at zero (not
so in MPEG-TS, whose clock starts anywhere), and one recording's frames start later by more than a
sound track or the decoding order can explain. Then the difference is taken as real, and it is
reported.

**By number** (``index``): the k-th frame with the k-th frame. This is for recordings with wrong
timestamps, such as a thermal camera with 9 frames per second whose file states 30.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from fusion.base.errors import UserError
from fusion.images.video import Video, VideoDamaged, VideoFrame

#: Values of ``--pair``: `time` and `index` for videos, `name` and `index` for folders.
PAIRINGS = ("time", "name", "index")

#: Largest distance in time of the two frames of a live pair, in frame intervals of the slower
#: camera: half an interval, and a slack of a quarter for irregular times.
REACH = 0.75

#: The same for recordings, whose frames are to be kept: one interval, which bridges a lost frame.
BRIDGED = 1.0

# Largest difference of two frame distances that count as equal, in seconds: Matroska rounds
# timestamps to whole milliseconds.
_ROUNDING = 0.0021

# A sound track that starts first delays the frames by at most one sound packet, in seconds.
_SOUND = 0.1


@dataclass(frozen=True)
class VideoPairing:
    """How the frames of two videos are matched.

    Attributes:
        by_time: whether frames are matched by nearest time; otherwise by number.
        delay: seconds from the visible video's first frame to the infrared video's first frame.
        notes: remarks to report to the user.
        reach: largest distance of matched frames in seconds, see `BRIDGED`.
    """

    by_time: bool
    delay: float
    notes: list[str]
    reach: float = inf


def pair_videos(ir: Video, vis: Video, pair: str | None = None) -> VideoPairing:
    """Decide how the frames of two videos are matched.

    Args:
        pair: ``time`` or ``index``; None: by time if both videos have timestamps.

    Raises:
        UserError: ``name`` is given, which is for folders, or ``time`` and a video has no
            timestamps.
    """
    if pair == "name":
        raise UserError(
            "--pair name: works for two folders only; give time or index for two videos"
        )
    without = [video for video in (ir, vis) if not video.has_clock]
    if pair == "time" and without:
        raise UserError(f"{without[0].path}: its frames have no timestamps; give --pair index")
    rates = abs(ir.fps / vis.fps - 1) > 0.001
    if pair == "index" or without:
        notes = []
        if rates:
            notes.append(
                f"the rates differ: {ir.path.name} has {ir.fps:.4g} frames/s, {vis.path.name} "
                f"{vis.fps:.4g}; frames are paired by number nevertheless"
            )
        elif without:
            notes.append(f"{without[0].path.name}: has no timestamps; frames are paired by number")
        return VideoPairing(False, 0.0, notes)
    delay = _delay(ir, vis)
    notes = []
    steady = ir.scan.steady and vis.scan.steady
    if rates or not steady:
        what = (
            f"{ir.path.name} has {ir.fps:.4g} frames/s, {vis.path.name} {vis.fps:.4g}"
            if rates
            else f"{(vis if ir.scan.steady else ir).path.name}: the frame rate varies"
        )
        notes.append(f"{what}: frames are paired by time (--pair index: by number)")
        if rates and ir.frame_count == vis.frame_count > 1:
            notes.append(
                f"both have {ir.frame_count} frames: if they were recorded together and one stated "
                "rate is wrong, give --pair index"
            )
    if delay:
        first, second = (vis, ir) if delay > 0 else (ir, vis)
        notes.append(
            f"{second.path.name}: starts {abs(delay):.3f} s after {first.path.name} by its "
            "timestamps (--pair index: pair the first frames)"
        )
    intervals = [video.scan.interval or 1 / video.fps for video in (ir, vis)]
    return VideoPairing(True, delay, notes, BRIDGED * max(intervals) + _ROUNDING)


def _delay(ir: Video, vis: Video) -> float:
    """Seconds from the visible to the infrared first frame; 0 if the difference is not real."""
    scans = ir.scan, vis.scan
    starts = [scan.first or 0.0 for scan in scans]
    delay = starts[0] - starts[1]
    if ir.clock is not None and ir.clock == vis.clock:
        return delay
    if ir.clock_is_its_own or vis.clock_is_its_own:
        return 0.0
    least = _SOUND if ir.has_sound or vis.has_sound else 0.0
    if abs(delay) <= max(least, _ROUNDING):
        return 0.0
    spans = [(scan.last or 0.0) - (scan.first or 0.0) for scan in scans]
    return delay if abs(delay) < min(spans) / 2 else 0.0  # else one has the time of day


class Nearest:
    """Look up the frames of a video by ascending times.

    Only two frames are in memory at a time, however long the video is.

    Args:
        frames: the iterator from `Video.frames`.
        delay: time of the first frame in seconds.
        fps: frames per second of the video.
        reach: largest distance of a frame from the time it is looked up for, in seconds.
    """

    def __init__(self, frames: Iterator[VideoFrame], delay: float, fps: float, reach: float = inf):
        self._frames = frames
        self._delay = delay
        self._reach = reach
        self._reach_at_ends = min(reach, 0.5 / fps + _ROUNDING)
        self._damage: VideoDamaged | None = None
        self._before = self._next()
        self._after = self._next()

    def _next(self) -> VideoFrame | None:
        try:
            return next(self._frames, None)
        except VideoDamaged as damage:  # raised when a frame after the damage is needed
            self._damage = damage
            return None

    def _time(self, frame: VideoFrame) -> float:
        return frame.time + self._delay

    @property
    def is_over(self) -> bool:
        """Whether the last frame has been read."""
        return self._after is None

    def at(self, time: float) -> VideoFrame | None:
        """The frame nearest to a time, or the earlier one if two are equally near.

        None if the time is before the first or after the last frame by more than half the frame
        interval, or in a gap and further than the reach from both its ends.

        Raises:
            VideoDamaged: the video is damaged at this time.
        """
        while self._after is not None and self._time(self._after) <= time:
            self._before, self._after = self._after, self._next()
        if self._before is None:
            self._say_damage()
            return None
        apart = abs(time - self._time(self._before))
        if self._after is None or time < self._time(self._before):
            if apart <= self._reach_at_ends:
                return self._before
            self._say_damage()
            return None
        later = self._time(self._after) - time
        if min(later, apart) > self._reach:
            return None
        return self._after if later < apart - _ROUNDING else self._before

    def _say_damage(self) -> None:
        if self._damage is not None and self._after is None:
            raise self._damage
