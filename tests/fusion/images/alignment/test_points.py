"""The alignment from points and from a checkerboard."""

import cv2
import numpy as np
import pytest

from fusion import UserError
from fusion.images.alignment.geometry import corner_error, map_points, scaling, similarity
from fusion.images.alignment.points import (
    align_points,
    checkerboard_points,
    fit_points,
    read_points,
)

SIZE = (320, 240)
SIZES = (SIZE, (640, 480))
TRUE = {
    "shift": np.array([[1.0, 0, 12], [0, 1, -7], [0, 0, 1]]),
    "similarity": similarity(1.9, 4, (30, -12), SIZE),
    "affine": np.array([[1.9, 0.2, 5], [-0.1, 2.1, 9], [0, 0, 1]]),
    "homography": np.array([[2.0, 0.1, 3], [-0.1, 1.9, 4], [2e-4, -1e-4, 1]]),
}
OPENCV = {
    "similarity": lambda a, b: np.vstack([cv2.estimateAffinePartial2D(a, b)[0], [0, 0, 1]]),
    "affine": lambda a, b: np.vstack([cv2.estimateAffine2D(a, b)[0], [0, 0, 1]]),
    "homography": lambda a, b: cv2.findHomography(a, b)[0],
}


@pytest.fixture
def points(rng):
    return rng.uniform((0, 0), SIZE, (12, 2))


@pytest.mark.parametrize("model", TRUE)
def test_each_model_is_recovered_from_points_of_it(points, model):
    visible = map_points(TRUE[model], points)
    found = fit_points(points, visible, model)
    assert corner_error(found, TRUE[model], SIZE) < 1e-4
    if model in OPENCV:
        assert corner_error(found, OPENCV[model](points, visible), SIZE) < 1e-2


def test_residual_and_confidence_follow_the_error(points, rng):
    visible = map_points(TRUE["similarity"], points)
    exact = align_points(points, visible, SIZES, "similarity")
    noisy = align_points(points, visible + rng.normal(0, 1.5, visible.shape), SIZES, "similarity")
    assert exact.residual < 1e-6 and exact.confidence > 0.999
    assert 0.8 < noisy.residual < 3 and noisy.confidence < exact.confidence
    least = align_points(points[:2], visible[:2], SIZES, "similarity")
    assert least.residual is None and least.confidence is None


def test_the_number_of_points_chooses_the_model(points):
    visible = map_points(TRUE["affine"], points)
    for count, model in ((2, "shift"), (3, "similarity"), (5, "affine"), (6, "homography")):
        similar = map_points(TRUE["shift"], points) if count < 5 else visible
        assert align_points(points[:count], similar[:count], SIZES).model == model


def test_wrong_points_are_named_and_useless_ones_refused(points):
    visible = map_points(TRUE["similarity"], points)
    visible[4] += (60, -35)
    with pytest.raises(UserError, match="point 5 "):
        align_points(points, visible, SIZES, "similarity")
    line = np.column_stack([np.arange(6.0), 2 * np.arange(6.0)])
    with pytest.raises(UserError, match="line"):
        align_points(line, line, SIZES, "affine")
    with pytest.raises(UserError, match="needs 2 points, not 1"):
        align_points(points[:1], visible[:1], SIZES, "similarity")
    mirrored = np.array([1, -1]) * points + [0, 400]
    with pytest.raises(UserError, match="mirrors"):
        align_points(points, mirrored, SIZES, "affine")


def test_files_of_points(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("# infrared, visible\n1,2,3,4\n\n5 6 7.5 8  # a window\n")
    infrared, visible = read_points(path)
    np.testing.assert_array_equal(infrared, [[1, 2], [5, 6]])
    np.testing.assert_array_equal(visible, [[3, 4], [7.5, 8]])
    for text in ("1,2,3", "1,2,3,x", "1,2,3,nan", "1,2,3,4,5"):
        path.write_text(text)
        with pytest.raises(UserError, match=r"points\.csv: line 1 "):
            read_points(path)


def board(inner, square=24):
    """A checkerboard with a white margin, and the places of its inner corners."""
    columns, rows = inner[0] + 1, inner[1] + 1
    y, x = np.mgrid[: rows * square, : columns * square] // square
    picture = np.where((x + y) % 2, 235, 25).astype(np.uint8)
    return np.pad(picture, 2 * square, constant_values=235)


@pytest.mark.parametrize("inner", [(7, 5), (5, 5)])
def test_a_checkerboard_is_found_in_both_also_inverted(inner):
    picture = board(inner)
    size = picture.shape[::-1]
    truth = similarity(0.95, 5, (6, -4), size)
    visible = cv2.warpPerspective(picture, truth, size, borderValue=235)
    for infrared in (picture, 255 - picture):
        found = checkerboard_points(infrared, visible, inner)
        assert found is not None and len(found[0]) == inner[0] * inner[1]
        apart = map_points(truth, found[0]) - found[1]
        assert np.hypot(*apart.T).max() < 0.6
    assert checkerboard_points(picture, np.full_like(picture, 128), inner) is None


def test_a_checkerboard_of_a_smaller_camera(rng):
    picture = board((7, 5))
    size = picture.shape[::-1]
    half = (size[0] // 2, size[1] // 2)
    infrared = cv2.resize(picture, half, interpolation=cv2.INTER_AREA)
    first, second = checkerboard_points(infrared, picture, (7, 5))
    found = align_points(first, second, (half, size))
    assert corner_error(found.transform, scaling(half, size), half) < 1.5
