"""Disturbances and failures: seeded, of the crop's shape, and as strong as they claim."""

import cv2
import numpy as np
import pytest

from tracker.training.degradation import FAILURES, add_smoke, disturb, draw_failure, fail


@pytest.fixture
def crop(texture, rng):
    grey = texture(rng, 127, 127)
    return {"rgb": cv2.merge([grey, grey, grey // 2]), "ir": grey}


def likeness(a, b):
    """Correlation of two crops' brightness."""
    a, b = (x.astype(float).reshape(127, 127, -1).mean(axis=2).ravel() for x in (a, b))
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return abs(float(np.corrcoef(a, b)[0, 1]))


@pytest.mark.parametrize("modality", ["rgb", "ir"])
def test_a_seed_decides_what_happens(crop, modality):
    image = crop[modality]
    before = image.copy()
    made = [disturb(image, np.random.default_rng(seed)) for seed in (3, 3, 4)]
    np.testing.assert_array_equal(made[0], made[1])
    assert (made[0] != made[2]).any()
    np.testing.assert_array_equal(image, before)  # the teacher's crop stays as it is
    assert made[0].shape == image.shape and made[0].dtype == np.uint8


@pytest.mark.parametrize("modality", ["rgb", "ir"])
def test_disturbed_crops_still_show_what_they_did(crop, modality):
    image = crop[modality]
    seen = [likeness(image, disturb(image, np.random.default_rng(s))) for s in range(60)]
    assert np.median(seen) > 0.85
    assert np.mean(np.array(seen) > 0.5) > 0.85


@pytest.mark.parametrize("modality", ["rgb", "ir"])
@pytest.mark.parametrize("name", FAILURES)
def test_failed_crops_show_next_to_nothing(crop, modality, name):
    image = crop[modality]
    contrasts, seen = [], []
    for seed in range(12):
        failed = fail(image, name, np.random.default_rng(seed))
        assert failed.shape == image.shape and failed.dtype == np.uint8
        # What is left of the picture's own contrast, in grey levels.
        seen.append(likeness(image, failed))
        contrasts.append(seen[-1] * failed.std() / image.std())
    assert np.median(contrasts) < 0.35


def test_both_modalities_fail_in_ways_of_their_own():
    rng = np.random.default_rng(0)
    visible = {draw_failure(True, rng) for _ in range(300)}
    infrared = {draw_failure(False, rng) for _ in range(300)}
    assert visible == set(FAILURES)
    assert infrared == set(FAILURES) - {"smoke"}  # heat shines through


def test_smoke_has_a_structure(crop):
    black = np.zeros_like(crop["rgb"])
    for seed in range(5):
        smoke = add_smoke(black, 0.5, np.random.default_rng(seed)).mean(axis=2).astype(np.float32)
        coarse = cv2.GaussianBlur(smoke, (0, 0), 6)
        assert smoke.std() > 10
        assert coarse.std() > 0.7 * smoke.std()  # clouds, not noise of pixels


def test_denser_smoke_hides_more(crop):
    hidden = [
        np.mean(
            [
                likeness(crop["rgb"], add_smoke(crop["rgb"], density, np.random.default_rng(s)))
                for s in range(10)
            ]
        )
        for density in (0.1, 0.5, 0.95)
    ]
    assert hidden[0] > hidden[1] > hidden[2]
