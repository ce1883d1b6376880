"""Training of the autoencoders: their loss, their schedule, a few pictures learned, one command."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch.nn import functional as F

from fusion.base.errors import UserError
from fusion.commands.cli import main
from fusion.commands.scene import street_pair
from fusion.networks import AUIF, DenseFuse, DIDFuse
from fusion.networks.registry import NETWORKS
from fusion.networks.weights import load_network
from fusion.training.losses import dssim, ssim_map
from fusion.training.methods import (
    DecompositionLoss,
    DIDFuseTraining,
    ReconstructionTraining,
)
from fusion.training.pairs import PairDataset, find_pairs
from fusion.training.procedures import SaliencyTraining

EXPERIMENTS = Path(__file__).parents[3] / "experiments" / "fusion"


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def root(street_pairs):
    return street_pairs(4, 80, 64)


@pytest.fixture(scope="module")
def batch(root):
    data = PairDataset(find_pairs(root), size=24, view="center", flip=False, scaling="unit")
    return torch.utils.data.default_collate([data[0, 0], data[1, 1]])


# --- Losses -------------------------------------------------------------------------------------


def test_dssim_is_half_of_what_is_missing_to_one():
    a, b = torch.rand(2, 1, 1, 24, 24)
    assert dssim(a, a).item() == pytest.approx(0, abs=1e-6)
    assert dssim(a, b, 3).item() == pytest.approx(
        ((1 - ssim_map(a, b, 3)) / 2).clamp(0, 0.5).mean().item()
    )
    assert dssim(a, 1 - a).item() == 0.5  # the maximum


def test_decomposition_loss_is_its_formula():
    pictures, reconstructions = torch.rand(2, 2, 1, 1, 20, 20)
    bases, details = torch.rand(2, 2, 1, 3, 20, 20)
    terms = DecompositionLoss()(pictures, reconstructions, bases, details)
    mse = sum(((a - b) ** 2).mean() for a, b in zip(pictures, reconstructions, strict=True))
    kernel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    difference = F.pad(pictures[1] - reconstructions[1], (1, 1, 1, 1), mode="reflect")
    slopes = [F.conv2d(difference, k[None, None]) for k in (kernel, kernel.T)]
    expected = {
        "pixel": 2 * mse,
        "structure": 10 * sum(map(dssim, pictures, reconstructions)),
        "gradient": 10 * torch.cat(slopes).abs().mean(),
        "base": torch.tanh((bases[0] - bases[1]).abs().mean()),
        "detail": -0.5 * torch.tanh((details[0] - details[1]).abs().mean()),
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value)


# --- Views --------------------------------------------------------------------------------------


def test_the_middle_of_a_picture_over_255(root):
    data = PairDataset(find_pairs(root), size=32, view="center", flip=False, scaling="unit")
    ir = street_pair(80, 64, seed=2)[0].astype(np.float32)
    np.testing.assert_allclose(data[2, 7]["ir"][0], ir[16:48, 24:56] / 255)
    assert torch.equal(data[2, 7]["ir"], data[2, 8]["ir"])


def test_random_resized_crops_are_of_one_place_in_both(root):
    data = PairDataset(find_pairs(root), size=24, view="resized-crop", flip=False)
    height, width = 64, 80
    ramps = (
        np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1)),
        np.tile(np.linspace(0, 1, height, dtype=np.float32)[:, None], (1, width)),
    )
    data._whole = lambda index: (*ramps, ramps[0])
    data.saliency = True
    shares = []
    for draw in range(60):
        item = data[0, draw]
        assert item["ir"].shape == (1, 24, 24)
        assert torch.equal(item["ir"], item["target"])
        spans = [item[name].max() - item[name].min() for name in ("ir", "vis")]
        # The mean over a shrunk pixel takes a little off either end.
        shares.append((spans[0] * spans[1]).item())
    assert min(shares) > 0.05 and max(shares) > 0.6 and np.std(shares) > 0.1


# --- Training -----------------------------------------------------------------------------------


def trainings():
    return {
        "auif": ReconstructionTraining(AUIF(num_steps=2, num_filters=8)),
        "densefuse": ReconstructionTraining(DenseFuse(), learning_rate=2e-3, window=11),
        "didfuse": DIDFuseTraining(DIDFuse(), learning_rate=2e-3),
    }


@pytest.mark.parametrize("name", trainings())
def test_two_pairs_are_learned(name, batch):
    module = trainings()[name]
    module.log_dict = module.log = lambda *a, **k: None
    optimizer = module.configure_optimizers()["optimizer"]
    first = module.training_step(batch, 0).item()
    for _ in range(8 if name == "didfuse" else 30):
        loss = module.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < first / 2


def test_pictures_are_fused_in_evaluation_alone(batch):
    module = trainings()["auif"]
    with torch.no_grad():
        pictures = torch.cat([batch["ir"], batch["vis"]])  # normalised as one batch
        reconstructed = module.network.reconstruct(pictures)[len(batch["ir"]) :]
        torch.testing.assert_close(module.terms(batch)[1], reconstructed)
        module.eval()
        _, shown = module.terms(batch)
        torch.testing.assert_close(shown, module.network(batch["ir"], batch["vis"]))


def test_published_schedule_and_rates():
    """AUIF: 1e-2, a tenth for details, both reduced to a tenth after epoch 40."""
    arguments = yaml.safe_load((EXPERIMENTS / "auif.yaml").read_text())["model"]["init_args"]
    module = ReconstructionTraining(**dict(arguments, network=AUIF(num_steps=1)))
    parts = module.configure_optimizers()
    optimizer, schedule = parts["optimizer"], parts["lr_scheduler"]["scheduler"]
    assert parts["lr_scheduler"]["interval"] == "epoch"
    counts = [sum(p.numel() for p in group["params"]) for group in optimizer.param_groups]
    assert sum(counts) == sum(p.numel() for p in module.network.parameters())
    assert schedule.get_last_lr() == [1e-2, 1e-3, 1e-2]
    for _ in range(40):
        optimizer.step()
        schedule.step()
    assert schedule.get_last_lr() == pytest.approx([1e-3, 1e-4, 1e-3])


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"learning_rates": {"head": 1e-3}}, "AUIF has no part 'head'; its parts are base, detail"),
        ({"learning_rates": {"detail": -1}}, r"model\.learning_rates\.detail: from 0 to 1e\+30"),
        ({"window": 0}, r"model\.window: from 1 to 1000, got 0"),
        ({"decay": -1}, r"model\.decay: from 0 to 1, got -1"),
    ],
)
def test_impossible_settings_are_named(settings, complaint):
    with pytest.raises(UserError, match=complaint):
        ReconstructionTraining(AUIF(num_steps=1), **settings)


@pytest.mark.parametrize("name", NETWORKS)
def test_any_network_takes_a_step_of_the_saliency_procedure(name):
    module = SaliencyTraining(NETWORKS[name](**({"size": 16} if name == "ift" else {})))
    module.log_dict = module.log = lambda *a, **k: None
    ir, vis, target = torch.rand(3, 2, 1, 16, 16)
    module.training_step({"ir": ir, "vis": vis, "target": target}, 0).backward()
    assert any(p.grad.abs().sum() > 0 for p in module.network.parameters() if p.grad is not None)


# --- Command line -------------------------------------------------------------------------------


def train(root, folder, name, *more):
    arguments = ["train", "fit", "--config", str(EXPERIMENTS / f"{name}.yaml")]
    arguments += ["--data.root", str(root), "--data.size", "32", "--data.batch_size", "2"]
    arguments += ["--trainer.max_steps", "2", "--trainer.default_root_dir", str(folder)]
    arguments += ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", str(folder)]
    arguments += ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", *more]
    assert main(arguments) == 0
    (path,) = folder.rglob("weights.safetensors")
    return load_network(path)


@pytest.mark.parametrize("name", ["didfuse", "auif"])
def test_shipped_configurations_run_and_their_weights_name_the_method(root, tmp_path, name):
    network = train(root, tmp_path, name)
    assert type(network) is NETWORKS[name]
    assert network.scaling == NETWORKS[name]().scaling
    ir, vis = street_pair(80, 64, seed=3)
    assert network.fuse(ir, vis).shape == vis.shape


def test_another_network_under_the_saliency_configuration(root, tmp_path):
    network = train(
        root, tmp_path, "saliency", "--data.holdout", "1",
        "--model.init_args.network", "fusion.networks.densefuse.DenseFuse",
    )  # fmt: skip
    assert type(network) is DenseFuse
    assert network.scaling.input == "min-max" and network.scaling.output == "clamp"
