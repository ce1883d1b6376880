"""What ``fusion train`` leaves behind, and what it says on the way."""

from pathlib import Path

import pytest

from fusion.cli import main
from fusion.images import write_image
from fusion.scene import street_pair

EXPERIMENTS = Path(__file__).parents[2] / "experiments" / "fusion"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Four generated pairs in ``ir`` and ``vis``."""
    folder = tmp_path_factory.mktemp("pairs")
    for i in range(4):
        ir, vis = street_pair(80, 64, seed=i)
        write_image(folder / "ir" / f"{i}.png", ir)
        write_image(folder / "vis" / f"{i}.png", vis)
    return folder


def train(root, name, *arguments):
    base = ["train", "fit", "--config", str(EXPERIMENTS / f"{name}.yaml"), "--data.root", str(root)]
    base += ["--data.size", "32", "--trainer.max_steps", "1", "--trainer.accelerator", "cpu"]
    return main([*base, "--trainer.enable_progress_bar", "false", *arguments])


def test_a_run_that_takes_no_step_leaves_no_folder(root, tmp_path, monkeypatch, capfd):
    """Nor a number: the second stage looks for the first one's weights in ``version_0``."""
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


def test_training_without_held_out_pairs_is_quiet(root, tmp_path, monkeypatch, capfd, recwarn):
    monkeypatch.chdir(tmp_path)
    assert train(root, "didfuse", "--data.batch_size", "4") == 0
    assert not [warning for warning in recwarn if "DataLoader" in str(warning.message)]
    assert len(list(tmp_path.rglob("samples/*.png"))) == 1
