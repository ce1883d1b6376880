"""Training data and training: seeded draws, exact resume, configurations, errors."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from fusion.base.draws import DrawSampler
from fusion.base.errors import UserError
from fusion.base.lightning import agree_on_version
from fusion.commands.cli import main
from fusion.images.pixels import PixelScaling
from fusion.images.reading import read_image, write_image
from fusion.networks import U2Fusion
from fusion.networks.lrrnet import LRRNet
from fusion.networks.registry import NETWORKS
from fusion.networks.weights import INCLUDED_WEIGHTS, load_network, save_network
from fusion.training.pairs import PairData, PairDataset, find_pairs
from fusion.training.procedures import (
    DetailToSemanticTraining,
    DistillationTraining,
    SaliencyTraining,
    stretch,
)
from fusion.training.records import KeepRecord, read_curves, read_run

EXPERIMENTS = Path(__file__).parents[3] / "experiments" / "fusion"


@pytest.fixture(scope="module")
def root(street_pairs):
    return street_pairs(6, 96, 72)


# --- Pairs --------------------------------------------------------------------------------------


def test_kaist_is_found_as_distributed(tmp_path):
    picture = np.zeros((4, 4), np.uint8)
    for name in ("set00/V000/lwir/I0.jpg", "set00/V000/visible/I0.jpg", "set01/V002/lwir/I7.jpg"):
        write_image(tmp_path / name, picture)
    assert [(a.name, b.parent.name) for a, b in find_pairs(tmp_path)] == [("I0.jpg", "visible")]
    with pytest.raises(UserError, match="KAIST"):
        find_pairs(tmp_path / "set01")
    with pytest.raises(UserError, match="no such folder"):
        find_pairs(tmp_path / "nowhere")


def test_views_are_places_in_both_pictures_alike(root):
    """A view occurs in the infrared image, and the visible view at the same position."""
    data = PairDataset(find_pairs(root), size=24, flip=False)
    ir = read_image(root / "ir/2.png").astype(np.float32)
    ir = (ir - ir.min()) / (ir.max() - ir.min() + 1e-5)
    item = data[2, 17]
    windows = np.lib.stride_tricks.sliding_window_view(ir, (24, 24))
    places = np.argwhere(np.abs(windows - item["ir"][0].numpy()).max((2, 3)) < 1e-6)
    assert len(places) == 1
    top, left = places[0]
    whole = PairDataset(find_pairs(root), size=72, flip=False)
    vis = whole._whole(2)[1]
    np.testing.assert_allclose(item["vis"][0], vis[top : top + 24, left : left + 24])


def test_views_depend_on_the_draw_alone(root):
    arguments = {"size": 16, "saliency": True}
    first = PairDataset(find_pairs(root), **arguments)
    cached = PairDataset(find_pairs(root), cache=True, **arguments)
    for key in ((0, 5), (3, 1), (0, 5)):
        for name, view in first[key].items():
            torch.testing.assert_close(view, cached[key][name], rtol=0, atol=1e-3)
    assert not torch.equal(first[0, 5]["ir"], first[0, 6]["ir"])
    assert first[0, 5].keys() == {"ir", "vis", "target"}


def test_whole_pictures_may_be_resized(root):
    item = PairDataset(find_pairs(root), size=32, view="resize", flip=False)[0, 0]
    assert item["ir"].shape == item["vis"].shape == (1, 32, 32)


def test_sampler_passes_are_permutations_and_may_start_anywhere():
    sampler = DrawSampler(10, batch=4, seed=3)
    first, second = list(sampler), list(sampler)
    assert [draw for _, draw in first + second] == list(range(16))
    assert len({index for index, _ in first}) == 8
    assert [i for i, _ in first] != [i for i, _ in second]
    resumed = DrawSampler(10, batch=4, seed=3)
    resumed.next_draw = 4
    assert list(resumed) + list(resumed) == first[4:] + second


def test_sampler_deals_a_pass_out_to_processes():
    whole = list(DrawSampler(13, batch=6, seed=1))
    dealt = [list(DrawSampler(13, 6, 1, rank, 2)) for rank in range(2)]
    assert sorted(dealt[0] + dealt[1], key=lambda key: key[1]) == whole
    with pytest.raises(UserError, match="fewer than the 4 of a step"):
        DrawSampler(3, batch=4)


def test_a_teachers_images_of_whole_pairs_are_the_target(root):
    """The whole image is fused and then cropped: its range of levels is the image's."""
    data = PairData(str(root), size=24, flip=False, teacher="lrrnet", batch_size=2, workers=0)
    data.setup()
    fused = load_network().fuse(
        read_image(root / "ir/2.png"), read_image(root / "vis/2.png"), color=False
    )
    item = data.train_set[2, 17]
    windows = np.lib.stride_tricks.sliding_window_view(fused / np.float32(255), (24, 24))
    assert (np.abs(windows - item["target"][0].numpy()).max((2, 3)) < 1e-6).any()
    with pytest.raises(UserError, match=r"data\.teacher"):
        PairData(str(root), saliency=True, teacher="lrrnet").setup()
    with pytest.raises(UserError, match="lrrnett"):
        PairData(str(root), teacher="lrrnett").setup()
    with pytest.raises(UserError, match=r"data\.teacher"):
        DistillationTraining(LRRNet(4, 1)).terms({"ir": item["ir"], "vis": item["vis"]})


def test_data_module_holds_out_and_chooses(root):
    data = PairData(str(root), holdout=2, subset=3, size=16, batch_size=3, workers=0)
    data.setup()
    assert [path.stem for path, _ in data.held_out] == ["4", "5"]
    assert len(data.train_set) == 3
    assert not set(data.train_set.pairs) & set(data.held_out)
    assert next(iter(data.train_dataloader()))["ir"].shape == (3, 1, 16, 16)


# --- Training -----------------------------------------------------------------------------------


def small_training(**arguments):
    torch.manual_seed(0)
    return SaliencyTraining(LRRNet(num_filters=8, num_blocks=1), learning_rate=1e-2, **arguments)


def fit(root, folder, steps, resume=None, module=None, batch_size=2, **trainer):
    """Train for ``steps`` and return the logged rows and the module."""
    data = PairData(
        str(root), holdout=1, size=32, saliency=True, batch_size=batch_size, workers=0, cache=True
    )
    module = module or small_training(warmup_steps=2, cosine=False)
    run = L.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=CSVLogger(folder, "run", "v"),
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        **{
            "callbacks": [
                KeepRecord(every_n_steps=100, samples=1),
                ModelCheckpoint(folder, "at_{step}", every_n_train_steps=3, save_top_k=-1),
            ]
        }
        | trainer,
    )
    run.fit(module, data, ckpt_path=resume)
    with (folder / "run/v/metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["train/loss"]]
    return rows, module


def test_a_resumed_run_has_the_losses_of_an_uninterrupted_one(root, tmp_path):
    """Interrupted in the middle of a pass (5 pairs in batches of 2: two steps per pass)."""
    whole, module = fit(root, tmp_path / "whole", 8)
    fit(root, tmp_path / "cut", 3)
    again, resumed = fit(root, tmp_path / "again", 8, resume=tmp_path / "cut" / "at_step=3.ckpt")
    losses = {int(row["step"]): float(row["train/loss"]) for row in whole}
    after = {int(row["step"]): float(row["train/loss"]) for row in again}
    assert sorted(losses) == list(range(8)) and sorted(after) == list(range(3, 8))
    for step, loss in after.items():
        assert loss == pytest.approx(losses[step], rel=1e-6)
    for a, b in zip(module.network.parameters(), resumed.network.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_gradients_may_be_accumulated(root, tmp_path):
    """Four batches of one pair, two per step, equal two of two; a pass of 5 pairs has two steps,
    also if resumed midway, and a step is recorded once."""
    record = {"callbacks": [KeepRecord(every_n_steps=2, samples=1)]}
    _, whole = fit(root, tmp_path / "whole", 4, batch_size=2, **record)
    parts = {"batch_size": 1, "accumulate_grad_batches": 2}
    keep = KeepRecord(every_n_steps=2, samples=1)
    _, accumulated = fit(root, tmp_path / "parts", 4, callbacks=[keep], **parts)
    checkpoints = ModelCheckpoint(tmp_path, "at_{step}", every_n_train_steps=3, save_top_k=-1)
    fit(root, tmp_path / "cut", 3, callbacks=[checkpoints], **parts)
    _, resumed = fit(
        root, tmp_path / "again", 4, tmp_path / "at_step=3.ckpt", callbacks=[], **parts
    )
    for module in (accumulated, resumed):
        for a, b in zip(whole.network.parameters(), module.network.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    curves = read_curves(tmp_path / "parts/run/v/metrics.csv")
    assert [step for step, _ in curves["train/loss"]] == [0, 1, 2, 3]
    pictures = (tmp_path / "parts/run/v/samples").iterdir()
    assert sorted(path.stem for path in pictures) == ["000002", "000004"]


def test_a_few_pairs_are_learned_and_the_record_kept(root, tmp_path):
    data = PairData(str(root), size=32, saliency=True, batch_size=2, workers=0, cache=True)
    module = small_training(warmup_steps=5)
    module.log_dict = module.log = lambda *a, **k: None
    data.setup()
    keys = [(0, 0), (1, 1)]
    batch = torch.utils.data.default_collate([data.train_set[key] for key in keys])
    optimizer = torch.optim.Adam(module.network.parameters(), 1e-2)
    start, _ = module.terms(batch)
    first = None
    for _ in range(300):
        loss = module.training_step(batch, 0)
        first = first or loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # The structure term has a lower bound, because no image equals both sources.
    terms, _ = module.terms(batch)
    assert loss.item() < first / 3
    assert terms["intensity"].item() < start["intensity"].item() / 10

    rows, module = fit(root, tmp_path, 3)
    record = tmp_path / "run/v"
    assert (record / "losses.png").is_file() and list((record / "samples").glob("*.png"))
    loaded = load_network(record / "weights.safetensors")
    assert loaded.scaling.output == "clamp"
    for a, b in zip(loaded.parameters(), module.network.parameters(), strict=True):
        assert torch.equal(a, b)
    assert {"train/intensity", "train/gradient", "train/structure", "train/range"} <= rows[0].keys()


def test_curves_are_of_losses_in_training_alone(tmp_path):
    path = tmp_path / "metrics.csv"
    assert read_curves(path) == {}
    path.write_text("epoch,step,train/a,train/a_epoch,val/a\n0,0,1.5,,\n0,9,,2,3\n0,10,1,,\n")
    assert read_curves(path) == {"train/a": [(0, 1.5), (10, 1.0)]}


def test_an_interrupted_run_has_one_curve(tmp_path):
    # The tenth version comes after the second; step 10 was repeated after the checkpoint of step 9.
    assert read_run(tmp_path) == {}
    for version, rows in ((2, "0,1.5\n10,1.0\n"), (10, "10,0.75\n20,0.5\n")):
        folder = tmp_path / f"version_{version}"
        folder.mkdir()
        (folder / "metrics.csv").write_text(f"step,train/a\n{rows}")
    assert read_run(tmp_path) == {"train/a": [(0, 1.5), (10, 0.75), (20, 0.5)]}


def test_checkpoints_hold_no_curves(root, tmp_path):
    fit(root, tmp_path, 3)
    checkpoint = torch.load(tmp_path / "at_step=3.ckpt", weights_only=True)
    assert not any("Record" in name for name in checkpoint["callbacks"])


def test_the_published_procedure_stretches_and_reaches_every_parameter(root):
    torch.manual_seed(0)
    module = DetailToSemanticTraining(LRRNet(num_filters=4, num_blocks=1), vgg_weights="random")
    other = DetailToSemanticTraining(U2Fusion(), vgg_weights="random").network
    assert other.scaling == PixelScaling()  # as it is trained, whatever it was made for
    batch = {"ir": torch.rand(2, 1, 32, 32), "vis": torch.rand(2, 1, 32, 32)}
    terms, fused = module.terms(batch)
    assert fused.amin((1, 2, 3)).tolist() == [0, 0]
    assert fused.amax((1, 2, 3)).tolist() == pytest.approx([1, 1], abs=1e-3)
    sum(terms.values()).backward()
    for name, parameter in module.named_parameters():
        if name.startswith("network."):
            # Stretching removes a constant added to the image, so these biases have no gradient.
            final = name in ("network.decoder.low_rank.bias", "network.decoder.sparse.bias")
            assert final or parameter.grad.abs().sum() > 0, name
        else:
            assert not parameter.requires_grad
    # The loss sees pixels in 0..255.
    expected = 10 * torch.nn.functional.mse_loss(fused * 255, batch["vis"] * 255)
    torch.testing.assert_close(terms["pixel"], expected)


def test_stretch_is_the_published_scaling(rng):
    images = rng.random((2, 1, 5, 6)).astype(np.float32) * 9 - 4
    ours = stretch(torch.from_numpy(images))
    for image, other in zip(images, ours, strict=True):
        np.testing.assert_allclose(PixelScaling().to_network(image[0]), other[0], rtol=1e-6)


# --- Command line -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["saliency", "saliency_edges", "lrrnet", "lrrnet_fast"])
def test_configurations_run(root, tmp_path, name, capfd, recwarn):
    """Each configuration of experiments/, for two steps on small images."""
    arguments = ["train", "fit", "--config", str(EXPERIMENTS / f"{name}.yaml")]
    arguments += ["--data.root", str(root), "--data.size", "32", "--data.batch_size", "2"]
    arguments += ["--data.workers", "0", "--data.holdout", "1"]
    arguments += ["--trainer.max_steps", "2", "--trainer.default_root_dir", str(tmp_path)]
    arguments += ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", str(tmp_path)]
    arguments += ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    if name == "saliency_edges":
        arguments += ["--model.init_args.start", str(INCLUDED_WEIGHTS)]  # for the first stage's
    if name == "lrrnet":
        arguments += ["--data.subset", "4", "--model.init_args.vgg_weights", "random"]
    assert main(arguments) == 0
    (weights,) = tmp_path.rglob("weights.safetensors")
    assert NETWORKS.name_of(type(load_network(weights))) == (
        "lrrnet_fast" if name == "lrrnet_fast" else "lrrnet"
    )
    if name == "saliency_edges":  # two small steps from where it started
        for ours, start in zip(
            load_network(weights).parameters(), load_network().parameters(), strict=True
        ):
            assert not torch.equal(ours, start) and (ours - start).abs().max() < 1e-2
    errors = capfd.readouterr().err
    # No irrelevant warnings of dependencies are printed.
    assert "Tip:" not in errors
    assert not [warning for warning in recwarn if "LeafSpec" in str(warning.message)]


def test_a_start_of_another_architecture_is_named(tmp_path):
    save_network(LRRNet(num_filters=8, num_blocks=2), tmp_path / "two.safetensors")
    with pytest.raises(UserError, match=r"two\.safetensors: does not fit LRRNet: surplus infrared"):
        small_training(start=str(tmp_path / "two.safetensors"))


def test_all_loggers_of_a_run_write_one_version(tmp_path):
    for version in ("version_0", "version_1"):
        csv_logger, board = CSVLogger(tmp_path, "run"), TensorBoardLogger(tmp_path, "run")
        other = CSVLogger(tmp_path, "other")
        agree_on_version([csv_logger, board, other])
        assert csv_logger.log_dir == board.log_dir == str(tmp_path / "run" / version)
        assert other.log_dir == str(tmp_path / "other" / version)
        for logger in (csv_logger, board, other):
            logger.log_metrics({"x": 1.0}, step=0)
            logger.save()
    for version in ("version_0", "version_1"):
        names = [path.name for path in (tmp_path / "run" / version).iterdir()]
        assert "metrics.csv" in names and any(name.startswith("events.out") for name in names)


def test_two_processes_train_the_weights_of_one(root, tmp_path):
    """The same draws in the same steps: a batch of two, or one item in each of two processes."""
    weights = []
    for name, extra in (
        ("one", ["--data.batch_size", "2"]),
        ("two", ["--data.batch_size", "1", "--trainer.devices", "2", "--trainer.strategy", "ddp"]),
    ):
        command = [sys.executable, "-m", "fusion", "train", "fit"]
        command += ["--config", str(EXPERIMENTS / "saliency.yaml"), "--data.root", str(root)]
        command += ["--data.size", "32", "--data.holdout", "1", "--trainer.max_steps", "5"]
        command += ["--model.init_args.network.init_args.num_filters", "8"]
        command += ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir"]
        command += [str(tmp_path / name), "--trainer.accelerator", "cpu"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command + extra, check=True, capture_output=True, env=environment, timeout=200
        )
        assert b"Grad strides" not in done.stderr
        (path,) = (tmp_path / name).rglob("weights.safetensors")
        weights.append(load_network(path).state_dict())
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--data.root", "ROOT", "--data.sise", "3"], "--data.sise"),
        (["--data.root", "ROOT", "--model.init_args.gama", "3"], "gama"),
        (["--data.root", "nowhere"], "nowhere: no such folder"),
        ([], "data.root"),
        (["--data.root", "ROOT", "--data.size", "500", "--data.holdout", "1"], "96x72 is smaller"),
        (["--data.root", "ROOT", "--data.holdout", "6"], "data.holdout takes all"),
        (["--data.root", "ROOT", "--data.holdout", "1", "--data.size", "8"], "its window of 11"),
        (["--data.root", "ROOT", "--data.holdout", "1", "--data.size", "1"], "at least 2 for LRR"),
    ],
)
def test_wrong_configurations_are_named_in_one_line(root, tmp_path, arguments, complaint, capfd):
    arguments = [str(root) if argument == "ROOT" else argument for argument in arguments]
    base = ["train", "fit", "--config", str(EXPERIMENTS / "saliency.yaml")]
    base += ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", str(tmp_path)]
    base += ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    assert main(base + arguments) == 2
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("fusion train: ") and complaint in last
