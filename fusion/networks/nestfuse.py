"""The autoencoder of NestFuse (Li, Wu and Durrani, IEEE TIM 2020), without deep supervision.

RFN-Nest and the Image Fusion Transformer fuse its features at each of its four scales. It is
trained first, alone, and kept as it is while their fusion is trained.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.images.pixels import PixelScaling
from fusion.networks.base import FusionNetwork

__all__ = [
    "CHANNELS",
    "LEVELS",
    "QUARTERED",
    "STRETCHED_TRUNCATED",
    "NestAutoencoder",
    "NestedFusion",
    "conv_relu",
    "in_quarters",
]

#: Channels at each scale, finest first.
CHANNELS = (64, 112, 160, 208)
#: The networks work on pixels in 0..255 without normalisation.
LEVELS = 255
#: What the programs save: stretched with an epsilon of 1e-5 on pixels in 0..255, truncated.
STRETCHED_TRUNCATED = PixelScaling(input="unit", output="min-max", epsilon=1e-5 / LEVELS)
#: Side in pixels above which RFN-Nest's program fuses a picture in four quarters.
QUARTERED = 512


def conv_relu(inputs: int, outputs: int, size: int) -> nn.Sequential:
    """A convolution with reflected borders, and ReLU."""
    conv = nn.Conv2d(inputs, outputs, size, padding=size // 2, padding_mode="reflect")
    return nn.Sequential(conv, nn.ReLU())


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv_relu(inputs, inputs // 2, 3), conv_relu(inputs // 2, outputs, 1))


def _up(x: Tensor, like: Tensor) -> Tensor:
    """Upsample by two, and reflect by the row or column that halving an odd size removed."""
    x = F.interpolate(x, scale_factor=2)
    missing = (0, like.shape[3] - x.shape[3], 0, like.shape[2] - x.shape[2])
    return F.pad(x, missing, mode="reflect") if any(missing) else x


class NestAutoencoder(nn.Module):
    """An encoder with four scales, and a decoder with nested connections; 2 732 761 parameters.

    The output has a ReLU as every convolution does. Its kernel starts with positive numbers here:
    with random signs, a fresh network may be 0 everywhere, which no gradient changes.
    """

    def __init__(self) -> None:
        super().__init__()
        c1, c2, c3, c4 = CHANNELS
        self.first = conv_relu(1, 16, 1)
        self.encoder = nn.ModuleList(map(_block, (16, c1, c2, c3), CHANNELS))
        # Named by scale and position in the nested decoder.
        self.decode_1_1, self.decode_2_1 = _block(c1 + c2, c1), _block(c2 + c3, c2)
        self.decode_3_1 = _block(c3 + c4, c3)
        self.decode_1_2, self.decode_2_2 = _block(2 * c1 + c2, c1), _block(2 * c2 + c3, c2)
        self.decode_1_3 = _block(3 * c1 + c2, c1)
        self.last = conv_relu(c1, 1, 1)
        with torch.no_grad():
            for parameter in self.last.parameters():
                parameter.abs_()

    def encode(self, image: Tensor) -> list[Tensor]:
        """Image ``(B, 1, H, W)`` in 0..1 to features of four scales, finest first."""
        x, scales = self.first(image * LEVELS), []
        for index, block in enumerate(self.encoder):
            x = block(F.max_pool2d(x, 2) if index else x)
            scales.append(x)
        return scales

    def decode(self, f1: Tensor, f2: Tensor, f3: Tensor, f4: Tensor) -> Tensor:
        """Features of four scales, finest first, to an image ``(B, 1, H, W)``, at least 0."""
        x11 = self.decode_1_1(torch.cat([f1, _up(f2, f1)], dim=1))
        x21 = self.decode_2_1(torch.cat([f2, _up(f3, f2)], dim=1))
        x31 = self.decode_3_1(torch.cat([f3, _up(f4, f3)], dim=1))
        x12 = self.decode_1_2(torch.cat([f1, x11, _up(x21, f1)], dim=1))
        x22 = self.decode_2_2(torch.cat([f2, x21, _up(x31, f2)], dim=1))
        x = self.decode_1_3(torch.cat([f1, x11, x12, _up(x22, f1)], dim=1))
        return self.last(x) / LEVELS


class NestedFusion(FusionNetwork):
    """Base of the networks that fuse the features of a `NestAutoencoder` at each scale.

    A subclass makes `fusion`, one module a scale, of a map of each modality.
    """

    autoencoder: NestAutoencoder
    fusion: nn.ModuleList
    min_side: ClassVar[int] = 16  # two pixels at the coarsest scale, the minimum for reflection

    def encode(self, image: Tensor) -> list[Tensor]:
        """See `NestAutoencoder.encode`."""
        return self.autoencoder.encode(image)

    def fuse_features(self, ir: Sequence[Tensor], vis: Sequence[Tensor]) -> list[Tensor]:
        """Features of four scales of each modality to fused ones."""
        return [fuse(a, b) for fuse, a, b in zip(self.fusion, ir, vis, strict=True)]

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """See `NestAutoencoder.decode`."""
        return self.autoencoder.decode(*features)

    def reconstruct(self, image: Tensor) -> Tensor:
        """Encode and decode a single image ``(B, 1, H, W)``, without fusion."""
        return self.decode(self.encode(image))

    def fuse_whole(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse two images ``(B, 1, H, W)`` in 0..1 at once."""
        return self.decode(self.fuse_features(self.encode(ir), self.encode(vis)))


def in_quarters(fuse: Callable[[Tensor, Tensor], Tensor], ir: Tensor, vis: Tensor) -> Tensor:
    """Fuse four overlapping quarters of two images ``(B, 1, H, W)``, and average the overlaps.

    Quarters reach two rows and columns beyond the middle to one side and three to the other.
    """
    height, width = ir.shape[2:]
    rows = slice(0, height // 2 + 3), slice(height // 2 - 2, height)
    columns = slice(0, width // 2 + 3), slice(width // 2 - 2, width)
    total, count = torch.zeros_like(ir), torch.zeros_like(ir)
    for row in rows:
        for column in columns:
            place = ..., row, column
            total[place] += fuse(ir[place], vis[place])
            count[place] += 1
    return total / count
