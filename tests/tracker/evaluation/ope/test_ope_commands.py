import csv
import json

import numpy as np
import pytest

from tracker.commands.cli import main
from tracker.evaluation.ope import commands as ope_commands


def call(*arguments):
    return main([str(argument) for argument in arguments])


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(",".join(f"{v:g}" for v in row) + "\n" for row in rows))


@pytest.fixture
def lasher(tmp_path, rng):
    """Annotations and attributes of three sequences, a good and a bad tracker."""
    for name, length in (("car", 6), ("man", 9), ("night-dog", 4)):
        boxes = np.round(rng.uniform(20, 60, (length, 4)))
        write_rows(tmp_path / "LasHeR/annos" / f"{name}.txt", boxes)
        write_rows(tmp_path / "results/Good" / f"{name}.txt", boxes + 1)
        write_rows(tmp_path / "results/Bad" / f"{name}.txt", boxes + 30)
        flags = [[int(name == "car"), 1, 0]]
        write_rows(tmp_path / "LasHeR/AttriSeqsTxt" / f"{name}.txt", flags)
    (tmp_path / "LasHeR/Attributes_order.txt").write_text("NO,PO,FM\n")
    return tmp_path


def evaluate(folder, *options):
    annotations = folder / "LasHeR" / "annos"
    return call("evaluate", "--dataset", "lasher", "--annotations", annotations, *options)


def test_evaluate_prints_tables(lasher, capsys):
    options = ("--results", lasher / "results", "--attributes", "--per-sequence")
    assert evaluate(lasher, *options) == 0
    text = capsys.readouterr().out
    lines = [line.split() for line in text.split("\n")]
    assert text.startswith("LasHeR: 3 sequences, 19 frames; PR at 20 px")
    assert lines[2] == ["tracker", "PR", "NPR", "SR"]
    assert lines[3][0] == "Good" and lines[3][1] == "1.000*" and lines[4][0] == "Bad"
    attributes = [line[:2] for line in lines if line and line[0] in ("NO", "PO", "FM")]
    assert attributes == [["NO", "(1)"], ["PO", "(3)"]]  # none shows FM
    assert [line[0] for line in lines[-4:-1]] == ["car", "man", "night-dog"]


def test_evaluate_writes_json_tables_and_plots(lasher, capsys):
    out = lasher / "report"
    options = ("--results", lasher / "results/Bad", lasher / "results/Good", "--attributes")
    assert evaluate(lasher, *options, "-o", out, "--json", lasher / "f.json") == 0
    figures = json.loads((lasher / "f.json").read_text())
    assert list(figures) == ["Bad", "Good"]
    assert figures["Good"].keys() == {"PR", "NPR", "SR", "attributes"}
    assert figures["Good"]["attributes"]["NO"]["sequences"] == 1
    assert {path.name for path in out.iterdir()} == {
        f"{plot}.{suffix}"
        for plot in ("success", "precision", "normalized")
        for suffix in ("png", "pdf")
    } | {"sequences.csv", "attributes.csv"}
    with (out / "sequences.csv").open() as file:
        rows = list(csv.DictReader(file))
    good = [float(row["SR"]) for row in rows if row["tracker"] == "Good"]
    assert np.mean(good) == pytest.approx(figures["Good"]["SR"])
    capsys.readouterr()
    assert evaluate(lasher, *options, "--json", "-", "--per-sequence") == 0
    detailed = json.loads(capsys.readouterr().out)
    sequences = detailed["Good"].pop("sequences")
    assert sequences["man"]["frames"] == 9
    assert np.mean([s["SR"] for s in sequences.values()]) == pytest.approx(figures["Good"]["SR"])
    assert detailed["Bad"].pop("sequences") and detailed == figures


def test_evaluate_on_two_annotations_gives_each_alone(tmp_path, capsys):
    write_rows(tmp_path / "RGBT234/s/visible.txt", [[10, 10, 20, 20]] * 3)
    write_rows(tmp_path / "RGBT234/s/infrared.txt", [[90, 10, 20, 20]] * 3)
    write_rows(tmp_path / "T/s.txt", [[90, 10, 20, 20]] * 3)
    options = ("--annotations", tmp_path / "RGBT234", "--results", tmp_path / "T")
    assert call("evaluate", "--dataset", "rgbt234", *options, "--json", "-") == 0
    figures = json.loads(capsys.readouterr().out)["T"]
    assert (figures["PR"], figures["NPR"]) == (1, None)
    assert (figures["visible"]["PR"], figures["infrared"]["PR"]) == (0, 1)
    assert call("evaluate", "--dataset", "rgbt234", *options) == 0
    assert "MPR" in capsys.readouterr().out


def test_evaluate_goes_on_after_a_bad_tracker(lasher, capsys):
    (lasher / "results/Bad/man.txt").unlink()
    assert evaluate(lasher, "--results", lasher / "results") == 2
    captured = capsys.readouterr()
    assert "Good" in captured.out and "no result for man (1 of 3" in captured.err
    (lasher / "names.txt").write_text("car\n")
    options = ("--results", lasher / "results", "--sequences", lasher / "names.txt")
    assert evaluate(lasher, *options) == 0
    assert "1 sequence, 6 frames" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--results is missing"),
        (["--results", "none"], "no such folder"),
        (["--results", "results/Bad", "--sequences", "none"], "cannot be read"),
        (["--results", "results/Short"], "no tracker could be evaluated (1 problems"),
    ],
)
def test_evaluate_names_what_is_wrong(lasher, capsys, monkeypatch, options, message):
    monkeypatch.chdir(lasher)
    write_rows(lasher / "results/Short/car.txt", [[1, 2, 3, 4]])
    assert evaluate(lasher, *options) == 2
    assert message in capsys.readouterr().err.strip().split("\n")[-1]


def test_evaluate_without_attribute_files(lasher, capsys):
    (lasher / "LasHeR/AttriSeqsTxt").rename(lasher / "away")
    assert evaluate(lasher, "--results", lasher / "results", "--attributes") == 2
    assert "neither AttriSeqsTxt nor attr_txt" in capsys.readouterr().err


# --- Running --------------------------------------------------------------------------------------


def test_runs_on_two_benchmarks_do_not_meet(
    make_scene, template_tracker, tmp_path, capsys, monkeypatch
):
    """The second run's figures are of its own benchmark's results alone."""
    boxes = make_scene(length=3).boxes
    for dataset, sequence in (("rgbt210", "one"), ("lasher", "other")):
        visible, thermal = make_scene(length=3).write_folders(tmp_path / dataset / sequence)
        thermal.rename(visible.parent / "infrared")
        for name in ("init", "visible", "infrared"):
            write_rows(visible.parent / f"{name}.txt", boxes)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ope_commands, "_load_tracker", lambda *_, **__: template_tracker)
    for dataset, name in (("rgbt210", "small"), ("lasher", "mine")):
        options = ("--dataset", dataset, "--root", dataset, "--name", name, "--json", "-")
        assert call("evaluate", *options) == 0
        assert list(json.loads(capsys.readouterr().out)) == [name]
    assert (tmp_path / "results/lasher/mine/other.txt").is_file()


def test_evaluate_runs_a_tracker(make_scene, template_tracker, tmp_path, capsys, monkeypatch):
    scene = make_scene(length=5)
    visible, thermal = scene.write_folders(tmp_path / "RGBT210" / "s")
    thermal.rename(visible.parent / "infrared")
    write_rows(visible.parent / "init.txt", scene.boxes)
    weights = tmp_path / "ncc.safetensors"
    weights.touch()
    monkeypatch.setattr(ope_commands, "_load_tracker", lambda *_, **__: template_tracker)
    options = ["--dataset", "rgbt210", "--root", tmp_path / "RGBT210", "--json", "-"]
    options += ["--results", tmp_path / "results"]
    assert call("evaluate", *options, "--weights", weights) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["ncc"]["PR"] == 1 and figures["ncc"]["SR"] == pytest.approx(20 / 21)
    assert (tmp_path / "results/ncc/s.txt").is_file()

    # Without weights, the tracker that ships.
    assert call("evaluate", *options) == 0
    assert "small" in json.loads(capsys.readouterr().out)
    assert call("evaluate", *options, "--weights", tmp_path / "none") == 2
    assert "none: no such file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        call("evaluate", *options, "--weights", weights, "--workers", "0")


def test_results_of_other_weights_are_not_reported(
    make_scene, template_tracker, tmp_path, capsys, monkeypatch
):
    """Weights files of all trainings have one name, and so have sequences of two benchmarks."""
    for dataset in ("RGBT210", "RGBT234"):
        visible, thermal = make_scene(length=3).write_folders(tmp_path / dataset / "s")
        thermal.rename(visible.parent / "infrared")
    boxes = make_scene(length=3).boxes
    write_rows(tmp_path / "RGBT210/s/init.txt", boxes)
    for modality in ("visible", "infrared"):
        write_rows(tmp_path / f"RGBT234/s/{modality}.txt", boxes)
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        (tmp_path / run / "weights.safetensors").write_text(run)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ope_commands, "_load_tracker", lambda *_, **__: template_tracker)

    def run(weights, dataset="rgbt210", *options):
        folder = {"rgbt210": "RGBT210", "rgbt234": "RGBT234"}[dataset]
        options = ("--weights", f"{weights}/weights.safetensors", "--results", "results", *options)
        code = call("evaluate", "--dataset", dataset, "--root", folder, *options)
        return code, capsys.readouterr().err.strip().split("\n")[-1]

    assert run("first")[0] == 0
    path = tmp_path / "results/weights/s.txt"
    kept = path.read_text()
    assert run("first")[0] == 0
    refused = "results/weights: contains results of other "
    for other in (
        ("second",),
        ("first", "rgbt234"),
        ("first", "rgbt210", "--preset", "rgb"),
        ("first", "rgbt210", "--runtime", "onnx"),
        ("first", "rgbt210", "--precision", "bfloat16"),
    ):
        code, error = run(*other)
        assert code == 2 and refused in error
    assert path.read_text() == kept
    assert run("second", "rgbt210", "--name", "second")[0] == 0

    # Results that came from elsewhere.
    (tmp_path / "results/weights/weights.sha256").unlink()
    code, error = run("first")
    assert code == 2 and "results/weights: " in error
    path.unlink()
    assert run("first")[0] == 0
