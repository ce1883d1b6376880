"""Recordings: complete files with true times, whose frames pair as they did live."""

import time

import numpy as np
import pytest
from streams import CLOCKS, Channel, Streams, apart, read, write_video

from fusion.base.errors import UserError
from fusion.commands.cli import main as fusion
from fusion.images.timing import BRIDGED, REACH, Nearest, pair_videos
from fusion.images.video import Video
from fusion.live.cameras import Shot
from fusion.live.fusing import LiveFusion
from fusion.live.recording import Recorder
from fusion.networks.weights import load_network


@pytest.fixture(scope="module")
def recording(counted, tmp_path_factory):
    """Two seconds of both cameras, with drops and a cut of the infrared; and its channels."""
    ir = Channel(counted / "ir.avi", 25, drops=0.1, jitter=0.01)
    vis = Channel(counted / "vis.mkv", 30, drops=0.1, jitter=0.01)
    folder = tmp_path_factory.mktemp("recordings")
    end = time.monotonic() + 60
    with Streams(ir, vis) as streams:
        addresses = streams.address("ir"), streams.address("vis")
        network = load_network(method="average")
        with LiveFusion(network, *addresses, recordings=folder) as live:
            recorded = live.record()

            def until(frames):
                while min(live.status()["recording"]["frames"].values()) < frames:
                    assert time.monotonic() < end
                    time.sleep(0.01)

            until(20)
            ir.cuts.append((streams.now, streams.now + 0.2))
            while live.cameras["ir"].connections < 2:
                assert time.monotonic() < end
                time.sleep(0.01)
            until(70)
            assert live.stop_recording() == recorded and live.stop_recording() is None
            with pytest.raises(UserError, match="is being recorded"):
                live.record()
                live.record()
    return recorded, ir, vis


def times(video):
    return [video.scan.first + frame.time for frame in video.frames()]


def test_times_are_those_of_the_frames(recording):
    folder, *channels = recording
    moments = []
    for name, channel in zip(("infrared", "visible"), channels, strict=True):
        video = Video(folder / f"{name}.mkv")
        counters = [read(image) for image in video]
        assert None not in counters and len(counters) == len(set(counters))
        offsets = channel.since(np.array(counters), np.array(times(video)))
        moments.append(np.median(offsets))
        assert np.ptp(offsets) < 0.03
    # Both are on one clock, which starts when the recording does.
    assert abs(moments[0] - moments[1]) < 0.02 or abs(moments[0] - moments[1]) > 9.98


def test_no_frame_is_mispaired_when_it_is_read_again(recording):
    """As `fusion fuse` and `tracker track` pair them, by the counters that the frames show."""
    folder, ir_channel, vis_channel = recording
    ir, vis = Video(folder / "infrared.mkv"), Video(folder / "visible.mkv")
    shown = [read(image) for image in ir]
    pairing = pair_videos(ir, vis)
    assert pairing.by_time
    nearest = Nearest(ir.frames(), pairing.delay, ir.fps, pairing.reach)
    alone = 0
    for frame in vis.frames():
        taken = vis_channel.taken(read(frame.image()))
        partner = nearest.at(frame.time)
        least = min(abs(ir_channel.since(counter, taken)) for counter in shown)
        if partner is None:
            alone += 1
            assert least > 0.012  # in the gap, or before the first infrared frame
            continue
        distance = abs(ir_channel.since(read(partner.image()), taken))
        assert distance <= BRIDGED / 25 + CLOCKS and distance <= least + CLOCKS
    assert alone > 10  # of the cut: without the gap's rule, all had a partner


def test_tracker_and_fusion_read_it(recording, tmp_path, capsys):
    from tracker.data.sequences import load_sequence

    folder, ir_channel, vis_channel = recording
    sequence = load_sequence([folder / "visible.mkv", folder / "infrared.mkv"])
    pairs = [(frame.rgb, frame.ir) for frame in sequence]
    both = [(read(rgb), read(ir)) for rgb, ir in pairs if rgb is not None and ir is not None]
    assert len(both) > 15 and any(ir is None for _, ir in pairs)
    for vis, ir in both:
        assert apart(ir_channel, ir, vis_channel, vis) <= BRIDGED / 25 + CLOCKS

    out = tmp_path / "fused.mp4"
    command = ["fuse", folder / "infrared.mkv", folder / "visible.mkv", "-o", out]
    assert fusion([*map(str, command), "--method", "average"]) == 0
    said = capsys.readouterr()
    assert "infrared.mkv: has gaps" in said.err
    assert abs(Video(out).frame_count - len(both)) <= 2


# --- The recorder alone ---------------------------------------------------------------------------


def shots(images, start, step=0.04):
    return [Shot(image, start + step * k, k) for k, image in enumerate(images)]


def test_16_bit_infrared_is_recorded_without_loss(tmp_path, rng):
    images = rng.integers(0, 1 << 14, (12, 48, 64)).astype(np.uint16)
    recorder = Recorder(tmp_path / "a", {"ir": 25, "vis": 25}, print)
    for shot in shots(images, recorder.started + 0.5):
        recorder.add("ir", shot)
    recorder.add("ir", Shot(images[0], recorder.started - 1, 0))  # before the start
    recorder.close()
    assert (np.array(list(Video(tmp_path / "a" / "infrared.mkv", deep=True))) == images).all()
    assert not (tmp_path / "a" / "visible.mkv").exists()
    with pytest.raises(UserError, match="exists"):
        Recorder(tmp_path / "a", {"ir": 25, "vis": 25}, print)


def test_boxes_are_recorded_with_the_times_of_their_frames(tmp_path):
    recorder = Recorder(tmp_path / "a", {"ir": 25, "vis": 25}, print)
    recorder.add_box(recorder.started - 1, (0, 0, 1, 1), 1.0)  # before the start
    recorder.add_box(recorder.started + 0.25, (1.5, 2, 3, 4), 0.5)
    recorder.close()
    assert (tmp_path / "a" / "boxes.csv").read_text() == (
        "time,x,y,w,h,score\n0.25,1.5,2,3,4,0.5\n"
    )


def test_a_camera_that_changes_its_size_is_reported(tmp_path):
    lines = []
    recorder = Recorder(tmp_path / "a", {"ir": 0, "vis": 0}, lines.append)
    sizes = [(48, 64), (48, 64), (24, 32), (24, 32), (48, 64)]
    images = [np.full(size, 90, np.uint8) for size in sizes]
    for shot in shots(images, recorder.started):
        recorder.add("vis", shot)
    recorder.close()
    recorder.close()  # nothing happens
    assert Video(tmp_path / "a" / "visible.mkv").frame_count == 3
    assert len(lines) == 1 and "32x24" in lines[0]


def test_what_the_encoder_cannot_keep_up_with_is_counted(tmp_path, monkeypatch):
    import threading

    from fusion.images.video import VideoWriter
    from fusion.live.recording import WAITING

    go, lines = threading.Event(), []
    original = VideoWriter.write
    monkeypatch.setattr(VideoWriter, "write", lambda *given: (go.wait(30), original(*given))[1])
    recorder = Recorder(tmp_path / "a", {"ir": 25, "vis": 25}, lines.append)
    images = [np.full((48, 64), 90, np.uint8)] * 100
    for shot in shots(images, recorder.started):
        recorder.add("ir", shot)
    go.set()
    recorder.close()
    written = Video(tmp_path / "a" / "infrared.mkv").frame_count
    assert WAITING <= written == recorder.frames["ir"] <= WAITING + 1
    assert recorder.lost == 100 - written and "too slow" in lines[0]


def test_a_full_disk_stops_the_recording_and_nothing_else(tmp_path, monkeypatch):
    from fusion.images.video import VideoWriter

    def full(*_):
        raise UserError("visible.mkv: cannot be written (No space left on device)")

    monkeypatch.setattr(VideoWriter, "write", full)
    lines = []
    recorder = Recorder(tmp_path / "a", {"ir": 25, "vis": 25}, lines.append)
    for shot in shots([np.full((48, 64), 90, np.uint8)] * 50, recorder.started):
        recorder.add("vis", shot)
        time.sleep(0.001)
    with pytest.raises(UserError, match="No space"):
        recorder.close()
    assert list((tmp_path / "a").iterdir()) == [] and "recording stopped" in lines[0]


def test_a_recording_plays_again_with_its_pairs(recording):
    """Live on the files of a recording: the pairs are within the live reach."""
    folder, ir_channel, vis_channel = recording
    pairs = []
    network = load_network(method="average")
    paths = folder / "infrared.mkv", folder / "visible.mkv"
    end = time.monotonic() + 60
    with LiveFusion(network, *paths) as live:
        after = 0
        while not live.finished.is_set():
            assert time.monotonic() < end
            if (shown := live.wait(after)) is not None:
                after = shown.number
                if shown.missing is None:
                    pairs.append((read(shown.pair.ir.image), read(shown.pair.vis.image)))
    assert len(pairs) > 5
    for ir, vis in pairs:
        assert apart(ir_channel, ir, vis_channel, vis) <= REACH / 25 + CLOCKS


def test_write_video_shows_its_counters(tmp_path):
    """The tests' own counters, through both codecs."""
    for name, color in (("a.mkv", True), ("a.avi", False)):
        counters = range(1000, 1004)
        path = write_video(tmp_path / name, 25, counters, color, lambda k: (k - 1000) / 25)
        assert [read(image) for image in Video(path)] == [1000, 1001, 1002, 1003]
    assert read(np.zeros((240, 320), np.uint8)) is None
