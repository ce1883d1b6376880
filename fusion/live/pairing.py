"""Which frames of two live cameras belong together.

The rule is that of recordings (`fusion.images.timing`): a visible frame belongs to the infrared
frame nearest in time, or to the earlier one if two are equally near; and never to one further away
than `REACH` (three quarters) of the slower camera's frame interval. A visible frame without such a
partner is left out. An infrared frame may have several visible partners.

A live camera's next frame is unknown. A visible frame at time t is therefore decided as soon as

- an infrared frame after t is there; or
- the last infrared frame is nearer than half of that camera's shortest interval, so that the next
  one cannot be nearer; or
- an infrared frame that would be nearer should have arrived, given how late they lately arrive.

If one camera is missing, the frames of the other one are passed on alone.
"""

from collections import deque
from dataclasses import dataclass
from math import inf
from statistics import median
from typing import Generic, Protocol, TypeVar

from fusion.images.timing import REACH

#: Frames of each camera that wait for their partners, at most.
KEPT = 32

_INTERVALS = 64  # the last ones, of which the median counts
_ENOUGH = 3  # intervals that are needed to know a camera's rate
_PAUSE = 1.0  # a longer interval, in seconds, is an interruption
_LONGEST_WAIT = 0.3  # for frames that arrive late, in seconds
_EQUAL = 0.001  # distances that differ by less are equal, in seconds


class Timed(Protocol):
    """A frame: anything with the time at which it was taken, in seconds."""

    @property
    def time(self) -> float:
        """Seconds on the clock that both cameras share."""


Frame = TypeVar("Frame", bound=Timed)


@dataclass(frozen=True)
class Pair(Generic[Frame]):
    """Frames that belong together; one may be None, if its camera is missing."""

    ir: Frame | None
    vis: Frame | None

    @property
    def time(self) -> float:
        """When the pair was complete: the later one's time."""
        return max(frame.time for frame in (self.ir, self.vis) if frame is not None)

    @property
    def offset(self) -> float | None:
        """Seconds from the visible to the infrared frame."""
        return self.ir.time - self.vis.time if self.ir and self.vis else None


class Rhythm:
    """The frame intervals of a camera, and how late its frames arrive.

    Args:
        interval: seconds between frames, if known.
    """

    def __init__(self, interval: float | None = None):
        self._stated = interval
        self._last: float | None = None
        self._intervals: deque[float] = deque(maxlen=_INTERVALS)
        self._lateness: deque[float] = deque(maxlen=_INTERVALS)

    def add(self, time: float, now: float) -> None:
        """Note a frame taken at ``time`` that is there at ``now``."""
        if self._last is not None and 0 < time - self._last < _PAUSE:
            self._intervals.append(time - self._last)
        self._last = time
        self._lateness.append(max(0.0, now - time))

    @property
    def interval(self) -> float | None:
        """The usual interval in seconds; None until it is known."""
        if self._stated is not None:
            return self._stated
        return median(self._intervals) if len(self._intervals) >= _ENOUGH else None

    @property
    def shortest(self) -> float:
        """The shortest recent interval in seconds; 0 until the rate is known."""
        if self.interval is None:
            return 0.0
        return min([self.interval, *self._intervals])

    @property
    def lateness(self) -> float:
        """How many seconds after its time a frame may still arrive."""
        return min(max(self._lateness, default=0.0), _LONGEST_WAIT)


class Pairer(Generic[Frame]):
    """Pairs frames as they arrive, see the module. It has no clock and no threads of its own.

    Args:
        ir_interval, vis_interval: frame intervals in seconds, if they are known beforehand.

    Attributes:
        unpaired: visible frames without a partner within reach.
        outdated: pairs, or frames passed on alone, that a newer one has replaced before it was
            taken.
    """

    def __init__(self, ir_interval: float | None = None, vis_interval: float | None = None):
        self.rhythms = {"ir": Rhythm(ir_interval), "vis": Rhythm(vis_interval)}
        self.unpaired = 0
        self.outdated = 0
        self._newest = {"ir": -inf, "vis": -inf}
        self._waiting: dict[str, deque[Frame]] = {
            "ir": deque(maxlen=KEPT),
            "vis": deque(maxlen=KEPT),
        }

    def add(self, side: str, frame: Frame, now: float) -> None:
        """Take a frame of ``ir`` or ``vis``; times of a camera ascend, others are ignored."""
        if frame.time <= self._newest[side]:
            return
        self._newest[side] = frame.time
        self.rhythms[side].add(frame.time, now)
        self._waiting[side].append(frame)

    @property
    def reach(self) -> float | None:
        """Largest distance of two paired frames in seconds; None until both rates are known."""
        intervals = [rhythm.interval for rhythm in self.rhythms.values()]
        known = [interval for interval in intervals if interval is not None]
        return REACH * max(known) if len(known) == 2 else None

    def newest(self, now: float, missing: frozenset[str] = frozenset()) -> Pair[Frame] | None:
        """The newest pair that is decided, if there is one that was not returned before.

        Args:
            missing: cameras, ``ir`` or ``vis``, that the others' frames are not to wait for.
        """
        found = self.decided(now, missing)
        self.outdated += max(0, len(found) - 1)
        return found[-1] if found else None

    def decided(self, now: float, missing: frozenset[str] = frozenset()) -> list[Pair[Frame]]:
        """All pairs that are decided and were not returned before, in order of time."""
        if missing:
            return self._alone("vis" if "ir" in missing else "ir", missing)
        reach = self.reach
        if reach is None:
            return []
        pairs = []
        waiting = self._waiting["vis"]
        while waiting:
            outcome = self._partner(waiting[0].time, reach, now)
            if outcome is None:
                break
            vis = waiting.popleft()
            if outcome:
                pairs.append(Pair(outcome[0], vis))
            else:
                self.unpaired += 1
        return pairs

    def _alone(self, side: str, missing: frozenset[str]) -> list[Pair[Frame]]:
        self._waiting["vis" if side == "ir" else "ir"].clear()
        frames = list(self._waiting[side])
        self._waiting[side].clear()
        if side in missing:
            return []
        return [Pair(f, None) if side == "ir" else Pair(None, f) for f in frames]

    def _partner(self, time: float, reach: float, now: float) -> tuple[Frame] | tuple[()] | None:
        """The infrared frame for a visible one, () if there is none, None if it is undecided.

        Frames before the nearest one so far are released.
        """
        frames = self._waiting["ir"]
        while len(frames) > 1 and frames[1].time <= time:
            frames.popleft()
        before = frames[0] if frames and frames[0].time <= time else None
        after = next((frame for frame in list(frames)[:2] if frame.time > time), None)
        apart = time - before.time if before else None
        if after is None:
            rhythm = self.rhythms["ir"]
            is_nearest = apart is not None and apart <= rhythm.shortest / 2
            nearer = reach if apart is None else min(reach, apart)
            if not is_nearest and now <= time + nearer + rhythm.lateness:
                return None
        later = after.time - time if after else None
        nearest, distance = before, apart
        if later is not None and (apart is None or later < apart - _EQUAL):
            nearest, distance = after, later
        if nearest is None or distance is None or distance > reach:
            return ()
        return (nearest,)
