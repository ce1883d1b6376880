"""The framework's losses of the supervised baselines against plain computations by NumPy."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from plain import (
    FOUR,
    RING,
    SOBEL,
    assert_terms,
    mse,
    plain_ms_ssim,
    plain_ssim,
    tensors,
    zero_padded,
)

from fusion.base.errors import UserError
from fusion.commands.cli import main
from fusion.networks.registry import NETWORKS
from fusion.networks.weights import load_network, save_network
from fusion.training import supervised
from fusion.training.supervised_adversarial import (
    SupervisedDDcGANTraining,
    SupervisedFusionGANTraining,
    supervised_content,
)

EXPERIMENTS = Path(__file__).parents[3] / "experiments" / "fusion"

#: Weights of three references of two pairs; the second pair has only two.
WEIGHTS = np.array([[0.5, 0.3, 0.2], [0.6, 0.4, 0.0]])


@pytest.fixture
def pictures(rng):
    """A fused image and three references of two pairs, in 0..1: ``(2, H, W)``, ``(2, 3, H, W)``."""
    return rng.random((2, 20, 24)), rng.random((2, 3, 20, 24))


def placed(fused, references, weights=WEIGHTS):
    return (*tensors(fused), torch.from_numpy(references), torch.from_numpy(weights))


def over_references(measure, fused, references, weights):
    """The weighted sum over a pair's references, averaged over the pairs."""
    return np.mean(
        [
            sum(w * measure(f, s) for w, s in zip(row, images, strict=True))
            for f, images, row in zip(fused, references, weights, strict=True)
        ]
    )


def edge_mse(f, s):
    return mse(zero_padded(f[None], FOUR), zero_padded(s[None], FOUR))


def strength(image):
    x, y = (zero_padded(image[None], kernel)[0] for kernel in (SOBEL, SOBEL.T))
    return np.abs(x) + np.abs(y)


def similarity(a, b):
    return plain_ssim(a, b, 1, "zeros")[0]


def test_pmgi(pictures):
    f, s = (image * 2 - 1 for image in pictures)
    expected = {
        "intensity": over_references(mse, f, s, WEIGHTS),
        "gradient": over_references(edge_mse, f, s, WEIGHTS),
    }
    assert_terms(supervised.SupervisedPMGILoss()(*placed(f, s)), expected)


@pytest.mark.parametrize("as_released", [True, False])
def test_sdnet(pictures, rng, as_released):
    f, s = (image * 2 - 1 for image in pictures)
    remade = rng.random((2, *f.shape)) * 2 - 1
    there = (WEIGHTS > 0).astype(float)
    both = sum(over_references(mse, image, s, there) for image in remade)
    if as_released:
        both -= np.mean([mse(a, images[0]) for a, images in zip(remade[0], s, strict=True)])
        both += np.mean(remade[0] ** 2 - s[:, 0])
    expected = {
        "intensity": over_references(mse, f, s, WEIGHTS),
        "gradient": 10 * over_references(edge_mse, f, s, WEIGHTS),
        "decomposition": both,
    }
    loss = supervised.SupervisedSDNetLoss(as_released=as_released)
    assert_terms(loss(*placed(f, s), tuple(tensors(*remade))), expected)


@pytest.mark.parametrize("as_released", [True, False])
def test_swinfusion(pictures, as_released):
    f, s = pictures
    s = s.copy()
    s[1, 2] = 7.0  # not there: it must not count
    known = [s[0], s[1, :2]]
    brightest = np.stack([images.max(0) for images in known])
    edges = [np.stack([strength(x) for x in images]) for images in known]
    g = np.zeros(3)
    for of_pair in edges:
        for k, image in enumerate(of_pair):
            g[k] += image.mean() / 2
    if as_released:
        v, wanted = g / (g[0] + g[1]) + g[2], brightest
    else:
        v, wanted = g / g.sum(), np.stack([of_pair.max(0) for of_pair in edges])
    similar = [np.mean([similarity(s[i, k], f[i]) for i in range(2)]) for k in range(3)]
    fused = np.stack([strength(image) for image in f])
    expected = {
        "intensity": 20 * np.mean(np.abs(f - brightest)),
        "gradient": 20 * np.mean(np.abs(fused - wanted)),
        "structure": 10 * (1 - sum(v * similar)),
    }
    loss = supervised.SupervisedSwinFusionLoss(as_released=as_released)
    assert_terms(loss(*placed(f, s)), expected)


@pytest.mark.parametrize("as_released", [True, False])
def test_mgt(pictures, as_released):
    f, s = pictures
    equal = np.full((2, 3), 1 / 3)

    def l1(a, b):
        return np.mean(np.abs(a - b))

    def edges(a, b):
        return l1(strength(a), strength(b))

    if as_released:
        last, sums = np.array([[0, 0, 1.0]] * 2), np.ones((2, 3))
        structure = over_references(lambda a, b: similarity(a, strength(b)), f, s, sums)
    else:
        last = sums = equal
        structure = over_references(similarity, f, s, sums)
    expected = {
        "intensity": 50 * over_references(l1, f, s, last),
        "gradient": 50 * over_references(edges, f, s, sums),
        "structure": 10 * (1 - structure),
    }
    loss = supervised.SupervisedMGTLoss(as_released=as_released)
    assert_terms(loss(*placed(f, s, equal)), expected)


def test_mgt_takes_the_last_reference_that_is_there(pictures):
    f, s = pictures
    terms = supervised.SupervisedMGTLoss()(*placed(f, s))
    expected = np.mean([np.mean(np.abs(f[0] - s[0, 2])), np.mean(np.abs(f[1] - s[1, 1]))])
    assert terms["intensity"].item() == pytest.approx(50 * expected)


def test_rfn_nest(rng):
    f, s = rng.random((2, 48, 40)) * 300, rng.random((2, 3, 48, 40)) * 255
    feature, features = rng.random((2, 4, 3, 2)), rng.random((3, 2, 4, 3, 2))
    stretched = (f - f.min()) / (np.ptp(f) + 1e-5) * 255
    wanted = np.einsum("bk,kbchw->bchw", WEIGHTS, features)
    structure = over_references(lambda a, b: 1 - plain_ms_ssim(a, b), stretched, s, WEIGHTS)
    expected = {"structure": structure, "feature": 1000 * mse(feature, wanted)}
    loss = supervised.SupervisedNestLoss()
    ours = loss(
        *placed(f, s), torch.from_numpy(feature), [torch.from_numpy(each) for each in features]
    )
    assert_terms(ours, expected)


# --- Adversarial ----------------------------------------------------------------------------------


def test_fusiongan_tells_references_from_fused_images(rng):
    module = SupervisedFusionGANTraining(
        NETWORKS["fusiongan"](), size=59, initial_deviation=None
    ).double()
    f, s = rng.random((2, 12, 12)) * 2 - 1, rng.random((2, 3, 12, 12)) * 2 - 1
    stored = []

    def score(image, store):
        stored.append(store)
        return image.mean((1, 2, 3))

    module.score = score
    a, b, c = rng.random((3, 2)), rng.random(2), rng.random(2)
    there = (WEIGHTS > 0).astype(float)
    fused, references, weights = placed(f, s, there)
    batch = {"references": (references + 1) / 2, "weights": weights}
    labels = torch.from_numpy(np.vstack([a, b]))
    expected = np.mean((f.mean((1, 2)) - b) ** 2)
    for k in range(3):
        expected += np.mean(there[:, k] * (s[:, k].mean((1, 2)) - a[k]) ** 2)
    loss = module.discriminator_loss(fused, *module.real(batch), labels)
    assert loss.item() == pytest.approx(expected)
    assert stored == [True, True, True, False]
    content = over_references(mse, f, s, there) + 5 * over_references(edge_mse, f, s, there)
    expected = {"adversarial": np.mean((f.mean((1, 2)) - c) ** 2), "content": 100 * content}
    terms = module.generator_terms(fused, batch, torch.from_numpy(c))
    assert_terms(terms, expected)


def test_ddcgan_has_one_discriminator(pictures):
    f, s = pictures
    module = SupervisedDDcGANTraining(NETWORKS["ddcgan"](), size=16, initial_deviation=None)
    (only,) = module.discriminators()
    only.forward = lambda image: image.mean((1, 2, 3))
    fused, references, weights = placed(f, s)
    batch = {"references": references, "weights": weights}
    p, q = f.mean((1, 2)), s.mean((2, 3))
    real = (np.log(q[0]).mean() + np.log(q[1, :2]).mean()) / 2
    (loss,) = module.judged(fused, batch)
    assert loss.item() == pytest.approx(-real - np.log(1 - p).mean(), rel=1e-6)
    assert module.adversarial_loss(fused).item() == pytest.approx(-np.log(p).mean(), rel=1e-6)

    def content(a, b):
        edges = np.abs(zero_padded(a[None], RING) - zero_padded(b[None], RING)).sum()
        return ((a - b) ** 2).sum() / 16 + 1.2 * edges

    expected = over_references(content, f, s, WEIGHTS)
    assert supervised_content(*placed(f, s)).item() == pytest.approx(expected)
    assert module.content(fused, batch).item() == pytest.approx(0.6 * expected)


# --- Training -------------------------------------------------------------------------------------


def trainings():
    """By method: how its training is made; then size of the views, steps, and the share of the loss
    that may be left."""
    make, plain = dict(NETWORKS.items()), {"initial_deviation": None}
    fast = {"as_released": False, "learning_rate": 3e-3}
    return {
        "pmgi": (
            lambda: supervised.SupervisedPMGITraining(make["pmgi"](), learning_rate=1e-2, **plain),
            (24, 20, 0.6),
        ),
        "sdnet": (
            lambda: supervised.SupervisedSDNetTraining(make["sdnet"](), **fast, **plain),
            (24, 25, 0.6),
        ),
        "swinfusion": (
            lambda: supervised.SupervisedSwinFusionTraining(make["swinfusion"](0.0), **fast),
            (16, 10, 0.8),
        ),
        "mgt": (lambda: supervised.SupervisedMGTTraining(make["mgt"](), **fast), (16, 8, 0.9)),
        "rfn-nest": (
            lambda: supervised.SupervisedRFNNestTraining(make["rfn-nest"](), learning_rate=1e-3),
            (16, 6, 0.8),
        ),
        "fusiongan": (
            lambda: SupervisedFusionGANTraining(
                make["fusiongan"](), size=59, learning_rate=5e-3, **plain
            ),
            (59, 2, 0.9),
        ),
        "ddcgan": (
            lambda: SupervisedDDcGANTraining(
                make["ddcgan"](), size=16, learning_rate=1e-2, initial_deviation_d=None, **plain
            ),
            (16, 2, 0.9),
        ),
    }


@pytest.mark.parametrize("name", trainings())
def test_a_tiny_run_overfits(name, views, fit):
    torch.manual_seed(0)
    build, (size, steps, share) = trainings()[name]
    module, batch = build().train(), views(size)

    def loss():
        with torch.no_grad():
            return sum(module.train().terms(batch)[0].values()).item()

    before = loss()
    assert fit(module, batch, steps).global_step == steps
    assert loss() < share * before


def test_supervised_training_may_start_from_weights(tmp_path):
    network = NETWORKS["pmgi"]()
    save_network(network, tmp_path / "plain.safetensors")
    start = str(tmp_path / "plain.safetensors")
    module = supervised.SupervisedPMGITraining(NETWORKS["pmgi"](), start)
    for ours, theirs in zip(module.network.parameters(), network.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    with pytest.raises(UserError, match=r"nowhere.*no such file.*model\.init_args\.start"):
        supervised.SupervisedPMGITraining(NETWORKS["pmgi"](), "nowhere.safetensors")


#: Side of the views, and what makes each configuration small enough for a test.
SMALLER = {
    "didfuse": (16, {}),
    "pmgi": (24, {}),
    "sdnet": (24, {}),
    "fusiongan": (59, {"size": 59}),
    "ddcgan": (16, {"size": 16}),
    "rfn_nest": (16, {}),
    "swinfusion": (16, {}),
    "mgt": (16, {}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SMALLER)
def test_configurations_run(name, street_pairs, tmp_path):
    root = street_pairs(2, 72, 64)
    references = tmp_path / "references"
    for rank in (1, 2):
        shutil.copytree(root / "vis", references / f"rank_{rank}")
        (references / f"rank_{rank}.txt").write_text("0.png,0.5\n1.png,0.5\n")
    size, arguments = SMALLER[name]
    command = ["train", "fit", "--config", str(EXPERIMENTS / f"{name}_supervised.yaml")]
    command += ["--data.root", str(root), "--data.references", str(references)]
    command += ["--data.size", str(size), "--data.batch_size", "2", "--data.workers", "0"]
    for key, value in arguments.items():
        command += [f"--model.init_args.{key}", str(value)]
    command += ["--trainer.max_steps", "1", "--trainer.accelerator", "cpu"]
    command += ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", str(tmp_path / "r")]
    assert main([*command, "--trainer.enable_progress_bar", "false"]) == 0
    (path,) = (tmp_path / "r").rglob("weights.safetensors")
    assert NETWORKS.name_of(type(load_network(path))) == name.replace("_", "-")
