"""The window's keys and mouse, with OpenCV's windows replaced."""

import sys

import cv2
import numpy as np
import pytest

from fusion.live.pipeline import Shown
from fusion.live.window import LiveWindow, panel_box, why_no_window


@pytest.mark.parametrize(
    ("start", "end", "panels", "box"),
    [
        ((0.1, 0.2), (0.3, 0.6), 1, (0.1, 0.2, 0.2, 0.4)),
        ((0.3, 0.6), (0.1, 0.2), 1, (0.1, 0.2, 0.2, 0.4)),  # from the lower right corner
        ((0.55, 0.2), (0.65, 0.6), 2, (0.1, 0.2, 0.2, 0.4)),
        ((0.55, 0.2), (0.2, 0.6), 2, (0.0, 0.2, 0.1, 0.4)),  # out of its panel
        ((1.0, 0.5), (1.2, 2.0), 2, (1.0, 0.5, 0.0, 0.5)),
    ],
)
def test_a_box_belongs_to_the_panel_it_is_begun_in(start, end, panels, box):
    assert panel_box(start, end, panels) == pytest.approx(box)


@pytest.mark.skipif(sys.platform != "linux", reason="displays of Linux")
def test_why_there_is_no_window(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert why_no_window() == "there is no display"
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "    GUI:          NONE\n")
    assert "headless" in why_no_window()


class Screen:
    """What OpenCV would show, and the keys and the mouse a user would use."""

    def __init__(self, monkeypatch):
        self.keys, self.shown, self.mouse, self.is_open = [], [], None, True
        for name, function in {
            "namedWindow": lambda *_: None,
            "destroyWindow": lambda *_: None,
            "resizeWindow": lambda *_: None,
            "imshow": lambda _, picture: self.shown.append(picture),
            "waitKey": lambda _: ord(self.keys.pop(0)) if self.keys else -1,
            "getWindowProperty": lambda *_: float(self.is_open),
            "setMouseCallback": lambda _, function: setattr(self, "mouse", function),
        }.items():
            monkeypatch.setattr(cv2, name, function)


class Run:
    """A run that shows one picture after the other."""

    views = {"side by side": ("visible", "infrared"), "visible": ("visible",)}  # noqa: RUF012
    has_box = True

    def __init__(self):
        self.number, self.calls, self.recording = 0, [], False

    @property
    def latest(self):
        panel = np.full((40, 60, 3), self.number, np.uint8)
        return Shown(self.number, None, {"visible": panel, "infrared": panel}, 0.0)

    def wait(self, after, timeout):
        self.number += 1
        return self.latest

    def hold(self):
        self.calls.append("hold")
        return self.latest

    def select(self, number, box):
        self.calls.append((number, box))

    def release(self):
        self.calls.append("release")

    def record(self):
        self.recording = True

    def stop_recording(self):
        was, self.recording = self.recording, False
        return "folder" if was else None


def test_keys(monkeypatch):
    screen, run = Screen(monkeypatch), Run()
    window = LiveWindow(run, "title")
    assert window.step() and screen.shown[-1].shape == (40, 120, 3)
    screen.keys = list("v")
    assert window.step() and window.step() and screen.shown[-1].shape == (40, 60, 3)
    screen.keys = list("r")
    assert window.step() and run.recording
    screen.keys = list("rc")
    assert window.step() and window.step() and not run.recording and run.calls == ["release"]
    screen.keys = ["q"]
    assert not window.step()
    screen.is_open = False
    assert not window.step()
    window.close()


def test_the_picture_stands_still_while_a_box_is_drawn(monkeypatch):
    screen, run = Screen(monkeypatch), Run()
    window = LiveWindow(run, "title")
    window.step()
    screen.mouse(cv2.EVENT_LBUTTONDOWN, 66, 10, 0, None)
    screen.mouse(cv2.EVENT_MOUSEMOVE, 90, 30, 0, None)
    assert window.step() and window.step() and run.number == 1
    assert (screen.shown[-1] != 1).any()  # the box's lines
    screen.mouse(cv2.EVENT_LBUTTONUP, 96, 30, 0, None)
    number, box = run.calls[-1]
    assert number == 1 and box == pytest.approx((0.1, 0.25, 0.5, 0.5))
    assert window.step() and run.number == 2
    screen.mouse(cv2.EVENT_LBUTTONDOWN, 5, 5, 0, None)
    screen.mouse(cv2.EVENT_LBUTTONUP, 5, 5, 0, None)  # a click is no box
    assert run.calls[-1] == "hold"
