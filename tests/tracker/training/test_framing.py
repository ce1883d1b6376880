"""Crops of frames: where a block's own pixels are, against where `place` puts its box."""

import numpy as np
import pytest

from tracker.training.augmentation import CropWindow
from tracker.training.framing import Framing, clip_to, virtual_frame

BOX = np.array([60.0, 40.0, 24.0, 30.0])


@pytest.fixture
def frame():
    frame = np.zeros((120, 160), np.uint8)
    frame[40:70, 60:84] = 255
    return frame


def box_of(crop):
    """The box about the bright pixels."""
    columns, rows = (np.flatnonzero(crop.max(axis=axis) > 127) for axis in (0, 1))
    return np.array([columns[0], rows[0], len(columns), len(rows)], float)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("width, height", [(80, 80), (100, 90), (200, 190), (40, 46)])
def test_a_box_lies_where_the_block_is_cut(frame, mirrored, width, height):
    framing = Framing(CropWindow(70.3, 57.8, width, height, 127), (0, 0, 160, 120), mirrored)
    found, placed = box_of(framing.cut(frame)), framing.place(BOX)
    # As published, the crop's corner is rounded down: half a pixel of the frame, on average.
    half = 0.5 / np.abs(framing.steps)
    np.testing.assert_allclose(found[:2] - half, placed[:2], atol=1)
    np.testing.assert_allclose(found[2:], placed[2:], atol=1)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_shift_moves_what_is_in_the_frame(frame, mirrored):
    framing = Framing(CropWindow(72, 55, 90, 90, 180), (0, 0, 160, 120), mirrored)
    moved = box_of(framing.cut(frame, (6, -4)))
    expected = framing.place(BOX + [6, -4, 0, 0])
    change = expected - framing.place(BOX)
    np.testing.assert_allclose(moved - box_of(framing.cut(frame)), change, atol=1e-6)


def test_bounds_cut_a_frame_like_a_smaller_frame(rng):
    frame = rng.integers(0, 256, (120, 160, 3)).astype(np.uint8)
    bounds = (30, 20, 110, 100)
    framing = Framing(CropWindow(90, 60, 120, 120, 127), bounds)
    inner = Framing(CropWindow(60, 40, 120, 120, 127), (0, 0, 80, 80))
    np.testing.assert_array_equal(framing.cut(frame), inner.cut(frame[20:100, 30:110]))


@pytest.mark.parametrize("mirrored", [False, True])
def test_sealing_makes_what_is_outside_copies_of_the_border(rng, mirrored):
    framing = Framing(CropWindow(60, 60, 120, 120, 120), (30, 0, 90, 160), mirrored)
    crop = rng.integers(0, 256, (120, 120)).astype(np.uint8)
    (sealed,) = framing.seal(crop)
    inside = slice(32, 88)
    np.testing.assert_array_equal(sealed[:, inside], crop[:, inside])
    for side, border in ((sealed[:, :28], sealed[:, 31]), (sealed[:, 92:], sealed[:, 88])):
        assert (side == side[:, :1]).all()
        assert not (side[:, 0] == crop[:, 0]).all()
        assert abs(float(side[:, 0].mean()) - float(border.mean())) < 60


def test_sealing_a_whole_view_changes_nothing(rng):
    framing = Framing(CropWindow(60, 60, 40, 40, 120), (0, 0, 160, 120))
    crop = rng.integers(0, 256, (120, 120)).astype(np.uint8)
    assert framing.seal(crop)[0] is crop


def test_virtual_frames_truncate(rng):
    shares = []
    for _ in range(200):
        bounds = virtual_frame(BOX, (160, 120), rng, tight=False, hidden=0.6)
        left, top, right, bottom = bounds
        assert 0 <= left < right <= 160 and 0 <= top < bottom <= 120
        seen = clip_to(BOX, bounds)
        shares.append(seen[2:].prod() / BOX[2:].prod())
    shares = np.array(shares)
    assert 0.35 < shares.min() < 0.5
    assert 0.5 < (shares < 1).mean() < 0.9


def test_tight_frames_are_little_larger_than_the_target(rng):
    for _ in range(100):
        left, top, right, bottom = virtual_frame(BOX, (160, 120), rng, tight=True, hidden=0)
        assert right - left <= 1.9 * BOX[2] and bottom - top <= 1.9 * BOX[3]
