"""The data module: folders and weights as arguments, and one line where they are wrong."""

from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from fusion.base.errors import UserError
from fusion.images.reading import read_image
from tracker.commands.cli import main
from tracker.training.recipe import Recipe
from tracker.training.video_data import VideoPairData


def trainer_of(**network):
    module = SimpleNamespace(network=SimpleNamespace(**network))
    return SimpleNamespace(
        lightning_module=module,
        world_size=1,
        global_rank=0,
        accumulate_grad_batches=1,
        global_step=0,
    )


def test_batches_have_the_networks_sizes(masked_root):
    data = VideoPairData(masked_video=str(masked_root), pairs=8, batch_size=4, workers=0)
    data.trainer = trainer_of(exemplar_size=63, search_size=159)
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert batch["search_rgb"].shape == (4, 3, 159, 159)
    assert batch["clean_template_ir"].shape == (4, 1, 63, 63)
    assert batch["box"].shape == (4, 4)
    assert data.val_dataloader() == []


def test_what_is_held_out_does_not_train(masked_root):
    data = VideoPairData(masked_video=str(masked_root), holdout=0.34, pairs=8, val_pairs=3)
    data.prepare_pairs(63, 127)
    drawn = [
        {pairs.scenes.draw(np.random.default_rng(seed)).target[1] for seed in range(40)}
        for pairs in (data.train_set, data.val_set)
    ]
    assert drawn == [{0, 1}, {2}]
    assert sum(len(batch["box"]) for batch in data.val_dataloader()) == 3


def test_weights_decide_how_often_a_source_is_drawn(masked_root, tmp_path, write_clip):
    write_clip(tmp_path / "clips", "a")
    data = VideoPairData(
        masked_video=str(masked_root),
        clips=str(tmp_path),
        weights={"clips": 3.0},
        recipe=Recipe(negatives=0),
    )
    data.prepare_pairs(31, 63)
    drawn = [int(data.train_set[0, draw]["source"]) for draw in range(80)]
    assert 0.6 < sum(drawn) / len(drawn) < 0.9


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "masked_video DIR"),
        ({"masked_video": "nowhere"}, "data.masked_video: nowhere"),
        ({"sequences": {"lasher": "nowhere"}}, "data.sequences.lasher.*nowhere"),
        ({"sequences": {"none": "nowhere"}}, "none"),
        ({"masked_video": "ROOT", "weights": {"davis": 1.0}}, r"data\.weights\.davis"),
        ({"masked_video": "ROOT", "weights": {"masked_video": 0.0}}, "above 0"),
        ({"masked_video": "ROOT", "holdout": 1.0}, "holdout"),
        ({"masked_video": "ROOT", "reach": -1}, "reach"),
    ],
)
def test_what_is_wrong_is_said(masked_root, arguments, message):
    arguments = {k: str(masked_root) if v == "ROOT" else v for k, v in arguments.items()}
    with pytest.raises(UserError, match=message):
        VideoPairData(**arguments).prepare_pairs(63, 127)


# --- tracker samples ------------------------------------------------------------------------------


def test_samples_are_drawn_as_a_configuration_says(masked_root, tmp_path, capsys):
    config = tmp_path / "run.yaml"
    data = {"masked_video": str(masked_root), "recipe": {"grey": 1.0}, "seed": 3}
    config.write_text(yaml.safe_dump({"data": data}))
    out = tmp_path / "sheet.png"
    assert main(["samples", str(out), "--config", str(config), "--count", "2"]) == 0
    assert read_image(out).shape[1] > 2 * (127 + 2 * 255)
    first = out.read_bytes()
    options = ["--config", str(config), "--count", "2", "--seed", "4"]
    assert main(["samples", str(out), *options]) == 0
    assert out.read_bytes() != first
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "options, word",
    [
        (["--masked-video", "nowhere"], "nowhere"),
        ([], "--data.masked_video DIR"),
        (["--sequences", "lasher"], "NAME=DIR"),
        (["--config", "BAD"], "recipe.greys"),
    ],
)
def test_samples_say_what_is_wrong(tmp_path, capsys, options, word):
    bad = tmp_path / "bad.yaml"
    bad.write_text("data: {masked_video: nowhere, recipe: {greys: 1}}\n")
    options = [str(bad) if option == "BAD" else option for option in options]
    assert main(["samples", str(tmp_path / "sheet.png"), *options]) == 2
    error = capsys.readouterr().err
    assert word in error and error.count("\n") == 1 and not (tmp_path / "sheet.png").exists()
