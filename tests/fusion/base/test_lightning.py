"""The files that ``fusion train`` writes, and its messages."""

from pathlib import Path

import pytest

from fusion.commands.cli import main

EXPERIMENTS = Path(__file__).parents[3] / "experiments" / "fusion"


@pytest.fixture(scope="module")
def root(street_pairs):
    return street_pairs(4, 80, 64)


def train(root, name, *arguments):
    base = ["train", "fit", "--config", str(EXPERIMENTS / f"{name}.yaml"), "--data.root", str(root)]
    base += ["--data.size", "32", "--trainer.max_steps", "1", "--trainer.accelerator", "cpu"]
    return main([*base, "--trainer.enable_progress_bar", "false", *arguments])


def test_a_run_that_takes_no_step_leaves_no_folder(root, tmp_path, monkeypatch, capfd):
    """It leaves no version folder: the second stage expects the first one's in ``version_0``."""
    monkeypatch.chdir(tmp_path)
    vgg = ["--model.init_args.vgg_weights", "random"]  # with two loggers
    for name, arguments, complaint in (
        ("saliency", ["--data.holdout", "4"], "4 pairs, of which data.holdout takes all; give"),
        ("saliency", ["--data.holdout", "1"], "3 training pairs are fewer than the 4 of a step"),
        ("lrrnet", [*vgg, "--data.subset", "4"], "4 training pairs are fewer than the 8 of a step"),
        ("lrrnet", vgg, "4 pairs, fewer than data.subset 20000; give at most 4"),
    ):
        assert train(root, name, *arguments) == 2
        assert complaint in capfd.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.glob("runs/*/*"))
    assert train(root, "saliency", "--data.holdout", "0") == 0
    assert (tmp_path / "runs/saliency/version_0/weights.safetensors").is_file()
    assert train(root, "saliency", "--data.holdout", "4") == 2
    assert [path.name for path in tmp_path.glob("runs/saliency/*")] == ["version_0"]


def test_a_stage_or_checkpoint_that_is_not_there_is_said(root, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    hold = ["--data.holdout", "0"]
    for name, arguments, complaint in (
        (
            "saliency_edges",
            hold,
            "version_0/weights.safetensors: no such file with the network's weights",
        ),
        ("saliency", [*hold, "--ckpt_path", "last.ckpt"], "last.ckpt: no such file; give a last.c"),
    ):
        assert train(root, name, *arguments) == 2
        assert complaint in capfd.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.glob("runs/*/*"))


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("model.init_args.network", "mine.Net", "mine.Net: cannot be imported (No module named 'm"),
        (
            "model.init_args.network",
            "fusion.networks.U3",
            "has no attribute 'U3'); give a dotted n",
        ),
        (
            "model",
            "fusion.training.procedures.Sal",
            "fusion.training.procedures.Sal: cannot be imported (module 'fusio",
        ),
        (
            "model.init_args.network",
            "fusion.evaluation.metrics.METRICS",
            "METRICS: not a subclass of FusionNet",
        ),
        ("model.init_args.network", "LRRNett", "LRRNett: not the name of a class"),
        ("model.init_args.w_range", "x", "w_range: expected float, got x"),
        ("model.init_args.network.init_args.num_filters", "x", "num_filters: expected int, got x"),
        ("model.init_args.betas", "[1]", "betas: expected tuple with 2 elements, got [1]"),
        ("data.size", "x", "data.size: expected int, got x"),
        ("data.view", "cropp", "data.view: expected Literal['crop', 'resize', 'center', 'resized"),
        (
            "model.init_args.network.init_args.filters",
            "8",
            "filters: not an argument of fusion.networks.lrrnet",
        ),
    ],
)
def test_of_a_wrong_setting_its_name_is_said(root, option, value, complaint, capfd):
    assert train(root, "saliency", f"--{option}", value) == 2
    last = capfd.readouterr().err.splitlines()[-1]
    assert complaint in last and len(last) < 200


def test_a_network_that_could_not_be_saved_is_not_trained(root, tmp_path, monkeypatch, capfd):
    (tmp_path / "mine.py").write_text(
        "from fusion.networks import FusionGAN\nclass Mine(FusionGAN):\n    pass\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    arguments = ["--data.holdout", "0", "--model.init_args.network", "mine.Mine"]
    assert train(root, "saliency", *arguments) == 2
    last = capfd.readouterr().err.splitlines()[-1]
    assert "mine.Mine: has no name for its weights file" in last and "NETWORKS.register" in last
    assert not list(tmp_path.glob("runs/*/*"))


def test_training_without_held_out_pairs_is_quiet(root, tmp_path, monkeypatch, capfd, recwarn):
    monkeypatch.chdir(tmp_path)
    assert train(root, "didfuse", "--data.batch_size", "4") == 0
    assert not [warning for warning in recwarn if "DataLoader" in str(warning.message)]
    assert len(list(tmp_path.rglob("samples/*.png"))) == 1
