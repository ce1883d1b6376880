"""Rates and latencies of the last seconds, in bounded memory."""

from collections import deque
from itertools import pairwise
from statistics import median

#: Events that a rate and a latency are computed from, at most.
KEPT = 256

_SPAN = 5.0  # seconds that a rate covers


class Rate:
    """How often something happens."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=KEPT)

    def add(self, now: float) -> None:
        """Note that it happened."""
        self._times.append(now)

    def per_second(self, now: float) -> float:
        """The rate over the last seconds; 0 if it has stopped."""
        recent = [time for time in list(self._times) if now - time <= _SPAN]
        if len(recent) < 2 or now - recent[-1] > 2.0:
            return 0.0
        return (len(recent) - 1) / max(1e-6, recent[-1] - recent[0])

    @property
    def interval(self) -> float | None:
        """Median of the last intervals in seconds; None for fewer than three events."""
        times = list(self._times)[-16:]
        return median(b - a for a, b in pairwise(times)) if len(times) > 2 else None


class Latencies:
    """Seconds that recent pictures took."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=KEPT)

    def add(self, seconds: float) -> None:
        """Note one."""
        self._seconds.append(seconds)

    def milliseconds(self) -> dict[str, float | None]:
        """``median`` and ``p95`` (the 95th percentile); None without any."""
        ordered = sorted(self._seconds)
        if not ordered:
            return {"median": None, "p95": None}
        late = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        return {"median": round(1000 * median(ordered), 1), "p95": round(1000 * late, 1)}
