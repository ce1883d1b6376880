"""Res2Fusion (Wang et al., IEEE TIM 2022): Res2Net blocks, fused by non-local attention."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.images.pixels import PixelScaling
from fusion.llrr.block import conv3x3
from fusion.networks.autoencoder import RULES, AutoencoderFusion, weighted_average
from fusion.networks.base import UNIT_SCALING
from fusion.networks.registry import NETWORKS

__all__ = ["Res2Fusion", "attention_weighted"]

#: Side of the regions whose means represent all positions in spatial attention.
REGION = 8
#: Number of positions whose attention is in memory at a time without gradients.
_POSITIONS_AT_A_TIME = 4096


def _unit_range(energy: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return (energy - low) / (high - low).clamp(min=1e-10)


def channel_attention(x: Tensor) -> Tensor:
    """Each channel plus an attention-weighted sum of similar channels, ``(B, C, H, W)``."""
    flat = x.flatten(2)
    energy = flat @ flat.transpose(1, 2)
    low, high = energy.amin((1, 2), keepdim=True), energy.amax((1, 2), keepdim=True)
    return x + (_unit_range(energy, low, high).softmax(2) @ flat).view_as(x)


def spatial_attention(x: Tensor) -> Tensor:
    """Each position plus an attention-weighted sum of similar 8x8 regions, ``(B, C, H, W)``."""
    positions = x.flatten(2).transpose(1, 2)
    regions = F.avg_pool2d(x, REGION).flatten(2)
    step = positions.shape[1] if torch.is_grad_enabled() else _POSITIONS_AT_A_TIME
    parts = positions.split(step, dim=1)
    energies = (part @ regions for part in parts)
    ranges = [(e.amin((1, 2), keepdim=True), e.amax((1, 2), keepdim=True)) for e in energies]
    low = torch.stack([low for low, _ in ranges]).amin(0)
    high = torch.stack([high for _, high in ranges]).amax(0)
    attended = [
        _unit_range(part @ regions, low, high).softmax(2) @ regions.transpose(1, 2)
        for part in parts
    ]
    return x + torch.cat(attended, dim=1).transpose(1, 2).view_as(x)


def attention_weighted(a: Tensor, b: Tensor) -> Tensor:
    """Mean of the averages weighted by channel attention and by spatial attention.

    Args:
        a, b: non-negative, ``(B, C, H, W)``, H and W at least 8.
    """

    def average(attention: Callable[[Tensor], Tensor]) -> Tensor:
        return weighted_average(a, b, attention(a), attention(b))

    return (average(channel_attention) + average(spatial_attention)) / 2


class Res2Block(nn.Module):
    """Res2Net's residual block: each group of maps is convolved together with the previous one."""

    def __init__(self, inputs: int, outputs: int, width: int):
        super().__init__()
        self.split = nn.Conv2d(inputs, 4 * width, 1)
        self.groups = nn.ModuleList(conv3x3(width, width) for _ in range(3))
        self.join = nn.Conv2d(4 * width, outputs, 1)
        self.direct = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, H, W)``."""
        *parts, last = F.relu(self.split(x)).chunk(4, dim=1)
        made: list[Tensor] = []
        for conv, part in zip(self.groups, parts, strict=True):
            made.append(F.relu(conv(made[-1] + part if made else part)))
        return F.relu(self.join(torch.cat([*made, last], dim=1)) + self.direct(x))


@NETWORKS.register("res2fusion")
class Res2Fusion(AutoencoderFusion):
    """Fuses an infrared and a visible image; 98 341 parameters (Table 7: .09834 M).

    Attention compares every position with every 8x8 region, so time grows with the square of the
    number of pixels. The released program's ReLU on the output image is left out, as in
    `fusion.networks.rfn_nest`.

    Args:
        rule: ``attention`` as published, or ``sum``, ``average``, ``l1``.
        scaling: pixel convention of the weights.
    """

    verified = "parameter counts"
    rules = RULES | {"attention": attention_weighted}
    min_side = REGION

    def __init__(
        self,
        rule: Literal["attention", "sum", "average", "l1"] = "attention",
        scaling: PixelScaling | None = None,
    ):
        super().__init__(rule)
        self.architecture = {"rule": rule}
        self.scaling = scaling or UNIT_SCALING
        self.first = conv3x3(1, 16)
        self.second = Res2Block(16, 32, width=4)
        self.third = Res2Block(48, 64, width=8)
        self.decoder = nn.ModuleList(
            (conv3x3(112, 64), conv3x3(64, 32), conv3x3(32, 16), conv3x3(16, 1))
        )

    def encode(self, image: Tensor) -> tuple[Tensor]:
        """Image ``(B, 1, H, W)`` to 112 non-negative feature maps."""
        x = F.relu(self.first(image))
        x = torch.cat([x, self.second(x)], dim=1)
        return (torch.cat([x, self.third(x)], dim=1),)

    def decode(self, features: Tensor) -> Tensor:
        """112 feature maps to an image ``(B, 1, H, W)`` without a fixed range."""
        *hidden, last = self.decoder
        for layer in hidden:
            features = F.relu(layer(features))
        return last(features)
