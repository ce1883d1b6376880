"""Backbones: layout, centring, and torchvision's weights in the dilated layout."""

import pytest
import torch

from tracker.model.backbone import CompactResNet
from tracker.model.network import TrackerNetwork
from tracker.model.weights import load_imagenet


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """A torchvision ResNet-50 with running statistics, and a network started from its file."""
    from torchvision.models import resnet50

    torch.manual_seed(0)
    reference = resnet50(weights=None)
    with torch.no_grad():
        reference.train()(torch.randn(4, 3, 96, 96))
    path = tmp_path_factory.mktemp("imagenet") / "resnet50.pth"
    torch.save(reference.state_dict(), path)
    network = TrackerNetwork(["rgb"])
    load_imagenet(network, path)
    return reference.eval(), network.eval()


@torch.no_grad()
def test_imagenet_features_up_to_the_first_stage(imagenet):
    reference, network = imagenet
    pixels = torch.randint(0, 256, (1, 3, 127, 127), generator=torch.Generator().manual_seed(1))
    mean, deviation = (
        torch.tensor(values).view(3, 1, 1)
        for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    rgb = (pixels / 255 - mean) / deviation
    # torchvision pads by 3 before its first convolution; three rows less make the grids one.
    x = reference.relu(reference.bn1(reference.conv1(rgb[..., 3:, 3:])))
    expected = reference.layer1(reference.maxpool(x))
    ours = network.backbones["shared"].stem(network.prepare({"rgb": pixels})["rgb"])
    assert ours.shape == (1, 256, 31, 31)
    inner = (..., slice(6, 24), slice(6, 24))  # away from the two paddings
    torch.testing.assert_close(ours[inner], expected[inner], rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_imagenet_shortcuts_become_centres(imagenet):
    reference, network = imagenet
    backbone = network.backbones["shared"]
    for stage in ("layer2", "layer3", "layer4"):
        wide = getattr(backbone, stage)[0].downsample[0].weight
        narrow = getattr(reference, stage)[0].downsample[0].weight
        assert torch.equal(wide, torch.nn.functional.pad(narrow, (1, 1, 1, 1)))


@torch.no_grad()
def test_resnet_levels(imagenet):
    backbone = imagenet[1].backbones["shared"]
    levels = backbone(torch.randn(1, 3, 127, 127))
    assert [level.shape[1:] for level in levels] == [(c, 15, 15) for c in (512, 1024, 2048)]


@pytest.mark.parametrize("size", [63, 159])
def test_compact_cells_are_centred(size):
    """Mirroring kernels and image mirrors the features: no layer samples off the centre."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(CompactResNet.make_stem(), CompactResNet()).eval()
    x = torch.randn(1, 3, size, size)
    with torch.no_grad():
        features = network(x)
        for parameter in network.parameters():
            if parameter.ndim == 4:
                parameter.copy_(parameter.flip(2, 3))
        mirrored = network(x.flip(2, 3))
    for level, mirror in zip(features, mirrored, strict=True):
        assert level.shape[-1] == size // 8
        torch.testing.assert_close(mirror.flip(2, 3), level, rtol=1e-4, atol=1e-5)
