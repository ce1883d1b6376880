"""Videos of any container, rate, size and sound, with gaps and cut anywhere: right, or refused.

Every frame's grey level is its number. The oracle of the pairing knows only the moments at which
the frames were written; it compares all of them with all of them.
"""

from fractions import Fraction

import av
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from malformed import counts, examples, scratch

from fusion.base.errors import UserError
from fusion.images.timing import Nearest, pair_videos
from fusion.images.video import Video

#: Container, codec, pixel format, and whether frames may be written at any millisecond.
FORMATS = [
    ("mkv", "ffv1", "gray", True),
    ("mkv", "libx264", "yuv420p", True),
    ("webm", "libvpx-vp9", "yuv420p", True),
    ("mp4", "libx264", "yuv420p", False),
    ("mov", "mpeg4", "yuv420p", False),
    ("avi", "mjpeg", "yuvj420p", False),
    ("ts", "mpeg2video", "yuv420p", False),
]


def write(path, codec, pix_fmt, size, rate, times=None, sound=0.0, live=False):
    """Frames of grey ``20 + 6 index``, at ``times`` in milliseconds or at a steady rate."""
    base = Fraction(1, 1000) if times is not None and rate is None else 1 / Fraction(rate)
    options = {"options": {"live": "1"}} if live else {}
    with av.open(str(path), "w", **options) as container:
        stream = container.add_stream(codec, rate=rate or 30)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.codec_context.time_base = base
        stream.bit_rate = 8_000_000  # enough for every codec to keep the grey levels apart
        voice = container.add_stream("aac", rate=8000) if sound else None
        for index, time in enumerate(times):
            image = np.full(size[::-1], 20 + 6 * index, np.uint8)
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


def numbers(images):
    return [round((float(image.mean()) - 20) / 6) for image in images]


@st.composite
def moments(draw, count):
    """Milliseconds of frames: a steady rate of 8 to 30 frames/s with jitter and gaps."""
    step = draw(st.sampled_from([33, 40, 67, 100, 120]))
    steps = draw(
        st.lists(st.sampled_from([1, 1, 1, 1, 2, 3]), min_size=count - 1, max_size=count - 1)
    )
    jitter = draw(st.lists(st.integers(-4, 4), min_size=count, max_size=count))
    times = [0]
    for k, gap in enumerate(steps, 1):
        times.append(max(step * (sum(steps[:k])) + jitter[k], times[-1] + gap))
    return times


@examples(10, 200)
@given(st.data(), st.sampled_from(FORMATS))
def test_every_frame_of_every_container_in_order(data, format):
    suffix, codec, pix_fmt, _ = format
    # FFmpeg itself does not recognise a transport stream of a few frames.
    count = data.draw(st.integers(8 if suffix == "ts" else 2, 20))
    even = 2 * data.draw(st.integers(16, 40)), 2 * data.draw(st.integers(16, 40))
    rate = data.draw(st.sampled_from([10, 24, 25, 30]))
    if codec == "mpeg2video":
        rate = data.draw(st.sampled_from([24, 25, 30]))  # the only ones it knows
    sound = data.draw(st.sampled_from([0.0, 0.0, 2.0])) if suffix in ("mkv", "mp4", "mov") else 0.0
    live = suffix in ("mkv", "webm") and data.draw(st.booleans())
    cut = data.draw(st.one_of(st.none(), st.none(), st.floats(0.05, 0.99)))
    with scratch() as folder:
        path = folder / f"a.{suffix}"
        write(path, codec, pix_fmt, even, rate, range(count), sound, live)
        whole = path.read_bytes()
        if cut is not None:
            path.write_bytes(whole[: int(len(whole) * cut)])
        counts["videos"] += 1
        try:
            video = Video(path)
            found = numbers(video)
        except UserError as error:
            assert cut is not None and path.name in str(error) and "\n" not in str(error)
            return
        # A cut video may end early; what is read is the beginning, in order and complete.
        assert found == list(range(len(found)))
        if cut is None:
            assert len(found) == count and video.size == even
            assert numbers(video) == found  # opened anew


@examples(8, 200)
@given(st.data(), st.sampled_from([f for f in FORMATS if f[3]]))
def test_nearest_frames_of_any_two_videos(data, format):
    suffix, codec, pix_fmt, _ = format
    times = {name: data.draw(moments(data.draw(st.integers(2, 14)))) for name in ("ir", "vis")}
    with scratch() as folder:
        for name, at in times.items():
            write(folder / f"{name}.{suffix}", codec, pix_fmt, (64, 48), None, at)
        counts["pairs of videos"] += 1
        ir, vis = (Video(folder / f"{name}.{suffix}") for name in ("ir", "vis"))
        pairing = pair_videos(ir, vis)
        nearest = Nearest(ir.frames(), pairing.delay, ir.fps, pairing.reach)
        for index, frame in enumerate(vis.frames()):
            chosen = nearest.at(frame.time) if pairing.by_time else None
            distances = [abs(times["vis"][index] - other) for other in times["ir"]]
            if chosen is None:
                is_past = times["vis"][index] > times["ir"][-1]
                in_gap = min(distances) > 1000 * pairing.reach - 2
                assert not pairing.by_time or is_past or in_gap
                continue
            (number,) = numbers([chosen.image()])
            # Containers store milliseconds: of two frames as near to 2 ms, either is right.
            assert distances[number] <= min(distances) + 2
