"""``fusion ablation``: rows of one file, each trained once, resumed, fused and tabulated."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fusion.base.configuration import read_config
from fusion.base.errors import UserError
from fusion.commands.ablation import Ablation, read_tables
from fusion.commands.cli import main
from fusion.commands.scene import street_pair
from fusion.images.reading import write_image
from fusion.networks.lrrnet import LRRNet
from fusion.networks.weights import load_network, save_network

ABLATION = Path(__file__).parents[3] / "experiments" / "fusion" / "ablation.yaml"


@pytest.fixture(scope="module")
def root(street_pairs):
    return street_pairs(4, 72, 64)


def test_the_papers_tables_are_complete_and_differ_in_their_keys_alone():
    tables = read_tables(ABLATION)
    assert {name: len(rows) for name, rows in tables.items()} == {
        "gamma2": 6, "w_ir": 6, "gamma4": 8, "blocks": 4, "extractor": 3,
    }  # fmt: skip
    published = read_config(ABLATION.with_name("lrrnet.yaml"))
    runs = {row.run: row.keys for rows in tables.values() for row in rows}
    # Each table has the published setting, which is one run.
    assert len(runs) == 5 + 5 + 7 + 3 + 2 + 1
    assert runs["lrrnet"] == published
    changed = runs["gamma1=0.0,gamma4=1500.0"]
    assert changed["model"]["init_args"].pop("gamma1") == 0
    assert changed["model"]["init_args"].pop("gamma4") == 1500
    for name in ("gamma1", "gamma4"):
        del published["model"]["init_args"][name]
    assert changed == published


@pytest.mark.filterwarnings("ignore")
def test_a_row_can_be_trained_alone(root, tmp_path):
    out = tmp_path / "out"
    command = ["ablation", "--config", str(ABLATION), "-o", str(out)]
    assert main([*command, "--configurations-only"]) == 0
    paths = sorted((out / "configurations").glob("*.yaml"))
    assert len(paths) == 23
    for path in paths:
        network = read_config(path)["model"]["init_args"]["network"]
        assert LRRNet(**network["init_args"]).architecture == network["init_args"]
    arguments = ["train", "fit", "--config", str(out / "configurations/extractor=dense.yaml")]
    arguments += ["--data.root", str(root), "--data.size", "16", "--data.batch_size", "2"]
    arguments += ["--data.subset", "4", "--data.workers", "0", "--trainer.max_steps", "1"]
    arguments += ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    assert main([*arguments, "--model.init_args.vgg_weights", "random"]) == 0
    weights = out / "runs/extractor=dense/version_0/weights.safetensors"
    assert load_network(weights).architecture["extractor"] == "dense"


@pytest.fixture
def in_this_process(monkeypatch):
    """Replaces the training processes, which are slow to start; returns their commands."""
    commands = []

    def run(command):
        assert command[:4] == [sys.executable, "-m", "fusion", "train"]
        commands.append(command)
        return subprocess.CompletedProcess(command, main(command[3:]))

    monkeypatch.setattr("fusion.commands.ablation.subprocess.run", run)
    return commands


@pytest.fixture
def small(tmp_path):
    """A table of two rows of a small network, trained by saliency for three steps."""
    keys = read_config(ABLATION.with_name("saliency.yaml"))
    keys["trainer"] |= {"max_steps": 3, "enable_progress_bar": False, "accelerator": "cpu"}
    keys["model"]["init_args"]["network"]["init_args"] = {"num_filters": 4, "num_blocks": 1}
    keys["data"] |= {"holdout": 1, "size": 32, "batch_size": 2, "cache": False}
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(keys))
    axis = "model.init_args.network.init_args.num_blocks: [1, 2]"
    config = tmp_path / "small.yaml"
    config.write_text(f"base: base.yaml\ntables:\n  blocks: {{{axis}}}\n")
    return config


@pytest.mark.filterwarnings("ignore")
def test_rows_are_trained_fused_tabulated_and_not_trained_again(
    root, small, tmp_path, capfd, in_this_process
):
    out = tmp_path / "out"
    command = ["ablation", "--config", small, "--data.root", root, "-o", out]
    command += ["--ir", root / "ir", "--vis", root / "vis", "--metrics", "en,nabf"]
    command = list(map(str, command))
    assert main(command) == 0
    said = capfd.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == "blocks, convention lrrnet" and "[bit]" in lines[2]
    assert "num_blocks=1" in lines[3] and "num_blocks=2" in lines[4]
    assert "training 2 of 2: num_blocks=2" in said.err
    assert load_network(out / "weights/num_blocks=2.safetensors").architecture["num_blocks"] == 2
    assert len(list((out / "fused/saliency").glob("*.png"))) == 4
    means = json.loads((out / "blocks/means.json").read_text())["means"]
    with (out / "blocks/means.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert float(rows["num_blocks=2"]["EN [bit]"]) == means["num_blocks=2"]["en"]
    assert means["num_blocks=1"]["en"] != means["num_blocks=2"]["en"]

    # Interrupted in one of two trainings: it resumes from its checkpoint, the other is kept.
    (out / "weights/num_blocks=2.safetensors").unlink()
    assert main(command) == 0
    again = capfd.readouterr()
    assert "training 1 of 1: num_blocks=2" in again.err
    resumed = in_this_process[-1]
    assert resumed[-1].endswith("num_blocks=2/version_0/checkpoints/last.ckpt")
    assert again.out.splitlines()[-4:] == said.out.splitlines()[-4:]

    assert main([*command, "--data.size", "16"]) == 2
    assert "options.txt: begun with" in capfd.readouterr().err


def test_a_failed_training_stops_with_its_line(root, small, tmp_path, capfd):
    command = ["ablation", "--config", small, "-o", tmp_path / "out", "--data.root", "nowhere"]
    command += ["--ir", root / "ir", "--vis", root / "vis"]
    assert main(list(map(str, command))) == 2
    lines = capfd.readouterr().err.strip().splitlines()
    assert lines[-2].startswith("fusion train: nowhere: no such folder")
    assert lines[-1].startswith("fusion: saliency: its training ended with code 2")
    assert not list((tmp_path / "out").rglob("*.safetensors"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("wrong", [["--data.no_such", "1"], ["--data.size", "wide"]])
def test_a_typing_error_does_not_lock_the_folder(
    root, small, tmp_path, capfd, in_this_process, wrong
):
    """What trained nothing binds nobody: the same folder takes the corrected command."""
    command = ["ablation", "--config", small, "-o", tmp_path / "out", "--data.root", root]
    command = [*map(str, command), "--ir", str(root / "ir"), "--vis", str(root / "vis")]
    command += ["--metrics", "en"]
    assert main([*command, *wrong]) == 2
    assert wrong[0].removeprefix("--") in capfd.readouterr().err
    # So does a mistake in the configuration.
    right = small.read_text()
    small.write_text(right + "trainer: {max_steps: none}\n")
    assert main(command) == 2
    small.write_text(right)
    assert main(command) == 0


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        ("", "has no tables"),
        ("tables: {a: {model.init_args.gama: [1]}}", r"a: model\.init_args\.gama is not a key"),
        ("tables: {a: {data.size: 3}}", "a: not a table"),
        ("tables: {a: {data.size.x: [3]}}", r"data\.size\.x is not a key"),
    ],
)
def test_wrong_tables_are_named(small, tables, complaint):
    small.write_text(f"base: base.yaml\n{tables}\n")
    with pytest.raises(UserError, match=complaint):
        read_tables(small)


def test_settings_of_one_folder_do_not_mix(small, tmp_path):
    ablation = Ablation(read_tables(small), tmp_path / "out")
    ablation.write_configurations()
    checkpoint = tmp_path / "out/runs/num_blocks=2/version_0/checkpoints/last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    small.write_text(small.read_text() + "trainer: {max_steps: 4}\n")
    with pytest.raises(UserError, match=r"yaml: has other settings"):
        Ablation(read_tables(small), tmp_path / "out").write_configurations()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--table", "x"], "--table: 'x' is unknown; known are gamma2"),
        ([], "give --ir and --vis"),
        (["--ir", "no", "--vis", "no"], "no: no such folder"),
        (["--metrics", "x", "--ir", "no", "--vis", "no"], "--metrics"),
        (["--configurations-only", "--data.root", "x"], "--data.root would be ignored"),
    ],
)
def test_bad_options_are_one_line_before_any_training(tmp_path, arguments, complaint, capsys):
    command = ["ablation", "--config", str(ABLATION), "-o", str(tmp_path / "out")]
    assert main(command + arguments) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert complaint in line


def test_rows_of_one_name_and_other_settings_are_refused(small):
    axes = "a: {data.size: [16]}, b: {model.size: [16]}"
    base = "data: {size: 32}\nmodel: {size: 32}\ntrainer: {logger: [{init_args: {}}]}\n"
    (small.parent / "base.yaml").write_text(base)
    small.write_text(f"base: base.yaml\ntables: {{{axes}}}\n")
    with pytest.raises(UserError, match="two different rows are both named size=16"):
        read_tables(small)


@pytest.mark.parametrize("trainer", ["null", "3", "{logger: []}", "{logger: [{init_args: null}]}"])
def test_a_base_without_a_usable_logger_is_refused(small, trainer):
    (small.parent / "base.yaml").write_text(f"data: {{size: 32}}\ntrainer: {trainer}\n")
    small.write_text("base: base.yaml\ntables: {a: {data.size: [16]}}\n")
    with pytest.raises(UserError, match=r"small\.yaml: trainer\.logger is not a list of loggers"):
        read_tables(small)


def test_other_pairs_of_the_same_names_are_fused_anew(root, small, tmp_path):
    ablation = Ablation(read_tables(small), tmp_path / "out")
    for run, blocks in zip(sorted(ablation.runs), (1, 2), strict=True):
        save_network(LRRNet(num_filters=2, num_blocks=blocks), ablation.weights(run))
    for i in range(4):  # the same names, other pictures
        ir, vis = street_pair(72, 64, seed=9 + i)
        write_image(tmp_path / "ir" / f"{i}.png", ir)
        write_image(tmp_path / "vis" / f"{i}.png", vis)
    first = ablation.compare(root / "ir", root / "vis", ("en",))["blocks"]
    other = ablation.compare(tmp_path / "ir", tmp_path / "vis", ("en",))["blocks"]
    assert other.failures == []
    for label, pictures in other.values.items():
        for stem, values in pictures.items():
            assert values["en"] != first.values[label][stem]["en"]
    (tmp_path / "vis/0.png").write_bytes(b"broken")
    again = ablation.compare(tmp_path / "ir", tmp_path / "vis", ("en",))["blocks"]
    assert any("0.png: not a readable picture" in line for line in again.failures)
