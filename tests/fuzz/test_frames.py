"""Abnormal frames and boxes: refused as documented, or a finite box; tracking continues."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from malformed import counts, examples, patience

from fusion.base.errors import UserError
from tracker.evaluation.baselines.correlation import CorrelationTracker
from tracker.evaluation.baselines.csrt import CSRTTracker, require_csrt
from tracker.model.presets import build_network
from tracker.online.rgbt_tracker import RGBTTracker

HEIGHT, WIDTH = 48, 64
BOX = (20, 14, 16, 12)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    small = {"search_size": 63, "exemplar_size": 31, "channels": 8, "template_cells": 3}
    return build_network("compact_dfat", **small).eval()


SIZES = st.sampled_from(
    [(HEIGHT, WIDTH), (HEIGHT, WIDTH), (HEIGHT, WIDTH), (1, 1), (1, 9), (7, 3), (200, 5), (0, 4)]
)
DTYPES = st.sampled_from(
    [np.uint8, np.uint8, np.uint8, np.float32, np.float64, np.uint16, np.int64, bool, object]
)
CONTENTS = st.sampled_from(["noise", "noise", "zero", "level", "nan", "one nan", "inf", "huge"])


@st.composite
def frames(draw, rgb: bool):
    """A frame that may be anything; None more often than each of the others."""
    if draw(st.integers(0, 5)) == 0:
        return None
    shape = draw(SIZES)
    if rgb:
        shape += draw(st.sampled_from([(3,), (3,), (3,), (), (1,), (4,)]))
    else:
        shape += draw(st.sampled_from([(), (), (), (3,), (1,)]))
    content, dtype = draw(CONTENTS), draw(DTYPES)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    image = rng.uniform(0, 255, shape)
    if dtype in (np.float32, np.float64, object):
        value = {"nan": np.nan, "one nan": np.nan, "inf": np.inf, "huge": 1e300}.get(content)
        if value is not None:
            with np.errstate(over="ignore"):
                image.ravel()[: 1 if content == "one nan" else None] = value
    if content in ("zero", "level"):
        image[:] = 0 if content == "zero" else 90
    with np.errstate(over="ignore", invalid="ignore"):
        return image.astype(dtype)


NUMBERS = st.one_of(
    st.integers(-80, 150),
    st.floats(),
    st.sampled_from([0, 1e-9, 1e9, 1e30, 1e308, -1, math.nan, math.inf, -math.inf]),
)
REGIONS = st.one_of(
    st.just(BOX),
    st.just(BOX),
    st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    st.lists(NUMBERS, max_size=9),
    st.lists(NUMBERS, min_size=8, max_size=8),
)


def good_pair(seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8), rng.integers(
        0, 256, (HEIGHT, WIDTH), np.uint8
    )


def check(found):
    box, score = found
    assert len(box) == 4 and all(math.isfinite(value) for value in box), found
    assert box[2] > 0 and box[3] > 0, found
    assert -1 <= score <= 1, found


@examples(12, 200)
@given(st.data(), REGIONS)
def test_network_tracker(network, data, region):
    counts["frames"] += 1
    tracker = RGBTTracker(network)
    with patience():
        try:
            tracker.init(data.draw(frames(True)), data.draw(frames(False)), region)
        except (UserError, ValueError) as error:
            assert "\n" not in str(error)
            tracker.init(*good_pair(), BOX)
        for _ in range(data.draw(st.integers(1, 4))):
            try:
                check(tracker.track(data.draw(frames(True)), data.draw(frames(False))))
            except ValueError as error:
                assert "must be" in str(error) or "differ" in str(error), error
        tracker.init(*good_pair(), BOX)
        check(tracker.track(*good_pair(1)))


def has_csrt():
    try:
        require_csrt()
    except UserError:
        return False
    return True


@examples(15, 150)
@given(st.data(), REGIONS, st.sampled_from(["ncc", "csrt"] if has_csrt() else ["ncc"]))
def test_baselines(data, region, name):
    """As the entry of a workspace runs them: pictures of 8 bit, of any size, or None."""
    counts["frames"] += 1
    tracker = CorrelationTracker()
    if name == "csrt":
        tracker = CSRTTracker("rgb")

    def pair():
        rng = np.random.default_rng(data.draw(st.integers(0, 99)))
        rgb_size, ir_size = data.draw(SIZES), data.draw(SIZES)
        rgb = rng.integers(0, data.draw(st.sampled_from([1, 256])), (*rgb_size, 3), np.uint8)
        ir = rng.integers(0, data.draw(st.sampled_from([1, 256])), ir_size, np.uint8)
        there = data.draw(st.integers(0, 5))
        return rgb if there != 0 and rgb.size else None, ir if there != 1 and ir.size else None

    with patience():
        try:
            tracker.init(*pair(), region)
        except UserError as error:
            assert "\n" not in str(error)
            tracker.init(*good_pair(), BOX)
        for _ in range(data.draw(st.integers(1, 4))):
            check(tracker.track(*pair()))
