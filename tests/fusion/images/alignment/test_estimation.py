"""The automatic alignment: known warps are found, and what cannot be known is refused."""

import cv2
import numpy as np
import pytest

from fusion import UserError
from fusion.commands.scene import street_pair
from fusion.images.alignment.estimation import (
    SURE,
    NotSure,
    estimate_alignment,
    estimate_nearby,
    expected_transform,
    require_sure,
)
from fusion.images.alignment.fields import structure
from fusion.images.alignment.geometry import corner_error, similarity
from fusion.images.alignment.refinement import displacement
from fusion.images.alignment.watch import Watch
from fusion.images.pixels import luminance
from fusion.images.reading import read_infrared, read_visible

SIZE = (320, 240)


@pytest.fixture(scope="module")
def street():
    ir, vis = street_pair(*SIZE, seed=2)
    return ir, luminance(vis)


def warped(ir, matrix):
    """An infrared picture after a transform, and where it has data."""
    size = ir.shape[::-1]
    picture = cv2.warpPerspective(ir, matrix, size, flags=cv2.INTER_CUBIC)
    mask = cv2.warpPerspective(np.ones(ir.shape, np.uint8), matrix, size, flags=cv2.INTER_NEAREST)
    return picture, mask > 0


# --- Structure ------------------------------------------------------------------------------------


def test_structure_ignores_which_side_of_an_edge_is_bright(street):
    picture = street[0].astype(np.float32)
    np.testing.assert_allclose(structure(picture), structure(255 - picture), atol=1e-4)


def test_structure_turns_twice_as_fast_as_the_picture(street):
    field = structure(street[0].astype(np.float32))
    turned = structure(np.rot90(street[0]).astype(np.float32))
    np.testing.assert_allclose(turned, -np.rot90(field), atol=0.02)


def test_structure_does_not_see_the_edge_of_the_data():
    picture = np.zeros((40, 60), np.float32)
    picture[:, 30:] = 200
    assert np.abs(structure(picture)).max() > 0.3
    covered = np.zeros(picture.shape, bool)
    covered[:, 30:] = True
    assert np.abs(structure(picture, covered)).max() < 1e-6


def test_parameters_are_pixels():
    for index in range(8):
        parameters = np.zeros(8)
        parameters[index] = 2.0
        moved = corner_error(displacement(parameters, SIZE), np.eye(3), SIZE)
        assert 0.8 < moved < 2.5


# --- Estimates ------------------------------------------------------------------------------------


def test_a_known_warp_is_found_and_undone(street):
    ir, vis = street
    warp = similarity(1.06, -3.5, (19, -14), SIZE)
    picture, mask = warped(ir, warp)
    found = require_sure(estimate_alignment([(picture, vis)], masks=[mask]), "street")
    assert found.model == "similarity" and found.confidence > 0.9
    assert corner_error(found.transform @ warp, np.eye(3), SIZE) < 1.0
    assert found.residual < 1.5
    # What is aligned stays where it is.
    whole = cv2.warpPerspective(picture, found.transform, SIZE)
    again = estimate_alignment([(whole, vis)], masks=[warped(ir, found.transform @ warp)[1]])
    assert again.confidence >= SURE and again.shift() < 1.0


def test_inverted_and_smaller_infrared_is_found(street):
    ir, vis = street
    small = cv2.resize(255 - ir, (160, 120), interpolation=cv2.INTER_AREA)
    found = require_sure(estimate_alignment([(small, vis)], "homography"), "street")
    assert corner_error(found.transform, expected_transform((160, 120), SIZE), (160, 120)) < 1.5


def test_many_frames_say_more_than_one(street, rng):
    """Noise of each frame hides the scene; their surfaces add up."""
    ir, vis = street
    noisy = [np.clip(ir + rng.normal(0, 60, ir.shape), 0, 255).astype(np.uint8) for _ in range(4)]
    one = estimate_alignment([(noisy[0], vis)])
    four = estimate_alignment([(picture, vis) for picture in noisy])
    assert four.clarity > one.clarity


def test_what_the_pictures_do_not_tell_is_refused(street, rng):
    ir, _ = street
    _, other = street_pair(*SIZE, seed=9)
    noise = rng.integers(0, 255, SIZE[::-1]).astype(np.uint8)
    for picture, vis in ((ir, noise), (np.full_like(ir, 90), luminance(other))):
        with pytest.raises(NotSure, match=r"a and b: not sure .*--points"):
            require_sure(estimate_alignment([(picture, vis)]), "a and b")


def test_pictures_that_cannot_be_compared_are_refused(street):
    ir, vis = street
    with pytest.raises(UserError, match="differ in size"):
        estimate_alignment([(ir, vis), (ir[:200], vis)])
    with pytest.raises(UserError, match="32x32"):
        estimate_alignment([(ir[:20, :20], vis)])


def test_real_pairs_of_known_warps(shared):
    """Against the own estimate of the files, which are registered to some pixels only."""
    for name, warp in (("FLIR_04943", (0.93, 4, (-31, 22))), ("FLIR_08749", (1.08, -4, (25, 30)))):
        ir = read_infrared(shared / f"data/roadscene180/ir/{name}.jpg")
        vis = read_visible(shared / f"data/roadscene180/vis/{name}.jpg")
        size = ir.shape[::-1]
        matrix = similarity(*warp, size)
        picture, mask = warped(ir, matrix)
        found = require_sure(estimate_alignment([(picture, vis)], masks=[mask]), name)
        own = estimate_alignment([(ir, vis)])
        assert corner_error(found.transform @ matrix, own.transform, size) < 1.5
        other = read_visible(shared / "data/roadscene180/vis/FLIR_00006.jpg")
        wrong = cv2.resize(other, size)
        assert estimate_alignment([(picture, wrong)], masks=[mask]).confidence < SURE


# --- Warnings -------------------------------------------------------------------------------------


def test_only_misaligned_sets_are_reported(street):
    ir, vis = street
    near = estimate_nearby((ir, vis))
    assert near.confidence > 0.9 and near.shift() < 1.5
    for shift, reported in ((0, False), (18, True)):
        watch = Watch(2)
        for _ in range(2):
            watch.see(ir[:, shift:], vis[:, : SIZE[0] - shift])
        assert bool(watch.doubt()) == reported
    assert watch.offset() == pytest.approx(18 / 302, rel=0.15)
    assert "--align" in watch.doubt()


def test_unknown_and_small_pictures_are_not_reported(street, rng):
    watch = Watch(1)
    watch.see(street[0], rng.integers(0, 255, (*SIZE[::-1], 3)).astype(np.uint8))
    assert watch.doubt() == ""
    small = Watch(1)
    small.see(street[0][:60], street[1][:60])
    assert small.doubt() == ""
