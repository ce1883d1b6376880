"""Two streams on the loopback, 30 and 25 frames a second, with drops, a cut and a reconnection."""

import gc
import threading
import time
from itertools import islice

import numpy as np
import pytest
from streams import CLOCKS, Channel, Streams, apart, read

from fusion.base.errors import UserError
from fusion.images.pixels import luminance
from fusion.images.timing import REACH
from fusion.live.cameras import Camera, Shot
from fusion.live.fusing import LiveFusion
from fusion.live.pairing import KEPT
from fusion.live.pipeline import Live, Registration
from fusion.live.sources import CameraLost, Source, ffmpeg_frames, opencv_frames
from fusion.networks.weights import load_network

WAIT = 60
"""Seconds after which a test gives up; nothing here takes a part of that."""


class Plain(Live):
    """Shows what it gets."""

    views = {"both": ("visible", "infrared")}  # noqa: RUF012

    def compute(self, pair):
        ir, vis = self.inputs(pair)
        return {"visible": vis, "infrared": ir}, {}


def until(condition):
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def take(live, enough):
    """Pictures until there are enough."""
    pictures, end = [], time.monotonic() + WAIT
    while not enough(pictures):
        assert time.monotonic() < end, "it did not happen"
        shown = live.wait(pictures[-1].number if pictures else 0)
        if shown is not None:
            pictures.append(shown)
    return pictures


def test_no_frame_is_mispaired(counted):
    ir = Channel(counted / "ir.avi", 25, drops=0.05, jitter=0.01, cuts=[])
    vis = Channel(counted / "vis.mkv", 30, drops=0.05, jitter=0.01)
    lines = []
    network = load_network(method="average")
    with Streams(ir, vis) as streams:
        addresses = streams.address("ir"), streams.address("vis")
        with LiveFusion(network, *addresses, report=lines.append) as live:
            first = take(live, lambda seen: sum(s.missing is None for s in seen) >= 30)
            ir.cuts.append((streams.now, streams.now + 0.3))
            alone = take(live, lambda seen: bool(seen) and seen[-1].missing == "infrared")
            again = take(live, lambda seen: sum(s.missing is None for s in seen) >= 30)
            status = live.status()
    assert ir.connections == 2 and status["cameras"][0]["connections"] == 2
    assert sum("receiving again" in line for line in lines) == 1
    assert any("closed the connection; trying again" in line for line in lines)
    assert (alone[-1].panels["fused"] == alone[-1].panels["visible"]).all()

    pairs = [shown for shown in first + again if shown.missing is None]
    for shown in pairs:
        counters = read(shown.pair.ir.image), read(shown.pair.vis.image)
        assert None not in counters
        assert apart(ir, counters[0], vis, counters[1]) <= REACH / 25 + CLOCKS, counters
    assert [s.number for s in first] == sorted({s.number for s in first})
    # What is kept does not grow.
    assert all(len(frames) <= KEPT for frames in live._pairer._waiting.values())
    assert len(live._jpegs) <= len(live.views) and len(live._events) <= 20


def test_memory_holds_a_fixed_number_of_frames(counted):
    """However many frames have come."""
    ir, vis = Channel(counted / "ir.avi", 25), Channel(counted / "vis.mkv", 30)

    def alive():
        gc.collect()
        return sum(type(thing) is Shot for thing in gc.get_objects())

    with (
        Streams(ir, vis) as streams,
        Plain(streams.address("ir"), streams.address("vis")) as live,
    ):
        until(lambda: live.cameras["vis"].received > 2 * KEPT)
        assert alive() <= 2 * KEPT + 8


@pytest.mark.parametrize("missing", ["ir", "vis"])
def test_one_of_two_may_be_missing(counted, missing):
    ir, vis = Channel(counted / "ir.avi", 25), Channel(counted / "vis.mkv", 30)
    channels = {"ir": ir, "vis": vis}
    channels[missing].cuts.append((0, 1e9))
    lines = []
    with Streams(ir, vis) as streams:
        addresses = streams.address("ir"), streams.address("vis")
        network = load_network(method="average")
        with LiveFusion(network, *addresses, report=lines.append) as live:
            pictures = take(live, lambda seen: len(seen) >= 5)
            status = live.status()
    name = {"ir": "infrared", "vis": "visible"}[missing]
    assert {shown.missing for shown in pictures} == {name}
    assert status["picture"]["missing"] == name
    assert any(line.startswith(name) and "503" in line for line in lines)
    assert read(pictures[-1].view(("fused",))) is not None
    side = pictures[-1].view(("infrared", "visible", "fused"))
    assert side.shape == (240, 960, 3)


def test_no_camera_at_all_is_an_error(counted):
    live = Plain("http://127.0.0.1:9/ir", "http://127.0.0.1:9/vis")
    with live:
        until(live.finished.is_set)
    assert isinstance(live.error, UserError)
    assert "no camera can be opened" in str(live.error) and "refused" in str(live.error)


def test_files_play_at_their_own_speed_and_end(counted, tmp_path):
    from streams import write_video

    write_video(tmp_path / "ir.mkv", 25, range(30), color=False)
    write_video(tmp_path / "vis.mkv", 30, range(36), color=True)
    began = time.monotonic()
    with Plain(tmp_path / "ir.mkv", tmp_path / "vis.mkv") as live:
        pictures = take(live, lambda seen: live.finished.is_set())
    assert time.monotonic() - began >= 35 / 30
    assert live.error is None
    pairs = [shown.pair for shown in pictures if shown.missing is None]
    starts = []
    for pair in pairs:
        ir, vis = read(pair.ir.image), read(pair.vis.image)
        assert abs(ir / 25 - vis / 30) <= 0.5 / 25 + 0.002
        starts += [pair.ir.time - ir / 25, pair.vis.time - vis / 30]
    assert len(pairs) > 5 and np.ptp(starts) < 0.002


def test_sizes_that_differ_end_the_run_with_one_line(tmp_path, counted):
    from fusion.images.video import VideoWriter

    with VideoWriter(tmp_path / "small.mkv", 25) as writer:
        for _ in range(60):
            writer.write(np.full((120, 160), 90, np.uint8))
    with Plain(tmp_path / "small.mkv", counted / "vis.mkv") as live:
        until(live.finished.is_set)
    assert isinstance(live.error, UserError) and "--resize" in str(live.error)
    resized = Registration(resize=True)
    with Plain(tmp_path / "small.mkv", counted / "vis.mkv", registration=resized) as live:
        shown = take(live, lambda seen: bool(seen) and seen[-1].missing is None)[-1]
    assert shown.panels["infrared"].shape == (240, 320)


def test_a_calibration_brings_the_infrared_to_the_visible(tmp_path, counted):
    from fusion.images.alignment.calibration import Calibration
    from fusion.images.alignment.calibration import Camera as Pinhole

    camera = Pinhole((320, 240))
    shift = Calibration(camera, camera, np.array([[1, 0, 8], [0, 1, 0], [0, 0, 1.0]]), "shift")
    registration = Registration(calibration=shift)
    paths = counted / "ir.avi", counted / "vis.mkv"
    with Plain(*paths, registration=registration) as live:
        shown = take(live, lambda seen: bool(seen) and seen[-1].missing is None)[-1]
    moved, raw = shown.panels["infrared"], luminance(shown.pair.ir.image)
    assert (moved[:, 8:] == raw[:, :-8]).all()
    cropped = Registration(calibration=shift, crop=True)
    with Plain(*paths, registration=cropped) as live:
        shown = take(live, lambda seen: bool(seen) and seen[-1].missing is None)[-1]
    assert shown.panels["infrared"].shape[:2] == shown.panels["visible"].shape[:2] == (240, 312)


# --- Sources and reconnection ---------------------------------------------------------------------


def test_what_a_camera_may_be(tmp_path):
    assert Source.parse(0).kind == "number" and Source.parse("1").name == "camera 1"
    assert Source.parse("/dev/video7").kind == "device"
    stream = Source.parse("rtsp://me:secret@10.0.0.7/a")
    assert stream.kind == "stream" and "secret" not in stream.name and "me:" in stream.name
    (tmp_path / "a.mkv").write_bytes(b"")
    assert Source.parse(tmp_path / "a.mkv").kind == "file"
    with pytest.raises(UserError, match=r"nothing\.mkv: no such file"):
        Source.parse(tmp_path / "nothing.mkv")


def test_a_device_that_does_not_exist_is_lost():
    with pytest.raises(CameraLost):
        next(ffmpeg_frames("/dev/video97"))


def test_cameras_by_opencv(counted):
    """A file stands for the camera."""
    frames = islice(opencv_frames(str(counted / "vis.mkv")), 5)
    images = [received.image() for received in frames]
    assert [read(image) for image in images] == [0, 1, 2, 3, 4] and images[0].shape == (240, 320, 3)
    with pytest.raises(CameraLost, match="there is no camera"):
        next(opencv_frames(97))


class Failing:
    """A source that fails, sends a frame's worth, and fails again."""

    text = name = "failing"
    kind = "stream"

    def __init__(self):
        self.attempts = []

    def frames(self, deep):
        self.attempts.append(time.monotonic())
        raise CameraLost("out of order")
        yield


def test_pauses_between_attempts_grow(monkeypatch):
    import fusion.live.cameras as cameras

    monkeypatch.setattr(cameras, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(cameras, "LONGEST_PAUSE", 0.04)
    source, lines = Failing(), []
    waits = []
    camera = Camera("ir", source, lambda *_: None, lines.append)
    original = camera._stop.wait
    monkeypatch.setattr(camera._stop, "wait", lambda t=None: (waits.append(t), original(t))[1])
    camera.start(0.0)
    until(lambda: len(source.attempts) >= 6)
    camera.stop()
    assert waits[:6] == [0.0, 0.01, 0.02, 0.04, 0.04, 0.04]
    assert camera.failed and camera.message == "out of order"
    assert lines == ["infrared: failing: out of order; trying again"]  # once, not each time


def test_threads_end(counted):
    before = set(threading.enumerate())
    ir, vis = Channel(counted / "ir.avi", 25), Channel(counted / "vis.mkv", 30)
    with (
        Streams(ir, vis) as streams,
        Plain(streams.address("ir"), streams.address("vis")) as live,
    ):
        take(live, lambda seen: bool(seen))
    names = [t.name for t in set(threading.enumerate()) - before]
    assert not [name for name in names if name.startswith(("camera", "live", "recorder"))]
