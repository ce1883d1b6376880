"""RFN-Nest (Li, Wu and Kittler, Information Fusion 2021): a nested autoencoder, learned fusion.

An encoder with four scales processes each image, a residual fusion network fuses the two at each
scale, and a decoder with nested connections combines the scales.
"""

import torch
from torch import Tensor, nn

from fusion.images.pixels import PixelScaling
from fusion.networks.nestfuse import (
    CHANNELS,
    QUARTERED,
    STRETCHED_TRUNCATED,
    NestAutoencoder,
    NestedFusion,
    conv_relu,
    in_quarters,
)
from fusion.networks.registry import NETWORKS

__all__ = ["RFNNest", "ResidualFusion"]


class ResidualFusion(nn.Module):
    """Residual fusion network (RFN) of one scale: a convolution of both maps, plus a deeper path
    that starts with a convolution of each.

    `fusion.llrr.feature.RFNFusion` is the variant of DFAT's tracker: 1x1 instead of 3x3
    convolutions of each map, batch normalisation, no ReLU.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.direct = conv_relu(2 * channels, channels, 3)
        self.ir = conv_relu(channels, channels, 3)
        self.vis = conv_relu(channels, channels, 3)
        self.residual = nn.Sequential(
            conv_relu(2 * channels, channels, 1),
            conv_relu(channels, channels, 3),
            conv_relu(channels, channels, 3),
        )

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse two maps ``(B, channels, H, W)``."""
        deep = torch.cat([self.ir(ir), self.vis(vis)], dim=1)
        return self.direct(torch.cat([ir, vis], dim=1)) + self.residual(deep)


@NETWORKS.register("rfn-nest")
class RFNNest(NestedFusion):
    """Fuses an infrared and a visible image; 7 524 249 parameters (Table 7: 7.52425 M).

    Of these, 4 791 488 fuse. In evaluation, an image with a side above 512 pixels is fused in four
    overlapping quarters, as the released program does. `fusion.training.nested` trains the
    autoencoder first and the fusion networks afterwards, as the authors do.

    Args:
        scaling: pixel convention of the weights.
    """

    verified = "parameter counts"

    def __init__(self, scaling: PixelScaling | None = None):
        super().__init__()
        self.architecture = {}
        self.scaling = scaling or STRETCHED_TRUNCATED
        self.autoencoder = NestAutoencoder()
        self.fusion = nn.ModuleList(map(ResidualFusion, CHANNELS))

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse two images ``(B, 1, H, W)`` in 0..1; the output is at least 0."""
        if not self.training and max(ir.shape[2:]) > QUARTERED:
            return in_quarters(self.fuse_whole, ir, vis)
        return self.fuse_whole(ir, vis)
