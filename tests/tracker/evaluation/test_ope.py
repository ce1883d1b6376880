# ruff: noqa: SIM300 - PR, NPR and SR look like constants
import itertools
import json

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.errors import UserError
from tracker.evaluation import ope
from tracker.evaluation.ope import PROTOCOLS

BENCHMARKS = sorted(PROTOCOLS)
TITLES = {name: protocol.title for name, protocol in PROTOCOLS.items()}


def random_boxes(rng, length):
    return np.concatenate([rng.uniform(1, 60, (length, 2)), rng.uniform(5, 40, (length, 2))], 1)


def near(rng, boxes, spread=6):
    moved = boxes + rng.normal(0, spread, boxes.shape)
    moved[:, 2:] = np.maximum(moved[:, 2:], 1)
    return moved


def annotated(rng, protocol, length):
    boxes = random_boxes(rng, length)
    return tuple(boxes if i == 0 else near(rng, boxes, 2) for i in range(len(protocol.annotations)))


# --- Published results ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gtot", "rgbt234", "lasher"])
def test_published_raw_results_give_the_expected_figures(shared, name):
    protocol = PROTOCOLS[name]
    root = shared / "data" / "ope" / protocol.title
    expected = json.loads((root.parent / "expected.json").read_text())[protocol.title]
    annotations = ope.read_annotations(root / "gt", protocol)
    assert list(annotations) and set(annotations) == set((root / "list.txt").read_text().split())
    for tracker, folder in ope.find_trackers([root / "results"]).items():
        results, remarks = ope.read_results(folder, protocol, annotations)
        assert len(remarks) == (name == "rgbt234")  # orangeman1
        scores = ope.evaluate(protocol, results, annotations)
        known = expected.pop(tracker)
        (key,) = known.keys() & {"MPR5", "MPR20", "PR20"}
        assert scores.PR == pytest.approx(known[key], abs=1e-6)
        assert scores.SR == pytest.approx(known.get("MSR", known.get("SR")), abs=1e-6)
        if name == "lasher":
            assert scores.NPR == pytest.approx(known["NPR02"], abs=1e-6)
        if name == "rgbt234":
            for i, modality in enumerate(("visible", "infrared")):
                alone = {sequence: boxes[i : i + 1] for sequence, boxes in annotations.items()}
                single = ope.evaluate(protocol, results, alone)
                assert single.PR == pytest.approx(known[f"PR_{modality}"], abs=1e-6)
                assert single.SR == pytest.approx(known[f"SR_{modality}"], abs=1e-6)
    assert not expected  # every tracker was met


# --- A second implementation ----------------------------------------------------------------------


def plain_figures(name, results, annotations):
    """PR, NPR and SR by loops over frames and thresholds, with shapely's areas."""
    step = 0.02 if name == "gtot" else 0.05
    thresholds = [round(i * step, 10) for i in range(round(1 / step) + 1)]
    per_sequence = []
    for sequence, truths in annotations.items():
        precise, normalized, successes = [], [], []
        previous = None
        for i in range(len(truths[0])):
            box = list(results[sequence][i])
            if name == "lasher":
                if i == 0:
                    box = list(truths[0][0])
                elif box[2] <= 0 or box[3] <= 0:
                    box = previous
                previous = box
            errors, relative, overlaps = [], [], []
            for truth in truths:
                x, y, w, h = truth[i]
                dx = box[0] + box[2] / 2 - x - w / 2
                dy = box[1] + box[3] / 2 - y - h / 2
                if name == "lasher" and not min(x, y, w, h) > 0:
                    errors.append(-1)
                    relative.append(-1)
                    overlaps.append(-1)
                    continue
                errors.append((dx**2 + dy**2) ** 0.5)
                relative.append(((dx / w) ** 2 + (dy / h) ** 2) ** 0.5)
                a = shapely.box(box[0], box[1], box[0] + box[2], box[1] + box[3])
                b = shapely.box(x, y, x + w, y + h)
                overlaps.append(a.intersection(b).area / a.union(b).area)
            precise.append(min(errors) < 5 if name == "gtot" else min(errors) <= 20)
            normalized.append(min(relative) <= 0.2)
            successes.append([max(overlaps) > t for t in thresholds])
        per_sequence.append((precise, normalized, successes))
    if name == "gtot":
        precise = [frame for sequence in per_sequence for frame in sequence[0]]
        successes = [frame for sequence in per_sequence for frame in sequence[2]]
        rates = [sum(column) / len(successes) for column in zip(*successes, strict=True)]
        area = sum((a + b) / 2 * step for a, b in itertools.pairwise(rates))
        return sum(precise) / len(precise), None, area

    def mean(values):
        return sum(values) / len(values)

    return (
        mean([mean(sequence[0]) for sequence in per_sequence]),
        mean([mean(sequence[1]) for sequence in per_sequence]) if name == "lasher" else None,
        mean([mean([mean(frame) for frame in sequence[2]]) for sequence in per_sequence]),
    )


@pytest.mark.parametrize("name", BENCHMARKS)
def test_figures_agree_with_plain_loops(rng, name):
    protocol = PROTOCOLS[name]
    annotations = {f"s{length}": annotated(rng, protocol, length) for length in (5, 12, 31)}
    results = {key: near(rng, boxes[0]) for key, boxes in annotations.items()}
    # What LasHeR treats specially: invalid results, absent targets, boxes at the border.
    results["s31"][[0, 4, 5], 2] = [-3, 0, -1]
    if name == "lasher":
        annotations["s12"][0][3] = 0
        annotations["s12"][0][7, 0] = 0
        annotations["s12"][0][8, 1] = -4
    else:
        results["s31"][[0, 4, 5], 2] = 8
    figures = ope.evaluate(protocol, results, annotations).figures()
    expected = plain_figures(name, results, annotations)
    for value, known in zip(figures.values(), expected, strict=True):
        assert value == (None if known is None else pytest.approx(known, abs=1e-9))


# --- Properties -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_perfect_tracker(rng, name):
    protocol = PROTOCOLS[name]
    annotations = {"a": annotated(rng, protocol, 9), "b": annotated(rng, protocol, 4)}
    scores = ope.evaluate(protocol, {k: boxes[-1] for k, boxes in annotations.items()}, annotations)
    assert scores.PR == 1
    assert scores.NPR == (1 if name == "lasher" else None)
    assert scores.SR == pytest.approx(0.99 if name == "gtot" else 20 / 21)


@pytest.mark.parametrize(("name", "at"), [("gtot", 5), ("rgbt210", 20), ("rgbt234", 20)])
def test_a_constant_offset_at_the_threshold(rng, name, at):
    protocol = PROTOCOLS[name]
    boxes = np.round(random_boxes(rng, 8))
    annotations = {"a": (boxes,) * len(protocol.annotations)}
    for offset, precise in ((at - 1, True), (at, name != "gtot"), (at + 1, False)):
        moved = boxes + [0, offset, 0, 0]
        assert ope.evaluate(protocol, {"a": moved}, annotations).PR == precise


def test_normalized_precision_divides_each_axis_by_its_own_size():
    truth = np.tile([10.0, 10, 100, 10], (2, 1))
    annotations = {"a": (truth,)}

    def npr(dx, dy):
        # LasHeR sets the first frame right, which leaves the second.
        moved = {"a": truth + [dx, dy, 0, 0]}
        return 2 * ope.evaluate(PROTOCOLS["lasher"], moved, annotations).NPR - 1

    assert npr(19, 0) == 1 and npr(21, 0) == 0
    assert npr(0, 1.9) == 1 and npr(0, 2.1) == 0


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(BENCHMARKS), st.integers(0, 2**32 - 1))
def test_rates_are_monotonous_and_figures_are_shares(name, seed):
    rng = np.random.default_rng(seed)
    protocol = PROTOCOLS[name]
    annotations = {"a": annotated(rng, protocol, 7), "b": annotated(rng, protocol, 3)}
    scores = ope.evaluate(
        protocol, {k: near(rng, v[0], 20) for k, v in annotations.items()}, annotations
    )
    assert (np.diff(scores.curve("precision")) >= 0).all()
    assert (np.diff(scores.curve("success")) <= 0).all()
    for value in scores.figures().values():
        assert value is None or 0 <= value <= 1
    # A second annotation can only help.
    if protocol.is_maximum:
        results = {k: near(rng, v[0], 20) for k, v in annotations.items()}
        both = ope.evaluate(protocol, results, annotations)
        one = ope.evaluate(protocol, results, {k: v[:1] for k, v in annotations.items()})
        assert both.PR >= one.PR and both.SR >= one.SR


def test_gtot_pools_frames_and_the_others_average_sequences(rng):
    short, long = random_boxes(rng, 10), random_boxes(rng, 30)
    results = {"short": short, "long": long + 500}
    for name, share in (("gtot", 10 / 40), ("rgbt234", 1 / 2)):
        annotations = {"short": (short, short), "long": (long, long)}
        assert ope.evaluate(PROTOCOLS[name], results, annotations).PR == pytest.approx(share)


def test_rgbt210_is_rgbt234_with_one_annotation(rng):
    boxes = {"a": (random_boxes(rng, 20),)}
    results = {"a": near(rng, boxes["a"][0])}
    twice = {"a": boxes["a"] * 2}
    one = ope.evaluate(PROTOCOLS["rgbt210"], results, boxes)
    two = ope.evaluate(PROTOCOLS["rgbt234"], results, twice)
    assert one.figures() == two.figures()


def test_lasher_counts_absent_targets_as_precise_and_as_failures(rng):
    truth = random_boxes(rng, 10)
    truth[5:] = 0
    scores = ope.evaluate(PROTOCOLS["lasher"], {"a": np.abs(truth) + 1e-9}, {"a": (truth,)})
    assert (scores.PR, scores.NPR) == (1, 1)
    assert scores.SR == pytest.approx(20 / 21 / 2)


def test_nan_results_are_neither_precise_nor_successes(rng):
    truth = random_boxes(rng, 4)
    result = truth.copy()
    result[1] = np.nan
    scores = ope.evaluate(PROTOCOLS["rgbt234"], {"a": result}, {"a": (truth, truth)})
    assert scores.PR == 0.75 and scores.curve("success")[0] == 0.75


def test_subsets_are_figures_of_their_sequences(rng):
    protocol = PROTOCOLS["lasher"]
    annotations = {name: annotated(rng, protocol, 6) for name in "abc"}
    results = {name: near(rng, boxes[0]) for name, boxes in annotations.items()}
    scores = ope.evaluate(protocol, results, annotations)
    alone = [scores.subset([name]).SR for name in "abc"]
    assert scores.SR == pytest.approx(np.mean(alone))
    assert np.isnan(scores.subset([]).SR)


def test_wrong_shapes_are_named(rng):
    with pytest.raises(ValueError, match="shapes"):
        ope.sequence_rates(PROTOCOLS["gtot"], np.zeros((3, 8)), (np.zeros((3, 4)),))
    with pytest.raises(ValueError, match="a frame to compare"):
        ope.sequence_rates(PROTOCOLS["gtot"], np.zeros((0, 4)), (np.zeros((3, 4)),))
    with pytest.raises(ValueError, match="no result for b"):
        boxes = random_boxes(rng, 3)
        ope.evaluate(PROTOCOLS["lasher"], {"a": boxes}, {"a": (boxes,), "b": (boxes,)})


# --- Files ----------------------------------------------------------------------------------------


def write_rows(path, rows, separator=","):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(separator.join(f"{v:g}" for v in row) + "\n" for row in rows))


def test_polygons_become_boxes_and_gtot_rounds_them_half_away_from_zero():
    polygon = np.array([[-0.5, 1.5, 4.0, 1.5, 4.0, 8.2, -0.5, 8.2]])
    np.testing.assert_allclose(ope.polygon_boxes(polygon), [[-0.5, 1.5, 4.5, 6.7]])
    np.testing.assert_array_equal(ope.polygon_boxes(polygon, rounded=True), [[-1, 2, 5, 7]])
    boxes = np.array([[0.5, 1.5, 2.5, 3.5]])
    np.testing.assert_array_equal(ope.polygon_boxes(boxes, rounded=True), boxes)


def test_annotations_of_each_layout(tmp_path):
    write_rows(tmp_path / "GTOT/x/groundTruth_v.txt", [[1, 2, 11, 22]] * 2, " ")
    write_rows(tmp_path / "GTOT/x/groundtruth_i.txt", [[2, 2, 11, 22]] * 2, "\t")
    visible, infrared = ope.read_annotations(tmp_path / "GTOT", PROTOCOLS["gtot"])["x"]
    assert visible.tolist() == [[1, 2, 10, 20]] * 2 and infrared[0].tolist() == [2, 2, 9, 20]

    write_rows(tmp_path / "RGBT234/deep/y/visible.txt", [[1, 2, 3, 4]])
    write_rows(tmp_path / "RGBT234/deep/y/infrared.txt", [[5, 6, 7, 8]])
    both = ope.read_annotations(tmp_path / "RGBT234", PROTOCOLS["rgbt234"])
    assert [boxes.tolist() for boxes in both["y"]] == [[[1, 2, 3, 4]], [[5, 6, 7, 8]]]

    write_rows(tmp_path / "RGBT210/z/init.txt", [[1, 2, 3, 4]])
    assert len(ope.read_annotations(tmp_path / "RGBT210", PROTOCOLS["rgbt210"])["z"]) == 1

    # LasHeR: a file for each sequence, beside files that are none.
    write_rows(tmp_path / "annos/p10.txt", [[1, 2, 3, 4]])
    write_rows(tmp_path / "annos/p9.txt", [[0, 0, 0, 0]])
    (tmp_path / "annos/list.txt").write_text("p9\np10\n")
    found = ope.read_annotations(tmp_path / "annos", PROTOCOLS["lasher"])
    assert list(found) == ["p9", "p10"] and found["p9"][0].tolist() == [[0, 0, 0, 0]]
    chosen = ope.read_annotations(tmp_path / "annos", PROTOCOLS["lasher"], ["p10"])
    assert list(chosen) == ["p10"]


@pytest.mark.parametrize("prefix", ["", "DFAT_", "DFAT_x_"])
def test_results_with_a_prefix(tmp_path, prefix):
    truth = {name: (np.tile([1.0, 2, 3, 4], (3, 1)),) for name in ("car", "bluecar", "x_car")}
    for i, name in enumerate(truth):
        write_rows(tmp_path / f"{prefix}{name}.txt", [[i, 2, 3, 4]] * 3)
    results, remarks = ope.read_results(tmp_path, PROTOCOLS["lasher"], truth)
    assert [results[name][0, 0] for name in truth] == [0, 1, 2] and not remarks


def test_trackers_are_folders_or_in_folders(tmp_path):
    write_rows(tmp_path / "all/A/s.txt", [[1, 2, 3, 4]])
    write_rows(tmp_path / "all/B/s.txt", [[1, 2, 3, 4]])
    assert list(ope.find_trackers([tmp_path / "all"])) == ["A", "B"]
    assert list(ope.find_trackers([tmp_path / "all/B", tmp_path / "all/A"])) == ["B", "A"]
    with pytest.raises(UserError, match="second tracker named A"):
        ope.find_trackers([tmp_path / "all", tmp_path / "all/A"])


def test_attributes_of_lasher_and_of_rgbt234(tmp_path):
    assert ope.read_attributes(tmp_path, ["a"]) is None
    annos = tmp_path / "LasHeR" / "annos"
    annos.mkdir(parents=True)
    write_rows(annos.parent / "AttriSeqsTxt/a.txt", [[1, 0, 1]])
    write_rows(annos.parent / "AttriSeqsTxt/b.txt", [[0, 0, 1]])
    (annos.parent / "Attributes_order.txt").write_text("NO, PO, FM\n")
    assert ope.read_attributes(annos, ["a", "b"]) == {"NO": ["a"], "PO": [], "FM": ["a", "b"]}
    (annos.parent / "Attributes_order.txt").unlink()
    with pytest.raises(UserError, match="3 values for 19 attributes"):
        ope.read_attributes(annos, ["a"])

    folder = tmp_path / "RGBT234" / "attr_txt"
    folder.mkdir(parents=True)
    (folder / "SequencesName.txt").write_text("a\nb\nc\n")
    (folder / "LI.txt").write_text("1\n0\n1\n")
    (folder / "HO.txt").write_text("0\n0\n0\n")
    assert ope.read_attributes(folder.parent, ["b", "c"]) == {"HO": [], "LI": ["c"]}
    (folder / "LI.txt").write_text("1\n0\n")
    with pytest.raises(UserError, match=r"LI\.txt: 2 values for 3 names"):
        ope.read_attributes(folder.parent, ["a"])


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

    assert "no result for a (1 of 11 sequences)" in error(ope.read_results, results, lasher, truth)
    del truth["a"]
    _, remarks = ope.read_results(results, lasher, truth)
    assert [remark.split(";")[0] for remark in remarks] == [
        "T: b: 6 lines for 5 frames",
        "T: c: 4 lines for 5 frames",
    ]
    write_rows(results / "d.txt", [[1, 2, 3, 4]] * 3)
    assert "d (3 of 5 lines)" in error(ope.read_results, results, lasher, truth)
    (results / "d.txt").write_text("1,2,3\n" * 5)
    assert "d.txt, line 1" in error(ope.read_results, results, lasher, truth)

    assert "no such folder" in error(ope.find_trackers, [tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    assert "no results in it" in error(ope.find_trackers, [tmp_path / "empty"])
    assert "no GTOT annotations" in error(ope.read_annotations, tmp_path, PROTOCOLS["gtot"])
    assert "no such folder" in error(ope.read_annotations, tmp_path / "none", lasher)
    assert "no annotation for q" in error(ope.read_annotations, results, lasher, ["q"])
    write_rows(tmp_path / "R/s/visible.txt", [[1, 2, 3, 4]] * 5)
    write_rows(tmp_path / "R/s/infrared.txt", [[1, 2, 3, 4]] * 4)
    fault = error(ope.read_annotations, tmp_path / "R", PROTOCOLS["rgbt234"])
    assert "5 lines in visible.txt, 4 lines in infrared.txt" in fault
    write_rows(tmp_path / "L/train/s/init.txt", [[1, 2, 3, 4]])
    write_rows(tmp_path / "L/test/s/init.txt", [[1, 2, 3, 4]])
    assert "second sequence named s" in error(ope.read_annotations, tmp_path / "L", lasher)
    (tmp_path / "names.txt").write_text("\n")
    assert "holds no name" in error(ope.read_sequence_list, tmp_path / "names.txt")
    assert "cannot be read" in error(ope.read_sequence_list, tmp_path / "none.txt")
