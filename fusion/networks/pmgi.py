"""PMGI: proportional maintenance of gradient and intensity (Zhang et al., AAAI 2020)."""

import torch
from torch import Tensor, nn

from fusion.images.pixels import PixelScaling
from fusion.networks.base import UNIT_SCALING, FusionNetwork
from fusion.networks.registry import NETWORKS

__all__ = ["PMGI", "conv_block"]

CHANNELS, LEAK = 16, 0.2


def conv_block(inputs: int, outputs: int, size: int, norm: bool = True) -> nn.Sequential:
    """Convolution with zero padding, optional batch normalisation, and leaky ReLU."""
    conv = nn.Conv2d(inputs, outputs, size, padding=size // 2)
    layers = [conv, nn.BatchNorm2d(outputs)] if norm else [conv]
    return nn.Sequential(*layers, nn.LeakyReLU(LEAK))


class _Path(nn.Module):
    """One of the two paths: its convolutions, and its 1x1 convolutions of both paths' features
    after the second and third."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            (
                conv_block(3, CHANNELS, 5),
                conv_block(CHANNELS, CHANNELS, 3),
                conv_block(3 * CHANNELS, CHANNELS, 3),
                conv_block(4 * CHANNELS, CHANNELS, 3),
            )
        )
        self.transfers = nn.ModuleList(conv_block(2 * CHANNELS, CHANNELS, 1) for _ in range(2))


@NETWORKS.register("pmgi")
class PMGI(FusionNetwork):
    """Fuses an infrared and a visible image; 42 017 parameters.

    Of two paths, one takes the infrared image twice and the visible image once, the other the
    reverse. They exchange features through 1x1 convolutions of both. It is not in Table 7.
    Published weights are for TensorFlow and cannot be loaded.

    Args:
        scaling: pixel convention of the weights.
    """

    reach = 2 + 1 + 1 + 1

    def __init__(self, scaling: PixelScaling | None = None):
        super().__init__()
        self.architecture = {}
        self.scaling = scaling or UNIT_SCALING
        self.infrared, self.visible = _Path(), _Path()
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
        return self.last(torch.cat(made[0] + made[1], dim=1)).tanh() / 2 + 0.5
