"""PMGI, SDNet, FusionGAN, DDcGAN: published weights give the published images, read without
TensorFlow; plain implementations of the programs agree; other normalisation and layers do not."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fusion.images.pixels import luminance
from fusion.images.reading import read_image, read_infrared, read_visible
from fusion.networks import PMGI, DDcGAN, FusionGAN
from fusion.networks.tensorflow import STRETCHED, PictureNorm, in_torch_layout
from fusion.networks.weights import load_network

#: Largest and mean difference in grey levels for each pair, measured; the published images of 5, 10
#: and 11, and all of SDNet's, were made from other copies of the sources.
PMGI_OTHER_SOURCES = {5: (2, 0.1), 10: (1, 0.1), 11: (3, 0.45)}


@pytest.fixture(scope="module", params=["pmgi", "sdnet"])
def published(request, shared):
    return request.param, load_network(
        shared / f"data/baselines/{request.param}", method=request.param
    )


@pytest.fixture(scope="module")
def pmgi(shared):
    return load_network(shared / "data/baselines/pmgi/CGAN.model-1.index")


def differences(shared, method, network, number) -> np.ndarray:
    """Grey levels between our image and the published one of a TNO pair."""
    name = f"{number}.png"
    ir = read_infrared(shared / "data/tno12/ir" / name)
    vis = luminance(read_visible(shared / "data/tno12/vis" / name))
    expected = luminance(read_image(shared / "data/baselines" / method / "tno12" / name))
    return np.abs(network.fuse(ir, vis).astype(int) - expected)


@pytest.mark.parametrize("number", range(1, 13))
def test_published_weights_give_the_published_images(shared, published, number):
    method, network = published
    difference = differences(shared, method, network, number)
    if method == "sdnet":
        assert difference.max() <= 3 and difference.mean() < 0.27
    elif number in PMGI_OTHER_SOURCES:
        most, mean = PMGI_OTHER_SOURCES[number]
        assert difference.max() <= most and difference.mean() < mean
    else:
        assert difference.max() <= 1 and (difference > 0).mean() < 2e-4


# --- Negative controls ----------------------------------------------------------------------------


def test_running_statistics_give_other_images(shared, pmgi):
    """The moving mean and variance that the checkpoint has too."""
    stored = np.load(shared / "data/baselines/pmgi/pmgi.npz")
    network = copy.deepcopy(pmgi)
    for path in ("infrared", "visible"):
        for name, block in getattr(network, path).named_modules():
            if not isinstance(block, PictureNorm):
                continue
            scope = network.published.name_in_file(f"{path}.{name}.weight").removesuffix(".weight")
            running = nn.BatchNorm2d(16, affine=False).eval()
            running.running_mean = torch.from_numpy(stored[f"{scope}/moving_mean"])
            running.running_var = torch.from_numpy(stored[f"{scope}/moving_variance"])
            network.get_submodule(f"{path}.{name.rpartition('.')[0]}")[1] = running
    assert 20 < differences(shared, "pmgi", network, 8).mean() < 70


def test_trained_scale_and_shift_give_other_images(shared, pmgi):
    network = copy.deepcopy(pmgi)
    for module in network.modules():
        if isinstance(module, PictureNorm):
            module.affine_in_tests = True
    difference = differences(shared, "pmgi", network, 8)
    assert difference.max() > 1 and difference.mean() > 0.3


def test_an_output_that_is_not_stretched_is_another_image(shared, published):
    method, network = published
    network = copy.deepcopy(network)
    network.scaling = STRETCHED.__class__(input="unit", output="clamp", rounding="round")
    assert differences(shared, method, network, 8).mean() > 3


def test_modalities_exchanged_give_other_images(shared, published):
    method, network = published
    network = copy.deepcopy(network)
    forward = network.forward
    network.forward = lambda ir, vis: forward(vis, ir)
    assert differences(shared, method, network, 8).mean() > 5


# --- Plain implementations, tensor by tensor ------------------------------------------------------


def plain_conv(stored, x, layer, suffix, norm=False):
    """A layer of the programs: HWIO kernel with zero padding, bias, the picture's statistics."""
    number = layer.removeprefix("layer")
    scope = f"fusion_model/{layer}{suffix}"
    kernel = torch.from_numpy(stored[f"{scope}/w{number}{suffix}"]).permute(3, 2, 0, 1)
    bias = torch.from_numpy(stored[f"{scope}/b{number}{suffix}"])
    x = F.conv2d(x, kernel, bias, padding=kernel.shape[-1] // 2)
    if norm:
        x = (x - x.mean((2, 3), keepdim=True)) / (
            x.var((2, 3), keepdim=True, unbiased=False) + 1e-5
        ).sqrt()
    return x


def test_pmgi_is_its_program(shared, pmgi):
    stored = np.load(shared / "data/baselines/pmgi/pmgi.npz")
    ir, vis = torch.rand(2, 1, 1, 40, 36, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def layer(x, name, suffix):
        return F.leaky_relu(plain_conv(stored, x, name, suffix, norm=True), 0.2)

    with torch.no_grad():
        a1, b1 = layer(torch.cat([ir, ir, vis], 1), "layer1", ""), None
        b1 = layer(torch.cat([vis, vis, ir], 1), "layer1", "_vi")
        a2, b2 = layer(a1, "layer2", ""), layer(b1, "layer2", "_vi")
        both = torch.cat([a2, b2], 1)
        a3 = layer(torch.cat([a1, a2, layer(both, "layer2_3", "")], 1), "layer3", "")
        b3 = layer(torch.cat([b1, b2, layer(both, "layer2_3", "_vi")], 1), "layer3", "_vi")
        both = torch.cat([a3, b3], 1)
        a4 = layer(torch.cat([a1, a2, a3, layer(both, "layer3_4", "")], 1), "layer4", "")
        b4 = layer(torch.cat([b1, b2, b3, layer(both, "layer3_4", "_vi")], 1), "layer4", "_vi")
        features = torch.cat([a1, b1, a2, b2, a3, b3, a4, b4], 1)
        expected = plain_conv(stored, features, "layer5", "").tanh()
        fused = pmgi(ir / 2 + 0.5, vis / 2 + 0.5) * 2 - 1
    torch.testing.assert_close(fused, expected, rtol=0, atol=5e-6)


def test_sdnet_decomposes_as_its_program(shared):
    stored = np.load(shared / "data/baselines/sdnet/sdnet.npz")
    network = load_network(shared / "data/baselines/sdnet", method="sdnet")
    fused = torch.rand(1, 1, 30, 34, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        ours = network.decompose(fused / 2 + 0.5)
        x = F.leaky_relu(plain_conv(stored, fused, "layer6", "_sept"), 0.2)
        for picture, suffix in zip(ours, ("_ir", "_vi"), strict=True):
            y = F.leaky_relu(plain_conv(stored, x, "layer7", suffix), 0.2)
            y = F.leaky_relu(plain_conv(stored, y, "layer8", suffix), 0.2)
            expected = plain_conv(stored, y, "layer9", suffix).tanh()
            torch.testing.assert_close(picture * 2 - 1, expected, rtol=0, atol=5e-6)


def reflected(x, conv):
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), conv.weight, conv.bias)


def plain_ddcgan(network, ir, vis, twice=True):
    """The program's graph: the decoder's first convolution without, then with normalisation."""

    def normed(x, block):
        x = reflected(x, block[0])
        mean = x.mean((0, 2, 3), keepdim=True)
        variance = (x - mean).square().mean((0, 2, 3), keepdim=True)
        scale, shift = (p.view(1, -1, 1, 1) for p in (block[1].weight, block[1].bias))
        return ((x - mean) / (variance + 1e-3).sqrt() * scale + shift).relu()

    x = normed(torch.cat([vis, ir], 1), network.first)
    for block in network.dense:
        x = torch.cat([normed(x, block), x], 1)
    if twice:
        x = reflected(x, network.decoder[0][0]).relu()
    for block in network.decoder:
        x = normed(x, block)
    return reflected(x, network.last).tanh() / 2 + 0.5


@pytest.mark.parametrize("training", [False, True])
def test_ddcgan_is_its_program_and_applies_a_layer_twice(training):
    torch.manual_seed(0)
    network = DDcGAN().train(training)
    for module in network.modules():
        if isinstance(module, PictureNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    ir, vis = torch.rand(2, 2 if training else 1, 1, 20, 24)
    with torch.no_grad():
        fused = network(ir, vis)
        expected = plain_ddcgan(network, ir, vis)
        once = plain_ddcgan(network, ir, vis, twice=False)
    torch.testing.assert_close(fused, expected, rtol=0, atol=1e-5)
    assert (once - expected).abs().max() > 0.01  # one convolution instead of two is another network


def test_fusiongan_is_its_program_in_tests():
    """Statistics of each picture, scale 1 and shift 0, whatever was trained."""
    torch.manual_seed(0)
    network = FusionGAN().eval()
    for module in network.modules():
        if isinstance(module, PictureNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    ir, vis = torch.rand(2, 2, 1, 24, 20)
    x = F.pad(torch.cat([ir, vis], 1) * 2 - 1, (6,) * 4, mode="replicate")
    with torch.no_grad():
        fused = network(ir, vis)
        for block in network.hidden:
            x = F.conv2d(x, block[0].weight, block[0].bias)
            x = F.leaky_relu(F.instance_norm(x, eps=1e-5), 0.2)
        expected = F.conv2d(x, network.last.weight, network.last.bias).tanh() / 2 + 0.5
        network.train()
        assert (network(ir, vis) - fused).abs().max() > 0.01
    torch.testing.assert_close(fused, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("method", "pairs"), [("fusiongan", "tno12"), ("ddcgan", "tno21")])
def test_published_images_are_stretched_over_all_levels(shared, method, pairs):
    """As ours: their weights are not at hand."""
    paths = sorted((shared / "data/baselines" / method / pairs).glob("*.png"))
    assert len(paths) == {"fusiongan": 12, "ddcgan": 7}[method]
    for path in paths:
        image = luminance(read_image(path))
        assert (image.min(), image.max()) == (0, 255)
    rng = np.random.default_rng(0)
    network = {"fusiongan": FusionGAN, "ddcgan": DDcGAN}[method]().eval()
    fused = network.fuse(*rng.integers(0, 256, (2, 24, 24), np.uint8))
    assert (fused.min(), fused.max()) == (0, 255)


# --- Layout ---------------------------------------------------------------------------------------


def test_weights_of_a_scope_in_torchs_layout():
    kernel = torch.arange(2 * 3 * 4 * 5.0).view(2, 3, 4, 5)
    made = in_torch_layout(
        {
            "net/a/w1": kernel,
            "net/a/b1": torch.ones(5),
            "net/a/w1/Adam_1": kernel,
            "net/a/BatchNorm/gamma": torch.full((5,), 2.0),
            "net/a/BatchNorm/moving_mean": torch.ones(5),
            "other/a/w1": kernel,
        },
        "net",
    )
    assert made.keys() == {"net/a.weight", "net/a.bias", "net/a/BatchNorm.weight"}
    assert made["net/a.weight"].shape == (5, 4, 2, 3)
    assert made["net/a.weight"][4, 1, 0, 2] == kernel[0, 2, 1, 4]


def test_pictures_of_a_batch_are_normalised_apart_in_evaluation():
    torch.manual_seed(0)
    network = PMGI().eval()
    ir, vis = torch.rand(2, 3, 1, 16, 12)
    with torch.no_grad():
        together = network(ir, vis)
        alone = torch.cat([network(ir[i : i + 1], vis[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone)
    assert PMGI(affine_in_tests=True).architecture == {"affine_in_tests": True}
