"""Lines of numbers and masks as boxes, against numpy's reader and scikit-image."""

import numpy as np
import pytest
from skimage.measure import label, regionprops

from fusion.base.errors import UserError
from tracker.data.annotations import mask_to_box, read_regions, regions_to_boxes
from tracker.data.boxes import polygons_to_boxes


@pytest.mark.parametrize("separator", [",", "\t", " ", ", ", " , ", ";", "   "])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends(tmp_path, separator, ending):
    path = tmp_path / "boxes.txt"
    rows = (["1", "2.5", "3", "4"], ["5", "6", "7e1", "8"])
    text = ending.join(separator.join(row) for row in rows)
    path.write_bytes((text + ending * 3).encode())
    np.testing.assert_array_equal(read_regions(path), [[1, 2.5, 3, 4], [5, 6, 70, 8]])


def test_absent_targets_and_special_codes(tmp_path):
    path = tmp_path / "boxes.txt"
    path.write_text("1,2,3,4\nnan,nan,nan,nan\n0\nNaN\n5,6,0,0\n5,6,7,-1\n5,6,7,8,\n")
    boxes = regions_to_boxes(read_regions(path))
    assert np.isfinite(boxes).all(axis=1).tolist() == [True] + [False] * 5 + [True]
    assert boxes[6].tolist() == [5, 6, 7, 8]


def test_polygons_and_boxes_in_one_file(tmp_path):
    path = tmp_path / "boxes.txt"
    path.write_text("1,2,3,4\n10,0,20,10,10,20,0,10\nnan\n")
    regions = read_regions(path)
    assert regions.shape == (3, 8)
    boxes = regions_to_boxes(regions)
    np.testing.assert_allclose(boxes[0], [1, 2, 3, 4])
    side = 200**0.5
    np.testing.assert_allclose(boxes[1], [10 - side / 2, 10 - side / 2, side, side])
    assert np.isnan(boxes[2]).all()


def test_corners_in_any_order():
    regions = np.array([[1.0, 2, 5, 8], [5, 8, 1, 2], [3, 3, 3, 9]])
    boxes = regions_to_boxes(regions, corners=True)
    assert boxes[:2].tolist() == [[1, 2, 4, 6]] * 2 and np.isnan(boxes[2]).all()


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "the file is empty"),
        ("1,2,3,4\n1,2,3\n", "line 2: '1,2,3' is not 4 or 8 numbers"),
        ("1,2,3,4\n\n1,2,3,4\n", "line 2: ''"),
        ("x,y,w,h\n1,2,3,4\n", "line 1: 'x,y,w,h'"),
        ("1,2,inf,4\n", "line 1"),
        ("1,2,,4\n", "line 1"),
    ],
)
def test_bad_annotations_name_the_line(tmp_path, content, message):
    path = tmp_path / "boxes.txt"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as error:
        read_regions(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_an_annotation_that_is_no_text(tmp_path):
    path = tmp_path / "boxes.txt"
    path.write_bytes(b"\xff\xfe\x00\x01\x80")
    with pytest.raises(UserError, match="not a text file"):
        read_regions(path)


@pytest.mark.parametrize("seed", range(8))
def test_mask_to_box_is_skimages_largest_region(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((60, 80), np.uint8)
    for _ in range(4):
        x, y, w, h = rng.integers(0, [60, 40, 20, 20]) + [0, 0, 2, 2]
        mask[y : y + h, x : x + w] = 255
    largest = max(regionprops(label(mask > 0, connectivity=2)), key=lambda region: region.area)
    y1, x1, y2, x2 = largest.bbox
    assert mask_to_box(mask).tolist() == [x1, y1, x2 - x1, y2 - y1]
    assert mask_to_box(mask // 255).tolist() == [x1, y1, x2 - x1, y2 - y1]
    noisy = np.clip(mask.astype(int) + rng.integers(-40, 40, mask.shape), 0, 255).astype(np.uint8)
    assert mask_to_box(np.dstack([noisy] * 3)).tolist() == [x1, y1, x2 - x1, y2 - y1]


def test_mask_without_an_object():
    assert np.isnan(mask_to_box(np.zeros((5, 5), np.uint8))).all()


def test_polygon_rows_become_the_boxes_of_polygons_to_boxes():
    rng = np.random.default_rng(0)
    polygons = rng.uniform(0, 50, (5, 8))
    np.testing.assert_array_equal(
        regions_to_boxes(polygons), polygons_to_boxes(polygons.reshape(5, 4, 2))
    )


# --- Real annotations -----------------------------------------------------------------------------


def test_every_real_annotation_is_read(shared):
    """Line by line against numpy's reader: GTOT's corners, LasHeR's absent targets, line ends."""
    counts = {}
    for dataset, pattern in (
        ("GTOT", "gt/*/*.txt"),
        ("RGBT234", "gt/*/*.txt"),
        ("LasHeR", "gt/*.txt"),
    ):
        paths = sorted((shared / "data" / "ope" / dataset).glob(pattern))
        counts[dataset] = len(paths)
        for path in paths:
            regions = read_regions(path)
            text = path.read_text().replace(",", " ")
            expected = np.loadtxt(text.splitlines(), ndmin=2)
            np.testing.assert_array_equal(regions, expected)
            boxes = regions_to_boxes(regions, corners=dataset == "GTOT")
            size = expected[:, 2:] - (expected[:, :2] if dataset == "GTOT" else 0)
            present = (size > 0).all(axis=1)
            np.testing.assert_array_equal(np.isfinite(boxes).all(axis=1), present)
            np.testing.assert_array_equal(boxes[present, 2:], size[present])
    assert counts == {"GTOT": 100, "RGBT234": 468, "LasHeR": 245}


def test_every_vot_sequence_is_as_long_as_it_says(shared):
    frames = 0
    for path in sorted((shared / "data" / "vot2020_rgbt" / "sequences").glob("*/groundtruth.txt")):
        stated = dict(line.split("=", 1) for line in (path.parent / "sequence").read_text().split())
        boxes = regions_to_boxes(read_regions(path))
        assert len(boxes) == int(stated["length"]) and np.isfinite(boxes).all()
        frames += len(boxes)
    assert frames == 20083
