import numpy as np
import pytest

from fusion.base.errors import UserError
from tracker.evaluation.ope import files as ope_files
from tracker.evaluation.ope.figures import PROTOCOLS


def write_rows(path, rows, separator=","):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(separator.join(f"{v:g}" for v in row) + "\n" for row in rows))


def test_polygons_become_boxes_and_gtot_rounds_them_half_away_from_zero():
    polygon = np.array([[-0.5, 1.5, 4.0, 1.5, 4.0, 8.2, -0.5, 8.2]])
    np.testing.assert_allclose(ope_files.polygon_boxes(polygon), [[-0.5, 1.5, 4.5, 6.7]])
    np.testing.assert_array_equal(ope_files.polygon_boxes(polygon, rounded=True), [[-1, 2, 5, 7]])
    boxes = np.array([[0.5, 1.5, 2.5, 3.5]])
    np.testing.assert_array_equal(ope_files.polygon_boxes(boxes, rounded=True), boxes)


def test_annotations_of_each_layout(tmp_path):
    write_rows(tmp_path / "GTOT/x/groundTruth_v.txt", [[1, 2, 11, 22]] * 2, " ")
    write_rows(tmp_path / "GTOT/x/groundtruth_i.txt", [[2, 2, 11, 22]] * 2, "\t")
    visible, infrared = ope_files.read_annotations(tmp_path / "GTOT", PROTOCOLS["gtot"])["x"]
    assert visible.tolist() == [[1, 2, 10, 20]] * 2 and infrared[0].tolist() == [2, 2, 9, 20]

    write_rows(tmp_path / "RGBT234/deep/y/visible.txt", [[1, 2, 3, 4]])
    write_rows(tmp_path / "RGBT234/deep/y/infrared.txt", [[5, 6, 7, 8]])
    both = ope_files.read_annotations(tmp_path / "RGBT234", PROTOCOLS["rgbt234"])
    assert [boxes.tolist() for boxes in both["y"]] == [[[1, 2, 3, 4]], [[5, 6, 7, 8]]]

    write_rows(tmp_path / "RGBT210/z/init.txt", [[1, 2, 3, 4]])
    assert len(ope_files.read_annotations(tmp_path / "RGBT210", PROTOCOLS["rgbt210"])["z"]) == 1

    # LasHeR: a file for each sequence, beside files that are none.
    write_rows(tmp_path / "annos/p10.txt", [[1, 2, 3, 4]])
    write_rows(tmp_path / "annos/p9.txt", [[0, 0, 0, 0]])
    (tmp_path / "annos/list.txt").write_text("p9\np10\n")
    found = ope_files.read_annotations(tmp_path / "annos", PROTOCOLS["lasher"])
    assert list(found) == ["p9", "p10"] and found["p9"][0].tolist() == [[0, 0, 0, 0]]
    chosen = ope_files.read_annotations(tmp_path / "annos", PROTOCOLS["lasher"], ["p10"])
    assert list(chosen) == ["p10"]


@pytest.mark.parametrize("prefix", ["", "DFAT_", "DFAT_x_"])
def test_results_with_a_prefix(tmp_path, prefix):
    truth = {name: (np.tile([1.0, 2, 3, 4], (3, 1)),) for name in ("car", "bluecar", "x_car")}
    for i, name in enumerate(truth):
        write_rows(tmp_path / f"{prefix}{name}.txt", [[i, 2, 3, 4]] * 3)
    results, remarks = ope_files.read_results(tmp_path, PROTOCOLS["lasher"], truth)
    assert [results[name][0, 0] for name in truth] == [0, 1, 2] and not remarks


def test_trackers_are_folders_or_in_folders(tmp_path):
    write_rows(tmp_path / "all/A/s.txt", [[1, 2, 3, 4]])
    write_rows(tmp_path / "all/B/s.txt", [[1, 2, 3, 4]])
    assert list(ope_files.find_trackers([tmp_path / "all"])) == ["A", "B"]
    assert list(ope_files.find_trackers([tmp_path / "all/B", tmp_path / "all/A"])) == ["B", "A"]
    with pytest.raises(UserError, match="second tracker named A"):
        ope_files.find_trackers([tmp_path / "all", tmp_path / "all/A"])


def test_attributes_of_lasher_and_of_rgbt234(tmp_path):
    assert ope_files.read_attributes(tmp_path, ["a"]) is None
    annos = tmp_path / "LasHeR" / "annos"
    annos.mkdir(parents=True)
    write_rows(annos.parent / "AttriSeqsTxt/a.txt", [[1, 0, 1]])
    write_rows(annos.parent / "AttriSeqsTxt/b.txt", [[0, 0, 1]])
    (annos.parent / "Attributes_order.txt").write_text("NO, PO, FM\n")
    assert ope_files.read_attributes(annos, ["a", "b"]) == {"NO": ["a"], "PO": [], "FM": ["a", "b"]}
    (annos.parent / "Attributes_order.txt").unlink()
    with pytest.raises(UserError, match="3 values for 19 attributes"):
        ope_files.read_attributes(annos, ["a"])

    folder = tmp_path / "RGBT234" / "attr_txt"
    folder.mkdir(parents=True)
    (folder / "SequencesName.txt").write_text("a\nb\nc\n")
    (folder / "LI.txt").write_text("1\n0\n1\n")
    (folder / "HO.txt").write_text("0\n0\n0\n")
    assert ope_files.read_attributes(folder.parent, ["b", "c"]) == {"HO": [], "LI": ["c"]}
    (folder / "LI.txt").write_text("1\n0\n")
    with pytest.raises(UserError, match=r"LI\.txt: 2 values for 3 names"):
        ope_files.read_attributes(folder.parent, ["a"])


def test_bad_input_gets_a_line_that_names_it(tmp_path):
    lasher = PROTOCOLS["lasher"]
    truth = {name: (np.tile([1.0, 2, 3, 4], (5, 1)),) for name in "abcdefghijk"}
    results = tmp_path / "T"
    for name in truth:
        write_rows(results / f"{name}.txt", [[1, 2, 3, 4]] * 5)
    (results / "a.txt").unlink()
    write_rows(results / "b.txt", [[1, 2, 3, 4]] * 6)
    write_rows(results / "c.txt", [[1, 2, 3, 4]] * 4)

    def error(function, *arguments):
        with pytest.raises(UserError) as caught:
            function(*arguments)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no result for a (1 of 11 sequences)" in error(
        ope_files.read_results, results, lasher, truth
    )
    del truth["a"]
    _, remarks = ope_files.read_results(results, lasher, truth)
    assert [remark.split(";")[0] for remark in remarks] == [
        "T: b: 6 lines for 5 frames",
        "T: c: 4 lines for 5 frames",
    ]
    write_rows(results / "d.txt", [[1, 2, 3, 4]] * 3)
    assert "d (3 of 5 lines)" in error(ope_files.read_results, results, lasher, truth)
    (results / "d.txt").write_text("1,2,3\n" * 5)
    assert "d.txt, line 1" in error(ope_files.read_results, results, lasher, truth)

    assert "no such folder" in error(ope_files.find_trackers, [tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    assert "no results in it" in error(ope_files.find_trackers, [tmp_path / "empty"])
    assert "no GTOT annotations" in error(ope_files.read_annotations, tmp_path, PROTOCOLS["gtot"])
    assert "no such folder" in error(ope_files.read_annotations, tmp_path / "none", lasher)
    assert "no annotation for q" in error(ope_files.read_annotations, results, lasher, ["q"])
    write_rows(tmp_path / "R/s/visible.txt", [[1, 2, 3, 4]] * 5)
    write_rows(tmp_path / "R/s/infrared.txt", [[1, 2, 3, 4]] * 4)
    fault = error(ope_files.read_annotations, tmp_path / "R", PROTOCOLS["rgbt234"])
    assert "5 lines in visible.txt, 4 lines in infrared.txt" in fault
    write_rows(tmp_path / "L/train/s/init.txt", [[1, 2, 3, 4]])
    write_rows(tmp_path / "L/test/s/init.txt", [[1, 2, 3, 4]])
    assert "second sequence named s" in error(ope_files.read_annotations, tmp_path / "L", lasher)
    (tmp_path / "names.txt").write_text("\n")
    assert "contains no name" in error(ope_files.read_sequence_list, tmp_path / "names.txt")
    assert "cannot be read" in error(ope_files.read_sequence_list, tmp_path / "none.txt")


def test_results_as_corners_are_recognised_by_their_first_line(tmp_path):
    """Corners are read as such where the first line, taken as corners, is the start box."""
    truth = {"a": (np.tile([10.0, 20, 30, 40], (3, 1)),), "b": (np.tile([5.0, 5, 9, 9], (2, 1)),)}
    write_rows(tmp_path / "corners/a.txt", [[10, 20, 40, 60], [12, 20, 42, 60], [14, 20, 44, 60]])
    write_rows(tmp_path / "corners/b.txt", [[5, 5, 14, 14], [6, 5, 15, 14]])
    results, remarks = ope_files.read_results(tmp_path / "corners", PROTOCOLS["lasher"], truth)
    assert results["a"].tolist() == [[10, 20, 30, 40], [12, 20, 30, 40], [14, 20, 30, 40]]
    assert results["b"].tolist() == [[5, 5, 9, 9], [6, 5, 9, 9]]
    assert len(remarks) == 1 and "corners" in remarks[0] and "a, b" in remarks[0]

    # Boxes stay boxes, however the tracker went on.
    write_rows(tmp_path / "boxes/a.txt", [[10, 20, 30, 40], [10, 20, 40, 60], [10, 20, 40, 60]])
    write_rows(tmp_path / "boxes/b.txt", [[5, 5, 9, 9], [5, 5, 14, 14]])
    results, remarks = ope_files.read_results(tmp_path / "boxes", PROTOCOLS["lasher"], truth)
    assert results["a"][1].tolist() == [10, 20, 40, 60] and not remarks
