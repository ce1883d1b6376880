# ruff: noqa: SIM300 - PR, NPR and SR look like constants
import itertools
import json

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.evaluation.ope import figures as ope
from tracker.evaluation.ope import files as ope_files
from tracker.evaluation.ope.figures import PROTOCOLS

BENCHMARKS = sorted(set(PROTOCOLS) - {"vot"})  # that is in test_one_pass_on_vot.py
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
    annotations = ope_files.read_annotations(root / "gt", protocol)
    assert list(annotations) and set(annotations) == set((root / "list.txt").read_text().split())
    for tracker, folder in ope_files.find_trackers([root / "results"]).items():
        results, remarks = ope_files.read_results(folder, protocol, annotations)
        assert len(remarks) == (name == "rgbt234")  # orangeman1
        scores = ope.score_results(protocol, results, annotations)
        known = expected.pop(tracker)
        (key,) = known.keys() & {"MPR5", "MPR20", "PR20"}
        assert scores.PR == pytest.approx(known[key], abs=1e-6)
        assert scores.SR == pytest.approx(known.get("MSR", known.get("SR")), abs=1e-6)
        if name == "lasher":
            assert scores.NPR == pytest.approx(known["NPR02"], abs=1e-6)
        if name == "rgbt234":
            for i, modality in enumerate(("visible", "infrared")):
                alone = {sequence: boxes[i : i + 1] for sequence, boxes in annotations.items()}
                single = ope.score_results(protocol, results, alone)
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
    figures = ope.score_results(protocol, results, annotations).figures()
    expected = plain_figures(name, results, annotations)
    for value, known in zip(figures.values(), expected, strict=True):
        assert value == (None if known is None else pytest.approx(known, abs=1e-9))


# --- Properties -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_perfect_tracker(rng, name):
    protocol = PROTOCOLS[name]
    annotations = {"a": annotated(rng, protocol, 9), "b": annotated(rng, protocol, 4)}
    scores = ope.score_results(
        protocol, {k: boxes[-1] for k, boxes in annotations.items()}, annotations
    )
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
        assert ope.score_results(protocol, {"a": moved}, annotations).PR == precise


def test_normalized_precision_divides_each_axis_by_its_own_size():
    truth = np.tile([10.0, 10, 100, 10], (2, 1))
    annotations = {"a": (truth,)}

    def npr(dx, dy):
        # LasHeR sets the first frame right, which leaves the second.
        moved = {"a": truth + [dx, dy, 0, 0]}
        return 2 * ope.score_results(PROTOCOLS["lasher"], moved, annotations).NPR - 1

    assert npr(19, 0) == 1 and npr(21, 0) == 0
    assert npr(0, 1.9) == 1 and npr(0, 2.1) == 0


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(BENCHMARKS), st.integers(0, 2**32 - 1))
def test_rates_are_monotonous_and_figures_are_shares(name, seed):
    rng = np.random.default_rng(seed)
    protocol = PROTOCOLS[name]
    annotations = {"a": annotated(rng, protocol, 7), "b": annotated(rng, protocol, 3)}
    scores = ope.score_results(
        protocol, {k: near(rng, v[0], 20) for k, v in annotations.items()}, annotations
    )
    assert (np.diff(scores.curve("precision")) >= 0).all()
    assert (np.diff(scores.curve("success")) <= 0).all()
    for value in scores.figures().values():
        assert value is None or 0 <= value <= 1
    # A second annotation can only help.
    if protocol.is_maximum:
        results = {k: near(rng, v[0], 20) for k, v in annotations.items()}
        both = ope.score_results(protocol, results, annotations)
        one = ope.score_results(protocol, results, {k: v[:1] for k, v in annotations.items()})
        assert both.PR >= one.PR and both.SR >= one.SR


def test_gtot_pools_frames_and_the_others_average_sequences(rng):
    short, long = random_boxes(rng, 10), random_boxes(rng, 30)
    results = {"short": short, "long": long + 500}
    for name, share in (("gtot", 10 / 40), ("rgbt234", 1 / 2)):
        annotations = {"short": (short, short), "long": (long, long)}
        assert ope.score_results(PROTOCOLS[name], results, annotations).PR == pytest.approx(share)


def test_rgbt210_is_rgbt234_with_one_annotation(rng):
    boxes = {"a": (random_boxes(rng, 20),)}
    results = {"a": near(rng, boxes["a"][0])}
    twice = {"a": boxes["a"] * 2}
    one = ope.score_results(PROTOCOLS["rgbt210"], results, boxes)
    two = ope.score_results(PROTOCOLS["rgbt234"], results, twice)
    assert one.figures() == two.figures()


def test_lasher_counts_absent_targets_as_precise_and_as_failures(rng):
    truth = random_boxes(rng, 10)
    truth[5:] = 0
    scores = ope.score_results(PROTOCOLS["lasher"], {"a": np.abs(truth) + 1e-9}, {"a": (truth,)})
    assert (scores.PR, scores.NPR) == (1, 1)
    assert scores.SR == pytest.approx(20 / 21 / 2)


def test_nan_results_are_neither_precise_nor_successes(rng):
    truth = random_boxes(rng, 4)
    result = truth.copy()
    result[1] = np.nan
    scores = ope.score_results(PROTOCOLS["rgbt234"], {"a": result}, {"a": (truth, truth)})
    assert scores.PR == 0.75 and scores.curve("success")[0] == 0.75


def test_subsets_are_figures_of_their_sequences(rng):
    protocol = PROTOCOLS["lasher"]
    annotations = {name: annotated(rng, protocol, 6) for name in "abc"}
    results = {name: near(rng, boxes[0]) for name, boxes in annotations.items()}
    scores = ope.score_results(protocol, results, annotations)
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
        ope.score_results(PROTOCOLS["lasher"], {"a": boxes}, {"a": (boxes,), "b": (boxes,)})
