"""RFN-Nest (Li, Wu and Kittler, Information Fusion 2021): a nested autoencoder, learned fusion.

An encoder with four scales processes each image, a residual fusion network fuses the two at each
scale, and a decoder with nested connections combines the scales.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.images.pixels import PixelScaling
from fusion.networks.base import UNIT_SCALING, FusionNetwork
from fusion.networks.registry import NETWORKS

__all__ = ["RFNNest"]

CHANNELS = (64, 112, 160, 208)


def _conv(inputs: int, outputs: int, size: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, size, padding=size // 2, padding_mode="reflect")
    return nn.Sequential(conv, nn.ReLU())


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_conv(inputs, inputs // 2, 3), _conv(inputs // 2, outputs, 1))


class ResidualFusion(nn.Module):
    """Residual fusion network (RFN) of one scale: a convolution of both maps, plus a deeper path
    that starts with a convolution of each.

    `fusion.llrr.feature.RFNFusion` is the variant of DFAT's tracker: 1x1 instead of 3x3
    convolutions of each map, batch normalisation, no ReLU.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.direct = _conv(2 * channels, channels, 3)
        self.ir = _conv(channels, channels, 3)
        self.vis = _conv(channels, channels, 3)
        self.residual = nn.Sequential(
            _conv(2 * channels, channels, 1),
            _conv(channels, channels, 3),
            _conv(channels, channels, 3),
        )

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse two maps ``(B, channels, H, W)``."""
        deep = torch.cat([self.ir(ir), self.vis(vis)], dim=1)
        return self.direct(torch.cat([ir, vis], dim=1)) + self.residual(deep)


def _up(x: Tensor, like: Tensor) -> Tensor:
    """Upsample by two, and reflect by the row or column that halving an odd size removed."""
    x = F.interpolate(x, scale_factor=2)
    missing = (0, like.shape[3] - x.shape[3], 0, like.shape[2] - x.shape[2])
    return F.pad(x, missing, mode="reflect") if any(missing) else x


@NETWORKS.register("rfn-nest")
class RFNNest(FusionNetwork):
    """Fuses an infrared and a visible image; 7 524 249 parameters (Table 7: 7.52425 M).

    The authors train the autoencoder first and the fusion networks afterwards; the procedures of
    `fusion.training.procedures` train both together. The authors' ReLU on the output image is left
    out: clipping to pixels has the same effect, and a randomly initialised network may have an
    entirely negative output, for which the ReLU has no gradient.

    Args:
        scaling: pixel convention of the weights.
    """

    min_side = 16  # leaves two pixels at the coarsest scale, the minimum for reflection

    def __init__(self, scaling: PixelScaling | None = None):
        super().__init__()
        self.architecture = {}
        self.scaling = scaling or UNIT_SCALING
        c1, c2, c3, c4 = CHANNELS
        self.first = _conv(1, 16, 1)
        self.encoder = nn.ModuleList(map(_block, (16, c1, c2, c3), CHANNELS))
        self.fusion = nn.ModuleList(map(ResidualFusion, CHANNELS))
        # Named by scale and position in the nested decoder.
        self.decode_1_1, self.decode_2_1 = _block(c1 + c2, c1), _block(c2 + c3, c2)
        self.decode_3_1 = _block(c3 + c4, c3)
        self.decode_1_2, self.decode_2_2 = _block(2 * c1 + c2, c1), _block(2 * c2 + c3, c2)
        self.decode_1_3 = _block(3 * c1 + c2, c1)
        self.last = nn.Conv2d(c1, 1, 1)

    def encode(self, image: Tensor) -> list[Tensor]:
        """Image ``(B, 1, H, W)`` to features of four scales, finest first."""
        x, scales = self.first(image), []
        for index, block in enumerate(self.encoder):
            x = block(F.max_pool2d(x, 2) if index else x)
            scales.append(x)
        return scales

    def decode(self, f1: Tensor, f2: Tensor, f3: Tensor, f4: Tensor) -> Tensor:
        """Fused features of four scales, finest first, to an image ``(B, 1, H, W)``."""
        x11 = self.decode_1_1(torch.cat([f1, _up(f2, f1)], dim=1))
        x21 = self.decode_2_1(torch.cat([f2, _up(f3, f2)], dim=1))
        x31 = self.decode_3_1(torch.cat([f3, _up(f4, f3)], dim=1))
        x12 = self.decode_1_2(torch.cat([f1, x11, _up(x21, f1)], dim=1))
        x22 = self.decode_2_2(torch.cat([f2, x21, _up(x31, f2)], dim=1))
        return self.last(self.decode_1_3(torch.cat([f1, x11, x12, _up(x22, f1)], dim=1)))

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse two images ``(B, 1, H, W)`` in 0..1; the output has no fixed range."""
        scales = zip(self.fusion, self.encode(ir), self.encode(vis), strict=True)
        return self.decode(*(fuse(a, b) for fuse, a, b in scales))
