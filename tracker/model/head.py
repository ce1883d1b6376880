"""RPN heads on depthwise cross-correlation (SiamRPN++, Sec. 4.2 and 4.3).

A head maps template and search features to kernel and search maps with one convolution each,
correlates them channel by channel, and computes classification and box regression from the result.
There is one head per level of the backbone; their outputs are summed with learned softmax weights.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tracker.model.registry import HEADS

__all__ = ["DepthwiseRPN", "Head", "MultiLevelRPN", "Response", "depthwise_correlation"]


class Response(NamedTuple):
    """Output of an RPN for a search region, with A anchors per cell.

    Attributes:
        cls: ``(B, 2 A, H, W)`` logits: A of the background, then A of the target.
        loc: ``(B, 4 A, H, W)``: A shifts in x, A in y, A logarithms of width, A of height.
    """

    cls: Tensor
    loc: Tensor


def depthwise_correlation(search: Tensor, kernel: Tensor) -> Tensor:
    """Cross-correlate every channel of every item with its own kernel.

    Args:
        search: ``(B, C, H, W)``.
        kernel: ``(B, C, h, w)``, not larger than ``search``.

    Returns:
        ``(B, C, H - h + 1, W - w + 1)``.
    """
    batch, channels, height, width = search.shape
    out = F.conv2d(
        search.reshape(1, batch * channels, height, width),
        kernel.reshape(batch * channels, 1, *kernel.shape[-2:]),
        groups=batch * channels,
    )
    return out.view(batch, channels, *out.shape[-2:])


def _conv_bn_relu(inputs: int, outputs: int, size: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, size, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


class CorrelationHead(nn.Module):
    """One output of an RPN: kernel and search convolutions, correlation, two 1x1 convolutions."""

    def __init__(self, channels: int, outputs: int):
        super().__init__()
        self.conv_kernel = nn.Sequential(*_conv_bn_relu(channels, channels, 3))
        self.conv_search = nn.Sequential(*_conv_bn_relu(channels, channels, 3))
        self.head = nn.Sequential(
            *_conv_bn_relu(channels, channels, 1), nn.Conv2d(channels, outputs, 1)
        )

    def forward(self, kernel: Tensor, search: Tensor) -> Tensor:
        return self.head(depthwise_correlation(self.conv_search(search), kernel))


class DepthwiseRPN(nn.Module):
    """Classification and regression of one level.

    Args:
        channels: channels of the neck.
        num_anchors: anchors per cell.
    """

    def __init__(self, channels: int = 256, num_anchors: int = 5):
        super().__init__()
        self.cls = CorrelationHead(channels, 2 * num_anchors)
        self.loc = CorrelationHead(channels, 4 * num_anchors)

    def kernels(self, template: Tensor) -> tuple[Tensor, Tensor]:
        """Correlation kernels of a template ``(B, C, h, w)``, for `forward`."""
        return self.cls.conv_kernel(template), self.loc.conv_kernel(template)

    def forward(self, kernels: tuple[Tensor, Tensor], search: Tensor) -> Response:
        """Response to search features ``(B, C, H, W)`` of ``H - h + 1`` by ``W - w + 1`` cells."""
        return Response(self.cls(kernels[0], search), self.loc(kernels[1], search))


class Head(nn.Module):
    """Base of the heads that compare the levels of a template with those of a search region.

    A subclass is registered in `tracker.model.registry.HEADS` and is constructed with
    ``(num_levels, channels, num_anchors)``. It defines `kernels` and `forward`; its `Response` is
    relative to the network's anchors (`tracker.model.anchors.decode`). With one square anchor
    (``anchor_ratios=(1,)``) it has one score and one box per cell.
    """

    def kernels(self, template: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """What a search needs from a template's levels: two tensors per level.

        The fixed graphs of `tracker.online.passes` take them as a flat list, in this order.
        """
        raise NotImplementedError

    def forward(
        self, kernels: Sequence[tuple[Tensor, Tensor]], search: Sequence[Tensor]
    ) -> Response:
        """Response to the levels ``(B, C, H, W)`` of a search region, with ``H - h + 1`` cells per
        side for templates of ``h``."""
        raise NotImplementedError

    def expect_background(self, logit: float) -> None:
        """Initialise the head so that every anchor has this logit of being the target.

        Focal loss requires it (Lin et al., ICCV 2017, Sec. 4.1). The default does nothing.
        """


@HEADS.register("rpn")
class MultiLevelRPN(Head):
    """A `DepthwiseRPN` for each level, summed with a softmax of learned weights."""

    def __init__(self, num_levels: int = 3, channels: int = 256, num_anchors: int = 5):
        super().__init__()
        self.rpns: Any = nn.ModuleList(
            DepthwiseRPN(channels, num_anchors) for _ in range(num_levels)
        )
        self.cls_weight = nn.Parameter(torch.ones(num_levels))
        self.loc_weight = nn.Parameter(torch.ones(num_levels))

    def kernels(self, template: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Kernels of every level of a template, for `forward`."""
        return [rpn.kernels(level) for rpn, level in zip(self.rpns, template, strict=True)]

    def forward(
        self, kernels: Sequence[tuple[Tensor, Tensor]], search: Sequence[Tensor]
    ) -> Response:
        """Response to the levels of a search region."""
        levels = [
            rpn(kernel, level)
            for rpn, kernel, level in zip(self.rpns, kernels, search, strict=True)
        ]
        cls_weight = self.cls_weight.softmax(0)
        loc_weight = self.loc_weight.softmax(0)
        return Response(
            sum(weight * level.cls for weight, level in zip(cls_weight, levels, strict=True)),
            sum(weight * level.loc for weight, level in zip(loc_weight, levels, strict=True)),
        )

    def expect_background(self, logit: float) -> None:
        for rpn in self.rpns:
            background, target = rpn.cls.head[-1].bias.detach().chunk(2)
            background.fill_(-logit / 2)
            target.fill_(logit / 2)
