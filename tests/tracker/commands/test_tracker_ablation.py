"""``tracker ablation``: a tiny plan from pairs to the table, resumed, and what plans may say."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from fusion.base.errors import UserError
from tracker.commands.ablation import runs
from tracker.commands.ablation.parts import look
from tracker.commands.ablation.plan import read_plan
from tracker.commands.cli import main
from tracker.data.sequences import load_sequence
from tracker.model.joint import JointTracker
from tracker.model.weights import load_tracker, save_tracker
from tracker.synthetic import random_spec, write_sequence

EXPERIMENTS = Path(__file__).parents[3] / "experiments" / "tracker"
PLANS = sorted(EXPERIMENTS.glob("ablation_*.yaml"))
TINY = {
    "exemplar_size": 63,
    "search_size": 127,
    "depth": 1,
    "backbone_args": {
        "blocks": [[3, 8, 8, 2], [3, 16, 8, 2], [3, 16, 16, 2], [3, 24, 16]],
        "stem": 8,
    },
}
PLAN = {
    "baseline": "gate",
    "steps": 3,
    "batch_size": 4,
    "pairs": 8,
    "validation": 4,
    "rates": [1e-3, 1e-2],
    "seeds": [0, 1],
    "failing": ["ir"],
    "frames": 6,
    "data": {"holdout": 0.5},
    "configurations": {
        "ir": {"network": {"modalities": ["ir"]}},
        "mean": {"network": {"join": "mean"}},
        "gate": {},
        "llrr": {"network": {"fusion": "llrr", "fusion_args": {"num_filters": 2}}},
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A plan, a trunk, and two sequences that train and are evaluated on."""
    root = tmp_path_factory.mktemp("ablation")
    (root / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    torch.manual_seed(0)
    save_tracker(JointTracker(**TINY), root / "trunk.safetensors")
    for seed in (1, 2):
        spec = random_spec(seed, length=8, size=(160, 120))
        write_sequence(spec, root / "sequences" / f"s{seed}")
    return root


def call(folder, out, *options):
    command = [
        "ablation",
        "--config",
        folder / "plan.yaml",
        "--start",
        folder / "trunk.safetensors",
    ]
    command += ["--sequences", f"vot={folder / 'sequences'}", "-o", out, *options]
    return main([str(part) for part in command])


@pytest.fixture(scope="module")
def done(folder):
    out = folder / "out"
    options = ("--evaluate", f"own={folder / 'sequences'}", "--look", "own/s1:5", "own/s2:2")
    assert call(folder, out, *options) == 0
    return out


def test_runs_are_as_many_as_planned(done):
    found = {
        name: sorted(
            str(path.parent.relative_to(done / "runs" / name))
            for path in (done / "runs" / name).glob("*/*/record.json")
        )
        for name in PLAN["configurations"]
    }
    # Without anything to train there is one run; else both rates, and the better one again.
    assert found["mean"] == found["ir"] == ["0/fixed"]
    for name in ("gate", "llrr"):
        losses = {
            rate: json.loads((done / f"runs/{name}/0/{rate}/record.json").read_text())["loss"]
            for rate in ("0.001", "0.01")
        }
        best = min(losses, key=losses.get)
        assert found[name] == ["0/0.001", "0/0.01", f"1/{best}"]
    record = json.loads((done / "runs/gate/0/0.01/record.json").read_text())
    assert record["steps"] == 3 and record["trained"] == 2 * 2 * (16 + 1)


def test_the_table_is_that_of_the_results(done):
    with (done / "figures.csv").open() as file:
        rows = {(row["trial"], row["configuration"]): row for row in csv.DictReader(file)}
    assert {trial for trial, _ in rows} == {"own", "own, ir fails"}
    row = rows["own", "llrr"]
    from tracker.evaluation.ope.figures import PROTOCOLS, score_results

    means = []
    for seed in (0, 1):
        results, truth = {}, {}
        for name in ("s1", "s2"):
            path = done / "results" / "own" / f"llrr@{seed}" / f"{name}.txt"
            results[name] = np.loadtxt(path, delimiter=",")
            text = (done.parent / "sequences" / name / "groundtruth.txt").read_text().split()
            truth[name] = (np.array([line.split(",") for line in text], float)[:6],)
            assert results[name].shape == (6, 4)
        means.append(score_results(PROTOCOLS["vot"], results, truth).SR)
    assert float(row["AUC"]) == pytest.approx(np.mean(means))
    assert float(row["deviation"]) == pytest.approx(np.std(means, ddof=1), abs=1e-12)
    gate = float(rows["own", "gate"]["AUC"])
    assert float(row["difference"]) == pytest.approx(np.mean(means) - gate, abs=1e-9)
    assert float(row["low"]) <= float(row["difference"]) <= float(row["high"])
    assert rows["own", "gate"]["difference"] == ""
    with (done / "costs.csv").open() as file:
        costs = {row["configuration"]: row for row in csv.DictReader(file)}
    assert float(costs["llrr"]["multiply-adds"]) > float(costs["gate"]["multiply-adds"]) > 0
    network = load_tracker(done / "runs/mean/0/fixed/weights.safetensors")
    assert int(costs["mean"]["parameters"]) == pytest.approx(
        sum(p.numel() for p in network.for_inference().parameters())
    )
    assert (done / "differences.png").stat().st_size > 5000


def test_parts_are_those_of_the_stack(done):
    assert (done / "parts.png").stat().st_size > 20_000
    network = load_tracker(next((done / "runs/llrr/0").iterdir()) / "weights.safetensors")
    stack = network.head.joins["cls"].fusion.llrr_ir
    torch.nn.init.constant_(stack.threshold[:2], 1e6)  # no low-rank coefficient remains
    torch.nn.init.constant_(stack.threshold[2:], 0.0)
    found = look(network, load_sequence(done.parent / "sequences" / "s1"), 4)
    assert found["ir"].zeros == (1.0, 0.0) and (found["ir"].stages["low-rank"] == 0).all()
    assert found["rgb"].crop.shape == (127, 127, 3) and found["ir"].crop.shape == (127, 127)
    with pytest.raises(UserError, match="parts are those"):
        look(load_tracker(), load_sequence(done.parent / "sequences" / "s1"), 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [("own", "SEQUENCE:FRAME"), ("own/s9:1", "no such sequence"), ("own/s1:7", "frames 1 to 6")],
)
def test_frames_to_look_at_are_checked_first(folder, tmp_path, capsys, text, said):
    options = ("--evaluate", f"own={folder / 'sequences'}", "--look", text)
    assert call(folder, tmp_path / "o", *options) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "o").exists()


def test_the_command_resumes_and_repeats(folder, done, capsys):
    record = done / "runs/gate/1"
    (kept,) = record.glob("*/record.json")
    before = json.loads(kept.read_text())
    kept.unlink()
    (done / "results/own/llrr@1/s2.txt").unlink()
    others = {path: path.stat().st_mtime_ns for path in done.rglob("weights.safetensors")}
    assert call(folder, done, "--evaluate", f"own={folder / 'sequences'}") == 0
    assert "+ better than the baseline" in capsys.readouterr().out
    again = json.loads(kept.read_text())
    assert {**again, "cpu_seconds": 0} == {**before, "cpu_seconds": 0}
    changed = [p for p, time in others.items() if p.stat().st_mtime_ns != time]
    assert [path.parent for path in changed] == [kept.parent]
    assert (done / "results/own/llrr@1/s2.txt").exists()


def test_another_plan_is_refused_in_a_folder(folder, done, capsys):
    assert call(folder, done, "--steps", "4") == 2
    error = capsys.readouterr().err
    assert "plan.yaml: begun with another plan" in error and len(error.splitlines()) == 1


def test_a_folder_takes_more_configurations_and_keeps_the_others(folder, done, capsys):
    plan = yaml.safe_load((done / "plan.yaml").read_text())
    times = {path: path.stat().st_mtime_ns for path in done.rglob("record.json")}
    assert call(folder, done, "--only", "mean", "--seeds", "0", "--failing") == 0
    capsys.readouterr()
    kept = yaml.safe_load((done / "plan.yaml").read_text())
    assert kept["configurations"] == plan["configurations"] and kept["failing"] == []
    assert {path: path.stat().st_mtime_ns for path in done.rglob("record.json")} == times
    assert call(folder, done, "--seeds", "1", "0") == 2  # other held-out pairs
    changed = PLAN | {"configurations": {"gate": {}, "mean": {"network": {"join": "decision"}}}}
    (folder / "changed.yaml").write_text(yaml.safe_dump(changed))
    command = ["ablation", "--config", folder / "changed.yaml", "-o", done]
    command += ["--start", folder / "trunk.safetensors"]
    command += ["--sequences", f"vot={folder / 'sequences'}"]
    assert main([str(part) for part in command]) == 2
    assert "begun with another plan" in capsys.readouterr().err


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_the_plans_of_the_experiments_can_be_built(path):
    plan = read_plan(path)
    trunk = load_tracker(trainable=True)
    names = {}
    for name, configuration in plan.configurations.items():
        module = runs.make_module(trunk, plan, configuration, 0, 1e-3)
        names[name] = sum(parameter.numel() for _, parameter in module.trained)
    assert len(plan.seeds) >= 3 and plan.baseline in names
    if path.stem == "ablation_llrr":
        assert [n for n, count in names.items() if not count] == ["rgb", "ir", "mean", "decision"]
    if path.stem == "ablation_why":
        # The plain stack lacks thresholds and weights of steps alone, of two stacks in two joins.
        assert names["llrr"] - names["plain stack"] == 2 * 2 * (2 * 16 + 1)
        assert names["llrr"] - names["thresholds 0"] == 2 * 2 * 2 * 16


def test_variants_outside_the_package_can_be_built(tmp_path):
    """All configurations are built before the data is found missing."""
    command = [sys.executable, "-m", "tracker", "--import", "llrr_variants", "ablation"]
    command += ["--config", EXPERIMENTS / "llrr_variants.yaml", "-o", tmp_path / "o"]
    environment = os.environ | {"PYTHONPATH": f"{EXPERIMENTS}{os.pathsep}{EXPERIMENTS.parents[1]}"}
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert outcome.returncode == 2 and "data: no folder" in outcome.stderr
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stepps": 3}, "stepps is not a key"),
        ({"steps": 0}, "steps must be"),
        ({"rates": [1e-3, 1e-3]}, "rates must be different"),
        ({"rates": []}, "rates must be"),
        ({"seeds": [0.5]}, "seeds must be"),
        ({"parts": "all"}, "parts must be join or head"),
        ({"baseline": "best"}, "baseline best is none of"),
        ({"failing": ["depth"]}, "failing must be"),
        ({"head_rate": -1}, "head_rate must be"),
        ({"every": 0}, "every must be"),
        ({"precision": "16"}, "precision must be"),
        ({"data": 3}, "data must be"),
        ({"configurations": {}}, "no configurations"),
        ({"configurations": {"a/b": {}}, "baseline": "a/b"}, "a/b: cannot be the name"),
        ({"configurations": {"gate": {"net": {}}}}, "configurations.gate: give network"),
        ({"configurations": {"gate": {"network": 3}}}, "gate.network: not keys"),
        ({"configurations": {"gate": {"keep_join": 1}}}, "gate.keep_join: give true or false"),
    ],
)
def test_what_is_wrong_with_a_plan_is_said(tmp_path, changes, said):
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump(PLAN | changes))
    with pytest.raises(UserError, match=r"p\.yaml") as error:
        read_plan(path)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"network": {"depth": 3}}, "changes more than how the modalities"),
        ({"network": {"join": "sum"}}, "join must be one of"),
        ({"network": {"joint": "mean"}}, "unexpected keyword argument 'joint'"),
        ({"network": {"fusion": "rfn", "fusion_args": {"size": 3}}}, "'size'"),
        ({"fixed": {"weight": "none"}}, "configurations.new"),
        ({"network": {"fusion": "llr"}}, "did you mean 'llrr'"),
        ({"fixed": {"threshold": 0.0}}, "fixed: no parameter of the join ends with threshold"),
        ({"initial": {"scale": 0.1}}, "initial: no parameter of the join ends with scale"),
        ({"feature_loss": "eq16"}, "eq16"),
    ],
)
def test_configurations_are_built_before_anything_is_trained(folder, tmp_path, capsys, row, said):
    plan = PLAN | {"configurations": PLAN["configurations"] | {"new": row}}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    command = ["ablation", "--config", tmp_path / "plan.yaml", "-o", tmp_path / "o"]
    command += ["--sequences", f"vot={folder / 'sequences'}"]
    assert main([str(part) for part in command]) == 2
    error = capsys.readouterr().err
    assert "configurations.new" in error and said in error and len(error.splitlines()) == 1
    assert not (tmp_path / "o").exists()
