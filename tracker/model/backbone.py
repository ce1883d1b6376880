"""Backbones: the interface, the dilated ResNet-50 of SiamRPN++, and a small one of its layout.

The two backbones of stride 8 keep the spatial resolution of the second stage and dilate the
following stages (Li et al., SiamRPN++, CVPR 2019, Sec. 4.1). Convolutions that halve the resolution
have no padding. The centre of a template or search region of ``16 k + 15`` pixels therefore
coincides with the centre of its middle cell, and positions in a response need no offset:

    127 -> 61 -> 31 -> 15 cells          255 -> 125 -> 63 -> 31 cells
"""

import copy
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tracker.model.registry import BACKBONES

__all__ = ["AtrousResNet50", "Backbone", "CompactResNet"]


# --- The interface ------------------------------------------------------------------------------


class Backbone(nn.Module):
    """Base of the networks that turn a crop into feature maps of several levels.

    A subclass defines `channels`, `stride` and ``forward``, and is registered in
    `tracker.model.registry.BACKBONES`:

    - ``forward(x)`` takes crops ``(B, 3, S, S)`` in the pixel convention of the network (or a map
      of the modality's own stem, see `make_stem`) and returns a list of maps ``(B, C, H, W)``, one
      per level, finest first, all of equal height and width.

    Attributes:
        channels: channels of the levels, such as ``(512, 1024, 2048)``.
        stride: pixels of a crop between the centres of two cells.
        imagenet: torchvision weights, such as ``ResNet50_Weights.IMAGENET1K_V1``, from which this
            backbone can start (`tracker.model.weights.load_imagenet`); None for none.
    """

    channels: Sequence[int]
    stride: int = 8
    imagenet: ClassVar[str | None] = None

    @classmethod
    def make_stem(cls) -> nn.Module | None:
        """Create the first layers that each modality has separately, before a shared backbone: from
        crops ``(B, 3, S, S)`` to the input of ``forward``. None if ``forward`` takes crops."""
        return None

    def cells(self, size: int) -> int:
        """Cells along a side of the maps of a crop of ``size`` pixels.

        The default runs the layers on PyTorch's meta device, without computing anything.

        Raises:
            ValueError: the backbone does not accept crops of this size.
        """
        layers = copy.deepcopy(self).to("meta").eval()
        stem = type(self).make_stem() or nn.Identity()
        try:
            maps = layers(stem.to("meta").eval()(torch.empty(1, 3, size, size, device="meta")))
        except RuntimeError as error:
            raise ValueError(f"crops of {size} pixels do not pass the backbone: {error}") from error
        shapes = [tuple(level.shape[1:]) for level in maps]
        expected = [(width, *shapes[0][1:]) for width in self.channels]
        if shapes != expected or shapes[0][1] != shapes[0][2]:
            raise ValueError(
                f"{type(self).__name__} gives levels {shapes}; its channels are "
                f"{tuple(self.channels)}, and all levels need one height and width"
            )
        return shapes[0][1]


class _Unpadded(Backbone):
    """A backbone of stride 8 whose strided convolutions have no padding, see the module."""

    def cells(self, size: int) -> int:
        if not isinstance(size, int) or size < 31 or size % 16 != 15:
            raise ValueError(f"a crop must have 16 k + 15 pixels (31, 47, ... 255), got {size}")
        return size // self.stride


# --- Residual layers ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """Sampling of a block's 3x3 convolutions and of its shortcut.

    A shortcut is 1x1, or 3x3 with the stride, padding and dilation of the block's own 3x3. One that
    halves the resolution is always 3x3: without padding, a 1x1 would have different centres.
    """

    stride: int = 1
    dilation: int = 1
    wide_shortcut: bool = False

    def conv3x3(self, inputs: int, outputs: int) -> nn.Conv2d:
        """A 3x3 convolution without bias that keeps the size, or halves it without padding."""
        padding = self.dilation if self.stride == 1 else 0
        return nn.Conv2d(inputs, outputs, 3, self.stride, padding, self.dilation, bias=False)

    def shortcut(self, inputs: int, outputs: int) -> nn.Module | None:
        """Maps a block's input to the size of its output; None if the sizes are equal."""
        if self.stride == 1 and inputs == outputs:
            return None
        if self.wide_shortcut or self.stride > 1:
            conv = self.conv3x3(inputs, outputs)
        else:
            conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around a shortcut, four times as wide outside as inside."""

    expansion = 4

    def __init__(self, inputs: int, width: int, shape: Shape):
        super().__init__()
        outputs = self.expansion * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = shape.conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = shape.shortcut(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, shape: Shape):
        super().__init__()
        self.conv1 = shape.conv3x3(inputs, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = Shape(dilation=shape.dilation).conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shape.shortcut(inputs, width)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


def stage(
    block: type[Bottleneck] | type[BasicBlock],
    inputs: int,
    width: int,
    count: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    wide_shortcut: bool = False,
) -> nn.Sequential:
    """``count`` blocks. The first one changes the size or the channels, at half the dilation of the
    others: doubling the dilation in one step would leave gaps in the receptive field."""
    first = block(inputs, width, Shape(stride, max(1, dilation // 2), wide_shortcut))
    rest = [
        block(block.expansion * width, width, Shape(dilation=dilation)) for _ in range(count - 1)
    ]
    return nn.Sequential(first, *rest)


# --- The backbones ------------------------------------------------------------------------------


@BACKBONES.register("resnet50")
class AtrousResNet50(_Unpadded):
    """ResNet-50 of stride 8: the last two stages dilated by 2 and 4 instead of strided.

    Parameters are named as in torchvision's ResNet, as in published checkpoints.

    Input: ``(B, 3, S, S)`` with S of the form ``16 k + 15``. Output: the maps of the last three
    stages with 512, 1024 and 2048 channels, all of equal size: 15 cells from 127 pixels, 31 from
    255.
    """

    channels = (512, 1024, 2048)
    imagenet = "ResNet50_Weights.IMAGENET1K_V1"

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = stage(Bottleneck, 64, 64, 3)
        self.layer2 = stage(Bottleneck, 256, 128, 4, stride=2)
        self.layer3 = stage(Bottleneck, 512, 256, 6, dilation=2, wide_shortcut=True)
        self.layer4 = stage(Bottleneck, 1024, 512, 3, dilation=4, wide_shortcut=True)
        init_weights(self)

    def stem(self, x: Tensor) -> Tensor:
        """The layers up to and including the first stage: ``(B, 256, H, W)`` of stride 4."""
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return self.layer1(self.maxpool(x))

    def forward(self, x: Tensor) -> list[Tensor]:
        level2 = self.layer2(self.stem(x))
        level3 = self.layer3(level2)
        return [level2, level3, self.layer4(level3)]


@BACKBONES.register("compact")
class CompactResNet(_Unpadded):
    """A small residual network with the layout of `AtrousResNet50`, and one stem per modality.

    Visible and thermal images differ in edges and noise, but the shapes of objects are alike:
    therefore the first convolution is separate for each modality, and the rest is shared.

    Input: ``(B, 16, H, W)``, the stem's map of stride 2. Output: the maps of the last two stages,
    64 and 96 channels of stride 8 (7 cells from a template of 63 pixels, 19 from a search region
    of 159).
    """

    channels = (64, 96)

    @classmethod
    def make_stem(cls) -> nn.Module:
        """``(B, 3, S, S)`` to ``(B, 16, H, W)`` of stride 2."""
        stem = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(3, 16, 7, stride=2, bias=False),
                bn=nn.BatchNorm2d(16),
                relu=nn.ReLU(inplace=True),
            )
        )
        init_weights(stem)
        return stem

    def __init__(self) -> None:
        super().__init__()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = stage(BasicBlock, 16, 32, 2)
        self.layer2 = stage(BasicBlock, 32, 64, 2, stride=2)
        self.layer3 = stage(BasicBlock, 64, 96, 2, dilation=2)
        init_weights(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        level2 = self.layer2(self.layer1(self.maxpool(x)))
        return [level2, self.layer3(level2)]


def init_weights(network: nn.Module) -> None:
    """He initialisation of convolutions. The last normalisation of a residual block starts small,
    so that a deep network starts near the identity."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    for module in network.modules():
        if isinstance(module, Bottleneck):
            nn.init.constant_(module.bn3.weight, 0.25)
        elif isinstance(module, BasicBlock):
            nn.init.constant_(module.bn2.weight, 0.25)
