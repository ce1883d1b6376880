"""Online tracking: properties of any network, and of one that correlates by design."""

from math import log

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from fusion.base.errors import UserError
from tracker.data.crops import crop_square, is_usable
from tracker.model.head import Response
from tracker.model.presets import build_network
from tracker.model.settings import OnlineSettings
from tracker.online.rgbt_tracker import RGBTTracker


class MatchingHead(nn.Module):
    """A head that needs no training: the square anchor scores by correlation with the template.

    Features of random convolutions differ enough from place to place for that.
    """

    def __init__(self, side: float):
        super().__init__()
        self.side = side  # of the target in the search region, in pixels

    def kernels(self, template):
        level = template[0]
        return (level - level.mean((2, 3), keepdim=True),)

    def forward(self, kernels, search):
        (kernel,), search = kernels, search[0]
        patches = F.unfold(search, kernel.shape[-1]).unflatten(1, (search.shape[1], -1))
        patches = patches - patches.mean(2, keepdim=True)
        similarity = F.cosine_similarity(
            patches.flatten(1, 2), kernel.flatten(1)[:, :, None], dim=1
        ).view(len(search), 15, 15)
        cls = torch.full((len(search), 10, 15, 15), 0.0)
        cls[:, 5:] = -10
        cls[:, 5 + 2] = 20 * (similarity - 0.6)
        loc = torch.zeros(len(search), 20, 15, 15)
        loc[:, 10:] = log(self.side / 32)
        return Response(cls, loc)


@pytest.fixture
def matching():
    """A network whose branches follow a square target."""
    torch.manual_seed(0)
    network = build_network("compact_dfat", gate=False).eval()
    # A square target of side s has context of side 2 s, which becomes the exemplar.
    network.heads["shared"] = MatchingHead(side=63 / 2)
    return network


@pytest.fixture
def random_network():
    torch.manual_seed(1)
    return build_network("compact_dfat_llrr").eval()


def texture(rng, height, width, *channels):
    noise = rng.uniform(0, 255, (height, width, *channels)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 3)
    return cv2.normalize(blurred, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def scene(rng, height=160, width=200):
    return texture(rng, height, width, 3), texture(rng, height, width)


# --- Frames ---------------------------------------------------------------------------------------


def test_usable_frames():
    frame = np.zeros((4, 5), np.uint8)
    assert not is_usable(None) and not is_usable(frame) and not is_usable(frame + 255)
    frame[2, 3] = 1
    assert is_usable(frame)
    for value in (np.nan, np.inf, -np.inf):
        broken = frame.astype(np.float32)
        broken[0, 0] = value
        assert not is_usable(broken)


def test_crop_without_scaling_is_a_window_of_the_padded_frame(rng):
    frame = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    fill = np.array([10.7, 20.2, 30.9])
    padded = np.empty((230, 240, 3), np.uint8)
    padded[:] = (10, 20, 30)
    padded[100:130, 100:140] = frame
    for x, y in [(20, 15), (0, 0), (39.4, 29.6), (-5, 70), (20.5, -80), (120, 15)]:
        crop = crop_square(frame, (x, y), 21, 21, fill)
        # An odd window about a whole pixel c reaches from c - 10 to c + 10.
        left, top = (int(np.floor(c + 0.5)) - 11 for c in (x, y))
        expected = padded[100 + top : 121 + top, 100 + left : 121 + left]
        np.testing.assert_array_equal(crop, expected)


def test_crop_scales_grey_as_it_does_colour(rng):
    frame = rng.integers(0, 256, (30, 40), dtype=np.uint8)
    grey = crop_square(frame, (5, 5), 33, 63, np.float64(90))
    colour = crop_square(np.dstack([frame] * 3), (5, 5), 33, 63, np.full(3, 90.0))
    np.testing.assert_array_equal(np.dstack([grey] * 3), colour)


# --- Tracking -------------------------------------------------------------------------------------


def test_at_rest_the_box_rests(matching, rng):
    rgb, ir = scene(rng)
    tracker = RGBTTracker(matching)
    box = (80.0, 60.0, 30.0, 30.0)
    tracker.init(rgb, ir, box)
    for _ in range(20):
        tracked, score = tracker.track(rgb, ir)
        np.testing.assert_allclose(tracked, box, atol=1.5)
        assert score > 0.8
    assert tracker.last_branches == ("rgb", "ir")


@pytest.mark.parametrize("missing", [None, "rgb", "ir"])
def test_a_moving_target_is_followed(matching, rng, missing):
    background, target = scene(rng), scene(rng, 28, 28)
    tracker = RGBTTracker(matching)
    for number in range(25):
        x, y = 30 + 4 * number, 60 + round(20 * np.sin(number / 4))
        rgb, ir = (frame.copy() for frame in background)
        rgb[y : y + 28, x : x + 28], ir[y : y + 28, x : x + 28] = target
        if number == 0:
            tracker.init(rgb, ir, (x, y, 28, 28))
            continue
        if number > 10:  # one modality fails in the middle
            rgb, ir = (None if missing == "rgb" else rgb), (None if missing == "ir" else ir)
        box, _ = tracker.track(rgb, ir)
        # The head refines nothing, so boxes fall on cells, 8 / 63 of the context's 56 pixels apart.
        np.testing.assert_allclose(box, (x, y, 28, 28), atol=7.2)


def test_a_translation_of_the_frames_translates_the_boxes(random_network, rng):
    """Exactly, for any network: away from borders, a shift changes nothing else."""
    frames = [scene(rng, 300, 300) for _ in range(4)]
    shift = np.array([24, -17])

    def run(offset):
        tracker = RGBTTracker(random_network, settings=OnlineSettings(update_interval=2))
        moved = [[np.roll(f, tuple(offset[::-1]), (0, 1)) for f in pair] for pair in frames]
        tracker.init(*moved[0], (*(np.array([140, 150]) + offset), 24, 18))
        return np.array([tracker.track(*pair)[0] for pair in moved[1:]])

    here, there = run(np.array([0, 0])), run(shift)
    np.testing.assert_allclose(there[:, :2] - shift, here[:, :2], atol=1e-9)
    np.testing.assert_allclose(there[:, 2:], here[:, 2:], atol=1e-9)


def single(network, modality, **changes):
    """The single-modality network with the same weights."""
    alone = build_network("compact_dfat", gate=False, branches=[modality], **changes)
    state = network.state_dict()
    alone.load_state_dict({name: state[name] for name in alone.state_dict()})
    return alone


@pytest.mark.parametrize("pixels", ["standardized", "bgr255"])
@pytest.mark.parametrize("modality", ["rgb", "ir"])
@pytest.mark.parametrize("damage", ["none", "black", "nan"])
def test_a_missing_modality_is_as_if_it_had_no_branch(rng, pixels, modality, damage):
    torch.manual_seed(2)
    network = build_network("compact_dfat_llrr", pixels=pixels)
    broken = {
        "none": lambda frame: None,
        "black": np.zeros_like,
        "nan": lambda frame: np.full(frame.shape, np.nan, np.float32),
    }[damage]
    both = RGBTTracker(network, settings=OnlineSettings(update_interval=2))
    alone = RGBTTracker(
        single(network, modality, pixels=pixels), settings=OnlineSettings(update_interval=2)
    )
    for number in range(4):
        rgb, ir = scene(rng)
        damaged = (rgb, broken(ir)) if modality == "rgb" else (broken(rgb), ir)
        if number == 0:
            both.init(*damaged, (70, 60, 30, 40))
            alone.init(rgb, ir, (70, 60, 30, 40))
            continue
        box, score = both.track(*damaged)
        expected, expected_score = alone.track(rgb, ir)
        assert both.last_branches == alone.last_branches == (modality,)
        np.testing.assert_allclose(box, expected, atol=1e-3)
        assert score == pytest.approx(expected_score, abs=1e-5)


def test_without_any_modality_the_box_stays(random_network, rng):
    rgb, ir = scene(rng)
    tracker = RGBTTracker(random_network)
    tracker.init(rgb, ir, (50, 60, 30, 20))
    before, _ = tracker.track(rgb, ir)
    assert tracker.last_branches == ("rgb", "ir", "fused")
    assert tracker.track(None, np.zeros_like(ir)) == (before, 0.0)
    assert tracker.last_branches == ()
    tracker.track(rgb, None)
    assert tracker.last_branches == ("rgb",)


def test_a_modality_missing_at_the_start_joins_at_an_update(random_network, rng):
    tracker = RGBTTracker(random_network, settings=OnlineSettings(update_interval=3))
    rgb, ir = scene(rng)
    tracker.init(None, ir, (50, 60, 30, 20))
    assert tracker.last_branches == ("ir",)
    used = []
    for _ in range(3):
        tracker.track(rgb, ir)
        used.append(tracker.last_branches)
    assert used == [("ir",), ("ir",), ("rgb", "ir", "fused")]


def test_template_update_blends_neck_features(random_network, rng):
    first, second = scene(rng), scene(rng)
    tracker = RGBTTracker(
        random_network, settings=OnlineSettings(update_interval=2, update_rate=0.25)
    )
    tracker.init(*first, (60, 50, 30, 30))
    old = {branch: [x.clone() for x in levels] for branch, levels in tracker._template.items()}
    box, _ = tracker.track(*second)
    fresh = RGBTTracker(random_network)
    # The tracker's centre is the box's; a given box counts its last pixel.
    fresh.init(*second, (box[0] + 0.5, box[1] + 0.5, box[2], box[3]))
    for branch, levels in tracker._template.items():
        for level, before, new in zip(levels, old[branch], fresh._template[branch], strict=True):
            torch.testing.assert_close(level, 0.75 * before + 0.25 * new, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [
        (160, 200, (-20, -10, 40, 30)),  # over the corner
        (160, 200, (190, 150, 40, 30)),
        (160, 200, (0, 0, 200, 160)),  # the whole frame
        (160, 200, (99, 80, 0.5, 0.5)),
        (9, 7, (1, 1, 4, 5)),  # smaller than the least box
        (2, 400, (100, 0, 50, 2)),
    ],
)
def test_any_size_and_place(random_network, rng, height, width, box):
    tracker = RGBTTracker(random_network)
    rgb, ir = scene(rng, height, width)
    tracker.init(rgb, ir, box)
    for _ in range(3):
        (x, y, w, h), score = tracker.track(rgb, ir)
        assert np.isfinite([x, y, w, h]).all() and 0 <= score <= 1
        assert 0 <= x + w / 2 <= width and 0 <= y + h / 2 <= height
        assert 10 <= w <= max(10, width) and 10 <= h <= max(10, height)
        assert all(type(value) is float for value in (x, y, w, h, score))


def test_polygons_and_rotated_boxes_start_like_their_box(random_network, rng):
    rgb, ir = scene(rng)
    corners = np.array([[60, 50], [90, 50], [90, 70], [60, 70]], float)
    about = corners.mean(0)
    turn = np.deg2rad(30)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    rotated = (corners - about) @ rotation.T + about
    starts = {}
    for name, region in (
        ("box", (60, 50, 30, 20)),
        ("polygon", corners),
        ("row", corners.ravel().tolist()),
        ("rotated", rotated),
    ):
        tracker = RGBTTracker(random_network)
        tracker.init(rgb, ir, region)
        target = tracker._target
        starts[name] = np.array([target.x, target.y, target.width, target.height])
    np.testing.assert_allclose(starts["polygon"], starts["box"])
    np.testing.assert_allclose(starts["row"], starts["box"])
    # Equal area about the same centre (sizes count the last pixel).
    x, y, w, h = starts["rotated"]
    np.testing.assert_allclose([x - (w - 1) / 2 + w / 2, y - (h - 1) / 2 + h / 2], about)
    assert w * h == pytest.approx(600)


def test_no_graph_and_no_waiting_within_a_frame(random_network, rng):
    """No operation whose shape or result the host must read before it can go on."""

    class Watch(TorchDispatchMode):
        seen = ()

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.seen += (func.overloadpacket.__name__,)
            return func(*args, **(kwargs or {}))

    rgb, ir = scene(rng)
    tracker = RGBTTracker(random_network)
    tracker.init(rgb, ir, (60, 50, 30, 20))
    with Watch() as watch:
        tracker.track(rgb, ir)
    assert "argmax" in watch.seen and any("conv" in name for name in watch.seen)
    waiting = {"item", "_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal"}
    assert not waiting & set(watch.seen)
    with Watch() as watch, torch.inference_mode():  # what is looked for would be seen
        bool(torch.arange(3)[torch.ones(3).argmax()] > 0)
    assert {"item", "is_nonzero"} <= set(watch.seen) or "_local_scalar_dense" in watch.seen
    assert all(x.is_inference() for levels in tracker._template.values() for x in levels)


def test_the_given_network_is_left_alone(random_network, rng):
    before = {name: tensor.clone() for name, tensor in random_network.state_dict().items()}
    random_network.train()
    tracker = RGBTTracker(random_network)
    rgb, ir = scene(rng)
    tracker.init(rgb, ir, (60, 50, 30, 20))
    tracker.track(rgb, ir)
    assert random_network.training
    assert all(parameter.requires_grad for parameter in random_network.parameters())
    for name, tensor in random_network.state_dict().items():
        assert torch.equal(tensor, before[name])


# --- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((300, 20, 30, 30), "outside the frame of 200x160"),
        ((10, 20, np.nan, 30), "finite"),
        ((10, 20, 0, 30), "area"),
        ((10, 20, -5, 30), "area"),
        ((10, 20, 30), "4 numbers"),
        ((0, 0, 1e6, 30), "more than twice the frame"),
        ((10, 10, 20, 20, 30, 30, 40, 40), "area"),
    ],
)
def test_unusable_boxes(random_network, rng, box, message):
    with pytest.raises(UserError, match=message) as caught:
        RGBTTracker(random_network).init(*scene(rng), box)
    assert "\n" not in str(caught.value)


def test_unusable_frames(random_network, rng):
    rgb, ir = scene(rng)
    tracker = RGBTTracker(random_network)
    with pytest.raises(ValueError, match="call init first"):
        tracker.track(rgb, ir)
    with pytest.raises(UserError, match="both modalities are missing"):
        tracker.init(None, np.zeros_like(ir), (60, 50, 30, 20))
    with pytest.raises(ValueError, match=r"ir must be HxW.*got shape \(160, 200, 2\)"):
        tracker.init(rgb, np.dstack([ir] * 2), (60, 50, 30, 20))
    with pytest.raises(ValueError, match=r"int64; fusion.images.pixels.to_8bit converts"):
        tracker.init(rgb, ir.astype(np.int64), (60, 50, 30, 20))
    with pytest.raises(ValueError, match=r"ir must be in 0\.\.255, got values in 0\.\.1"):
        tracker.init(rgb, ir / 255, (60, 50, 30, 20))
    with pytest.raises(ValueError, match="registered frames of one size"):
        tracker.init(rgb, ir[1:], (60, 50, 30, 20))
    tracker.init(rgb, ir, (60, 50, 30, 20))
    with pytest.raises(ValueError, match="registered frames of one size"):
        tracker.track(rgb, ir[1:])


def test_frames_of_other_shapes_are_the_same_frames(random_network, rng):
    rgb, ir = scene(rng)
    found = []
    for first, second in (
        (rgb, ir),
        (np.dstack([rgb, ir]), ir[..., None]),
        (torch.from_numpy(rgb).permute(2, 0, 1), torch.from_numpy(ir)[None].double()),
    ):
        tracker = RGBTTracker(random_network)
        tracker.init(first, second, (60, 50, 30, 20))
        found.append(tracker.track(first, second)[0])
    np.testing.assert_allclose(found[1:], found[:1] * 2, atol=1e-3)


def test_the_shape_returns_to_that_of_the_first_box_at_equal_area(matching, rng):
    """The network answers squares of 63 / 2 pixels of the crop, which the first box is not."""
    rgb, ir = scene(rng)

    def last(share, frames=60):
        settings = OnlineSettings(update_interval=0, shape=share, minimum_side=1)
        tracker = RGBTTracker(matching, settings=settings)
        tracker.init(rgb, ir, (80, 60, 20, 40))
        for _ in range(frames):
            (_, _, width, height), _ = tracker.track(rgb, ir)
        return width / height, width * height

    free, _ = last(0.0)
    held, _ = last(0.2)
    assert free == pytest.approx(1, abs=0.1)
    assert held < 0.75
    assert last(0.2, 1)[1] == pytest.approx(last(0.0, 1)[1], rel=1e-6)
    assert last(1.0)[0] == pytest.approx(0.5)
