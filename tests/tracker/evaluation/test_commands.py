import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from fusion.commandline import Parser, run
from tracker.evaluation import commands


def call(*arguments):
    """Exit code of ``tracker evaluate`` or ``tracker vot analyze``."""
    parser = Parser(prog="tracker")
    groups = parser.add_subparsers(required=True)
    commands.add_evaluate(groups)
    commands.add_vot_analyze(groups.add_parser("vot").add_subparsers(required=True))
    parsed = parser.parse_args([str(argument) for argument in arguments])
    return run("tracker", lambda: parsed.command(parsed))


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(",".join(f"{v:g}" for v in row) + "\n" for row in rows))


def test_help_loads_nothing_slow():
    code = (
        "import sys; from tracker.evaluation.commands import add_evaluate, add_vot_analyze;"
        "print([m for m in ('torch', 'cv2', 'numpy', 'matplotlib', 'vot') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- tracker evaluate -----------------------------------------------------------------------------


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
    assert "1 sequences, 6 frames" in capsys.readouterr().out


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


def test_evaluate_runs_a_tracker(make_scene, template_tracker, tmp_path, capsys, monkeypatch):
    scene = make_scene(length=5)
    visible, thermal = scene.write_folders(tmp_path / "RGBT210" / "s")
    thermal.rename(visible.parent / "infrared")
    write_rows(visible.parent / "init.txt", scene.boxes)
    weights = tmp_path / "ncc.safetensors"
    weights.touch()
    monkeypatch.setattr(commands, "_load_tracker", lambda *_, **__: template_tracker)
    options = ["--dataset", "rgbt210", "--root", tmp_path / "RGBT210", "--json", "-"]
    options += ["--results", tmp_path / "results"]
    assert call("evaluate", *options, "--weights", weights) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["ncc"]["PR"] == 1 and figures["ncc"]["SR"] == pytest.approx(20 / 21)
    assert (tmp_path / "results/ncc/s.txt").is_file()

    # Without weights, the tracker that ships.
    assert call("evaluate", *options) == 0
    assert "compact" in json.loads(capsys.readouterr().out)
    assert call("evaluate", *options, "--weights", tmp_path / "none") == 2
    assert "none: no such file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        call("evaluate", *options, "--weights", weights, "--workers", "0")


# --- tracker vot analyze --------------------------------------------------------------------------


@pytest.fixture
def workspace(tmp_path, rng):
    """Two sequences and two trackers; one loses the target in the longer sequence."""
    for name, length in (("a", 50), ("b", 20)):
        folder = tmp_path / "ws/sequences" / name
        boxes = np.round(rng.uniform(20, 40, (length, 4)))
        write_rows(folder / "groundtruth.txt", boxes)
        pictures = "channels.color=color/%08d.jpg\nchannels.ir=ir/%08d.jpg\n"
        (folder / "sequence").write_text(f"width=99\nheight=99\nlength={length}\n{pictures}")
        (folder / "anchor.value").write_text("1\n" + "0\n" * (length - 2) + "-1\n")
        for tracker, lost in (("Kept", 99), ("Lost", 30)):
            for anchor, truth in ((0, boxes), (length - 1, boxes[::-1])):
                found = truth.copy()
                found[lost:, 0] += 200
                path = tmp_path / f"ws/results/{tracker}/baseline/{name}/{name}_{anchor:08d}.txt"
                write_rows(path, [[1], *found[1:]])
    (tmp_path / "ws/sequences/list.txt").write_text("a\nb\n")
    (tmp_path / "ws/config.yaml").write_text("stack: stack.yaml\nregistry: [./trackers.ini]\n")
    (tmp_path / "ws/stack.yaml").write_text(
        "title: small\nexperiments:\n  baseline:\n    type: multistart\n    analyses:\n"
        "      - {type: multistart_average_ar}\n"
        "      - {type: multistart_eao_score, low: 10, high: 45}\n"
        "      - {type: multistart_eao_curve, high: 45}\n"
    )
    entry = "label = {0}\nprotocol = trax\ncommand = none\n"
    text = "".join(f"[{name}]\n{entry.format(name)}\n" for name in ("Kept", "Lost"))
    (tmp_path / "ws/trackers.ini").write_text(text)
    return tmp_path / "ws"


def test_analyze_prints_tables(workspace, capsys):
    assert call("vot", "analyze", "--workspace", workspace, "--per-sequence") == 0
    text = capsys.readouterr().out
    assert text.startswith("2 sequences, 70 frames, 4 runs; EAO over 10 to 45 frames")
    lines = [line.split() for line in text.split("\n")]
    assert lines[3][:2] == ["Kept", "1.000*"] and lines[3][-1] == "0"
    assert lines[4][0] == "Lost" and lines[4][-1] == "2"
    assert [line[:2] for line in lines[-5:-1]] == [["Kept", s] for s in "ab"] + [
        ["Lost", s] for s in "ab"
    ]


def test_analyze_writes_json_tables_and_plots(workspace, capsys, tmp_path):
    arguments = ("vot", "analyze", "Lost", "--workspace", workspace)
    assert call(*arguments, "--json", "-", "-o", tmp_path / "out") == 0
    figures = json.loads(capsys.readouterr().out)
    assert list(figures) == ["Lost"]
    lost = figures["Lost"]
    assert len(lost["curve"]) == 45 and lost["sequences"]["a"]["failures"] == 2
    assert lost["EAO"] == pytest.approx(np.mean(lost["curve"][10:]))
    assert lost["R"] == pytest.approx((50 * 30 / 50 + 20) / 70)
    names = {"eao.png", "eao.pdf", "ar.png", "ar.pdf", "sequences.csv", "curve.csv"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    with (tmp_path / "out/curve.csv").open() as file:
        assert [float(row["Lost"]) for row in csv.DictReader(file)] == lost["curve"]


def test_analyze_json_has_no_nan(workspace, capsys):
    stack = workspace / "stack.yaml"
    stack.write_text(stack.read_text().replace("low: 10", "low: 25"))
    assert call("vot", "analyze", "Kept", "--workspace", workspace, "--json", "-") == 0
    figures = json.loads(capsys.readouterr().out)["Kept"]
    assert figures["sequences"]["b"]["EAO"] is None  # 20 frames are too short


def test_analyze_beside_the_toolkit(workspace, capsys):
    assert call("vot", "analyze", "--workspace", workspace, "--toolkit") == 0
    text = capsys.readouterr().out
    table = text[text.index("VOT toolkit") :].split("\n")[1:]
    assert len(table) == 2 * 5 + 2
    for line in table[:-2]:
        assert float(line.split()[-1]) < 1e-12
    assert table[-2].startswith("seconds") and table[-2].endswith("x")
    assert call("vot", "analyze", "Kept", "--workspace", workspace, "--toolkit", "--json", "-") == 0
    captured = capsys.readouterr()
    assert list(json.loads(captured.out)) == ["Kept"] and "VOT toolkit" in captured.err


def test_analyze_goes_on_after_a_bad_tracker(workspace, capsys):
    (workspace / "results/Lost/baseline/a/a_00000049.txt").unlink()
    assert call("vot", "analyze", "--workspace", workspace) == 2
    captured = capsys.readouterr()
    assert "Kept" in captured.out and "a anchor 49 (missing)" in captured.err
    assert call("vot", "analyze", "Lost", "--workspace", workspace) == 2
    assert "no tracker could be analysed" in capsys.readouterr().err


def test_analyze_names_what_is_wrong(workspace, capsys):
    assert call("vot", "analyze", "None", "--workspace", workspace) == 2
    assert "no results of None; there are results of Kept, Lost" in capsys.readouterr().err
    assert call("vot", "analyze", "--workspace", workspace / "none") == 2
    assert capsys.readouterr().err.count("\n") == 1
