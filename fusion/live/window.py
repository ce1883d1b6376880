"""The window of a live run, where there is a display: OpenCV's.

Keys: v shows the next view, r starts and stops a recording, q or Escape ends the run. For tracking,
the box is drawn with the left mouse button; c stops tracking.
"""

import os
import re
import sys
from contextlib import suppress
from typing import Any

import cv2
import numpy as np

from fusion.base.errors import UserError
from fusion.live.pipeline import Live

_ESCAPE = 27
_LEAST = 0.01  # smallest side of a box, as a share of the panel
_LINE = (0, 176, 255)  # BGR


def why_no_window() -> str | None:
    """Why no window can be opened; None if one can."""
    # Without a display, Qt inside OpenCV would abort the process.
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        return "there is no display"
    if re.search(r"GUI:\s+NONE", cv2.getBuildInformation()):
        return "this OpenCV has no windows (opencv-python-headless)"
    return None


class LiveWindow:
    """Shows a run in a window until it is closed; to be used in the main thread.

    Args:
        title: of the window.
    """

    def __init__(self, live: Live, title: str):
        self.live, self.title = live, title
        self._views = list(live.views)
        self._after = 0
        self._width = 1
        self._height = 1
        self._held: Any = None
        self._start = self._end = (0.0, 0.0)
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        if live.has_box:
            cv2.setMouseCallback(title, self._mouse)

    @property
    def _panels(self) -> tuple[str, ...]:
        return self.live.views[self._views[0]]

    def step(self) -> bool:
        """Show the newest picture and handle a key; False once the window is closed."""
        shown = self._held or self.live.wait(self._after, 0.03)
        if shown is not None:
            fresh = not self._after
            self._after = shown.number
            picture = cv2.cvtColor(shown.view(self._panels), cv2.COLOR_RGB2BGR)
            self._height, self._width = picture.shape[:2]
            if self._held:
                self._draw(picture)
            if fresh:
                cv2.resizeWindow(self.title, self._width, self._height)
            cv2.imshow(self.title, picture)
        key = cv2.waitKey(10 if self._held else 1) & 0xFF
        if key in (ord("q"), _ESCAPE):
            return False
        if key == ord("v"):
            self._views.append(self._views.pop(0))
        if key == ord("r"):
            self._record()
        if key == ord("c") and self.live.has_box:
            self.live.release()  # type: ignore[attr-defined]
        return not self._after or cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Close the window, unless the user has."""
        with suppress(cv2.error):
            cv2.destroyWindow(self.title)

    def _record(self) -> None:
        try:
            if self.live.stop_recording() is None:
                self.live.record()
        except UserError as error:
            print(error, file=sys.stderr)

    # --- The box ---

    def _mouse(self, event: int, x: int, y: int, *_: object) -> None:
        at = (x / self._width, y / self._height)
        if event == cv2.EVENT_LBUTTONDOWN and self.live.latest is not None:
            self._held = self.live.hold()  # type: ignore[attr-defined]
            self._start = self._end = at
        elif event == cv2.EVENT_MOUSEMOVE and self._held:
            self._end = at
        elif event == cv2.EVENT_LBUTTONUP and self._held:
            self._end = at
            held, self._held = self._held, None
            box = panel_box(self._start, self._end, len(self._panels))
            if min(box[2:]) >= _LEAST:
                self._select(held.number, box)

    def _select(self, number: int, box: tuple[float, float, float, float]) -> None:
        try:
            self.live.select(number, box)  # type: ignore[attr-defined]
        except UserError as error:
            print(error, file=sys.stderr)

    def _draw(self, picture: np.ndarray) -> None:
        corners = [
            (round(x * self._width), round(y * self._height)) for x, y in (self._start, self._end)
        ]
        cv2.rectangle(picture, corners[0], corners[1], _LINE, 2)


def panel_box(
    start: tuple[float, float], end: tuple[float, float], panels: int
) -> tuple[float, float, float, float]:
    """The box between two points of panels side by side, as ``x, y, w, h`` in shares of the panel
    that the first point is in.

    Args:
        start, end: opposite corners, as shares of the whole picture.
        panels: number of panels.
    """
    panel = min(int(max(0.0, start[0]) * panels), panels - 1)
    xs = sorted(min(max(x * panels - panel, 0.0), 1.0) for x in (start[0], end[0]))
    ys = sorted(min(max(y, 0.0), 1.0) for y in (start[1], end[1]))
    return xs[0], ys[0], xs[1] - xs[0], ys[1] - ys[0]
