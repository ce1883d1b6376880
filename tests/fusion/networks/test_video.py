"""Frames of a video: steady where asked for, otherwise as single images."""

import numpy as np
import pytest
import torch

from fusion.commands.scene import street_pair
from fusion.images.pixels import PixelScaling, luminance
from fusion.networks.lrrnet import LRRNet
from fusion.networks.lrrnet_fast import LRRNetFast
from fusion.networks.video import FrameFusion


@pytest.fixture(scope="module")
def frames():
    """A still scene with the noise of two cameras, and a lamp in one infrared frame."""
    ir, vis = street_pair(96, 72)
    rng = np.random.default_rng(0)
    made = []
    for _ in range(12):
        pair = [np.clip(f * 0.7 + rng.normal(0, 1, f.shape), 0, 255) for f in (ir, vis)]
        made.append([np.rint(frame).astype(np.uint8) for frame in pair])
    made[8][0][:4, :4] = 255
    return made


def network(kind=LRRNet):
    torch.manual_seed(0)
    made = kind(8, 1, scaling=PixelScaling(output="clamp", rounding="round")).eval()
    with torch.no_grad():
        for parameter in made.decoder.parameters():
            parameter.abs_()  # a random network that gives a picture
    return made


def changes(pictures):
    return np.abs(np.diff(np.array(pictures, float), axis=0))[:, 8:, 8:].mean((1, 2))


def test_without_steadiness_frames_are_images(frames):
    plain = network()
    assert not FrameFusion(plain).steady and FrameFusion(network(LRRNetFast)).steady
    fusion = FrameFusion(plain)
    for pair in frames[:3]:
        np.testing.assert_array_equal(fusion.fuse(*pair), plain.fuse(*pair))
        np.testing.assert_array_equal(fusion.fuse(*pair, False), plain.fuse(*pair, False))


def test_noise_and_a_lamp_hardly_change_a_steady_video(frames):
    videos = [
        [luminance(fusion.fuse(*pair)) for pair in frames]
        for fusion in (FrameFusion(network(), steady) for steady in (False, True))
    ]
    alone, steady = map(changes, videos)
    assert steady[:6].mean() < 0.6 * alone[:6].mean()
    # The lamp stretches all other levels of its frame and of no other.
    assert alone[7:9].min() > 10 * alone[:6].mean() and steady[7:9].max() < 0.1 * alone[7:9].min()


def test_colour_is_the_visible_frames(frames):
    fused = FrameFusion(network(), True).fuse(*frames[0])
    np.testing.assert_array_equal(fused, network().fuse(*frames[0]))  # the first frame is an image
    assert fused.ndim == 3 and FrameFusion(network(), True).fuse(*frames[0], False).ndim == 2


def test_other_types_of_pixels_are_steady_alike(frames):
    """Held ranges refer to levels after conversion: arrays of 0..1 and tensors give the same."""
    expected, units = FrameFusion(network(), True), FrameFusion(network(), True)
    for ir, vis in frames[:4]:
        ours = units.fuse(torch.from_numpy(ir / np.float32(255))[None], vis / np.float32(255))
        # The luminance of floating-point colour is not rounded.
        assert np.abs(ours.astype(int) - expected.fuse(ir, vis)).max() <= 3
    with pytest.raises(ValueError, match="same size"):
        units.fuse(frames[0][0][:50], frames[0][1])
    counts, expected = FrameFusion(network(), True), FrameFusion(network(), True)
    for ir, vis in frames[:4]:  # the network stretches 8 bits as the file reader does 16
        deep = counts.fuse(ir.astype(np.uint16) * 37 + 4000, vis, False)
        assert np.abs(deep.astype(int) - expected.fuse(ir, vis, False)).mean() < 3


def test_given_ranges_replace_the_images_own_in_windows_too(frames, monkeypatch):
    ir, vis = frames[0][0], luminance(frames[0][1])
    made = network()
    own = [(float(image.min()), float(image.max())) for image in (ir, vis)]
    np.testing.assert_array_equal(made.fuse(ir, vis, ranges=own), made.fuse(ir, vis))
    wide = made.fuse(ir, vis, ranges=[(0, 255), (0, 255)])
    assert np.abs(wide.astype(int) - made.fuse(ir, vis)).max() > 10
    monkeypatch.setattr(LRRNet, "WHOLE_PIXELS", 0)
    monkeypatch.setattr(LRRNet, "WINDOW", 30)
    windows = made.fuse(ir, vis, ranges=[(0, 255), (0, 255)])
    assert np.abs(windows.astype(int) - wide).max() <= 1


def test_a_small_network_takes_one_thread_and_gives_the_others_back(frames, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    made, seen = network(LRRNetFast), []
    made.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        FrameFusion(made).fuse(*frames[0])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [1]
