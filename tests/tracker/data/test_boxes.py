import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.base.errors import UserError
from tracker.data import boxes

number = st.floats(-500, 500, allow_nan=False, width=32)
length = st.floats(0.125, 400, width=32)
box = st.tuples(number, number, length, length)


def convex_polygon(rng, corners):
    """Random corners on an ellipse, rotated and moved: convex, in order."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    points = np.stack([np.cos(angles) * rng.uniform(5, 80), np.sin(angles) * rng.uniform(5, 80)], 1)
    turn = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return points @ rotation.T + rng.uniform(-50, 300, 2)


def rectangle(cx, cy, w, h, degrees):
    half = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2
    turn = np.radians(degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return half @ rotation.T + [cx, cy]


@given(box)
def test_conversions_invert_each_other(b):
    np.testing.assert_allclose(boxes.xyxy_to_xywh(boxes.xywh_to_xyxy(b)), b, atol=1e-9)
    np.testing.assert_allclose(boxes.cxcywh_to_xywh(boxes.xywh_to_cxcywh(b)), b, atol=1e-9)
    np.testing.assert_allclose(boxes.bounding_box(boxes.box_corners(b)), b, atol=1e-9)


def test_conversions_of_a_known_box():
    np.testing.assert_array_equal(boxes.xywh_to_xyxy([10, 20, 4, 6]), [10, 20, 14, 26])
    np.testing.assert_array_equal(boxes.xywh_to_cxcywh([10, 20, 4, 6]), [12, 23, 4, 6])
    np.testing.assert_array_equal(
        boxes.box_corners([10, 20, 4, 6]), [[10, 20], [14, 20], [14, 26], [10, 26]]
    )


@settings(max_examples=60)
@given(st.lists(box, min_size=1, max_size=5), st.lists(box, min_size=1, max_size=5))
def test_box_iou_is_shapelys(a, b):
    table = boxes.box_iou(np.array(a)[:, None], np.array(b)[None])
    for i, first in enumerate(a):
        for j, second in enumerate(b):
            p, q = (shapely.box(x, y, x + w, y + h) for x, y, w, h in (first, second))
            expected = p.intersection(q).area / p.union(q).area
            assert table[i, j] == pytest.approx(expected, abs=1e-6)


def test_box_iou_of_absent_and_empty_boxes():
    nan = [np.nan] * 4
    iou = boxes.box_iou([nan, [0, 0, 2, 2], [0, 0, 0, 0], [5, 5, -3, 2]], [0, 0, 2, 2])
    assert np.isnan(iou[0]) and iou[1:].tolist() == [1, 0, 0]
    assert boxes.box_iou([3, 3, 0, 0], [3, 3, 0, 0]) == 0


@given(box, st.integers(1, 600), st.integers(1, 600))
def test_clip_box_is_the_intersection_with_the_image(b, width, height):
    x, y, w, h = boxes.clip_box(b, width, height)
    assert 0 <= x <= x + w <= width + 1e-9 and 0 <= y <= y + h <= height + 1e-9
    overlap = boxes.box_iou(b, [0, 0, width, height])
    union = b[2] * b[3] + width * height - w * h
    assert w * h / union == pytest.approx(overlap, abs=1e-6)


@pytest.mark.parametrize("seed", range(40))
def test_polygon_area_and_iou_are_shapelys(seed):
    rng = np.random.default_rng(seed)
    a, b = convex_polygon(rng, rng.integers(3, 9)), convex_polygon(rng, rng.integers(3, 9))
    b += a.mean(0) - b.mean(0) + rng.uniform(-40, 40, 2)
    p, q = shapely.Polygon(a), shapely.Polygon(b)
    assert boxes.polygon_area(a) == pytest.approx(p.area)
    assert boxes.polygon_area(a[::-1] + 1e6) == pytest.approx(p.area, rel=1e-6)
    assert boxes.polygon_iou(a, b.ravel()) == pytest.approx(
        p.intersection(q).area / (p.area + q.area - p.intersection(q).area)
    )


def test_polygon_iou_by_counting_points():
    """A second implementation without shapely: a fine grid and half-plane tests."""
    a, b = rectangle(50, 40, 40, 20, 30), rectangle(58, 45, 30, 30, 75)
    grid = np.stack(np.meshgrid(np.arange(0, 110, 0.1), np.arange(0, 110, 0.1)), -1)

    def inside(points):
        edges = np.roll(points, -1, 0) - points
        relative = grid[..., None, :] - points
        cross = edges[:, 0] * relative[..., 1] - edges[:, 1] * relative[..., 0]
        return (cross >= 0).all(-1)

    in_a, in_b = inside(a), inside(b)
    expected = (in_a & in_b).sum() / (in_a | in_b).sum()
    assert boxes.polygon_iou(a, b) == pytest.approx(expected, abs=2e-3)


def test_polygon_iou_of_boxes_agrees_with_box_iou_also_clipped():
    a, b = [-10, 5, 40, 30], [10, -5, 30, 25]
    assert boxes.polygon_iou(a, b) == pytest.approx(float(boxes.box_iou(a, b)))
    clipped = boxes.box_iou(boxes.clip_box(a, 35, 20), boxes.clip_box(b, 35, 20))
    assert boxes.polygon_iou(a, b, size=(35, 20)) == pytest.approx(float(clipped))


def test_polygon_iou_of_a_polygon_that_crosses_itself():
    bow_tie = [0, 0, 10, 10, 10, 0, 0, 10]
    assert boxes.polygon_iou(bow_tie, [0, 0, 10, 10]) == pytest.approx(0.5)


@given(box)
def test_region_to_box_keeps_upright_rectangles(b):
    assert boxes.region_to_box(b) == b
    np.testing.assert_allclose(boxes.region_to_box(boxes.box_corners(b)), b, rtol=1e-5, atol=1e-4)


@settings(max_examples=60)
@given(number, number, length, length, st.floats(1, 89))
def test_region_to_box_of_a_rotated_rectangle(cx, cy, w, h, degrees):
    """Centre and area stay; the aspect ratio is the bounding box's, here from trigonometry."""
    x, y, bw, bh = boxes.region_to_box(rectangle(cx, cy, w, h, degrees).ravel())
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    assert (x + bw / 2, y + bh / 2) == pytest.approx((cx, cy), abs=1e-6)
    assert bw * bh == pytest.approx(w * h, rel=1e-6)
    assert bw / bh == pytest.approx((w * cos + h * sin) / (w * sin + h * cos), rel=1e-6)


def test_region_to_box_of_a_known_diamond():
    # A square of diagonal 20: bounding box 20 x 20, area 200, so sides of sqrt(200).
    side = 200**0.5
    assert boxes.region_to_box([[50, 40], [60, 50], [50, 60], [40, 50]]) == pytest.approx(
        (50 - side / 2, 50 - side / 2, side, side)
    )


def test_polygons_to_boxes_passes_absent_targets_through():
    polygons = np.array([rectangle(5, 5, 4, 2, 20), np.full((4, 2), np.nan), np.zeros((4, 2))])
    result = boxes.polygons_to_boxes(polygons)
    assert np.isfinite(result[0]).all() and np.isnan(result[1:]).all()


@pytest.mark.parametrize(
    "region, reason",
    [
        ([1, 2, 3], "4 numbers"),
        ([1, 2, 3, 4, 5], "4 numbers"),
        (np.zeros((2, 2)), "4 numbers"),
        ([1, 2, np.nan, 4], "finite"),
        ([1, 2, 0, 4], "area"),
        ([1, 2, 5, -4], "area"),
        ([1, 1, 2, 2, 3, 3, 4, 4], "area"),
    ],
)
def test_region_to_box_refuses(region, reason):
    with pytest.raises(ValueError, match=reason):
        boxes.region_to_box(region)


def test_a_region_without_area_is_refused_in_one_line():
    with pytest.raises(UserError, match=r"^box 0,.*1e\+07: .*positive area, got 0,.*07$"):
        boxes.start_box([0, 0, 0, 0, 0, 0, 0, 1e7], 64, 48)
