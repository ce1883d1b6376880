# ruff: noqa: SIM300 - A, R and EAO look like constants
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tracker.evaluation.vot import figures
from tracker.evaluation.vot.figures import score_runs, score_trackers
from tracker.evaluation.vot.regions import Regions, region_overlaps
from tracker.evaluation.vot.sequences import AnchoredSequence
from tracker.evaluation.vot.workspace import read_workspace

# --- The published results ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(shared):
    return shared / "data" / "vot2020_rgbt"


def test_the_benchmarks_figures(bundle):
    expected = json.loads((bundle / "expected.json").read_text())
    ((tracker,), faults) = score_trackers(read_workspace(bundle))
    assert (tracker.reference, faults) == ("DFAT", [])
    scores = tracker.scores
    for name, value in scores.figures().items():
        assert value == pytest.approx(expected["vot2020_multistart"]["infrared"][name], abs=1e-9)
    for frames, value in expected["eao_curve_infrared_at"].items():
        assert scores.curve[int(frames)] == pytest.approx(value, abs=1e-9)
    known = expected["per_sequence_infrared"]
    assert len(known) == len(scores.sequences) == 60
    for sequence in scores.sequences:
        entry = known[sequence.name]
        assert (sequence.progress, sequence.frames) == (entry["progress"], entry["frames"])
        assert [sequence.A, sequence.R] == pytest.approx([entry["A"], entry["R"]], abs=1e-9)


@pytest.fixture(scope="module")
def awkward_workspace(bundle, tmp_path_factory):
    """A few sequences; one's results are binary, another's annotation has gaps and polygons."""
    folder = tmp_path_factory.mktemp("workspace")
    names = ["basketball2", "bus6", "car10", "manwithbasketball"]
    for part in ("sequences", "results/DFAT/baseline"):
        for name in names:
            shutil.copytree(
                bundle / part / name, folder / part / name, copy_function=shutil.copyfile
            )
            (folder / part / name).chmod(0o755)
    (folder / "sequences" / "list.txt").write_text("\n".join(names) + "\n")
    for name in ("config.yaml", "trackers.ini"):
        shutil.copyfile(bundle / name, folder / name)
    # A short interval, which these short sequences reach.
    stack = (bundle / "stack.yaml").read_text().replace("115", "20").replace("755", "120")
    (folder / "stack.yaml").write_text(stack)

    from vot.region import io as region_io

    for path in (folder / "results/DFAT/baseline/bus6").glob("*_????????.txt"):
        regions = region_io.read_trajectory(str(path))
        regions[3] = region_io.parse_region("2")  # a code amid the boxes
        regions[4] = region_io.parse_region("nan,1,1,1")
        region_io.write_trajectory(str(path.with_suffix(".bin")), regions)
        path.unlink()
    truth = folder / "sequences" / "car10" / "groundtruth.txt"
    lines = truth.read_text().split("\n")
    lines[30:33] = ["0", "nan,nan,nan,nan", "10,10,0,5"]
    for i in range(60, 90):
        x, y, w, h = map(float, lines[i].split(","))
        lines[i] = f"{x + 3},{y},{x + w},{y + 4.5},{x + w - 3},{y + h},{x},{y + h - 4.5}"
    truth.write_text("\n".join(lines))
    return folder


def test_the_toolkit_agrees_on_each_sequence_and_the_curve(awkward_workspace):
    from tracker.evaluation.vot.toolkit import toolkit_scores

    workspace = read_workspace(awkward_workspace)
    assert (workspace.experiment.low, workspace.experiment.high) == (20, 120)
    ((tracker,), _) = score_trackers(workspace)
    scores = tracker.scores
    toolkit = toolkit_scores(workspace, ["DFAT"])["DFAT"]
    assert scores.figures() == pytest.approx(toolkit.figures(), abs=1e-12)
    np.testing.assert_allclose(scores.curve, toolkit.curve, atol=1e-12)
    for sequence in scores.sequences:
        known = toolkit.sequences[sequence.name]
        assert [sequence.A, sequence.R] == pytest.approx(known, abs=1e-12)
    assert sum(sequence.failures for sequence in scores.sequences) > 3


# --- Figures --------------------------------------------------------------------------------------


def sequence_of(rng, name, length, anchors, size=(200, 150)):
    boxes = np.concatenate(
        [rng.integers(0, 90, (length, 2)), rng.integers(10, 40, (length, 2))], axis=1
    )
    values = np.zeros(length)
    for anchor in anchors:
        values[anchor] = 1 if anchor < length // 2 else -1
    return AnchoredSequence(Path(name), Regions(boxes.astype(np.float32)), values, size)


def perfect_runs(sequence):
    return [sequence.groundtruth.take(run.frames) for run in sequence.runs]


def with_code(regions):
    boxes = regions.boxes.copy()
    boxes[0] = np.nan
    return Regions(boxes)


def plain_curve(sequences, trajectories, high):
    """The curve from its definition, a length and a run at a time."""
    curve = [0.0]
    for length in range(1, high):
        values = []
        for sequence in sequences:
            for run, regions in zip(sequence.runs, trajectories[sequence.name], strict=True):
                truth = sequence.groundtruth.take(run.frames)
                overlaps = list(region_overlaps(regions, truth, sequence.size))
                present = truth.present()
                lost, failed = 0, False
                for i, overlap in enumerate(overlaps):
                    lost = lost + 1 if overlap <= 0.1 and present[i] else 0
                    if lost == 10:
                        failed = True
                        overlaps[i - 9 :] = [0] * (len(overlaps) - i + 9)
                        break
                if length < len(overlaps):
                    values.append(sum(overlaps[1 : length + 1]) / length)
                elif failed:
                    values.append(sum(overlaps[1:]) / (length - 1))
        curve.append(sum(values) / len(values) if values else 0.0)
    return curve


def test_the_curve_agrees_with_plain_loops(rng):
    sequences = [
        sequence_of(rng, "a", 60, (0, 20, 59)),
        sequence_of(rng, "b", 35, (0, 34)),
        sequence_of(rng, "c", 8, (0,)),
    ]
    trajectories = {}
    for sequence in sequences:
        trajectories[sequence.name] = runs = []
        for regions in perfect_runs(sequence):
            boxes = with_code(regions).boxes
            boxes[1:] += rng.normal(0, 6, boxes[1:].shape)
            if rng.random() < 0.6:
                boxes[len(boxes) // 2 :, 0] += 500
            runs.append(Regions(boxes))
    scores = score_runs(sequences, trajectories, 5, 80)
    assert sum(sequence.failures for sequence in scores.sequences) > 0
    expected = plain_curve(sequences, trajectories, 80)
    np.testing.assert_allclose(scores.curve, expected, atol=1e-12)
    assert scores.EAO == pytest.approx(np.mean(expected[5:]), abs=1e-12)


def test_a_perfect_tracker(rng):
    sequences = [sequence_of(rng, "a", 40, (0, 39)), sequence_of(rng, "b", 40, (10,))]
    runs = {s.name: [with_code(run) for run in perfect_runs(s)] for s in sequences}
    scores = score_runs(sequences, runs, 2, 39)
    assert (scores.R, scores.EAO) == (1, 1)
    # The first frame of each of the three runs has no overlap.
    assert pytest.approx((39 + 39 + 29) / (40 + 40 + 30)) == scores.A


def test_failure_starts_at_the_first_of_ten_lost_frames():
    overlaps = np.ones(50)
    present = np.ones(50, bool)
    assert figures.run_progress(overlaps, present) == 50
    overlaps[20:29] = 0.1
    assert figures.run_progress(overlaps, present) == 50
    overlaps[29] = 0.1
    assert figures.run_progress(overlaps, present) == 20
    present[25] = False  # the count starts anew
    assert figures.run_progress(overlaps, present) == 50
    assert figures.run_progress(np.zeros(9), np.ones(9, bool)) == 9
    assert figures.run_progress(np.zeros(10), np.ones(10, bool)) == 0


def test_a_run_knows_where_it_failed(rng):
    sequence = sequence_of(rng, "a", 40, (5, 39))
    forward, backward = (with_code(run).boxes for run in perfect_runs(sequence))
    backward[12:, 0] += 500
    runs = {"a": [Regions(forward), Regions(backward)]}
    (scores,) = score_runs([sequence], runs).sequences
    assert [run.run.is_backward for run in scores.runs] == [False, True]
    assert [run.failure_frame for run in scores.runs] == [None, 39 - 12]
    assert scores.failures == 1 and scores.progress == 35 + 12


def test_a_sequence_without_long_runs_has_no_eao(rng):
    sequence = sequence_of(rng, "a", 40, (0,))
    (scores,) = score_runs([sequence], {"a": perfect_runs(sequence)}).sequences
    assert np.isnan(scores.eao(115, 755)) and scores.eao(10, 755) == 1


def test_trajectories_must_fit_the_runs(rng):
    sequence = sequence_of(rng, "a", 20, (0, 19))
    runs = perfect_runs(sequence)
    with pytest.raises(ValueError, match="do not fit"):
        score_runs([sequence], {"a": runs[:1]})
    with pytest.raises(ValueError, match="needs a sequence"):
        score_runs([], {})
