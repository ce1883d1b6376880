"""Still change: known noise, moving parts left out, and a pixel-by-pixel second implementation."""

import numpy as np
import pytest

from fusion.evaluation.stillness import STILL, WINDOW, StillMeter, still_pixels


def test_still_pixels_are_those_of_the_definition(rng):
    before, after = rng.integers(100, 140, (2, 2, 30, 40), dtype=np.uint8)
    after[:, :, 15:] = before[:, :, 15:] + rng.integers(0, 9, (2, 30, 25), dtype=np.uint8)
    r = WINDOW // 2
    expected = np.ones((30, 40), bool)
    for a, b in zip(before.astype(float), after.astype(float), strict=True):
        change = np.pad(np.abs(a - b), r, mode="reflect")
        for y, x in np.ndindex(30, 40):
            expected[y, x] &= change[y : y + WINDOW, x : x + WINDOW].mean() < STILL
    assert 0.1 < expected.mean() < 0.9
    # Means that equal the bound up to rounding may fall on either side.
    assert (still_pixels(tuple(before), tuple(after)) != expected).sum() <= 2


def test_moving_parts_do_not_count(rng):
    scene = rng.integers(50, 200, (60, 80), dtype=np.uint8)
    meter = StillMeter()
    for t in range(6):
        ir = scene.copy()
        ir[10:30, 10 * t : 10 * t + 10] ^= 255  # moves in the infrared alone
        meter.update(ir, scene, {"fused": np.where(ir == scene, scene + t % 2, ir)})
    assert meter.compute()["fused"] == pytest.approx(1, abs=1e-6)


def test_white_noise_has_the_change_of_its_distribution(rng):
    """The mean absolute difference of two normal values is 2 / sqrt(pi) standard deviations."""
    meter, still = StillMeter(), np.full((200, 200), 120, np.uint8)
    for _ in range(8):
        noisy = np.rint(120 + rng.normal(0, 10, still.shape)).astype(np.uint8)
        meter.update(still, still, {"noisy": noisy, "steady": still})
    changes = meter.compute()
    assert changes["noisy"] == pytest.approx(20 / np.sqrt(np.pi), rel=0.01)
    assert changes["steady"] == 0


def test_nothing_still_has_no_value(rng):
    meter = StillMeter()
    for _ in range(3):
        ir, vis = rng.integers(0, 256, (2, 30, 30), dtype=np.uint8)
        meter.update(ir, vis, {"fused": ir})
    assert np.isnan(meter.compute()["fused"])
