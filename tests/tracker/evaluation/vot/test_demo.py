"""``tracker demo`` in small: what it prints, what it writes, and that it resumes."""

import torch

from fusion.images.video import Video
from tracker.commands.cli import main
from tracker.evaluation.vot.demo import run_demo
from tracker.evaluation.vot.figures import score_trackers
from tracker.evaluation.vot.workspace import read_workspace
from tracker.model.presets import build_network
from tracker.model.weights import save_tracker


def test_without_and_with_weights(tmp_path, capsys):
    out = tmp_path / "demo"
    run_demo(out, sequences=1, length=30, device="cpu")
    said = capsys.readouterr().out
    assert "small, the included tracker " in said
    assert f"open {out / 'report.html'}" in said and str(out / "tracking.mp4") in said
    assert sum(1 for _ in Video(out / "tracking.mp4")) == 30

    workspace = read_workspace(out / "workspace")
    assert (workspace.experiment.low, workspace.experiment.high) == (15, 30)
    by_label = {line.split("  ")[0]: line.split() for line in said.splitlines()}
    ((tracker,), _) = score_trackers(workspace, ["NCC"])
    expected = [f"{value:.3f}" for value in tracker.scores.figures().values()]
    assert by_label["correlation, RGB+IR"][-4:-1] == expected

    torch.manual_seed(1)
    weights = tmp_path / "weights"
    save_tracker(build_network("compact_dfat_llrr"), weights / "compact_dfat_llrr.safetensors")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("NCC*/**/*.bin")}
    run_demo(out, sequences=1, length=30, device="cpu", weights=weights)
    said = capsys.readouterr().out
    assert "compact DFAT+LLRR " in said
    # The video shows the network that ships, whatever its rank.
    assert "(small, the included tracker;" in said
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("NCC*/**/*.bin")}


def test_bad_weights_folder(tmp_path, capsys):
    arguments = ["demo", "-o", str(tmp_path / "demo"), "--weights", str(tmp_path / "none")]
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "demo").exists()
