"""Videos of other containers, depths, rates and turns, all written here by PyAV."""

from fractions import Fraction

import av
import numpy as np
import pytest

from fusion.base.errors import UserError
from fusion.images.timing import Nearest, pair_videos
from fusion.images.video import Video, VideoWriter


def level(index):
    return 20 + 8 * index


def write(path, times, codec="ffv1", pix_fmt="gray", base=Fraction(1, 1000), sound=0.0, **options):
    """Frames of grey ``level(index)`` shown at ``times`` in units of ``base``."""
    with av.open(str(path), "w", **options) as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        stream.codec_context.time_base = base
        voice = container.add_stream("aac", rate=8000) if sound else None
        for index, time in enumerate(times):
            image = np.full((48, 64), level(index), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="gray").reformat(format=pix_fmt)
            frame.pts, frame.time_base = time, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if voice is not None:
            silence = np.zeros((1, int(8000 * sound)), np.float32)
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, 0
            container.mux(voice.encode(frame))
            container.mux(voice.encode(None))
    return path


def indices(images):
    return [round((float(image.mean()) - 20) / 8) for image in images]


STEADY = [33 * index for index in range(12)]


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mkv", "ffv1", "gray"),
        ("a.ts", "mpeg2video", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.avi", "mjpeg", "yuvj420p"),
        ("a.mov", "mpeg4", "yuv420p"),
    ],
)
def test_every_frame_of_every_container(tmp_path, name, codec, pix_fmt):
    base = Fraction(1, 30) if codec in ("mpeg2video", "mjpeg", "mpeg4") else Fraction(1, 1000)
    times = range(12) if base == Fraction(1, 30) else STEADY
    video = Video(write(tmp_path / name, times, codec, pix_fmt, base))
    assert indices(video) == list(range(12)) == indices(video)  # opened anew
    assert video.frame_count == 12 and video.size == (64, 48)
    assert abs(video.fps - 30) < 0.5


def test_sound_that_lasts_longer_adds_no_frames(tmp_path):
    video = Video(write(tmp_path / "a.mkv", STEADY, sound=2.0))
    assert video.has_sound and video.frame_count == 12 == len(list(video))


def test_16_bit_grey_stays_16_bit(tmp_path):
    path = tmp_path / "deep.mkv"
    counts = (29_000 + np.arange(48 * 64).reshape(48, 64) % 900).astype(np.uint16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray16le"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(counts, format="gray16le")))
        container.mux(stream.encode(None))
    (image,) = Video(path, deep=True)
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, counts)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".mov", ".avi"])
@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
def test_what_is_written_plays_and_keeps_size_and_rate(tmp_path, suffix, size):
    path = tmp_path / f"a{suffix}"
    with VideoWriter(path, Fraction(30000, 1001)) as writer:
        for index in range(5):
            writer.write(np.full((size[1], size[0], 3), level(index), np.uint8))
    video = Video(path)
    assert video.size == size and indices(video) == list(range(5))
    assert abs(video.fps - 29.97) < 0.01
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context.name
    if suffix in (".mp4", ".mkv", ".webm"):
        assert codec in ("h264", "vp9", "libvpx-vp9")


@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
@pytest.mark.parametrize("deep", [False, True])
def test_times_are_written_as_given(tmp_path, size, deep, rng):
    """With a first frame that comes later, gaps, and 16-bit grey without loss."""
    times = [0.013, 0.046, 0.08, 0.08, 0.4, 0.433, 5.0, 5.04]
    top, kind = (1 << 16, np.uint16) if deep else (1 << 8, np.uint8)
    images = [rng.integers(0, top, size[::-1]).astype(kind) for _ in times]
    with VideoWriter(tmp_path / "a.mkv", 30, clock="a") as writer:
        for image, time in zip(images, times, strict=True):
            writer.write(image, time)
    video = Video(tmp_path / "a.mkv", deep=deep)
    assert video.scan.first == pytest.approx(0.013) and video.frame_count == len(times)
    found = [0.013 + frame.time for frame in video.frames()]
    assert found == pytest.approx([0.013, 0.046, 0.08, 0.081, *times[4:]], abs=1e-6)
    if deep:
        assert all((a == b).all() for a, b in zip(video, images, strict=True))


# --- Pairing in time ------------------------------------------------------------------------------


def paired(ir, vis, pair=None):
    """Infrared index of each visible frame, as `fusion fuse` and `tracker track` take them."""
    pairing = pair_videos(ir, vis, pair)
    nearest = Nearest(ir.frames(), pairing.delay, ir.fps, pairing.reach)
    found = [nearest.at(frame.time) for frame in vis.frames()]
    return [None if frame is None else indices([frame.image()])[0] for frame in found]


def oracle(ir_times, vis_times):
    """By looking at every distance; of two as near (to 2 ms), the earlier one."""
    found = []
    for time in vis_times:
        distances = [abs(time - other) for other in ir_times]
        found.append(next(i for i, d in enumerate(distances) if d <= min(distances) + 2))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_nearest_times_of_any_rates_with_gaps(tmp_path, seed):
    """Against an oracle that compares all times with all times."""
    rng = np.random.default_rng(seed)

    def times(fps):
        kept = np.arange(0, 900, 1000 / fps) + rng.uniform(-3, 3)
        kept = kept[(rng.uniform(size=len(kept)) > 0.15) | (np.arange(len(kept)) == 0)]
        return [int(time) - int(kept[0]) for time in kept]

    ir_times, vis_times = times(rng.choice([9, 15, 25])), times(30)
    ir = Video(write(tmp_path / "ir.mkv", ir_times))
    vis = Video(write(tmp_path / "vis.mkv", vis_times))
    found, expected = paired(ir, vis), oracle(ir_times, vis_times)
    usual = max(sorted(np.diff(times))[(len(times) - 2) // 2] for times in (ir_times, vis_times))
    for time, one, other in zip(vis_times, found, expected, strict=True):
        apart = abs(time - ir_times[other])
        assert one == (other if apart <= usual + 2 else None) or time > ir_times[-1]


def test_a_gap_has_no_partners(tmp_path):
    vis = Video(write(tmp_path / "vis.mkv", [40 * i for i in range(20)]))
    ir = Video(write(tmp_path / "ir.mkv", [40 * i for i in (0, 1, 2, 4, 5, 11, 12)]))
    expected = [0, 1, 2, 2, 3, 4, 4, None, None, None, 5, 5, 6]
    assert paired(ir, vis)[:13] == expected


def test_a_later_start_is_real_and_said(tmp_path):
    vis = Video(write(tmp_path / "vis.mkv", [100 * i for i in range(10)]))
    ir = Video(write(tmp_path / "ir.mkv", [100 * i for i in range(3, 10)]))
    pairing = pair_videos(ir, vis)
    assert pairing.delay == pytest.approx(0.3) and any("0.300 s" in note for note in pairing.notes)
    assert paired(ir, vis) == [None, None, None, *range(7)]


def test_one_clock_is_believed(tmp_path):
    """A start that is late by more than half the recording, which else is not taken as real."""
    for clocks, delay in ((("a", "a"), 0.8), (("a", "b"), 0.0)):
        for name, clock, first in zip(("ir", "vis"), clocks, (8, 0), strict=True):
            with VideoWriter(tmp_path / f"{name}.mkv", 10, clock) as writer:
                for index in range(first, 10):
                    writer.write(np.full((48, 64), level(index), np.uint8), 0.1 * index)
        ir, vis = Video(tmp_path / "ir.mkv"), Video(tmp_path / "vis.mkv")
        assert pair_videos(ir, vis).delay == pytest.approx(delay)
        if delay:
            assert paired(ir, vis) == [None] * 8 + [8, 9]


def test_what_cannot_be_paired_as_asked(tmp_path):
    video = Video(write(tmp_path / "a.mkv", STEADY))
    with pytest.raises(UserError, match="--pair name"):
        pair_videos(video, video, "name")
    assert not pair_videos(video, video, "index").by_time
    assert pair_videos(video, video).notes == []
