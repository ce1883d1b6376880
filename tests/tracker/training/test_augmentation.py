"""Crops and their variation: geometry against the online tracker, photometry by property."""

import numpy as np
import pytest

from fusion.base.errors import UserError
from tracker.data.crops import crop_square
from tracker.training.augmentation import (
    Augmentation,
    CropWindow,
    cover_mask,
    degrade,
    round_mask,
)
from tracker.training.degradation import blur_along_line

# --- Views --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "size"), [(41, 41), (60, 60), (40, 80), (90, 45)])
def test_a_view_is_what_the_online_tracker_cuts(rng, side, size, texture):
    """Where its rounding amounts to the half pixel that it does on average."""
    frame = texture(rng, 100, 130)
    centre = (51 + side / 2 + 0.5 - 30, 47 + side / 2 + 0.5 - 30)
    fill = np.array([99])
    online = crop_square(frame, centre, side, size, fill)
    ours = CropWindow(*centre, side, side, size).cut(frame, fill)
    inside = (slice(2, -2), slice(2, -2))  # the two treat the very border differently
    difference = np.abs(online[inside].astype(int) - ours[inside])
    assert difference.max() <= 2
    assert difference.mean() < 0.3


def test_a_box_is_where_it_is_placed():
    frame = np.zeros((100, 120), np.uint8)
    box = np.array([40.0, 30.0, 20.0, 12.0])
    frame[30:42, 40:60] = 255
    view = CropWindow(45, 33, 60, 40, 120)  # scaled by 2 and by 3
    crop = view.cut(frame, 0) > 127
    rows, columns = np.flatnonzero(crop.any(1)), np.flatnonzero(crop.any(0))
    width, height = len(columns), len(rows)
    centre = np.array([columns[0] + width / 2, rows[0] + height / 2]) - 60
    cx, cy, w, h = view.place(box)
    assert (width, height) == pytest.approx((w, h), abs=1)
    # Half a pixel of the frame apart: see CropWindow.cut.
    assert centre - (cx, cy) == pytest.approx((1, 1.5), abs=0.75)


# --- Variation ----------------------------------------------------------------------------------


def test_motion_blur_keeps_the_mean_and_smooths(rng):
    image = rng.integers(0, 256, (40, 40)).astype(np.uint8)
    blurred = blur_along_line(image, 6, 0.7)
    assert blurred.mean() == pytest.approx(image.mean(), abs=3)
    assert blurred.std() < 0.8 * image.std()
    flat = np.full((20, 20, 3), 77, np.uint8)
    assert (blur_along_line(flat, 6, 0.7) == 77).all()


def test_degraded_crops_differ_and_keep_their_kind(rng, texture):
    for image in (texture(rng, 40, 40), np.dstack([texture(rng, 40, 40)] * 3)):
        for _ in range(10):
            spoiled = degrade(image, rng)
            assert spoiled.dtype == np.uint8 and spoiled.shape == image.shape
            assert np.abs(spoiled.astype(int) - image).mean() > 2


def test_wrong_augmentation_is_named():
    with pytest.raises(UserError, match=r"augmentation\.blur: a probability"):
        Augmentation(blur=18)
    with pytest.raises(UserError, match=r"augmentation\.search_scale: a share"):
        Augmentation(search_scale=1)


def test_masks(rng):
    box = np.array([10.0, -6, 40, 20])
    mask = round_mask(100, box)
    assert mask[44, 60] == 1 and mask[44, 10] == 0 and mask.sum() == pytest.approx(800, rel=0.15)
    for _ in range(50):
        cover = cover_mask(100, box, rng)[34:54, 40:80]
        assert 0.2 <= cover.mean() <= 0.55
        # From one side: whole columns or whole rows.
        assert (cover == cover[:1]).all() or (cover == cover[:, :1]).all()
