"""PMGI: proportional maintenance of gradient and intensity (Zhang et al., AAAI 2020)."""

from functools import partial

import torch
from torch import Tensor, nn

from fusion.images.pixels import PixelScaling
from fusion.networks.base import FusionNetwork, PublishedWeights
from fusion.networks.registry import NETWORKS
from fusion.networks.tensorflow import STRETCHED, PictureNorm, in_torch_layout

__all__ = ["PMGI", "conv_block"]

CHANNELS, LEAK = 16, 0.2


def conv_block(inputs: int, outputs: int, size: int, norm: nn.Module | None = None) -> nn.Module:
    """Convolution with zero padding, optional normalisation, and leaky ReLU."""
    conv = nn.Conv2d(inputs, outputs, size, padding=size // 2)
    layers = [conv] if norm is None else [conv, norm]
    return nn.Sequential(*layers, nn.LeakyReLU(LEAK))


class _Path(nn.Module):
    """One of the two paths: its convolutions, and its 1x1 convolutions of both paths' features
    after the second and third."""

    def __init__(self, affine_in_tests: bool):
        super().__init__()

        def block(inputs: int, size: int) -> nn.Module:
            norm = PictureNorm(CHANNELS, affine_in_tests=affine_in_tests)
            return conv_block(inputs, CHANNELS, size, norm)

        sizes = ((3, 5), (CHANNELS, 3), (3 * CHANNELS, 3), (4 * CHANNELS, 3))
        self.convs = nn.ModuleList(block(inputs, size) for inputs, size in sizes)
        self.transfers = nn.ModuleList(block(2 * CHANNELS, 1) for _ in range(2))


def _published_names() -> dict[str, str]:
    names = {"last": "fusion_model/layer5"}
    for path, end in (("infrared", ""), ("visible", "_vi")):
        layers = {f"convs.{i}": f"layer{i + 1}{end}" for i in range(4)}
        layers |= {f"transfers.{i}": f"layer{i + 2}_{i + 3}{end}" for i in range(2)}
        for ours, theirs in layers.items():
            names[f"{path}.{ours}.0"] = f"fusion_model/{theirs}"
            names[f"{path}.{ours}.1"] = f"fusion_model/{theirs}/BatchNorm"
    return names


@NETWORKS.register("pmgi")
class PMGI(FusionNetwork):
    """Fuses an infrared and a visible image; 42 017 parameters.

    Of two paths, one takes the infrared image twice and the visible image once, the other the
    reverse. They exchange features through 1x1 convolutions of both. It is not in Table 7.

    Normalisation uses the statistics of the picture, so the receptive field is unbounded. The
    released program for tests restores the convolutions only, so scale and shift of the
    normalisation are 1 and 0 there, whatever was trained; its published pictures are made so.

    Args:
        affine_in_tests: apply the trained scale and shift in tests.
        scaling: pixel convention of the weights.
    """

    verified = "12 published images"
    published = PublishedWeights(
        markers=("fusion_model/layer2_3_vi/w2_3_vi",),
        names=_published_names(),
        prepare=partial(in_torch_layout, scope="fusion_model"),
    )

    def __init__(self, affine_in_tests: bool = False, scaling: PixelScaling | None = None):
        super().__init__()
        self.architecture = {"affine_in_tests": affine_in_tests}
        self.scaling = scaling or STRETCHED
        self.infrared, self.visible = _Path(affine_in_tests), _Path(affine_in_tests)
        self.last = nn.Conv2d(8 * CHANNELS, 1, 1)

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse two images ``(B, 1, H, W)`` in 0..1 into one of the same kind."""
        ir, vis = ir * 2 - 1, vis * 2 - 1
        paths = self.infrared, self.visible
        inputs = torch.cat([ir, ir, vis], dim=1), torch.cat([vis, vis, ir], dim=1)
        first = [path.convs[0](x) for path, x in zip(paths, inputs, strict=True)]
        made = [[x, path.convs[1](x)] for path, x in zip(paths, first, strict=True)]
        for level in range(2):
            both = torch.cat([features[-1] for features in made], dim=1)
            for path, features in zip(paths, made, strict=True):
                seen = torch.cat([*features, path.transfers[level](both)], dim=1)
                features.append(path.convs[2 + level](seen))
        levels = [x for level in zip(*made, strict=True) for x in level]
        return self.last(torch.cat(levels, dim=1)).tanh() / 2 + 0.5
