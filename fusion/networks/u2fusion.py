"""U2Fusion, a unified unsupervised fusion network (Xu et al., TPAMI 2020)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.images.pixels import PixelScaling
from fusion.llrr.block import conv3x3
from fusion.networks.base import UNIT_SCALING, FusionNetwork
from fusion.networks.registry import NETWORKS

__all__ = ["U2Fusion"]

GROWTH, LEAK = 44, 0.2


@NETWORKS.register("u2fusion")
class U2Fusion(FusionNetwork):
    """Fuses an infrared and a visible image; 659 217 parameters (Table 7: .65922 M).

    A DenseNet on the concatenated images: one convolution, five densely connected ones, and a
    decoder of four. Convolutions are 3x3 with reflection padding and leaky ReLU; the last has a
    hyperbolic tangent, rescaled to 0..1. Published weights are for TensorFlow and cannot be loaded.

    Args:
        scaling: pixel convention of the weights.
    """

    verified = "parameter counts"
    reach = 1 + 5 + 4

    def __init__(self, scaling: PixelScaling | None = None):
        super().__init__()
        self.architecture = {}
        self.scaling = scaling or UNIT_SCALING
        self.first = conv3x3(2, GROWTH)
        self.dense = nn.ModuleList(conv3x3(GROWTH * (i + 1), GROWTH) for i in range(5))
        self.decoder = nn.ModuleList((conv3x3(6 * GROWTH, 128), conv3x3(128, 64), conv3x3(64, 32)))
        self.last = conv3x3(32, 1)

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse two images ``(B, 1, H, W)`` in 0..1 into one of the same kind."""
        x = F.leaky_relu(self.first(torch.cat([ir, vis], dim=1)), LEAK)
        for layer in self.dense:
            x = torch.cat([F.leaky_relu(layer(x), LEAK), x], dim=1)
        for layer in self.decoder:
            x = F.leaky_relu(layer(x), LEAK)
        return self.last(x).tanh() / 2 + 0.5
