"""Published trainings: a tiny run of each overfits; their schedules, stages and configurations."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from fusion.base.draws import DrawSampler
from fusion.base.errors import UserError
from fusion.commands.cli import main
from fusion.images.reading import read_image
from fusion.networks.registry import NETWORKS
from fusion.networks.weights import load_network, save_network
from fusion.training import unified
from fusion.training.ddcgan import DDcGANTraining
from fusion.training.fusiongan import FusionGANTraining
from fusion.training.initial import draw_truncated_normal
from fusion.training.maximum import MaximumTraining
from fusion.training.multifocus import MultiFocusTraining, two_focuses
from fusion.training.nested import AutoencoderTraining, NestedFusionTraining
from fusion.training.pairs import PairData, PairDataset, find_pairs
from fusion.training.proportional import DecompositionTraining, ProportionalTraining
from fusion.training.supervised import SupervisedDIDFuseTraining
from fusion.training.unified import UnifiedTraining

EXPERIMENTS = Path(__file__).parents[3] / "experiments" / "fusion"


class FewFeatures(nn.Module):
    """In place of VGG-16."""

    def __init__(self, *_, **__):
        super().__init__()

    def forward(self, image):
        return [image, nn.functional.avg_pool2d(image, 2)]


@pytest.fixture(autouse=True)
def seed(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(unified, "VGG16Features", FewFeatures)


@pytest.fixture(scope="module")
def root(street_pairs):
    return street_pairs(4, 72, 64)


@pytest.fixture
def autoencoder(tmp_path):
    """Weights of a first stage."""
    save_network(NETWORKS["rfn-nest"](), tmp_path / "first.safetensors")
    return str(tmp_path / "first.safetensors")


def trainings(start):
    """By method: how its training is made; then size of the views, steps, and the share of the loss
    that may be left."""
    plain = {"initial_deviation": None}
    make = dict(NETWORKS.items())
    return {
        "pmgi": (
            lambda: ProportionalTraining(make["pmgi"](), margin=2, learning_rate=1e-2, **plain),
            (28, 20, 0.5),
        ),
        "sdnet": (
            lambda: DecompositionTraining(make["sdnet"](), learning_rate=3e-3, **plain),
            (24, 25, 0.6),
        ),
        "swinfusion": (
            lambda: MaximumTraining(make["swinfusion"](0.0), learning_rate=3e-3),
            (16, 5, 0.9),
        ),
        "mgt": (
            lambda: MaximumTraining(
                make["mgt"](), w_intensity=50, w_gradient=50, w_structure=10, learning_rate=3e-3
            ),
            (16, 5, 0.9),
        ),
        "nestfuse": (
            lambda: AutoencoderTraining(make["rfn-nest"](), learning_rate=1e-3),
            (16, 8, 0.7),
        ),
        "densefuse": (
            lambda: AutoencoderTraining(make["densefuse"](), learning_rate=3e-3),
            (16, 20, 0.5),
        ),
        "res2fusion": (
            lambda: AutoencoderTraining(make["res2fusion"](), learning_rate=4e-3),
            (16, 15, 0.6),
        ),
        "rfn-nest": (
            lambda: NestedFusionTraining(make["rfn-nest"](), start, learning_rate=1e-3),
            (16, 5, 0.8),
        ),
        "ift": (
            lambda: NestedFusionTraining(make["ift"](16), start, learning_rate=1e-3),
            (16, 6, 0.8),
        ),
        "u2fusion": (
            lambda: UnifiedTraining(make["u2fusion"](), learning_rate=3e-3),
            (16, 20, 0.75),
        ),
        "ifcnn": (
            lambda: MultiFocusTraining(make["ifcnn"](), None, learning_rate=0.05),
            (24, 20, 0.6),
        ),
        "didfuse": (
            lambda: SupervisedDIDFuseTraining(make["didfuse"](), learning_rate=3e-3),
            (16, 12, 0.7),
        ),
        "fusiongan": (
            lambda: FusionGANTraining(make["fusiongan"](), size=59, learning_rate=5e-3, **plain),
            (59, 2, 0.9),
        ),
        "ddcgan": (
            lambda: DDcGANTraining(
                make["ddcgan"](), 16, learning_rate=1e-2, initial_deviation_d=None, **plain
            ),
            (16, 2, 0.9),
        ),
    }


@pytest.mark.parametrize("name", trainings(None))
def test_a_tiny_run_overfits(name, autoencoder, views, fit):
    build, (size, steps, share) = trainings(autoencoder)[name]
    module = build().train()
    batch = views(size)

    def loss():
        module._trainer = SimpleNamespace(global_step=0)
        with torch.no_grad():
            value = sum(module.train().terms(batch)[0].values()).item()
        module._trainer = None
        return value

    before = loss()
    trainer = fit(module, batch, steps)
    assert trainer.global_step == steps  # also where a batch has several steps
    assert loss() < share * before


# --- Stages, data, initial weights ----------------------------------------------------------------


def test_the_second_stage_keeps_the_autoencoder_of_the_first(autoencoder, views, fit):
    """Of either network: the autoencoder is the same."""
    module = NestedFusionTraining(NETWORKS["ift"](16), autoencoder, learning_rate=1e-2)
    before = {n: t.clone() for n, t in module.network.state_dict().items()}
    first = load_network(autoencoder).autoencoder.state_dict()
    fit(module, views(16), 2)
    for name, tensor in module.network.state_dict().items():
        if name.startswith("autoencoder."):
            assert torch.equal(tensor, first[name.removeprefix("autoencoder.")]), name
    assert any(not torch.equal(t, before[n]) for n, t in module.network.state_dict().items())
    with pytest.raises(UserError, match=r"nowhere.*no such file.*model\.init_args\.start"):
        NestedFusionTraining(NETWORKS["ift"](16), "nowhere.safetensors")
    with pytest.raises(UserError, match="no file with the autoencoder"):
        NestedFusionTraining(NETWORKS["ift"](16))


def test_the_first_stage_leaves_fusion_alone(views, fit):
    module = AutoencoderTraining(NETWORKS["rfn-nest"](), learning_rate=1e-2)
    before = [p.clone() for p in module.network.fusion.parameters()]
    fit(module, views(16), 2)
    after = module.network.fusion.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    with pytest.raises(ValueError, match="PMGI cannot reconstruct"):
        AutoencoderTraining(NETWORKS["pmgi"]())


def test_a_grid_has_every_crop_once_and_in_order(root):
    data = PairData(
        str(root), size=32, view="grid", stride=16, shuffle=False, flip=False, batch_size=3,
        holdout=1, workers=0,
    )  # fmt: skip
    data.setup()
    assert len(data.train_set) == 3 * 3 * 3  # 72x64: 3 positions in each direction, of 3 pairs
    assert len(data.val_set) == 1
    whole = PairDataset(find_pairs(root), size=32, view="crop")._whole(0)[0]
    loaded = next(iter(data.train_dataloader()))["ir"]
    for i, left in enumerate((0, 16, 32)):
        np.testing.assert_array_equal(loaded[i, 0], whole[:32, left : left + 32])


def test_a_sampler_may_keep_the_order():
    sampler = DrawSampler(5, batch=2, shuffle=False)
    assert list(sampler) == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert [index for index, _ in sampler] == [0, 1, 2, 3]


def test_resized_views_by_single_pixels_or_as_pillow_does(root):
    arguments = {"size": 16, "view": "resize", "flip": False, "scaling": "unit"}
    whole = PairDataset(find_pairs(root), **arguments)._whole(0)[0]
    nearest = PairDataset(find_pairs(root), interpolation="nearest", **arguments)[0, 0]["ir"]
    np.testing.assert_array_equal(nearest[0], whole[::4, np.arange(16) * 72 // 16])
    bicubic = PairDataset(find_pairs(root), interpolation="bicubic", **arguments)[0, 0]["ir"]
    ours = nn.functional.interpolate(
        torch.from_numpy(whole)[None, None], (16, 16), mode="bicubic", antialias=True
    )
    torch.testing.assert_close(bicubic, ours[0], rtol=0, atol=1e-5)


def test_initial_kernels_end_at_two_deviations():
    network = NETWORKS["pmgi"]()
    draw_truncated_normal(network, 1e-3)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.weight.abs().max() <= 2e-3 and layer.bias.abs().max() == 0
    kernels = network.visible.convs[3][0].weight
    assert kernels.std().item() == pytest.approx(0.88e-3, rel=0.05)  # of the truncated normal


def test_two_focuses_are_sharp_in_turn():
    image = torch.rand(2, 1, 24, 28)
    near, far = two_focuses(image, torch.Generator().manual_seed(0))
    sharp_near, sharp_far = near == image, far == image
    assert (sharp_near ^ sharp_far).float().mean() > 0.95
    assert 0.1 < sharp_near.float().mean() < 0.9


def test_u2fusion_exchanges_its_sources_in_half_of_the_batches():
    module = UnifiedTraining(NETWORKS["u2fusion"]())
    exchanged = []
    for step in range(200):
        module._trainer = SimpleNamespace(global_step=step)
        exchanged.append(module._exchanged())
    assert 70 < sum(exchanged) < 130


# --- Configurations -------------------------------------------------------------------------------

#: What makes each small enough for a test.
SMALLER = {
    "pmgi": {"size": 40, "stride": 24},
    "sdnet": {"size": 40, "stride": 24},
    "fusiongan": {"size": 59, "stride": 24, "model": ["size", "59"]},
    "ddcgan": {"size": 16, "stride": 32, "model": ["size", "16"]},
    "nestfuse": {"size": 16},
    "rfn_nest": {"size": 16},
    "ift": {"size": 16, "model": ["network.init_args.size", "16"]},
    "swinfusion": {"size": 16},
    "mgt": {"size": 16},
    "u2fusion": {"size": 16, "stride": 32},
    "ifcnn": {"size": 24, "model": ["resnet_weights", "null"]},
    "densefuse": {"size": 16},
    "res2fusion": {"size": 16},
}


@pytest.mark.parametrize("name", SMALLER)
def test_configurations_run(name, root, tmp_path, autoencoder):
    small = SMALLER[name]
    arguments = ["train", "fit", "--config", str(EXPERIMENTS / f"{name}.yaml")]
    arguments += ["--data.root", str(root), "--data.batch_size", "2", "--data.workers", "0"]
    for key in ("size", "stride"):
        if key in small:
            arguments += [f"--data.{key}", str(small[key])]
    if "model" in small:
        key, value = small["model"]
        arguments += [f"--model.init_args.{key}", value]
    if name in ("rfn_nest", "ift"):
        arguments += ["--model.init_args.start", autoencoder]
    arguments += ["--trainer.max_steps", "1", "--trainer.accelerator", "cpu"]
    arguments += ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", str(tmp_path / "r")]
    arguments += ["--trainer.enable_progress_bar", "false"]
    assert main(arguments) == 0
    (path,) = (tmp_path / "r").rglob("weights.safetensors")
    network = load_network(path)
    configured = yaml.safe_load((EXPERIMENTS / f"{name}.yaml").read_text())["model"]["init_args"]
    kind = type(network)
    assert configured["network"]["class_path"] == f"{kind.__module__}.{kind.__name__}"
    assert network.scaling == kind(**network.architecture).scaling
    if name == "pmgi":  # its samples are stretched as its images will be
        (sample,) = (tmp_path / "r").rglob("samples/*.png")
        width = 40
        fused = read_image(sample)[16 : 16 + width, -width:]  # below the caption
        assert fused.min() == 0 and fused.max() >= 254
