"""Made infrared: targets as hot as the look says, and alike in template and search."""

import dataclasses

import numpy as np
import pytest

from tracker.training.pseudo_thermal import ThermalLook, pseudo_thermal

BOX = np.array([40.0, 30.0, 30.0, 60.0])


@pytest.fixture
def picture(texture, rng):
    rgb = np.repeat(texture(rng, 127, 127)[..., None], 3, axis=2)
    mask = np.zeros((127, 127), np.uint8)
    mask[30:90, 40:70] = 255
    return rgb, mask


def flat(offset, head=0.0):
    return ThermalLook(np.full(3, 1 / 3), np.full(256, 100, np.uint8), 0.5, offset, 0.0, head)


@pytest.mark.parametrize("offset", [80.0, 0.0, -60.0])
def test_targets_are_as_hot_as_the_look_says(picture, offset):
    heat = pseudo_thermal(*picture, BOX, flat(offset)).astype(float)
    assert abs(heat[50:80, 45:65].mean() - (100 + offset)) < 2
    assert abs(heat[100:, :].mean() - 100) < 2
    assert flat(offset).shows == (offset != 0)


def test_heads_are_warm_where_clothes_are_not(picture):
    look = flat(0.0, head=80.0)
    heat = pseudo_thermal(*picture, BOX, look).astype(float)
    assert heat[31:34, 45:65].mean() > 150 and abs(heat[60:85, 45:65].mean() - 100) < 2
    # A target that the crop's edge cuts off keeps its cold trunk.
    cut = pseudo_thermal(picture[0], picture[1], BOX - [0, 60, 0, 0], look).astype(float)
    assert abs(cut[5:25, 45:65].mean() - 100) < 2
    assert look.shows


def test_a_look_is_the_same_in_template_and_search(picture):
    rgb, mask = picture
    look = ThermalLook.draw(np.random.default_rng(5))
    here = pseudo_thermal(rgb, mask, BOX, look).astype(float)
    there = pseudo_thermal(
        np.roll(rgb, 20, axis=1), np.roll(mask, 20, axis=1), BOX + [20, 0, 0, 0], look
    )
    inside = here[36:84, 46:64], there.astype(float)[36:84, 66:84]
    np.testing.assert_allclose(*inside, atol=2)


def test_looks_are_hot_cold_and_equal():
    rng = np.random.default_rng(0)
    looks = [ThermalLook.draw(rng) for _ in range(300)]
    offsets = np.array([look.offset for look in looks])
    assert (offsets > 30).mean() > 0.3 and (offsets < -20).mean() > 0.05
    assert 0.05 < np.mean([not look.shows for look in looks]) < 0.3
    assert all(look.curve.dtype == np.uint8 for look in looks)
    varied = looks[0].varied(rng)
    assert varied.offset != looks[0].offset
    assert dataclasses.replace(varied, offset=0, texture=0, head=0).curve is looks[0].curve
