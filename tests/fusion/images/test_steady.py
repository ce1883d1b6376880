"""Steady frames: the range follows slowly, noise of still pixels is averaged, motion passes."""

import cv2
import numpy as np
import pytest

from fusion.images.steady import HeldRange, SteadyPixels


def texture(rng, shape=(60, 80)):
    smooth = cv2.GaussianBlur(rng.normal(size=shape), (0, 0), 3)
    return (128 + 30 * smooth / smooth.std()).clip(20, 230)


def test_the_range_approaches_a_new_one_exponentially():
    held, dark = HeldRange(), np.array([[10.0, 100.0]])
    assert held(dark) == (10, 100)
    bright = np.array([[30.0, 250.0]])
    for t in range(1, 30):
        low, high = held(bright)
        rest = (1 - HeldRange.FOLLOWS) ** t
        assert (low, high) == pytest.approx((30 - 20 * rest, 250 - 150 * rest))
    held(bright)
    assert held(np.zeros((2, 2)))[1] > 200  # one black frame does not change it


def test_noise_of_still_pixels_is_averaged_as_predicted(rng):
    """A recursive average with weight a leaves a / (2 - a) of the variance of white noise."""
    scene, steady = texture(rng), SteadyPixels()
    frames = [np.rint(scene + rng.normal(0, 1, scene.shape)).astype(np.uint8) for _ in range(60)]
    results = np.array([steady(frame) for frame in frames], float)[30:]
    noise = np.array(frames, float)[30:].var(axis=0).mean()
    a, rounding = SteadyPixels.LEAST, 1 / 12
    assert results.var(axis=0).mean() == pytest.approx(noise * a / (2 - a) + rounding, rel=0.15)
    assert np.abs(results.mean(axis=0) - scene).mean() < 0.25


def test_a_slow_change_of_brightness_is_followed_to_the_level(rng):
    """Less than a level per frame: rounding to levels must not stop it on its way."""
    scene, steady = texture(rng), SteadyPixels()
    steady(scene.astype(np.uint8))
    target = scene.astype(np.uint8) + 1
    for _ in range(20):
        result = steady(target)
    np.testing.assert_array_equal(result, target)


def test_what_moves_leaves_no_trail(rng):
    background, steady = texture(rng, (60, 120)), SteadyPixels()
    for t in range(12):
        frame = np.rint(background + rng.normal(0, 1, background.shape)).astype(np.uint8)
        frame[20:40, 8 * t : 8 * t + 16] = 250
        result = steady(frame).astype(int)
    difference = np.abs(result - frame)
    assert difference[20:40, 8 * 11 : 8 * 11 + 16].max() <= 1  # the object is where it is
    assert difference[23:37, : 8 * 11 - 4].max() <= 6  # and nowhere else: only noise is left


def test_a_cut_and_another_size_start_anew(rng):
    steady = SteadyPixels()
    first, second = texture(rng).astype(np.uint8), 255 - texture(rng).astype(np.uint8)
    assert steady(first) is first
    assert np.abs(steady(second).astype(int) - second).mean() < 1
    small = first[:30, :40].copy()
    np.testing.assert_array_equal(steady(small), small)
