"""Published trainings: a tiny run of each overfits; their schedules, stages and configurations."""

from pathlib import Path
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
import yaml
from torch import nn
from torch.utils.data import DataLoader

from fusion.base.draws import DrawSampler
from fusion.base.errors import UserError
from fusion.commands.cli import main
from fusion.commands.scene import street_pair
from fusion.networks.registry import NETWORKS
from fusion.networks.weights import load_network, save_network
from fusion.training import ddcgan, unified
from fusion.training.ddcgan import ADVERSARIAL, D_IR, D_VIS, WHOLE, DDcGANTraining
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


def views(size: int, count: int = 1) -> dict[str, torch.Tensor]:
    """A batch of crops of generated pairs, and three references of each."""
    pairs = [street_pair(80, 72, seed=i) for i in range(count)]
    ir, vis = (
        torch.from_numpy(np.stack([pair[k][4 : 4 + size, 4 : 4 + size] for pair in pairs]))
        for k in (0, 1)
    )
    vis = vis.float().mean(-1) if vis.ndim == 4 else vis
    ir, vis = ir[:, None].float() / 255, vis[:, None].float() / 255
    references = torch.cat([torch.maximum(ir, vis), (ir + vis) / 2, vis], dim=1)
    return {"ir": ir, "vis": vis, "references": references, "weights": torch.ones(count, 3) / 3}


def fit(module, batch, steps, **trainer):
    """Train on one batch again and again."""
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = L.Trainer(
        max_steps=steps, accelerator="cpu", enable_progress_bar=False, **quiet, **trainer
    )
    item = DataLoader([batch] * steps, batch_size=None)
    trainer.fit(module, item)
    return trainer


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
            lambda: MaximumTraining(make["mgt"](), 50, 50, 10, learning_rate=3e-3),
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
def test_a_tiny_run_overfits(name, autoencoder):
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


# --- Adversarial trainings ------------------------------------------------------------------------


def test_fusiongan_takes_two_steps_of_the_discriminator_and_one_of_the_generator(monkeypatch):
    module = FusionGANTraining(NETWORKS["fusiongan"](), size=59)
    taken, stored = [], []
    monkeypatch.setattr(
        module, "update", lambda number, loss, counted=False: taken.append((number, counted))
    )
    for norms, who in ((module.network_norms, "G"), (module.discriminator_norms, "D")):
        divided = norms.divided

        def record(of, store, divided=divided, who=who):
            stored.append((who, store))
            return divided(of, store)

        monkeypatch.setattr(norms, "divided", record)
    module._trainer = SimpleNamespace(global_step=3)
    monkeypatch.setattr(module, "log", lambda *a, **k: None)
    terms = module.adversarial_step(views(59, 2))
    assert taken == [(0, False), (0, False), (1, True)]
    each = [("G", True), ("D", True), ("D", False)]
    assert stored == [*each, *each, ("G", True), ("D", False)]
    assert terms.keys() == {"adversarial", "content"}


def test_labels_of_fusiongan_are_drawn_anew_within_their_ranges():
    module = FusionGANTraining(NETWORKS["fusiongan"](), size=59)
    module._trainer = SimpleNamespace(global_step=5)
    draws = module.generator()
    real, fake = module.labels(draws, 2000, (0.7, 1.2), (0.0, 0.3))
    for label, (low, high) in ((real, (0.7, 1.2)), (fake, (0, 0.3))):
        assert low <= label.min() < low + 0.01 and high - 0.01 < label.max() <= high
    assert not torch.equal(real, module.labels(draws, 2000, (0.7, 1.2))[0])
    assert torch.equal(real, module.labels(module.generator(), 2000, (0.7, 1.2), (0, 0.3))[0])


def test_losses_of_fusiongan():
    module = FusionGANTraining(NETWORKS["fusiongan"](), size=59).double()
    fused, ir, vis = torch.rand(3, 2, 1, 47, 47, dtype=torch.float64)
    scores = {id(fused): torch.tensor([0.5, -1.0]), id(vis): torch.tensor([2.0, 0.25])}
    module.score = lambda image, store: scores[id(image)]
    labels = torch.tensor([[1.0, 0.75], [0.25, 0.0]])
    loss = module.discriminator_loss(fused, vis, labels)
    assert loss.item() == pytest.approx((1 + 0.25) / 2 + (0.0625 + 1) / 2)
    terms = module.generator_terms(fused, ir, vis, labels[0])
    assert terms["adversarial"].item() == pytest.approx((0.25 + 1.75**2) / 2)


def test_sizes_of_the_discriminators():
    module = FusionGANTraining(NETWORKS["fusiongan"]())
    counts = [sum(p.numel() for p in d.parameters()) for d in (module.discriminator,)]
    assert counts == [397_953]
    assert sum(p.numel() for p in ddcgan.Discriminator().parameters()) == 31_233
    with pytest.raises(UserError, match=r"data\.size: at least 59"):
        FusionGANTraining(NETWORKS["fusiongan"](), size=58)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [({"world_size": 2}, r"trainer\.devices"), ({"precision": "16-mixed"}, r"trainer\.precision")],
)
def test_adversarial_trainings_refuse_what_would_train_wrongly(settings, complaint):
    module = DDcGANTraining(NETWORKS["ddcgan"](), size=16, initial_deviation=None)
    module._trainer = SimpleNamespace(**({"world_size": 1, "precision": "32-true"} | settings))
    with pytest.raises(UserError, match=complaint):
        module.setup("fit")
    module._trainer = SimpleNamespace(world_size=1, precision="bf16-mixed")
    module.setup("fit")


@pytest.fixture
def scripted(monkeypatch):
    """DDcGAN's training with losses of the discriminators and of the generator from a script."""

    def make(step, discriminators, whole=0.0):
        module = DDcGANTraining(NETWORKS["ddcgan"](), size=16, initial_deviation=None)
        module.network = nn.Identity()
        module.network.forward = lambda ir, vis: vis
        module._trainer = SimpleNamespace(global_step=step, num_training_batches=10)
        taken = []

        def descend(number, loss, counted=False):
            taken.append((number, counted))

        def losses(fused, ir, vis):
            made = sum(1 for number, _ in taken if number in (D_VIS, D_IR))
            values = discriminators(taken) if callable(discriminators) else discriminators
            return [torch.tensor(value) for value in values] if made >= 0 else None

        monkeypatch.setattr(module, "descend", descend)
        monkeypatch.setattr(module, "discriminator_losses", losses)
        monkeypatch.setattr(module, "_content", lambda *a: torch.tensor(whole))
        monkeypatch.setattr(module, "log", lambda *a, **k: None)
        module.adversarial_step(views(16))
        return [number for number, _ in taken], [number for number, counted in taken if counted]

    return make


def test_even_batches_train_each_discriminator_while_it_is_weak(scripted):
    assert scripted(0, (1.0, 1.6)) == ([D_VIS, D_IR], [D_VIS])
    order, counted = scripted(2, lambda taken: (1.8 if len(taken) < 5 else 1.0, 9.0))
    assert order == [D_VIS] * 5 + [D_IR] * 20 and counted == [D_VIS]


def test_odd_batches_train_the_generator_until_both_are_unsure_and_its_loss_is_small(scripted):
    assert scripted(1, (1.5, 1.5), whole=100.0) == ([WHOLE], [WHOLE])
    order, counted = scripted(1, lambda taken: (2.0, 1.3 if len(taken) < 4 else 1.5))
    assert order == [WHOLE] + [ADVERSARIAL] * 3 and counted == [WHOLE]
    assert scripted(1, (1.5, 1.5), whole=300.0)[0] == [WHOLE] * 20
    assert scripted(1, (1.0, 1.5), whole=300.0)[0] == [WHOLE] + [ADVERSARIAL] * 19


def test_losses_of_ddcgan():
    module = DDcGANTraining(NETWORKS["ddcgan"](), size=16)
    fused, ir, vis = torch.rand(3, 2, 1, 16, 16)
    p = {id(fused): torch.tensor([0.25, 0.5]), id(vis): torch.tensor([0.9, 0.8])}
    module.sees_vis.forward = lambda image: p[id(image)]
    loss = module.discriminator_losses(fused, ir, vis)[0].item()
    expected = -np.log([0.9, 0.8]).mean() - np.log([0.75, 0.5]).mean()
    assert loss == pytest.approx(expected, rel=1e-5)
    module.sees_ir.forward = module.sees_vis.forward
    assert module.adversarial_loss(fused).item() == pytest.approx(
        -2 * np.log([0.25, 0.5]).mean(), rel=1e-5
    )


def test_ddcgan_lowers_its_rate_with_every_step_and_limits_its_weights():
    module = DDcGANTraining(
        NETWORKS["ddcgan"](), size=16, initial_deviation=None, learning_rate=1e-2
    )
    module.network.last.bias.data.fill_(20.0)
    fit(module, views(16), 2)
    assert module.network.last.bias.item() <= 8
    optimizers = module.configure_optimizers()
    assert len(optimizers) == 4
    assert module.calls >= 3  # a step of each discriminator, and of the generator


@pytest.mark.parametrize("name", ["fusiongan", "ddcgan"])
def test_an_interrupted_adversarial_training_resumes_exactly(name, root, tmp_path):
    size = {"fusiongan": 59, "ddcgan": 16}[name]

    def run(steps, resume=None):
        torch.manual_seed(0)
        kind = {"fusiongan": FusionGANTraining, "ddcgan": DDcGANTraining}[name]
        module = kind(NETWORKS[name](), size=size, initial_deviation=None)
        data = PairData(str(root), size=size, batch_size=2, workers=0, scaling="unit", cache=True)
        trainer = L.Trainer(
            max_steps=steps, logger=False, enable_checkpointing=False, accelerator="cpu",
            enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
        )  # fmt: skip
        trainer.fit(module, data, ckpt_path=resume)
        return trainer, module.state_dict()

    _, whole = run(3)
    first, _ = run(1)
    first.save_checkpoint(tmp_path / "first.ckpt")
    _, resumed = run(3, tmp_path / "first.ckpt")
    for key, tensor in whole.items():
        torch.testing.assert_close(resumed[key], tensor, rtol=1e-5, atol=1e-7, msg=key)


# --- Stages, data, initial weights ----------------------------------------------------------------


def test_the_second_stage_keeps_the_autoencoder_of_the_first(autoencoder):
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


def test_the_first_stage_leaves_fusion_alone():
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
