"""FusionGAN's generator (Ma et al., Information Fusion 2019)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.images.pixels import PixelScaling
from fusion.networks.base import UNIT_SCALING, FusionNetwork
from fusion.networks.registry import NETWORKS

__all__ = ["FusionGAN"]

LEAK = 0.2
#: Output channels and kernel size of the convolutions with batch normalisation.
LAYERS = ((256, 5), (128, 5), (64, 3), (32, 3))
PADDING = sum(size // 2 for _, size in LAYERS)


@NETWORKS.register("fusiongan")
class FusionGAN(FusionNetwork):
    """Fuses an infrared and a visible image; 925 633 parameters (Table 7: .92563 M).

    Both images are scaled to -1..1, concatenated, and padded once by replication; the convolutions
    are not padded. The discriminator and the spectral normalisation of adversarial training are not
    implemented. Published weights are for TensorFlow and cannot be loaded.

    Args:
        scaling: pixel convention of the weights.
    """

    reach = PADDING

    def __init__(self, scaling: PixelScaling | None = None):
        super().__init__()
        self.architecture = {}
        self.scaling = scaling or UNIT_SCALING
        self.hidden = nn.ModuleList()
        channels = 2
        for outputs, size in LAYERS:
            conv = nn.Conv2d(channels, outputs, size)
            norm = nn.BatchNorm2d(outputs)
            self.hidden.append(nn.Sequential(conv, norm, nn.LeakyReLU(LEAK)))
            channels = outputs
        self.last = nn.Conv2d(channels, 1, 1)

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse two images ``(B, 1, H, W)`` in 0..1 into one of the same kind."""
        x = F.pad(torch.cat([ir, vis], dim=1) * 2 - 1, (PADDING,) * 4, mode="replicate")
        for layer in self.hidden:
            x = layer(x)
        return self.last(x).tanh() / 2 + 0.5
