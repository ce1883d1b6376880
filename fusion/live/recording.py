"""Record both cameras, every frame with the time at which it was taken.

A recording is a folder with ``visible.mkv`` and ``infrared.mkv``, and with the boxes of a tracker
in ``boxes.csv``. The videos' timestamps are on the cameras' common clock and start with the
recording, so that ``fusion fuse`` and ``tracker track`` pair the frames by time as they were paired
live. 16-bit infrared is stored without loss. The files appear when the recording ends; until then,
and after a crash, they are named ``.visible.*.mkv``.
"""

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock, Thread
from typing import TextIO
from uuid import uuid4

from fusion.base.errors import UserError
from fusion.base.files import make_folder, whole_file
from fusion.images.video import VideoWriter
from fusion.live.cameras import SIDES, Shot

#: Frames that wait for the encoder, at most. Further ones are left out and counted.
WAITING = 30


class Recorder:
    """Writes the frames of two cameras in a thread, see the module.

    Args:
        folder: it must not contain a recording.
        rates: frames per second of ``ir`` and ``vis``, for the files' headers.
        report: called with a line for everything that is left out.

    Attributes:
        frames: number of frames written, by camera.
        lost: number of frames left out because the encoder was too slow.

    Raises:
        UserError: the folder cannot be created, or has a recording.
    """

    def __init__(self, folder: Path, rates: dict[str, float], report: Callable[[str], None]):
        self.folder = make_folder(folder)
        for name in SIDES.values():
            if (folder / f"{name}.mkv").exists():
                raise UserError(f"{folder / name}.mkv: exists; give another folder")
        self.started = time.monotonic()
        self.frames = dict.fromkeys(SIDES, 0)
        self.lost = 0
        self._rates = rates
        self._report = report
        self._clock = uuid4().hex
        self._queue: queue.Queue[tuple[str, Shot] | str | None] = queue.Queue(WAITING)
        self._lock = Lock()
        self._closed = False
        self._failure: Exception | None = None
        self._thread = Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def add(self, side: str, shot: Shot) -> None:
        """Record a frame of ``ir`` or ``vis``; never waits."""
        self._put(shot.time, (side, shot))

    def add_box(self, taken: float, box: Sequence[float], score: float) -> None:
        """Record a tracker's box; never waits.

        Args:
            taken: time of the frame, as `Shot.time`.
            box: ``x, y, w, h``.
        """
        values = (taken - self.started, *box, score)
        self._put(taken, ",".join(f"{value:.6g}" for value in values) + "\n")

    def _put(self, taken: float, item: tuple[str, Shot] | str) -> None:
        with self._lock:
            if self._closed or taken < self.started:
                return
            try:
                self._queue.put_nowait(item)
            except queue.Full:
                self.lost += 1

    def close(self) -> None:
        """Write the frames that wait, and complete the files.

        Raises:
            UserError: a file could not be written.
        """
        with self._lock:
            closes, self._closed = not self._closed, True
        if closes:
            self._queue.put(None)
        self._thread.join()
        if closes and self.lost:
            self._report(f"{self.folder}: {self.lost} frames left out, encoding was too slow")
        if closes and self._failure is not None:
            raise self._failure

    def status(self) -> dict:
        """What is recorded, as JSON types."""
        return {
            "folder": str(self.folder),
            "seconds": round(time.monotonic() - self.started, 1),
            "frames": dict(self.frames),
            "lost": self.lost,
            "error": str(self._failure) if self._failure else "",
        }

    def _run(self) -> None:
        try:
            self._write()
        except Exception as failure:  # raised when the recording is closed
            self._failure = failure
            self._report(f"recording stopped: {failure}")
            while self._queue.get() is not None:  # until it is closed
                pass

    def _write(self) -> None:
        writers: dict[str, VideoWriter] = {}
        forms: dict[str, tuple] = {}
        changed: set[str] = set()
        table: TextIO | None = None
        with ExitStack() as stack:
            while (item := self._queue.get()) is not None:
                if isinstance(item, str):
                    if table is None:
                        table = stack.enter_context(self._table())
                    table.write(item)
                    continue
                side, shot = item
                form = (shot.image.shape, shot.image.dtype)
                if side not in writers:
                    path = self.folder / f"{SIDES[side]}.mkv"
                    writer = VideoWriter(path, self._rates[side] or 25, self._clock)
                    writers[side], forms[side] = stack.enter_context(writer), form
                if form == forms[side]:
                    writers[side].write(shot.image, shot.time - self.started)
                    self.frames[side] += 1
                elif side not in changed:
                    changed.add(side)
                    height, width = shot.image.shape[:2]
                    self._report(
                        f"recording: {SIDES[side]} pictures are now {width}x{height}; they are "
                        "left out until a new recording is started"
                    )

    @contextmanager
    def _table(self) -> Iterator[TextIO]:
        with whole_file(self.folder / "boxes.csv") as path, path.open("w") as table:
            table.write("time,x,y,w,h,score\n")
            yield table
