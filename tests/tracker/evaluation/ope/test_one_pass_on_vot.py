"""AUC, P20 and kept on sequences in VOT's layout, baselines beside a tracker, and the sheet."""

import importlib.util
import json

import numpy as np
import pytest

from fusion.base.errors import UserError
from fusion.images.reading import read_image, write_image
from tracker.commands.cli import main
from tracker.data.sequences import load_dataset
from tracker.evaluation.ope.figures import (
    PROTOCOLS,
    first_loss,
    kept_share,
    score_results,
    sequence_rates,
)
from tracker.evaluation.ope.files import read_annotations, read_results

VOT = PROTOCOLS["vot"]


def write_boxes(path, boxes):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [",".join("nan" if np.isnan(v) else f"{v:.2f}" for v in box) for box in boxes]
    path.write_text("\n".join(rows) + "\n")


@pytest.fixture
def scored(tmp_path, rng):
    """Annotations of three sequences, with gaps, and results that lose the target at the end."""
    for name, length in (("a", 60), ("b", 33), ("c", 25)):
        truth = np.concatenate(
            [rng.uniform(0, 200, (length, 2)), rng.uniform(20, 60, (length, 2))], 1
        )
        found = truth + rng.normal(0, 9, truth.shape)
        found[length - rng.integers(2, 20) :, 0] += 150
        found[7:10] += 200  # three frames are no loss
        truth[rng.integers(3, length, 3)] = np.nan
        write_boxes(tmp_path / "sequences" / name / "groundtruth.txt", truth)
        write_boxes(tmp_path / "results" / "T" / f"{name}.txt", found)
    (tmp_path / "sequences" / "list.txt").write_text("a\nb\nc\n")
    return tmp_path


def test_figures_are_those_of_an_independent_program(scored, shared):
    path = shared / "tools" / "score.py"
    spec = importlib.util.spec_from_file_location("score", path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    rows = program.score(str(scored / "sequences"), str(scored / "results" / "T"))

    annotations = read_annotations(scored / "sequences", VOT)
    results, remarks = read_results(scored / "results" / "T", VOT, annotations)
    scores = score_results(VOT, results, annotations)
    assert remarks == [] and list(scores.rates) == list(rows) == ["a", "b", "c"]
    for name, (auc, precision, kept) in rows.items():
        alone = scores.subset([name])
        assert (alone.SR, alone.PR, alone.kept) == pytest.approx((auc, precision, kept), abs=1e-12)
        assert 0 < kept < 1
    mean = np.mean(list(rows.values()), axis=0)
    figures = scores.figures()
    assert [figures[key] for key in ("SR", "PR", "kept")] == pytest.approx(mean, abs=1e-12)


def test_a_loss_lasts_five_frames_or_to_the_end():
    overlaps = np.full(20, 0.5)
    assert kept_share(overlaps) == 1
    overlaps[4:8] = 0.1
    assert kept_share(overlaps) == 1
    overlaps[18:] = np.nan
    assert kept_share(overlaps) == 18 / 20
    overlaps[8] = 0
    assert kept_share(overlaps) == 4 / 20
    assert kept_share(np.zeros(3)) == 0
    assert first_loss(np.zeros(3)) == 0 and first_loss(overlaps) == 4
    assert first_loss(np.ones(9)) is None and first_loss(np.zeros(0)) is None


def test_tags_of_frames_are_attributes_and_a_radar_plot(scored, capsys):
    for name, flags in {"a": "011", "b": "000", "c": "100"}.items():
        for tag in ("dark", "smoke", "still"):
            path = scored / "sequences" / name / f"{tag}.tag"
            path.write_text("\n".join("1" if tag == "still" else flag for flag in flags))
    out = scored / "report"
    options = ["--dataset", "vot", "--annotations", scored / "sequences"]
    options += ["--results", scored / "results", "--attributes", "-o", out]
    assert main(["evaluate", *map(str, options)]) == 0
    printed = capsys.readouterr().out
    assert "dark (2)" in printed and "still (3)" in printed
    assert read_image(out / "radar.png").shape[0] > 500 and (out / "radar.pdf").exists()


def test_the_given_frame_and_absent_targets_do_not_count():
    truth = np.tile([10.0, 10, 20, 20], (5, 1))
    result = truth.copy()
    result[0] += 500
    truth[2] = np.nan
    rates = sequence_rates(VOT, result, (truth,))
    assert rates.frames == 3 and rates.precision[0] == 1 and rates.kept == 1
    with pytest.raises(ValueError, match="frame"):
        sequence_rates(VOT, result[:1], (truth[:1],))


def test_a_sequence_that_shows_no_target(tmp_path):
    write_boxes(tmp_path / "a" / "groundtruth.txt", [[1, 2, 3, 4]] + [[np.nan] * 4] * 3)
    with pytest.raises(UserError, match=r"a/groundtruth\.txt"):
        read_annotations(tmp_path, VOT)


def test_polygons_are_the_boxes_that_a_sequence_has(sequences):
    path = sequences / "car" / "groundtruth.txt"
    path.write_text("60,30,80,50,60,70,40,50\n" * 8)
    (boxes,) = read_annotations(sequences, VOT)["car"]
    assert (boxes == load_dataset(sequences, "vot")["car"].boxes_rgb).all()
    assert (boxes[:, :2] + boxes[:, 2:] / 2 == [60, 50]).all()


# --- The command ----------------------------------------------------------------------------------


@pytest.fixture
def sequences(make_scene, tmp_path):
    """Two sequences of 8 frames in VOT's layout."""
    root = tmp_path / "sequences"
    for seed, name in enumerate(("car", "dog")):
        scene = make_scene(length=8, size=(160, 120), seed=seed)
        for folder, frames in (("color", scene.rgb), ("ir", scene.ir)):
            for number, frame in enumerate(frames, start=1):
                write_image(root / name / folder / f"{number:08d}.png", frame)
        lines = "channels.color=color/%08d.png\nchannels.ir=ir/%08d.png\n"
        (root / name / "sequence").write_text(lines)
        write_boxes(root / name / "groundtruth.txt", scene.boxes)
    (root / "list.txt").write_text("car\ndog\n")
    return root


def test_ours_and_baselines_in_one_table(sequences, shared, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RGBT_NANOTRACK", "")  # restored afterwards; the command sets it
    results, sheet = tmp_path / "results", tmp_path / "sheet.png"
    command = ["evaluate", "--dataset", "vot", "--root", sequences, "--results", results]
    command += ["--baselines", "NCC", "nanotrack_mix", "--device", "cpu"]
    command += ["--nanotrack", shared / "data" / "weights" / "nanotrack"]
    command = [str(argument) for argument in command]
    assert main([*command, "--sheet", str(sheet), "-o", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["tracker", "AUC", "P20", "kept", "frames/s"]
    table = {line.split()[0]: line.split()[1:] for line in lines[3:6]}
    assert set(table) == {"small", "ncc", "nanotrack_mix"}
    assert table["ncc"][:3] == ["0.952*", "1.000*", "1.000*"]  # exact: 20/21
    assert all(int(row[3]) > 0 for row in table.values())
    assert read_image(sheet).shape[0] > 400
    with (tmp_path / "out" / "sequences.csv").open() as file:
        assert file.readline().strip() == "tracker,sequence,frames,SR,PR,kept"

    # Resumed: what is there is not run again, what is missing is.
    before = {path: path.stat().st_mtime_ns for path in results.glob("*/*.txt")}
    assert len(before) == 6
    lost = results / "ncc" / "dog.txt"
    lost.unlink()
    assert main([*command, "--json", "-"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["ncc"]["SR"] == pytest.approx(20 / 21) and figures["ncc"]["kept"] == 1
    assert figures["nanotrack_mix"]["frames per second"] > 0
    changed = {p for p, time in before.items() if p.stat().st_mtime_ns != time}
    assert changed == {lost}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--baselines", "nanotrack_mix"], "RGBT_NANOTRACK"),
        (["--baselines", "nanotrack_mix", "--nanotrack", "nowhere"], "nowhere"),
    ],
)
def test_what_a_baseline_lacks_is_named_before_anything_runs(
    sequences, tmp_path, monkeypatch, capsys, options, named
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RGBT_NANOTRACK", "")  # restored afterwards, whatever the command sets
    assert main(["evaluate", "--dataset", "vot", "--root", str(sequences), *options]) == 2
    error = capsys.readouterr().err
    assert named in error and error.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_a_sheet_needs_pictures(scored, capsys):
    options = ["--annotations", str(scored / "sequences"), "--results", str(scored / "results")]
    options += ["--sheet", str(scored / "sheet.png")]
    assert main(["evaluate", "--dataset", "vot", *options]) == 2
    assert "--root" in capsys.readouterr().err
