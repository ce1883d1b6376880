"""The authors' weights give the authors' pictures; a wrong rule, filter or order does not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fusion.base.checkpoints import read_tensors
from fusion.images.pixels import luminance
from fusion.images.reading import read_image, read_infrared, read_visible
from fusion.networks import auif
from fusion.networks.autoencoder import RULES
from fusion.networks.weights import load_network

#: Distance in pixels at which the image has an effect: half of the receptive field.
REACH = {"didfuse": 7, "auif": 32}
SIZE = 128


@pytest.fixture(scope="module")
def weights(shared) -> Path:
    return shared / "data/weights"


@pytest.fixture(scope="module", params=["didfuse", "auif"])
def published(request, weights):
    return request.param, load_network(weights, method=request.param)


def read_pair(shared, number: int, size: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A TNO pair, or its lower right corner."""
    tno, name = shared / "data/tno12", f"{number}.png"
    ir, vis = read_infrared(tno / "ir" / name), luminance(read_visible(tno / "vis" / name))
    corner = (slice(-size, None),) * 2 if size else ...
    return ir[corner], vis[corner]


def differences(shared, method, network, number, swap=False) -> np.ndarray:
    """Grey levels between ours and theirs, where the cut has no effect."""
    ir, vis = read_pair(shared, number, SIZE)
    fused = network.fuse(vis, ir) if swap else network.fuse(ir, vis)
    expected = read_image(shared / f"data/tno12/{method}_published/{number}.png")[-SIZE:, -SIZE:]
    return np.abs(fused.astype(int) - expected)[REACH[method] :, REACH[method] :]


@pytest.mark.parametrize("number", range(1, 13))
def test_published_weights_give_the_published_pictures(shared, published, number):
    """Of each of the 12 pairs a corner with two of its borders, every pixel within a grey level."""
    difference = differences(shared, *published, number)
    assert difference.size > 9_000
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def test_a_whole_published_picture(shared, published):
    method, network = published
    fused = network.fuse(*read_pair(shared, 8))
    expected = read_image(shared / f"data/tno12/{method}_published/8.png")
    difference = np.abs(fused.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-4


# --- Negative controls: what must not give the published pictures ---------------------------------


@pytest.mark.parametrize("rule", sorted(RULES.keys() - {"sum"}))
def test_another_rule_gives_other_pictures(shared, weights, published, rule):
    method, _ = published
    network = load_network(weights, method=method, rule=rule)
    assert differences(shared, method, network, 6).max() > 10


@pytest.mark.parametrize("published", ["auif"], indirect=True)
def test_an_unnormalised_laplacian_gives_other_pictures(shared, published, monkeypatch):
    method, network = published
    normalised = auif.laplacian
    terms = auif.LAPLACIAN_SIZE**2
    monkeypatch.setattr(auif, "laplacian", lambda *a: normalised(*a) * 2 * (terms - 1))
    assert differences(shared, method, network, 6).max() > 10


def test_sources_may_change_places_and_not_be_replaced(shared, published):
    """Both share one encoder: a sum is the same in either order. Another source gives another."""
    method, network = published
    assert differences(shared, method, network, 6, swap=True).max() <= 1
    ir, vis = read_pair(shared, 6, SIZE)
    expected = read_image(shared / f"data/tno12/{method}_published/6.png")[-SIZE:, -SIZE:]
    for other in (network.fuse(ir[:, ::-1].copy(), vis), network.fuse(vis, vis)):
        assert np.abs(other.astype(int) - expected).max() > 10


def test_densefuse_does_on_0_to_1_what_its_weights_do_on_0_to_255(shared, weights):
    """Against the authors' tensors applied one by one to pictures in 0..255."""
    tensors, _ = read_tensors(weights / "densefuse_gray.model")
    images = read_pair(shared, 6, 96)

    def conv(x, name, last=False):
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        x = F.conv2d(x, tensors[f"{name}.conv2d.weight"], tensors[f"{name}.conv2d.bias"])
        return x if last else x.relu()

    features = []
    for image in images:
        x = conv(torch.from_numpy(image.astype(np.float32))[None, None], "conv1")
        for i in range(3):
            x = torch.cat([x, conv(x, f"DB1.denseblock.{i}.dense_conv")], dim=1)
        features.append(x)
    x = (features[0] + features[1]) / 2
    for name in ("conv2", "conv3", "conv4"):
        x = conv(x, name)
    expected = conv(x, "conv5", last=True)[0, 0].clamp(0, 255).round().numpy()

    network = load_network(weights / "densefuse_gray.model", rule="average")
    fused = network.fuse(*images).astype(int)
    assert np.abs(fused - expected).max() <= 1
    assert (fused != expected).mean() < 1e-3
    swapped = load_network(weights / "densefuse_gray.model").fuse(*images)
    assert np.abs(swapped - expected).max() > 10  # the sum, stretched, is another picture


def test_densefuse_reconstructs_a_picture(shared, weights):
    network = load_network(weights / "densefuse_gray.model")
    image = network.to_input(read_pair(shared, 6, 96)[0])
    assert (network.reconstruct(image) - image).abs().mean() * 255 < 0.5
