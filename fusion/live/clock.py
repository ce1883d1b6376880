"""When a camera took a frame, on this computer's clock (`time.monotonic`).

A stream's timestamps are regular but start anywhere; arrivals are on the right clock but irregular,
because networks, buffers and a busy processor delay them. A frame cannot arrive before it was
taken, and the least delayed frames arrive almost at once. Therefore

    time = timestamp + min(arrival - timestamp)

where the minimum is over the last seconds, so that it follows clocks that drift apart. What all
frames of a camera are delayed by cannot be seen here: ``--delay`` states it.

A frame without a timestamp is taken to be taken when it arrives.
"""

#: Seconds without a better minimum, after which the times of a new connection are used. At first,
#: frames arrive that have waited in buffers.
SETTLING = 0.5
#: The latest moment for that, in seconds after the first frame.
SETTLED = 2.0

_BETTER = 0.005  # what counts as a better minimum while settling, in seconds
_WINDOW = 10.0  # the minimum is over one to two of these
_JUMP = 2.0  # a larger leap means that the timestamps restarted


class StreamClock:
    """The clock of one connection to a camera, see the module."""

    def __init__(self) -> None:
        self._restart()

    def _restart(self) -> None:
        self._started: float | None = None
        self._improved = 0.0
        self._window = 0.0
        self._before: float | None = None
        self._current: float | None = None
        self._settled = False

    @property
    def offset(self) -> float | None:
        """Seconds to add to a timestamp; None before the first one."""
        known = [least for least in (self._before, self._current) if least is not None]
        return min(known, default=None)

    def time(self, stamp: float | None, arrived: float) -> float | None:
        """When a frame was taken; None while the connection settles.

        Args:
            stamp: the stream's own time of the frame in seconds, if it has one.
            arrived: `time.monotonic` at its arrival.
        """
        late = 0.0 if stamp is None else arrived - stamp
        if self.offset is not None and abs(late - self.offset) > _JUMP:
            self._restart()
        if self._started is None:
            self._started = self._improved = self._window = arrived
        offset = self.offset
        if offset is None or late < offset - _BETTER:
            self._improved = arrived
        if arrived - self._window > _WINDOW:
            self._window, self._before, self._current = arrived, self._current, None
        self._current = late if self._current is None else min(self._current, late)
        self._settled = self._settled or (
            arrived - self._improved >= SETTLING or arrived - self._started >= SETTLED
        )
        if not self._settled:
            return None
        offset = self.offset
        assert offset is not None
        return arrived if stamp is None else stamp + offset
