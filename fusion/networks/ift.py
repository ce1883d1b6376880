"""Image Fusion Transformer (Vibashan et al., ICIP 2022): axial attention on a nested autoencoder.

At each of four scales, a block adds a spatial branch of convolutions and a branch of axial
attention, which relates all places of a column, then of a row.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.images.pixels import PixelScaling
from fusion.networks.nestfuse import (
    CHANNELS,
    STRETCHED_TRUNCATED,
    NestAutoencoder,
    NestedFusion,
    conv_relu,
)
from fusion.networks.registry import NETWORKS

__all__ = ["IFT", "AxialAttention"]


class AxialAttention(nn.Module):
    """Attention with one head along lines of a fixed length, with learned relative positions.

    With queries q, keys k, values v and, from one table, vectors E of the displacement i - j for
    each of them: ``S_ij = BN(q_i k_j) + BN(q_i E^q_ij) + BN(k_j E^k_ji)``, not scaled, and the
    output is ``BN(sum_j P_ij v_j) + BN(sum_j P_ij E^v_ij)`` with ``P = softmax_j S``.

    Args:
        width: number of channels, even.
        length: number of places of a line.
    """

    def __init__(self, width: int, length: int):
        super().__init__()
        self.project = nn.Conv1d(width, 2 * width, 1, bias=False)
        self.projected = nn.BatchNorm1d(2 * width)
        self.similarity = nn.BatchNorm2d(3)
        self.output = nn.BatchNorm1d(2 * width)
        self.parts = width // 2, width // 2, width  # of queries, keys and values
        # Drawn so, and not by nn.init, which takes seconds on the meta device.
        deviation = width**-0.5
        self.positions = nn.Parameter(torch.randn(2 * width, 2 * length - 1) * deviation)
        self.project.weight = nn.Parameter(torch.randn(2 * width, width, 1) * deviation)

    def forward(self, x: Tensor) -> Tensor:
        """Lines ``(lines, width, length)``."""
        place = torch.arange(x.shape[2], device=x.device)
        displacement = place[:, None] - place + x.shape[2] - 1
        positions = self.positions[:, displacement].split(self.parts)
        q, k, v = self.projected(self.project(x)).split(self.parts, dim=1)
        similarity = torch.stack(
            [
                q.mT @ k,
                torch.einsum("bci,cij->bij", q, positions[0]),
                torch.einsum("bci,cij->bij", k, positions[1]).mT,
            ],
            dim=1,
        )
        attention = self.similarity(similarity).sum(1).softmax(2)
        attended = torch.einsum("bij,bcj->bci", attention, v)
        places = torch.einsum("bij,cij->bci", attention, positions[2])
        return sum(self.output(torch.cat([attended, places], dim=1)).chunk(2, dim=1))


class AxialBlock(nn.Module):
    """The attention branch: attention along columns, then along rows, around a residual."""

    def __init__(self, channels: int, length: int):
        super().__init__()
        width = channels // 2
        self.down = nn.Sequential(
            nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.columns, self.rows = (AxialAttention(width, length) for _ in range(2))
        self.up = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, channels, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, channels, length, length)``."""
        y = self.down(x)
        b, c, h, w = y.shape
        lines = self.columns(y.permute(0, 3, 1, 2).reshape(b * w, c, h))
        y = lines.view(b, w, c, h).permute(0, 3, 2, 1)  # rows first: B, H, C, W
        lines = self.rows(y.reshape(b * h, c, w))
        y = lines.view(b, h, c, w).transpose(1, 2)
        return (self.up(y) + x).relu()


class TransformerFusion(nn.Module):
    """Fusion of one scale; the modalities share the attention and the spatial branch's first
    convolution."""

    def __init__(self, channels: int, length: int):
        super().__init__()
        self.axial = AxialBlock(channels, length)
        self.attended = conv_relu(2 * channels, channels, 1)
        self.each = conv_relu(channels, channels, 1)
        self.spatial = nn.Sequential(
            conv_relu(2 * channels, channels, 1),
            conv_relu(channels, channels, 3),
            conv_relu(channels, channels, 3),
        )

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse two maps ``(B, channels, length, length)``."""
        attended = self.attended(torch.cat([self.axial(ir), self.axial(vis)], dim=1))
        return attended + self.spatial(torch.cat([self.each(vis), self.each(ir)], dim=1))


@NETWORKS.register("ift")
class IFT(NestedFusion):
    """Fuses an infrared and a visible image; 5 068 489 parameters, of which 2 335 728 fuse.

    The attention has a learned vector for each displacement, so the network takes squares of one
    size. Images of another size are resized to it, as the author advises, and the fused image is
    resized back, which is ours. It is not in Table 7.

    Args:
        size: side of the square in pixels, a multiple of 8, at least 16; 256 as published.
        scaling: pixel convention of the weights.
    """

    verified = "parameter counts"

    def __init__(self, size: int = 256, scaling: PixelScaling | None = None):
        super().__init__()
        if size % 8 or size < 16:
            raise ValueError(f"size is a multiple of 8, at least 16, got {size}")
        self.architecture = {"size": size}
        self.scaling = scaling or STRETCHED_TRUNCATED
        self.size = size
        self.autoencoder = NestAutoencoder()
        self.fusion = nn.ModuleList(
            TransformerFusion(channels, size >> scale) for scale, channels in enumerate(CHANNELS)
        )

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse two images ``(B, 1, H, W)`` in 0..1; the output is at least 0."""
        shape = ir.shape[2:]
        if shape == (self.size, self.size):
            return self.fuse_whole(ir, vis)
        fused = self.fuse_whole(*(_resize(image, (self.size,) * 2) for image in (ir, vis)))
        return _resize(fused, shape).relu()


def _resize(image: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Pillow's bicubic resize of ``(B, 1, H, W)``, without rounding to whole grey levels."""
    return F.interpolate(image, shape, mode="bicubic", antialias=True)
