"""Losses of published methods against plain computations by NumPy and SciPy, and against a log."""

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
from scipy import ndimage
from scipy.io import loadmat
from torch import nn

from fusion.training import ddcgan, filters, fusiongan
from fusion.training.adversarial import SpectralNorms, TensorFlowRMSProp
from fusion.training.maximum import MaximumLoss
from fusion.training.nested import NestedFusionLoss
from fusion.training.proportional import ProportionalLoss, SqueezeLoss
from fusion.training.supervised import SupervisedDecompositionLoss
from fusion.training.unified import UnifiedLoss


@pytest.fixture
def images(rng):
    """Fused, infrared and visible images in 0..1, ``(3, 2, 20, 24)``."""
    return rng.random((3, 2, 20, 24))


# --- Filters --------------------------------------------------------------------------------------


def test_filters_are_scipys(images):
    (image,) = tensors(images[0])
    plain = images[0]
    gauss = np.array([[0.0947, 0.1183, 0.0947], [0.1183, 0.1478, 0.1183], [0.0947, 0.1183, 0.0947]])
    strength = np.abs(zero_padded(plain, SOBEL)) + np.abs(zero_padded(plain, SOBEL.T))
    for ours, expected in (
        (filters.laplacian(image), zero_padded(plain, FOUR)),
        (filters.ring_difference(image), zero_padded(plain, RING)),
        (filters.blur3(image), zero_padded(plain, gauss)),
        (filters.sobel_strength(image), strength),
    ):
        np.testing.assert_allclose(ours[:, 0], expected, atol=1e-12)


def test_ssim_with_zeros_beyond_the_border(images):
    a, b = images[:2]
    expected = np.mean([plain_ssim(x, y, 1, "zeros")[0] for x, y in zip(a, b, strict=True)])
    assert filters.ssim_zero_padded(*tensors(a, b)).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("level", [255, 120])
def test_ms_ssim_as_it_is_coded(rng, level):
    a = ndimage.gaussian_filter(rng.random((200, 190)), 2)
    a = (a - a.min()) / np.ptp(a) * level
    b = np.clip(a + rng.normal(0, 9, a.shape), 0, 255)
    ours = filters.ms_ssim(*tensors(a[None], b[None])).item()
    assert ours == pytest.approx(plain_ms_ssim(a, b), rel=1e-9)
    assert filters.ms_ssim(*tensors(a[None], a[None])).item() == pytest.approx(1)


# --- Losses ---------------------------------------------------------------------------------------


def test_pmgi(images):
    f, ir, vis = images * 2 - 1
    edges, edges_ir, edges_vis = (zero_padded(x, FOUR) for x in (f, ir, vis))
    expected = {
        "intensity": 100 * (mse(f, ir) + 0.3 * mse(f, vis)),
        "gradient": 100 * (5 * mse(edges, edges_vis) + 4 * mse(edges, edges_ir)),
    }
    assert_terms(ProportionalLoss()(*tensors(f, ir, vis)), expected)


def test_sdnet(images, rng):
    f, ir, vis = images * 2 - 1
    remade = rng.random((2, *f.shape)) * 2 - 1
    gauss = np.array([[0.0947, 0.1183, 0.0947], [0.1183, 0.1478, 0.1183], [0.0947, 0.1183, 0.0947]])
    soft = [np.abs(zero_padded(zero_padded(x, gauss), FOUR)) for x in (ir, vis)]
    chosen = (soft[1] > soft[0]).astype(float)
    edges, edges_ir, edges_vis = (zero_padded(x, FOUR) for x in (f, ir, vis))
    first = np.mean((1 - chosen) * (edges - edges_ir) ** 2)
    second = np.mean(chosen * (edges - edges_vis) ** 2)
    expected = {
        "intensity": mse(f, ir) + 0.5 * mse(f, vis),
        "gradient": 80 * (first + second),
        "decomposition": mse(remade[0], ir) + mse(remade[1], vis),
    }
    assert_terms(SqueezeLoss()(*tensors(f, ir, vis), tuple(tensors(*remade))), expected)


@pytest.mark.parametrize(
    "weights", [(20, 20, 10, 0), (50, 50, 10, 0), (10, 20, 10, 20)], ids=["swin", "mgt", "weights"]
)
def test_swinfusion_and_mgt(images, weights):
    f, ir, vis = images
    s, s_ir, s_vis = (
        np.abs(zero_padded(x, SOBEL)) + np.abs(zero_padded(x, SOBEL.T)) for x in (f, ir, vis)
    )
    share = s_ir.mean() / (s_ir.mean() + s_vis.mean())

    def ssim(a):
        return np.mean([plain_ssim(x, y, 1, "zeros")[0] for x, y in zip(a, f, strict=True)])

    rest = f - np.maximum(ir, vis)
    rows, columns = np.diff(rest, axis=1), np.diff(rest, axis=2)
    expected = {
        "intensity": weights[0] * np.mean(np.abs(rest)),
        "gradient": weights[1] * np.mean(np.abs(s - np.maximum(s_ir, s_vis))),
        "structure": weights[2] * (1 - share * ssim(ir) - (1 - share) * ssim(vis)),
        "smooth": weights[3] * (np.mean(rows**2) + np.mean(columns**2)),
    }
    assert_terms(MaximumLoss(*map(float, weights))(*tensors(f, ir, vis)), expected)


def test_two_black_images_have_a_loss():
    black = torch.zeros(1, 1, 16, 16)
    terms = MaximumLoss()(torch.full_like(black, 0.1), black, black)
    assert all(term.isfinite() for term in terms.values())


def test_rfn_nest_and_ift(rng):
    f, vis = rng.random((2, 180, 180)) * 300
    features, ir_features, vis_features = (
        [rng.random((1, 3, 8 >> i, 8 >> i)) for i in range(4)] for _ in range(3)
    )
    stretched = (f - f.min()) / (np.ptp(f) + 1e-5) * 255
    parts = zip((1, 10, 100, 1000), features, ir_features, vis_features, strict=True)
    expected = {
        "detail": 700 * (1 - plain_ms_ssim(stretched, vis)),
        "feature": sum(w * mse(x, 6 * a + 3 * b) for w, x, a, b in parts),
    }
    as_tensors = [
        [torch.from_numpy(x) for x in scales] for scales in (features, ir_features, vis_features)
    ]
    assert_terms(NestedFusionLoss()(*tensors(f[None], vis[None]), *as_tensors), expected)


def test_contents_of_the_adversarial_methods(images):
    f, ir, vis = images * 2 - 1
    expected = mse(f, ir) + 5 * mse(zero_padded(f, FOUR), zero_padded(vis, FOUR))
    ours = fusiongan.content_loss(*tensors(f, ir, vis)).item()
    assert ours == pytest.approx(expected, rel=1e-10)
    f, ir, vis = images
    edges = np.abs(zero_padded(f, RING) - zero_padded(vis, RING)).sum((1, 2))
    expected = np.mean(((f - ir) ** 2).sum((1, 2)) / 16 + 1.2 * edges)
    ours = ddcgan.content_loss(*tensors(f, ir, vis)).item()
    assert ours == pytest.approx(expected, rel=1e-10)


def test_u2fusion(images):
    class Layers(nn.Module):
        """Stand-ins for VGG-16's outputs, of different sizes."""

        def forward(self, image):
            return [image.expand(-1, 2, -1, -1), image[..., ::2, ::3] * 0.5]

    f, ir, vis = images

    def information(image):
        rows = np.arange(224) * 20 // 224
        columns = np.arange(224) * 24 // 224
        big = image[rows][:, columns] * 255
        layers = [big, big[::2, ::3] * 0.5]
        return np.mean([np.mean(zero_padded(x[None], RING) ** 2) for x in layers])

    structure = intensity = 0.0
    for i in range(2):
        g = np.array([information(ir[i]), information(vis[i])]) / 3200
        w = np.exp(g) / np.exp(g).sum()
        for weight, source in zip(w, (ir[i], vis[i]), strict=True):
            structure += weight * (1 - plain_ssim(f[i], source, 1, "valid")[0]) / 2
            intensity += 20 * weight * mse(f[i], source) / 2
    terms = UnifiedLoss(Layers())(*tensors(f, ir, vis))
    assert_terms(terms, {"structure": structure, "intensity": intensity})


# --- DIDFuse under supervision --------------------------------------------------------------------


def test_every_logged_step_of_supervised_didfuse(shared):
    """The authors' log has the four differences and the loss of 2 520 steps."""
    log = loadmat(shared / "data/baselines/didfuse_rts/TrainData.mat")
    names = ("V_recon_loss", "Base_layer_loss", "Detail_layer_loss", "Gradient_loss")
    parts = [torch.from_numpy(log[name][0]) for name in names]
    total = sum(SupervisedDecompositionLoss().weighted(*parts).values())
    assert total.shape == (2520,)
    assert np.abs(total.numpy() - log["Loss"][0]).max() < 1e-7
    # The loss of plain DIDFuse weighs the bases by 1.
    plain = sum(SupervisedDecompositionLoss(w_base=1.0).weighted(*parts).values())
    assert np.abs(plain.numpy() - log["Loss"][0]).max() > 0.01


def test_supervised_didfuse(rng, images):
    f = images[0]
    # Similar images: where similarity is negative, the clamp of each pixel would matter.
    references = f[:, None] + rng.normal(0, 0.1, (2, 3, 20, 24))
    bases, details = rng.random((2, 2, 2, 5, 20, 24))

    def mirrored(batch, kernel):
        return np.stack([ndimage.correlate(x, kernel / 8, mode="mirror") for x in batch])

    similar, slopes = [], []
    for k in range(3):
        s = references[:, k]
        pairs = list(zip(f, s, strict=True))
        ssim = np.mean([plain_ssim(x, y, 1, "valid")[0] for x, y in pairs])
        similar.append((1 - ssim) / 2 + mse(f, s))
        slopes.append(
            np.mean([np.abs(mirrored(f, d) - mirrored(s, d)).mean() for d in (SOBEL, SOBEL.T)])
        )
    expected = {
        "reconstruction": 2 * np.mean(similar),
        "base": 0.5 * np.tanh(np.abs(bases[0] - bases[1]).mean()),
        "detail": -0.5 * np.tanh(np.abs(details[0] - details[1]).mean()),
        "gradient": 10 * np.mean(slopes),
    }
    both = [[torch.from_numpy(x) for x in pair] for pair in (bases, details)]
    terms = SupervisedDecompositionLoss()(*tensors(f), torch.from_numpy(references), *both)
    assert_terms(terms, expected)


# --- Optimisation ---------------------------------------------------------------------------------


def test_spectral_norms_become_the_largest_singular_value():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Flatten(), nn.Linear(20, 4)).double()
    norms = SpectralNorms(module).double()
    before = norms.get_buffer("0_weight").clone()
    first = norms.divided(module, store=False)
    assert torch.equal(norms.get_buffer("0_weight"), before)
    assert first.keys() == {"0.weight", "2.weight"}
    # One iteration by hand.
    w = module[0].weight.detach().numpy().reshape(5, -1).T
    v = before.numpy() @ w.T
    v /= np.linalg.norm(v) + 1e-12
    u = v @ w
    u /= np.linalg.norm(u) + 1e-12
    np.testing.assert_allclose(
        first["0.weight"].detach(), module[0].weight.detach() / (v @ w @ u.T).item(), rtol=1e-10
    )
    for _ in range(200):
        last = norms.divided(module, store=True)
    for name, kernel in last.items():
        assert torch.linalg.matrix_norm(kernel.flatten(1), 2).item() == pytest.approx(1), name


def test_gradients_pass_through_all_of_the_spectral_norm():
    torch.manual_seed(0)
    module = nn.Linear(4, 3, bias=False).double()
    norms = SpectralNorms(module).double()

    def divided(weight):
        module.weight.data.copy_(weight)
        return norms.divided(module, store=False)["weight"].square().sum() * 3

    weight = module.weight.detach().clone()
    (gradient,) = torch.autograd.grad(divided(weight), module.weight)
    for place in ((0, 1), (2, 3)):
        step = torch.zeros_like(weight)
        step[place] = 1e-6
        slope = (divided(weight + step) - divided(weight - step)) / 2e-6
        assert gradient[place].item() == pytest.approx(slope.item(), rel=1e-5)


def test_rmsprop_of_tensorflow():
    weight = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    optimizer = TensorFlowRMSProp([weight], 0.1, decay=0.6, momentum=0.15, eps=1e-3)
    w, s, m = 2.0, 1.0, 0.0
    for _ in range(5):
        optimizer.zero_grad()
        (weight**2).sum().backward()
        optimizer.step()
        g = 2 * w
        s = 0.6 * s + 0.4 * g * g
        m = 0.15 * m + 0.1 * g / np.sqrt(s + 1e-3)
        w -= m
    assert weight.item() == pytest.approx(w, rel=1e-12)
