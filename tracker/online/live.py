"""Track an object in the pictures of two cameras live.

The box is drawn on a frozen picture. The frames since then are kept, and the
tracker runs through them before it continues with the newest one, so that it does not have to find
an object again that moved while its box was drawn.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import numpy as np

from fusion.base.errors import UserError
from fusion.images.pixels import to_8bit
from fusion.live.pipeline import Live, Registration, ShotPair, Shown
from tracker.data.boxes import Box
from tracker.data.drawing import draw_box
from tracker.data.frames import as_rgb
from tracker.online.running import Tracker

#: Bytes of the frames that are kept while a box is drawn; beyond, the oldest are given up.
KEPT_BYTES = 1 << 27
#: Seconds after which a held picture is given up.
HELD = 30.0
#: Seconds that a box given at the start waits until both cameras are there.
START = 3.0

Frames = tuple[np.ndarray | None, np.ndarray | None]  # visible, infrared


@dataclass
class _Held:
    """A picture on which a box is drawn, its size, and the frames since."""

    number: int
    size: tuple[int, int]  # width and height
    first: Frames
    since: deque[Frames]
    at: float


class LiveTracking(Live):
    """An object's box in the pictures of two cameras, see `fusion.live.pipeline.Live`.

    A missing modality is passed to the tracker as None.

    Args:
        tracker: of `tracker.online.running.Tracker`; it is used in a thread of the run alone.
        ir, vis: see `fusion.live.pipeline.Live`.
        box: what to track from the start, ``x, y, w, h`` in pixels of the visible picture.
    """

    views: ClassVar = {
        "side by side": ("visible", "infrared"),
        "visible": ("visible",),
        "infrared": ("infrared",),
    }
    has_box = True
    title = "Live tracking"

    def __init__(
        self,
        tracker: Tracker,
        ir: str | int | Path,
        vis: str | int | Path,
        *,
        box: Box | None = None,
        registration: Registration | None = None,
        delay: float = 0.0,
        recordings: str | Path = "recordings",
        report: Callable[[str], None] = lambda line: None,
    ):
        super().__init__(
            ir, vis, registration=registration, delay=delay, recordings=recordings, report=report
        )
        self.tracker = tracker
        self._box = box  # what is tracked, or to be tracked from the first frame
        self._tracks = False
        self._asked: tuple[Box, list[Frames]] | None = None
        self._held: _Held | None = None
        self._boxes = Lock()
        self._began = time.monotonic()

    # --- The box ---

    def hold(self) -> Shown:
        """The newest picture, to draw a box on; frames are kept from now on.

        Raises:
            UserError: there is no picture yet.
        """
        shown = self.latest
        if shown is None:
            raise UserError("there is no picture yet")
        frames = self._frames(shown.pair)
        sizes = [frame.shape[1::-1] for frame in frames if frame is not None]
        kept = max(2, KEPT_BYTES // sum(frame.nbytes for frame in frames if frame is not None))
        with self._boxes:
            self._held = _Held(shown.number, sizes[0], frames, deque(maxlen=kept), time.monotonic())
        return shown

    def select(self, number: int, box: Box) -> None:
        """Track from a held picture on.

        Args:
            number: of the picture that `hold` returned.
            box: ``x, y, w, h`` as shares of a panel's width and height.

        Raises:
            UserError: the picture is not held any more, or the box is not in it.
        """
        x, y, w, h = box
        if not (0 <= x < x + w <= 1.001 and 0 <= y < y + h <= 1.001):
            raise UserError("the box is not in the picture; draw another one")
        with self._boxes:
            held, self._held = self._held, None
            if held is None or held.number != number:
                raise UserError("the picture is not held any more; draw the box again")
            width, height = held.size
            pixels = (x * width, y * height, w * width, h * height)
            self._asked = pixels, [held.first, *held.since]

    def release(self) -> None:
        """Track nothing."""
        with self._boxes:
            self._asked = self._held = self._box = None
            self._tracks = False

    # --- Frames ---

    def _frames(self, pair: ShotPair) -> Frames:
        ir, vis = self.inputs(pair)
        return None if vis is None else as_rgb(vis), None if ir is None else to_8bit(ir)

    def compute(self, pair: ShotPair) -> tuple[Mapping[str, np.ndarray | None], dict[str, Any]]:
        """Find the box in a pair and draw it; see the base class."""
        frames = self._frames(pair)
        with self._boxes:
            asked, self._asked = self._asked, None
            if self._held is not None:
                self._held.since.append(frames)
                if time.monotonic() - self._held.at > HELD:
                    self._held = None
        score = None
        if asked is not None:
            score = self._start(asked[0], [*asked[1], frames])
        elif self._tracks:
            score = self._follow(frames)
        elif self._box is not None and self._is_complete(frames):
            score = self._start(self._box, [frames])
        box = self._box if self._tracks else None
        panels = {
            "visible": None if frames[0] is None else frames[0].copy(),
            "infrared": None if frames[1] is None else as_rgb(frames[1]).copy(),
        }
        if box is not None:
            self.record_box(pair, box, 0.0 if score is None else score)
            for panel in panels.values():
                if panel is not None:
                    draw_box(panel, box)
        return panels, {"box": None if box is None else list(box), "score": score}

    def _is_complete(self, frames: Frames) -> bool:
        missing = any(frame is None for frame in frames)
        return not missing or time.monotonic() - self._began > START

    def _start(self, box: Box, frames: list[Frames]) -> float | None:
        """Begin with the first frames, and follow through the others."""
        try:
            self.tracker.init(*frames[0], box)
        except UserError as error:
            self._report(f"box {','.join(f'{value:.0f}' for value in box)}: {error}")
            self.release()
            return None
        self._box, self._tracks = box, True
        score = 1.0
        for rgb, ir in frames[1:]:
            score = self._follow((rgb, ir))
        return score

    def _follow(self, frames: Frames) -> float:
        box, score = self.tracker.track(*frames)
        x, y, w, h = map(float, box)
        self._box = (x, y, w, h)
        return float(score)
