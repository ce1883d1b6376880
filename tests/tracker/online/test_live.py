"""Tracking live: the box is given on a held picture, and the tracker sees every frame since."""

import time

import numpy as np
import pytest

from fusion.base.errors import UserError
from fusion.images.video import VideoWriter
from fusion.live.cameras import Shot
from fusion.live.pairing import Pair
from fusion.live.pipeline import Registration, Shown
from tracker.commands.cli import main
from tracker.online import live as module
from tracker.online.live import LiveTracking


class Noting:
    """A tracker that notes what it is given, and moves its box by a pixel per frame."""

    def __init__(self):
        self.begun, self.seen = [], []

    def init(self, rgb, ir, box):
        if box[2] < 1:
            raise UserError("the box has no area")
        self.begun.append((_level(rgb), _level(ir), box))
        self.box = box

    def track(self, rgb, ir):
        self.seen.append((_level(rgb), _level(ir)))
        x, y, w, h = self.box
        self.box = (x + 1, y, w, h)
        return self.box, 0.5


def _level(image):
    return None if image is None else int(image.flat[0])


def pair(k, ir=True, vis=True):
    """Frame k of both cameras, of grey level k."""
    image = np.full((40, 60), k, np.uint8)
    rgb = np.repeat(image[..., None], 3, axis=2)
    return Pair(Shot(image, k / 25, k) if ir else None, Shot(rgb, k / 25, k) if vis else None)


@pytest.fixture
def live(tmp_path):
    """Not started: frames are given to `compute` by hand."""
    for name in ("ir.mkv", "vis.mkv"):
        with VideoWriter(tmp_path / name, 25) as writer:
            writer.write(np.zeros((40, 60), np.uint8))
    run = LiveTracking(Noting(), tmp_path / "ir.mkv", tmp_path / "vis.mkv")

    def show(k, **which):
        frames = pair(k, **which)
        panels, details = run.compute(frames)
        run._shown = Shown(k, frames, panels, time.monotonic(), details)
        return run._shown

    run.show = show
    return run


def test_the_tracker_runs_through_the_frames_since_the_picture_was_held(live):
    for k in range(1, 5):
        assert live.show(k).details == {"box": None, "score": None}
    assert live.hold().number == 4
    for k in range(5, 9):
        live.show(k)
    live.select(4, (0.5, 0.25, 0.25, 0.5))
    shown = live.show(9)
    assert live.tracker.begun == [(4, 4, (30.0, 10.0, 15.0, 20.0))]
    assert live.tracker.seen == [(k, k) for k in range(5, 10)]
    assert shown.details["box"] == [35.0, 10.0, 15.0, 20.0] and shown.details["score"] == 0.5
    assert (shown.panels["visible"] != 9).any() and (shown.panels["infrared"] != 9).any()
    live.show(10)
    assert live.tracker.seen[-1] == (10, 10)
    live.release()
    assert live.show(11).details["box"] is None and live.tracker.seen[-1] == (10, 10)


def test_a_missing_modality_is_passed_as_none(live):
    live.show(1)
    live.hold()
    live.select(1, (0.2, 0.2, 0.5, 0.5))
    live.show(2)
    live.show(3, ir=False)
    shown = live.show(4, vis=False)
    assert live.tracker.seen[-2:] == [(3, None), (None, 4)]
    assert shown.missing == "visible" and shown.panels["visible"] is None


def test_boxes_that_cannot_be_used(live):
    with pytest.raises(UserError, match="no picture yet"):
        live.hold()
    live.show(1)
    with pytest.raises(UserError, match="not held"):
        live.select(1, (0, 0, 1, 1))
    live.hold()
    for box in ((0, 0, 0, 1), (-0.1, 0, 0.5, 0.5), (0.9, 0, 0.5, 0.5), (0, 0, float("nan"), 1)):
        with pytest.raises(UserError, match="not in the picture"):
            live.select(1, box)
    with pytest.raises(UserError, match="not held"):
        live.select(7, (0, 0, 1, 1))
    live.show(2)
    live.hold()
    live.select(2, (0.1, 0.1, 0.001, 0.5))  # refused by the tracker, which is reported
    assert live.show(3).details["box"] is None
    assert "no area" in live.status()["events"][-1]["text"]


def test_what_is_kept_while_a_box_is_drawn_is_limited(live, monkeypatch):
    monkeypatch.setattr(module, "KEPT_BYTES", 4 * 40 * 60 * 10)
    live.show(1)
    live.hold()
    for k in range(2, 100):
        live.show(k)
    assert len(live._held.since) == 10
    monkeypatch.setattr(module, "HELD", -1.0)
    live.show(100)
    with pytest.raises(UserError, match="not held"):
        live.select(1, (0, 0, 1, 1))


def test_a_box_given_at_the_start_waits_for_both_cameras(live, monkeypatch):
    live._box = (5.0, 5.0, 10.0, 10.0)
    live.show(1, ir=False)
    assert live.tracker.begun == []
    live.show(2)
    assert live.tracker.begun == [(2, 2, (5.0, 5.0, 10.0, 10.0))]


def test_the_command_tracks_files_live(tmp_path, capsys, monkeypatch):
    """A bright square that moves, tracked by correlation from files to their end."""
    seen = []
    compute = LiveTracking.compute

    def noting(self, frames):
        panels, details = compute(self, frames)
        seen.append(details["box"])
        return panels, details

    monkeypatch.setattr(LiveTracking, "compute", noting)
    rng = np.random.default_rng(0)
    patch = rng.integers(120, 255, (24, 24), np.uint8)
    for name in ("ir.mkv", "vis.mkv"):
        with VideoWriter(tmp_path / name, 25) as writer:
            for k in range(30):
                image = np.full((120, 160), 40, np.uint8)
                image[50:74, 20 + 2 * k : 44 + 2 * k] = patch
                writer.write(image)
    command = ["live", str(tmp_path / "vis.mkv"), str(tmp_path / "ir.mkv"), "--tracker", "ncc"]
    assert main([*command, "--box", "20,50,24,24", "--port", "0", "--no-window"]) == 0
    boxes = [box for box in seen if box]
    assert boxes and abs(boxes[-1][0] - (20 + 2 * 29)) <= 6 and abs(boxes[-1][1] - 50) <= 4
    assert "pictures" in capsys.readouterr().out


def test_boxes_are_recorded(live, tmp_path):
    live.recordings = tmp_path / "recordings"
    folder = live.record()
    live._recorder.started = 0.0  # the frames of this test begin there
    live.show(1)
    live.hold()
    live.select(1, (0.2, 0.2, 0.5, 0.5))
    live.show(2)
    live.show(3)
    live.stop_recording()
    lines = (folder / "boxes.csv").read_text().splitlines()
    assert lines[1:] == ["0.08,13,8,30,20,0.5", "0.12,14,8,30,20,0.5"]


def test_registration_keeps_the_box_in_visible_pixels(live):
    """An infrared picture of half the size alone is shown in the visible one's."""
    live.registration = Registration(resize=True)
    live.show(1)
    small = Pair(Shot(np.full((20, 30), 7, np.uint8), 2.0, 9), None)
    panels, _ = live.compute(small)
    assert panels["infrared"].shape == (40, 60, 3)
