"""Regions, their overlap and their files against the VOT toolkit's."""

import numpy as np
import pytest

from tracker.evaluation.vot.regions import Mask, Regions, region_overlaps
from tracker.evaluation.vot.trajectories import read_trajectory


def random_region(rng):
    """A region as `Regions` holds it, and the same as the toolkit does."""
    from vot import region

    # Places around the border of an image of 60x50, sizes down to nothing.
    x, y = rng.uniform(-20, 70, 2).round(1)
    w, h = rng.uniform(-2, 40, 2).round(1)
    kind = rng.choice(["code", "box", "box", "polygon", "polygon", "mask"])
    if kind == "code":
        return None, region.Special(0)
    if kind == "box":
        return np.array([x, y, w, h], np.float32), region.Rectangle(x, y, w, h)
    if kind == "mask":
        # At least 2x2: the toolkit does not take smaller ones for regions.
        pixels = rng.random((rng.integers(2, 20), rng.integers(2, 20))) < 0.6
        pixels[[0, -1]] = pixels[:, [0, -1]] = True
        return Mask(int(x), int(y), pixels), region.Mask(pixels.astype(np.uint8), (int(x), int(y)))
    if rng.random() < 0.2:
        corners = rng.uniform(-10, 60, (rng.integers(3, 7), 2))  # crosses itself as it likes
    else:
        turn = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)])
        sides = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.abs([w, h]) / 2
        corners = sides @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]] + [x, y]
    corners = corners.astype(np.float32)
    return corners, region.Polygon([tuple(map(float, corner)) for corner in corners])


def regions_of(items):
    boxes = np.full((len(items), 4), np.nan, np.float32)
    shapes = {}
    for i, item in enumerate(items):
        if isinstance(item, Mask) or (item is not None and item.ndim == 2):
            shapes[i] = item
        elif item is not None:
            boxes[i] = item
    return Regions(boxes, shapes)


def test_overlaps_and_presence_are_the_toolkits(rng):
    from vot.region import calculate_overlaps

    pairs = [(random_region(rng), random_region(rng)) for _ in range(1500)]
    ours = [regions_of([pair[side][0] for pair in pairs]) for side in (0, 1)]
    theirs = [[pair[side][1] for pair in pairs] for side in (0, 1)]
    np.testing.assert_allclose(
        region_overlaps(*ours, (60, 50)),
        calculate_overlaps(*theirs, (60, 50)),
        atol=1e-12,
    )
    assert ours[0].present().tolist() == [not region.is_empty() for region in theirs[0]]


def test_overlap_of_boxes_is_that_of_rounded_and_clipped_ones():
    from shapely import box

    rng = np.random.default_rng(3)
    a, b = (rng.uniform([-5, -5, 5, 5], [30, 30, 40, 40], (200, 4)) for _ in range(2))
    overlaps = region_overlaps(Regions(a), Regions(b), (50, 40))
    for i in range(200):
        shapes = [
            box(x, y, x + w, y + h) & box(0, 0, 50, 40)
            for x, y, w, h in (np.round(a[i]), np.round(b[i]))
        ]
        union = (shapes[0] | shapes[1]).area
        assert overlaps[i] == pytest.approx((shapes[0] & shapes[1]).area / union, abs=1e-12)


def test_regions_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="2 and 3"):
        region_overlaps(Regions(np.zeros((2, 4))), Regions(np.zeros((3, 4))), (9, 9))


@pytest.mark.parametrize("suffix", [".txt", ".bin"])
def test_trajectories_read_as_the_toolkit_writes_them(rng, tmp_path, suffix):
    from vot.region import Mask as ToolkitMask
    from vot.region import Polygon, Rectangle, Special
    from vot.region import io as toolkit

    plain = [Special(1)] + [Rectangle(*rng.uniform(0, 50, 4)) for _ in range(20)]
    mixed = [Special(1), *(random_region(rng)[1] for _ in range(60))]
    for name, written in (("plain", plain), ("mixed", mixed)):
        path = tmp_path / f"{name}{suffix}"
        toolkit.write_trajectory(str(path), written)
        ours, theirs = read_trajectory(path), toolkit.read_trajectory(str(path))
        assert len(ours) == len(theirs)
        for i, region in enumerate(theirs):
            if isinstance(region, Rectangle):
                box = [region.x, region.y, region.width, region.height]
                np.testing.assert_array_equal(ours.boxes[i], np.float32(box))
                continue
            assert np.isnan(ours.boxes[i]).all()
            if isinstance(region, Special):
                assert i not in ours.shapes
            elif isinstance(region, Polygon):
                np.testing.assert_array_equal(ours.shapes[i], np.float32(region.points()))
            else:
                assert isinstance(region, ToolkitMask)
                assert (ours.shapes[i].x, ours.shapes[i].y) == tuple(region.offset)
                np.testing.assert_array_equal(ours.shapes[i].pixels, region.mask > 0)
