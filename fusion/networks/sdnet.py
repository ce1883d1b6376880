"""SDNet: squeeze-and-decomposition (Zhang and Ma, IJCV 2021).

The squeeze part fuses; the decomposition part makes both sources from the fused picture again,
which in training keeps their content in it. `DecomposingTraining` of
`fusion.training.methods` trains both.
"""

import torch
from torch import Tensor, nn

from fusion.images.pixels import PixelScaling
from fusion.networks.base import UNIT_SCALING, FusionNetwork
from fusion.networks.pmgi import conv_block
from fusion.networks.registry import NETWORKS

__all__ = ["SDNet"]

CHANNELS = 16


def _encoder() -> nn.ModuleList:
    return nn.ModuleList(
        conv_block(inputs, CHANNELS, size, norm=False)
        for inputs, size in ((1, 5), (CHANNELS, 3), (2 * CHANNELS, 3), (3 * CHANNELS, 3))
    )


def _source() -> nn.Sequential:
    return nn.Sequential(
        conv_block(8 * CHANNELS, CHANNELS, 3, norm=False),
        conv_block(CHANNELS, 4, 3, norm=False),
        nn.Conv2d(4, 1, 3, padding=1),
        nn.Tanh(),
    )


@NETWORKS.register("sdnet")
class SDNet(FusionNetwork):
    """Infrared and visible picture to fused picture; 67 091 parameters, of which 28 705 fuse.

    Table 7 does not have it. Published weights are TensorFlow's and cannot be loaded.

    Args:
        scaling: pixel convention of the weights.
    """

    reach = 2 + 1 + 1 + 1

    def __init__(self, scaling: PixelScaling | None = None):
        super().__init__()
        self.architecture = {}
        self.scaling = scaling or UNIT_SCALING
        self.infrared, self.visible = _encoder(), _encoder()
        self.squeeze = nn.Conv2d(8 * CHANNELS, 1, 1)
        self.expand = conv_block(1, 8 * CHANNELS, 1, norm=False)
        self.to_infrared, self.to_visible = _source(), _source()

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fused picture ``(B, 1, H, W)`` on 0..1 from two, likewise."""
        features = [
            _dense(layers, image * 2 - 1)
            for layers, image in ((self.infrared, ir), (self.visible, vis))
        ]
        return self.squeeze(torch.cat(features, dim=1)).tanh() / 2 + 0.5

    def decompose(self, fused: Tensor) -> tuple[Tensor, Tensor]:
        """Infrared and visible picture again from the fused one, all ``(B, 1, H, W)`` on 0..1."""
        x = self.expand(fused * 2 - 1)
        return self.to_infrared(x) / 2 + 0.5, self.to_visible(x) / 2 + 0.5


def _dense(layers: nn.ModuleList, x: Tensor) -> Tensor:
    """All layers' outputs; each sees those before it."""
    made = [layers[0](x)]
    for layer in layers[1:]:
        made.append(layer(torch.cat(made, dim=1)))
    return torch.cat(made, dim=1)
