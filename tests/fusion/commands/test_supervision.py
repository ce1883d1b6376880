"""``fusion supervision``: a plan's runs are trained once with equal steps, fused, and ranked."""

import csv
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from fusion.base.configuration import read_config
from fusion.base.errors import UserError
from fusion.commands.ablation import Row
from fusion.commands.cli import main
from fusion.commands.supervision import Outcome, Run, Supervision, read_plan
from fusion.evaluation.comparison import Comparison
from fusion.evaluation.metrics import create_all

PLAN = Path(__file__).parents[3] / "experiments" / "fusion" / "supervision.yaml"
BASELINES = ["didfuse", "rfn-nest", "pmgi", "sdnet", "fusiongan", "ddcgan", "swinfusion", "mgt"]


def test_the_plan_has_the_eight_baselines_with_equal_steps(tmp_path):
    plan = read_plan(PLAN)
    assert sorted(plan.networks) == sorted(BASELINES)
    names = {kind["references"] for kind in plan.treatments.values() if "references" in kind}
    runs = Supervision(plan, tmp_path, {name: tmp_path / name for name in names}).runs
    steps, sizes = {}, {}
    for run in runs:
        for row in run.rows:
            keys = row.keys
            supervised = "upervised" in keys["model"]["class_path"]
            assert ("references" in keys["data"]) == supervised
            size = keys["data"]["size"], keys["data"]["batch_size"], keys["data"]["view"]
            sizes.setdefault(run.network, set()).add(size)
        total = sum(row.keys["trainer"]["max_steps"] for row in run.rows)
        steps.setdefault(run.network, set()).add(total)
        for before, row in zip(run.rows, run.rows[1:], strict=False):
            start = row.keys["model"]["init_args"]["start"]
            assert start == str(tmp_path / "weights" / f"{before.run}.safetensors")
    assert all(len(found) == 1 for found in (*steps.values(), *sizes.values()))
    by_name = {run.name: run for run in runs}
    assert len(by_name["rfn-nest.curriculum.0"].rows) == 3
    released, corrected = (
        by_name[f"mgt.{kind}.0"].rows[0].keys for kind in ("supervised", "corrected")
    )
    assert released["model"]["init_args"]["as_released"]
    assert not corrected["model"]["init_args"]["as_released"]


def test_a_treatment_of_some_networks_brings_the_runs_that_stand_for_others(tmp_path):
    folders = {"pictures": tmp_path / "references"}
    runs = Supervision(read_plan(PLAN), tmp_path, folders, treatments=["corrected"]).runs
    found = {run.network: run.treatment for run in runs if run.treatment != "plain"}
    assert sorted(found) == sorted(BASELINES)
    own = {name for name, kind in found.items() if kind == "corrected"}
    assert own == {"sdnet", "swinfusion", "mgt"}
    assert set(found.values()) == {"corrected", "supervised"}


@pytest.fixture
def small(tmp_path):
    """A plan of two networks that train for two steps."""
    experiments = PLAN.parent
    for name in ("pmgi", "pmgi_supervised", "sdnet", "sdnet_supervised"):
        shutil.copy(experiments / f"{name}.yaml", tmp_path)
    keys = {"data.size": 24, "data.batch_size": 1, "model.init_args.initial_deviation": None}
    networks = {
        name: {
            "steps": 2,
            "keys": keys,
            "plain": [f"{name}.yaml"],
            "supervised": [f"{name}_supervised.yaml"],
        }
        for name in ("pmgi", "sdnet")
    }
    networks["pmgi"]["keys"] = {**keys, "model.init_args.margin": 0}
    treatments = {
        "plain": {"stages": ["plain"]},
        "supervised": {"stages": ["supervised"]},
        "curriculum": {"stages": ["plain", "supervised"], "networks": ["sdnet"]},
    }
    general = {
        "trainer.max_epochs": -1, "trainer.accelerator": "cpu", "data.view": "crop",
        "trainer.enable_progress_bar": False,
    }  # fmt: skip
    plan = {"keys": general, "treatments": treatments, "networks": networks}
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    return path


@pytest.fixture
def in_this_process(monkeypatch):
    """Replaces the training processes, which are slow to start; returns their configurations."""
    trained = []

    def run(command):
        trained.append(Path(command[command.index("--config") + 1]).stem)
        return subprocess.CompletedProcess(command, main(command[3:]))

    monkeypatch.setattr("fusion.commands.ablation.subprocess.run", run)
    return trained


@pytest.mark.filterwarnings("ignore")
def test_runs_are_trained_fused_and_ranked_and_not_trained_again(
    street_pairs, small, tmp_path, capfd, in_this_process
):
    root = street_pairs(2, 72, 64)
    references = tmp_path / "references"
    shutil.copytree(root / "vis", references / "rank_1")
    (references / "rank_1.txt").write_text("0.png,1\n1.png,1\n")
    out = tmp_path / "out"
    command = ["supervision", "--plan", small, "--data.root", root, "-o", out]
    command += ["--references", f"references={references}"]
    command = list(map(str, [*command, "--ir", root / "ir", "--vis", root / "vis"]))
    assert main([*command, "--treatments", "supervised"]) == 0
    assert in_this_process == [
        "pmgi.plain.0", "sdnet.plain.0", "pmgi.supervised.0", "sdnet.supervised.0",
    ]  # fmt: skip
    said = capfd.readouterr().out
    assert "supervised: " in said and "of 2 runs gain in the mean rank" in said
    assert main(command) == 0
    assert in_this_process[4:] == ["sdnet.curriculum.0.stage1", "sdnet.curriculum.0"]
    with (out / "supervision.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["network"], row["treatment"]) for row in rows] == [
        ("pmgi", "supervised"), ("sdnet", "supervised"), ("sdnet", "curriculum"),
    ]  # fmt: skip
    for row in rows:
        assert float(row["gain"]) == pytest.approx(float(row["plain rank"]) - float(row["rank"]))
    assert len(list((out / "fused/sdnet.curriculum.0").glob("*.png"))) == 2
    assert (out / "sheets/pmgi.png").is_file()
    last = read_config(out / "configurations/sdnet.curriculum.0.yaml")
    assert last["trainer"]["max_steps"] == 1

    # Images of other pairs are not taken for these.
    other = street_pairs(1, 72, 64)
    command[-3:] = [str(other / "ir"), "--vis", str(other / "vis")]
    assert main(command) == 2
    assert "are of other pairs" in capfd.readouterr().err


def test_runs_of_another_treatment_stand_for_networks_without_one():
    metrics = create_all(("en", "ssim"))
    values = {"a.plain.0": 1, "b.plain.0": 2, "a.first.0": 3, "b.first.0": 4, "a.second.0": 5}
    table = {name: {"1": {"en": v, "ssim": v}} for name, v in values.items()}
    runs = tuple(Run(*name.split(".")[:2], 0, (Row(name, name, {}),)) for name in table)
    outcome = Outcome(Comparison(metrics, table, []), runs, [], {"first": None, "second": "first"})
    judged = {(run.network, run.treatment): each for run, each in outcome.judgements()}
    assert judged.keys() == {("a", "first"), ("b", "first"), ("a", "second"), ("b", "second")}
    # Of four candidates, b's run of the first treatment is best beside a's of the first, but not
    # beside a's of the second.
    assert judged["b", "first"].treated_rank == 1 and judged["b", "second"].treated_rank == 2
    assert "second: 2 of 2 runs gain in the mean rank, 2 of them" in outcome.table()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"networks": {}}, "networks is not a mapping"),
        ({"treatments": {"a": {"stages": ["plain"]}}}, "lacks plain"),
        ({"treatments": {"plain": {"stages": ["tuned"]}}}, "a list of plain and supervised"),
        (
            {"treatments": {"plain": {"stages": ["plain"], "others": "none"}}},
            "others: no treatment of the plan",
        ),
        ({"networks": {"pmgi": {"plain": ["pmgi.yaml"]}}}, "steps: give a number"),
        ({"networks": {"pmgi": {"steps": 2, "plain": ["pmgi.yaml"]}}}, "no configurations"),
    ],
)
def test_a_bad_plan_is_one_line(small, change, complaint):
    small.write_text(yaml.safe_dump({**yaml.safe_load(small.read_text()), **change}))
    with pytest.raises(UserError, match=complaint):
        read_plan(small)


def test_unknown_names_and_missing_references_are_named(small, tmp_path):
    plan = read_plan(small)
    with pytest.raises(UserError, match="'vgg' is unknown; known are pmgi, sdnet"):
        Supervision(plan, tmp_path, {}, networks=["vgg"])
    with pytest.raises(UserError, match="needs references; give references=DIR"):
        Supervision(plan, tmp_path, {})
    assert Supervision(plan, tmp_path, {}, treatments=["plain"]).runs
