import csv
import json

import numpy as np
import pytest

from tracker.commands.cli import main


def call(*arguments):
    """Exit code of ``tracker vot analyze``."""
    return main(["vot", "analyze", *(str(argument) for argument in arguments)])


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(",".join(f"{v:g}" for v in row) + "\n" for row in rows))


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
    assert call("--workspace", workspace, "--per-sequence") == 0
    text = capsys.readouterr().out
    assert text.startswith("2 sequences, 70 frames, 4 runs; EAO over 10 to 45 frames")
    lines = [line.split() for line in text.split("\n")]
    assert lines[3][:2] == ["Kept", "1.000*"] and lines[3][-1] == "0"
    assert lines[4][0] == "Lost" and lines[4][-1] == "2"
    assert [line[:2] for line in lines[-5:-1]] == [["Kept", s] for s in "ab"] + [
        ["Lost", s] for s in "ab"
    ]


def test_analyze_writes_json_tables_and_plots(workspace, capsys, tmp_path):
    arguments = ("Lost", "--workspace", workspace)
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
    assert call("Kept", "--workspace", workspace, "--json", "-") == 0
    figures = json.loads(capsys.readouterr().out)["Kept"]
    assert figures["sequences"]["b"]["EAO"] is None  # 20 frames are too short


def test_analyze_beside_the_toolkit(workspace, capsys):
    assert call("--workspace", workspace, "--toolkit") == 0
    text = capsys.readouterr().out
    table = text[text.index("VOT toolkit") :].split("\n")[1:]
    assert len(table) == 2 * 5 + 2
    for line in table[:-2]:
        assert float(line.split()[-1]) < 1e-12
    assert table[-2].startswith("seconds") and table[-2].endswith("x")
    assert call("Kept", "--workspace", workspace, "--toolkit", "--json", "-") == 0
    captured = capsys.readouterr()
    assert list(json.loads(captured.out)) == ["Kept"] and "VOT toolkit" in captured.err


def test_analyze_goes_on_after_a_bad_tracker(workspace, capsys):
    (workspace / "results/Lost/baseline/a/a_00000049.txt").unlink()
    assert call("--workspace", workspace) == 2
    captured = capsys.readouterr()
    assert "Kept" in captured.out and "a anchor 49 (missing)" in captured.err
    assert call("Lost", "--workspace", workspace) == 2
    assert "a anchor 49" in capsys.readouterr().err


def test_analyze_names_what_is_wrong(workspace, capsys):
    assert call("None", "--workspace", workspace) == 2
    error = capsys.readouterr().err
    assert "None" in error and "Kept, Lost" in error and error.count("\n") == 1
    assert call("--workspace", workspace / "none") == 2
    assert capsys.readouterr().err.count("\n") == 1
