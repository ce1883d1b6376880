"""Fusion of two feature maps into one, for trackers and other networks on two modalities.

`LLRRFusion` is LRRNet's feature fusion (Li et al., TPAMI 2023, Sec. 5, Fig. 14), `RFNFusion` the
residual fusion network that the paper compares with (Li, Wu, Kittler, RFN-Nest, 2021). Both accept
any two maps of equal size; create one for each level of a feature pyramid. To use them in another
tracker, between its backbone and its head:

    from fusion.llrr.feature import LLRRFusion

    class FusedTracker(nn.Module):
        def __init__(self, backbone, head, channels=256):
            super().__init__()
            self.backbone, self.head = backbone, head
            self.fuse = LLRRFusion(channels)

        def forward(self, rgb, ir):  # (B, 3, H, W) each
            fused = self.fuse(self.backbone(rgb), self.backbone(ir))  # (B, channels, h, w)
            return self.head(fused)
"""

import torch
from torch import Tensor, nn

from fusion.llrr.block import LLRR, conv3x3
from fusion.llrr.registry import FUSIONS


def _require_equal(rgb: Tensor, ir: Tensor) -> None:
    if rgb.shape != ir.shape:
        raise ValueError(
            f"feature maps of one shape are needed, got {tuple(rgb.shape)} and {tuple(ir.shape)}"
        )


@FUSIONS.register("llrr")
class LLRRFusion(nn.Module):
    """Fea_f of Fig. 14: decompose each modality, convolve, concatenate, convolve.

    Each modality passes through its own unrolled `LLRR` stack and a 3x3 convolution from its
    low-rank and sparse coefficients back to ``channels``; a 3x3 convolution combines the two.

    The paper does not give the size of these stacks; the defaults are those of the image-level
    network.

    Args:
        channels: channels of each input and of the output.
        num_filters: number of low-rank coefficient maps per stack, and of sparse ones.
        num_blocks: unrolled steps per stack.
    """

    def __init__(self, channels: int = 256, num_filters: int = 128, num_blocks: int = 4):
        super().__init__()
        self.llrr_rgb = LLRR(channels, num_filters, num_blocks)
        self.llrr_ir = LLRR(channels, num_filters, num_blocks)
        self.conv_rgb = conv3x3(2 * num_filters, channels)
        self.conv_ir = conv3x3(2 * num_filters, channels)
        self.conv_fused = conv3x3(2 * channels, channels)

    def forward(self, rgb: Tensor, ir: Tensor) -> Tensor:
        """Fuse two feature maps.

        Args:
            rgb: features of the visible image, ``(B, channels, H, W)``, H and W at least 2.
            ir: features of the infrared image, of the same shape.

        Returns:
            The fused feature map, with the same shape.

        Raises:
            ValueError: the shapes differ.
        """
        _require_equal(rgb, ir)
        rgb = self.conv_rgb(torch.cat(self.llrr_rgb(rgb), dim=1))
        ir = self.conv_ir(torch.cat(self.llrr_ir(ir), dim=1))
        return self.conv_fused(torch.cat((rgb, ir), dim=1))


@FUSIONS.register("conv")
class ConvFusion(nn.Module):
    """`LLRRFusion` without its model: the same convolutions, one after another, with ReLU.

    Each modality passes through ``channels -> 2 num_filters``, ``num_blocks`` times
    ``2 num_filters -> channels -> 2 num_filters`` and back to ``channels``. Without soft thresholds
    and without the residual and the previous coefficients of Eq. 8, it has the multiplications of
    `LLRRFusion` and all but its ``2 (2 num_filters + 1)`` thresholds and weights.

    Args:
        channels, num_filters, num_blocks: see `LLRRFusion`.
    """

    def __init__(self, channels: int = 256, num_filters: int = 128, num_blocks: int = 4):
        super().__init__()
        self.stack_rgb = self._stack(channels, 2 * num_filters, num_blocks)
        self.stack_ir = self._stack(channels, 2 * num_filters, num_blocks)
        self.conv_fused = conv3x3(2 * channels, channels)

    @staticmethod
    def _stack(channels: int, inner: int, num_blocks: int) -> nn.Sequential:
        layers: list[nn.Module] = [conv3x3(channels, inner), nn.ReLU()]
        for _ in range(num_blocks):
            layers += [conv3x3(inner, channels), nn.ReLU(), conv3x3(channels, inner), nn.ReLU()]
        return nn.Sequential(*layers, conv3x3(inner, channels))

    def forward(self, rgb: Tensor, ir: Tensor) -> Tensor:
        """Fuse two feature maps; see `LLRRFusion.forward`."""
        _require_equal(rgb, ir)
        return self.conv_fused(torch.cat((self.stack_rgb(rgb), self.stack_ir(ir)), dim=1))


def _conv_bn(inputs: int, outputs: int, size: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, size, padding=size // 2, padding_mode="reflect")
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


@FUSIONS.register("rfn")
class RFNFusion(nn.Module):
    """Residual fusion network as in DFAT+RFN: a shortcut plus a learned residual, without ReLU.

    ``conv3x3(cat(rgb, ir)) + conv3x3(conv3x3(conv1x1(cat(conv1x1(rgb), conv1x1(ir)))))``, where
    every convolution has reflection padding and batch normalisation.

    Args:
        channels: channels of each input and of the output.
    """

    def __init__(self, channels: int = 256):
        super().__init__()
        self.direct = _conv_bn(2 * channels, channels, 3)
        self.conv_rgb = _conv_bn(channels, channels, 1)
        self.conv_ir = _conv_bn(channels, channels, 1)
        self.residual = nn.Sequential(
            _conv_bn(2 * channels, channels, 1),
            _conv_bn(channels, channels, 3),
            _conv_bn(channels, channels, 3),
        )

    def forward(self, rgb: Tensor, ir: Tensor) -> Tensor:
        """Fuse two feature maps; see `LLRRFusion.forward`."""
        _require_equal(rgb, ir)
        inner = torch.cat((self.conv_rgb(rgb), self.conv_ir(ir)), dim=1)
        return self.direct(torch.cat((rgb, ir), dim=1)) + self.residual(inner)
