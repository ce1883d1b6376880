"""Adversarial trainings: order and number of steps, labels, losses, limits, exact resuming."""

from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
from torch import nn

from fusion.base.errors import UserError
from fusion.networks.registry import NETWORKS
from fusion.training import ddcgan
from fusion.training.ddcgan import ADVERSARIAL, D_IR, D_VIS, WHOLE, DDcGANTraining
from fusion.training.fusiongan import FusionGANTraining
from fusion.training.pairs import PairData


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def root(street_pairs):
    return street_pairs(4, 72, 64)


def test_fusiongan_takes_two_steps_of_the_discriminator_and_one_of_the_generator(
    monkeypatch, views
):
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
    batch = {"ir": (ir + 1) / 2, "vis": (vis + 1) / 2}
    fake, seen = torch.tensor([0.5, -1.0]), torch.tensor([2.0, 0.25])
    module.score = lambda image, store: fake if image is fused else seen
    labels = torch.tensor([[1.0, 0.75], [0.25, 0.0]])
    real, there = module.real(batch)
    torch.testing.assert_close(real, vis)
    loss = module.discriminator_loss(fused, real, there, labels)
    assert loss.item() == pytest.approx((1 + 0.25) / 2 + (0.0625 + 1) / 2)
    terms = module.generator_terms(fused, batch, labels[0])
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
def scripted(monkeypatch, views):
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
            values = discriminators(taken) if callable(discriminators) else discriminators
            return [torch.tensor(value) for value in values]

        monkeypatch.setattr(module, "descend", descend)
        monkeypatch.setattr(module, "discriminator_losses", losses)
        monkeypatch.setattr(module, "content", lambda *a: torch.tensor(whole))
        monkeypatch.setattr(module, "log", lambda *a, **k: None)
        module.adversarial_step(views(16))
        return [number for number, _ in taken], [number for number, counted in taken if counted]

    return make


def test_even_batches_train_each_discriminator_while_it_is_weak(scripted):
    assert scripted(0, (1.0, 1.6)) == ([D_VIS, D_IR], [D_VIS])
    order, counted = scripted(2, lambda taken: (1.8 if len(taken) < 5 else 1.0, 9.0))
    assert order == [D_VIS, D_IR] + [D_VIS] * 3 + [D_IR] * 19 and counted == [D_VIS]


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


def test_ddcgan_lowers_its_rate_with_every_step_and_limits_its_weights(views, fit):
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
