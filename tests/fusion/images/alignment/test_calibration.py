"""The calibration file and its use on pictures and boxes."""

import cv2
import numpy as np
import pytest
import yaml

from fusion import UserError
from fusion.images.alignment import Calibration, Camera
from fusion.images.alignment.calibration import load_chosen
from fusion.images.alignment.geometry import (
    corner_error,
    largest_rectangle,
    map_boxes,
    map_points,
    scaling,
    similarity,
)

WARP = similarity(1.06, 4, (5.5, -3), (64, 48))
LENS = np.array([[70.0, 0, 31], [0, 71, 24.5], [0, 0, 1]])
BARREL = np.array([-0.2, 0.05, 0.001, 0, 0])


def smooth(rng, width=64, height=48):
    """A picture without detail that resampling would lose."""
    noise = rng.normal(size=(height, width)).astype(np.float32)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 1, cv2.NORM_MINMAX)


def calibration(transform=WARP, ir=(64, 48), vis=(64, 48), **more):
    return Calibration(Camera(ir), Camera(vis), transform, **more)


# --- The file ---


def test_a_file_holds_everything(tmp_path):
    whole = Calibration(
        Camera((64, 48), LENS, BARREL), Camera((128, 96)), WARP, "affine", 0.7, 0.91, "3 pairs"
    )
    whole.save(tmp_path / "rig.yaml")
    again = Calibration.load(tmp_path / "rig.yaml")
    assert again.infrared.size == (64, 48) and again.visible.size == (128, 96)
    assert (again.model, again.residual, again.confidence) == ("affine", 0.7, 0.91)
    assert again.source == "3 pairs"
    assert corner_error(again.transform, WARP, (64, 48)) < 1e-6
    np.testing.assert_array_equal(again.infrared.matrix, LENS)
    np.testing.assert_array_equal(again.infrared.distortion, BARREL)
    assert again.visible.matrix is None


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"transform": [[1, 0, 0], [0, 1, 0]]}, "3x3"),
        ({"transform": [[1, 0, 0], [0, -1, 0], [0, 0, 1]]}, "mirrors"),
        ({"transform": [[1, 0, 0], [0, 0, 0], [0, 0, 1]]}, "flattens"),
        ({"transform": [[1, 0, 0], [0, 1, 0], [-0.05, 0, 1]]}, "folds"),
        ({"transform": [[1, 0, float("nan")], [0, 1, 0], [0, 0, 1]]}, "transform"),
        ({"transform": [[0, 0, 0], [0, 0, 0], [0, 0, 0]]}, "flattens"),
        ({"infrared": None}, "infrared"),
        ({"infrared": {"size": [64]}}, "infrared.size"),
        ({"infrared": {"size": [64.5, 48]}}, "infrared.size"),
        ({"infrared": {"size": [0, 48]}}, "infrared"),
        ({"visible": {"size": [64, 48], "matrix": LENS.tolist()}}, "visible"),
        ({"visible": {"size": [64, 48], "matrix": 1, "distortion": [0] * 5}}, "visible"),
        ({"model": "spline"}, "model"),
        ({"confidence": 1.5}, "confidence"),
        ({"residual": "small"}, "residual"),
        ({"rotation": 3}, "rotation"),
    ],
)
def test_an_unusable_file_is_refused_by_name(tmp_path, change, cause):
    path = tmp_path / "rig.yaml"
    calibration().save(path)
    keys = yaml.safe_load(path.read_text()) | change
    path.write_text(yaml.safe_dump(keys))
    with pytest.raises(UserError, match=rf"rig\.yaml: .*{cause}"):
        Calibration.load(path)


def test_options_that_contradict_are_refused(tmp_path):
    assert load_chosen(None, resize=True) is None
    calibration().save(tmp_path / "rig.yaml")
    assert load_chosen(tmp_path / "rig.yaml") is not None
    with pytest.raises(UserError, match="--resize"):
        load_chosen(tmp_path / "rig.yaml", resize=True)


# --- Pictures ---


def test_aligning_equals_opencvs_warp(rng):
    for dtype, most in ((np.uint8, 255), (np.uint16, 60000), (np.float32, 1)):
        ir = (smooth(rng) * most).astype(dtype)
        rig = calibration()
        aligned = rig.align(ir)
        expected = cv2.warpPerspective(ir, WARP, (64, 48), flags=cv2.INTER_CUBIC)
        assert aligned.dtype == dtype
        covered = np.pad(rig.covered.astype(np.uint8), 4)
        inside = cv2.erode(covered, np.ones((7, 7)))[4:-4, 4:-4].astype(bool)
        assert inside.sum() > 1000
        apart = np.abs(aligned.astype(float) - expected)[inside]
        assert apart.max() < 0.02 * most


def test_identity_changes_nothing(rng):
    ir = (smooth(rng) * 255).astype(np.uint8)
    rig = calibration(np.eye(3))
    assert rig.common == (0, 0, 64, 48)
    np.testing.assert_array_equal(rig.align(ir), ir)
    # Resampled, because another camera's lens is given, whose distortion is nil.
    with_lens = Calibration(Camera((64, 48), LENS, np.zeros(5)), Camera((64, 48)), np.eye(3))
    np.testing.assert_array_equal(with_lens.align(ir), ir)


def test_uncovered_pixels_have_the_mean_and_are_cropped_away(rng):
    ir = (smooth(rng) * 255).astype(np.uint8)
    rig = calibration(similarity(0.8, 0, (10, 4), (64, 48)))
    aligned = rig.align(ir)
    assert not rig.covered.all()
    assert set(aligned[~rig.covered]) == {int(np.rint(ir.mean()))}
    x, y, width, height = rig.common
    assert rig.covered[y : y + height, x : x + width].all()
    assert width % 2 == height % 2 == 0 and width * height > 0.95 * rig.covered.sum()
    vis = np.zeros((48, 64, 3), np.uint8)
    first, second = rig.pair(ir, vis)
    assert first.shape == (height, width) and second.shape == (height, width, 3)
    with pytest.raises(UserError, match="no area in common"):
        calibration(similarity(1, 0, (62, 0), (64, 48))).pair(ir, vis)


def test_large_infrared_is_averaged_not_skipped():
    """Every fourth column alone would show a constant instead of the mean of the stripes."""
    ir = np.tile(np.array([0, 80, 160, 240], np.uint8), (96, 32))
    rig = calibration(scaling((128, 96), (32, 24)), ir=(128, 96), vis=(32, 24))
    assert np.abs(rig.align(ir)[2:-2, 2:-2].astype(int) - 120).max() <= 1


def test_lens_distortion_agrees_with_opencv(rng):
    picture = (smooth(rng) * 255).astype(np.uint8)
    camera = Camera((64, 48), LENS, BARREL)
    expected = cv2.undistort(picture, LENS, BARREL)
    inside = np.s_[4:-4, 4:-4]
    for straight in (
        Calibration(camera, Camera((64, 48)), np.eye(3)).align(picture),
        Calibration(Camera((64, 48)), camera, np.eye(3)).undistort(picture),
    ):
        assert np.abs(straight.astype(int) - expected)[inside].max() <= 3
    points = np.array([[5.0, 6], [40, 30], [60, 44]])
    np.testing.assert_allclose(camera.straighten(camera.distort(points)), points, atol=1e-3)


def test_other_sizes_are_refused(tmp_path):
    calibration().save(tmp_path / "rig.yaml")
    rig = Calibration.load(tmp_path / "rig.yaml")
    with pytest.raises(UserError, match=r"32x48.*rig\.yaml is for 64x48"):
        rig.align(np.zeros((48, 32), np.uint8))
    with pytest.raises(UserError, match="visible pictures are 64x40"):
        rig.undistort(np.zeros((40, 64, 3), np.uint8))


# --- Boxes and areas ---


def test_boxes_follow_their_pictures():
    box = np.array([[10.0, 20, 8, 6], [np.nan] * 4])
    doubled = calibration(scaling((64, 48), (128, 96)), vis=(128, 96)).align_boxes(box)
    np.testing.assert_allclose(doubled[0], [20, 40, 16, 12])
    assert np.isnan(doubled[1]).all()


def test_a_mapped_box_is_drawn_around_a_mapped_ellipse():
    matrix = np.array([[1.1, -0.2, 9], [0.15, 0.95, -4], [2e-4, -1e-4, 1]])
    box = np.array([[100.0, 60, 20, 44]])
    angles = np.linspace(0, 2 * np.pi, 2000)
    around = [109.5, 81.5] + np.column_stack([10 * np.cos(angles), 22 * np.sin(angles)])
    low, high = map_points(matrix, around).min(axis=0), map_points(matrix, around).max(axis=0)
    np.testing.assert_allclose(map_boxes(matrix, box)[0, :2], low + 0.5, atol=0.15)
    np.testing.assert_allclose(map_boxes(matrix, box)[0, 2:], high - low, atol=0.15)


def test_the_largest_rectangle_agrees_with_trying_all(rng):
    for _ in range(20):
        mask = np.zeros((9, 11), np.uint8)
        cv2.fillConvexPoly(mask, cv2.convexHull(rng.integers(0, [11, 9], (6, 2)).astype(int)), 1)
        x, y, width, height = largest_rectangle(mask.astype(bool))
        areas = [
            (bottom - top) * (right - left)
            for top in range(9)
            for bottom in range(top + 1, 10)
            for left in range(11)
            for right in range(left + 1, 12)
            if mask[top:bottom, left:right].all()
        ]
        assert width * height == max(areas, default=0)
        assert mask[y : y + height, x : x + width].all()
