"""A camera: a thread that receives its frames, says when they were taken, and reconnects.

    opening -> settling -> live -> lost -> opening ...     a camera or stream
    opening -> live -> ended                               a file, played at its own speed

Frames that arrive more than `OLDEST` seconds late are dropped before they are converted. A lost
camera is opened again after `FIRST_PAUSE`, and then after pauses that double up to `LONGEST_PAUSE`,
until frames flow again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread

import numpy as np

from fusion.images.timing import REACH
from fusion.images.video import Video, VideoDamaged
from fusion.live.clock import StreamClock
from fusion.live.measures import Rate
from fusion.live.sources import CameraLost, PictureDamaged, Received, Source

#: Frames that are older when they arrive, in seconds, are dropped.
OLDEST = 0.5
#: Pauses between two attempts to connect, in seconds: the first and the longest one.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
#: A camera that sends nothing for this long, in seconds or frame intervals, counts as missing.
MISSING_AFTER, MISSING_INTERVALS = 0.5, 5.0

SIDES = {"ir": "infrared", "vis": "visible"}


@dataclass(frozen=True)
class Shot:
    """A frame of a camera.

    Attributes:
        image: grey ``HxW`` or RGB ``HxWx3``, uint8, or uint16 grey.
        time: when it was taken, `time.monotonic` of this computer, see `fusion.live.clock`.
        number: counts the frames of this camera, dropped ones too.
    """

    image: np.ndarray
    time: float
    number: int


class Camera:
    """Receives a source's frames in a thread and passes them on.

    Args:
        side: ``ir`` or ``vis``.
        source: what to open.
        deliver: called in the thread with each frame.
        report: called with a line for everything that happens.
        delay: seconds by which all frames arrive later than they say; subtracted from their time.
        video: the file, for a source of this kind.

    Attributes:
        state: see the module.
        message: why it is lost; empty otherwise.
        received, dropped: frames that arrived, and those of them that were too old or damaged.
        connections: how often frames began to flow.
        failed: whether the first attempt to open it failed.
        error: what ended its thread, if that was not meant to end.
    """

    def __init__(
        self,
        side: str,
        source: Source,
        deliver: Callable[[str, Shot], None],
        report: Callable[[str], None],
        delay: float = 0.0,
        video: Video | None = None,
    ):
        self.side, self.source = side, source
        self._deliver, self._report = deliver, report
        self.delay = delay
        self._video = video
        self.state, self.message = "opening", ""
        self.received = self.dropped = self.connections = 0
        self.failed = False
        self.error: Exception | None = None
        self.size: tuple[int, int] | None = None
        self.rate = Rate()
        self._last: float | None = None
        self._stop = Event()
        self._epoch = 0.0
        self._thread = Thread(target=self._run, name=f"camera {side}", daemon=True)

    def start(self, epoch: float) -> None:
        """Start the thread.

        Args:
            epoch: the moment at which files start to play.
        """
        self._epoch = epoch
        self._thread.start()

    def stop(self, wait: float = 4.0) -> None:
        """End the thread, which may wait for a silent camera, and wait for that a while."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(wait)

    def is_missing(self, now: float) -> bool:
        """Whether the other camera's frames are not to wait for this one's."""
        last = self._last
        if self._video is not None and self.state == "opening":
            last = self._epoch  # its first frame is due then
        elif self.state != "live" or last is None:
            return True
        patience = max(MISSING_AFTER, MISSING_INTERVALS * (self.rate.interval or 0.0))
        return last is not None and now - last > patience

    def status(self) -> dict:
        """What is known of the camera, as JSON types."""
        return {
            "side": self.side,
            "name": self.source.name,
            "state": self.state,
            "message": self.message,
            "missing": self.is_missing(time.monotonic()),
            "rate": self.rate.per_second(time.monotonic()),
            "size": self.size,
            "received": self.received,
            "dropped": self.dropped,
            "connections": self.connections,
        }

    # --- The thread ---

    def _run(self) -> None:
        try:
            if self._video is not None:
                self._play(self._video)
            else:
                self._keep_open()
        except Exception as error:  # for the run, which ends with it
            self.error = error
        self.state = "ended"

    def _keep_open(self) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            before = self.connections
            reason = self._receive()
            if self._stop.is_set():
                break
            if self.connections > before:
                pause = 0.0
            self._lose(reason)
            pause = min(max(FIRST_PAUSE, 2 * pause), LONGEST_PAUSE)

    def _lose(self, reason: str) -> None:
        self.failed = self.failed or not self.connections
        if self.state != "lost" or reason != self.message:
            self.state, self.message = "lost", reason
            self._report(f"{SIDES[self.side]}: {self.source.name}: {reason}; trying again")

    def _receive(self) -> str:
        """Receive frames until the source is lost, and return why."""
        clock = StreamClock()
        frames = self.source.frames(deep=self.side == "ir")
        known = self.connections
        try:
            for received in frames:
                if self._stop.is_set():
                    break
                if self.connections == known and self.state != "settling":
                    self.state = "settling"
                taken = clock.time(received.stamp, received.arrived)
                if taken is not None:
                    if self.connections == known:
                        self._connected()
                    self._pass_on(received, taken)
        except CameraLost as lost:
            return str(lost)
        finally:
            frames.close()  # type: ignore[attr-defined]
        return "the stream ended"

    def _connected(self) -> None:
        self.connections += 1
        self.state, self.message = "live", ""
        again = " again" if self.connections > 1 else ""
        self._report(f"{SIDES[self.side]}: {self.source.name}: receiving{again}")

    def _pass_on(self, received: Received, taken: float) -> None:
        self.received += 1
        self._last = now = time.monotonic()
        self.rate.add(now)
        if now - taken > OLDEST:
            self.dropped += 1
            return
        try:
            image = received.image()
        except PictureDamaged:
            self.dropped += 1
            return
        self._show(image, taken - self.delay)

    def _show(self, image: np.ndarray, taken: float) -> None:
        self.size = (image.shape[1], image.shape[0])
        self._deliver(self.side, Shot(image, taken, self.received))

    # --- Files ---

    def _play(self, video: Video) -> None:
        try:
            for frame in video.frames():
                taken = self._epoch + frame.time - self.delay
                if self._stop.wait(max(0.0, taken - time.monotonic())):
                    break
                if not self.connections:
                    self._connected()
                self.received += 1
                self._last = now = time.monotonic()
                self.rate.add(now)
                if now - taken > OLDEST:
                    self.dropped += 1
                    continue
                self._show(frame.image(), taken)
        except VideoDamaged as damage:
            self._report(f"{SIDES[self.side]}: {damage}")
        # The last frames still wait for their partners.
        self._stop.wait(max(0.0, REACH / video.fps))
        self._report(f"{SIDES[self.side]}: {self.source.name}: ended")
