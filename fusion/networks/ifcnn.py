"""IFCNN, a general fusion framework (Zhang et al., Information Fusion 2020)."""

import torch
from torch import Tensor, nn

from fusion.images.pixels import IMAGENET_DEVIATION, IMAGENET_MEAN, PixelScaling
from fusion.networks.base import UNIT_SCALING, FusionNetwork
from fusion.networks.registry import NETWORKS

__all__ = ["IFCNN"]

CHANNELS = 64


def _conv(in_channels: int, size: int) -> nn.Conv2d:
    return nn.Conv2d(
        in_channels, CHANNELS, size, padding=size // 2, padding_mode="replicate", bias=False
    )


def _block() -> nn.Sequential:
    return nn.Sequential(_conv(CHANNELS, 3), nn.BatchNorm2d(CHANNELS), nn.ReLU())


@NETWORKS.register("ifcnn")
class IFCNN(FusionNetwork):
    """Fuses an infrared and a visible image; 83 587 parameters (Table 7: .08359 M).

    The features of both images, repeated to three channels, are fused by their elementwise maximum.
    The authors take the first layer from ResNet-101, which was trained on ImageNet's colours, and
    freeze it; here it is trained with the rest. The fused image is the mean of the three output
    channels, which is our choice.

    Args:
        scaling: pixel convention of the weights.
    """

    verified = "parameter counts"
    reach = 3 + 1 + 1

    def __init__(self, scaling: PixelScaling | None = None):
        super().__init__()
        self.architecture = {}
        self.scaling = scaling or UNIT_SCALING
        self.features = nn.Sequential(_conv(3, 7), _block())
        self.reconstruct = nn.Sequential(_block(), nn.Conv2d(CHANNELS, 3, 1))

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse two images ``(B, 1, H, W)`` in 0..1; the output has no fixed range."""
        mean, deviation = (
            ir.new_tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_DEVIATION)
        )
        features = (
            self.features((image.expand(-1, 3, -1, -1) - mean) / deviation) for image in (ir, vis)
        )
        color = self.reconstruct(torch.maximum(*features)) * deviation + mean
        return color.mean(1, keepdim=True)
