"""A mobile backbone of stride 16: inverted residuals with squeeze-and-excitation.

The blocks are MobileNetV3's (Howard et al., Searching for MobileNetV3, ICCV 2019, Sec. 5): a 1x1
convolution widens the input, a depthwise one of 3x3 or 5x5 filters each channel, a channel
attention weighs them, and a 1x1 convolution without activation narrows them again.

Every convolution of stride 2 pads, so that ``2 k - 1`` pixels become ``k`` cells:

    127 -> 64 -> 32 -> 16 -> 8 cells          255 -> 128 -> 64 -> 32 -> 16
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from tracker.model.backbone import Backbone
from tracker.model.registry import BACKBONES

__all__ = ["BLOCKS", "BlockSizes", "InvertedResidual", "MobileBackbone"]


class BlockSizes(NamedTuple):
    """Sizes of an `InvertedResidual`.

    Attributes:
        kernel: side of the depthwise filters.
        hidden: channels between the two 1x1 convolutions.
        channels: channels of the output.
        stride: 1 or 2.
        attention: weigh the hidden channels by `SqueezeExcitation`.
        smooth: hard-swish activations instead of ReLU.
    """

    kernel: int
    hidden: int
    channels: int
    stride: int = 1
    attention: bool = True
    smooth: bool = True


NANOTRACK_BLOCKS = (
    BlockSizes(3, 16, 16, stride=2, smooth=False),
    BlockSizes(3, 72, 24, stride=2, attention=False, smooth=False),
    BlockSizes(3, 88, 24, attention=False, smooth=False),
    BlockSizes(5, 96, 40, stride=2),
    BlockSizes(5, 240, 40),
    BlockSizes(5, 240, 40),
    BlockSizes(5, 120, 48),
    BlockSizes(5, 144, 48),
    BlockSizes(5, 288, 96),
)
"""Blocks of NanoTrack v3's backbone: MobileNetV3-small without its last stride."""

SMALL_BLOCKS = (
    BlockSizes(3, 16, 16, stride=2, smooth=False),
    BlockSizes(3, 80, 24, stride=2, attention=False, smooth=False),
    BlockSizes(3, 96, 24, attention=False, smooth=False),
    BlockSizes(5, 120, 40, stride=2),
    BlockSizes(5, 240, 40),
    BlockSizes(5, 240, 40),
    BlockSizes(5, 200, 48),
    BlockSizes(5, 200, 48),
    BlockSizes(5, 288, 96),
)
"""Blocks of the included tracker: slightly more hidden channels, the same outputs."""


class SqueezeExcitation(nn.Module):
    """Channel attention from the mean of the map (Hu et al., CVPR 2018), with a hard sigmoid."""

    def __init__(self, channels: int):
        super().__init__()
        squeezed = max(8, (channels // 4 + 4) // 8 * 8)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True)), inplace=True))
        return x * F.hardsigmoid(weight)


def _activation(smooth: bool) -> nn.Module:
    return nn.Hardswish(inplace=True) if smooth else nn.ReLU(inplace=True)


class InvertedResidual(nn.Module):
    """One block: widen, filter, weigh, narrow; added to its input where the shapes agree.

    If the input already has the number of hidden channels, the first convolution is omitted.
    """

    def __init__(self, inputs: int, block: BlockSizes):
        super().__init__()
        self.residual = block.stride == 1 and inputs == block.channels
        layers: list[nn.Module] = []
        if block.hidden != inputs:
            layers += [
                nn.Conv2d(inputs, block.hidden, 1, bias=False),
                nn.BatchNorm2d(block.hidden),
                _activation(block.smooth),
            ]
        layers += [
            nn.Conv2d(
                block.hidden,
                block.hidden,
                block.kernel,
                block.stride,
                block.kernel // 2,
                groups=block.hidden,
                bias=False,
            ),
            nn.BatchNorm2d(block.hidden),
        ]
        # As published: before the activation, except in the block without the first convolution.
        attention: list[nn.Module] = [SqueezeExcitation(block.hidden)] if block.attention else []
        activation = [_activation(block.smooth)]
        layers += attention + activation if block.hidden != inputs else activation + attention
        layers += [
            nn.Conv2d(block.hidden, block.channels, 1, bias=False),
            nn.BatchNorm2d(block.channels),
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + y if self.residual else y


#: Sizes of a `MobileBackbone` by name.
BLOCKS = {"nanotrack": NANOTRACK_BLOCKS, "small": SMALL_BLOCKS}


@BACKBONES.register("mobile")
class MobileBackbone(Backbone):
    """Inverted residuals, of total stride 16 with the blocks of this file; one level.

    Args:
        blocks: name of the blocks' sizes in `BLOCKS`, or rows of the numbers of a `BlockSizes`.
        stem: channels of the first convolution, of stride 2.
        smooth_stem: hard-swish activation of the first convolution, as published; ReLU is faster.

    Input: ``(B, 3, S, S)``. Output: ``(B, channels, S / stride, S / stride)``, rounded up.
    """

    def __init__(
        self,
        blocks: str | Sequence[Sequence] = "nanotrack",
        stem: int = 16,
        smooth_stem: bool = True,
    ):
        super().__init__()
        if isinstance(blocks, str) and blocks not in BLOCKS:
            raise ValueError(f"blocks {blocks!r} unknown; give one of {', '.join(BLOCKS)} or rows")
        sizes = BLOCKS[blocks] if isinstance(blocks, str) else blocks
        rows = [BlockSizes(*block) for block in sizes]
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 3, 2, 1, bias=False), nn.BatchNorm2d(stem), _activation(smooth_stem)
        )
        inputs = [stem, *(block.channels for block in rows[:-1])]
        self.blocks = nn.ModuleList(
            InvertedResidual(width, block) for width, block in zip(inputs, rows, strict=True)
        )
        self.channels = (rows[-1].channels,)
        self.stride = 2
        for block in rows:
            self.stride *= block.stride
        self.init_weights()

    def init_weights(self) -> None:
        """He initialisation of the convolutions."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return [x]
