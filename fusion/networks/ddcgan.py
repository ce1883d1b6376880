"""DDcGAN's generator (Ma et al., TIP 2020), for images of equal resolution."""

import torch
from torch import Tensor, nn

from fusion.images.pixels import PixelScaling
from fusion.llrr.block import conv3x3
from fusion.networks.base import FusionNetwork
from fusion.networks.registry import NETWORKS
from fusion.networks.tensorflow import STRETCHED, PictureNorm

__all__ = ["DDcGAN"]

GROWTH = 48
#: TensorFlow's default for the layer that the program uses.
EPSILON = 1e-3


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv3x3(inputs, outputs), PictureNorm(outputs, EPSILON), nn.ReLU())


@NETWORKS.register("ddcgan")
class DDcGAN(FusionNetwork):
    """Fuses an infrared and a visible image; 1 097 665 parameters.

    A DenseNet with normalisation on the concatenated images: one convolution, four densely
    connected ones, and a decoder of five. As in the released program, the decoder's first
    convolution is applied twice, first with its bias and ReLU alone, then also normalised. It is
    not in Table 7. `fusion.training.ddcgan` trains it against its two discriminators.

    Normalisation uses the statistics of the picture (in training, of the batch), with the trained
    scale and shift, so the receptive field is unbounded.

    Args:
        scaling: pixel convention of the weights.
    """

    verified = "parameter counts"

    def __init__(self, scaling: PixelScaling | None = None):
        super().__init__()
        self.architecture = {}
        self.scaling = scaling or STRETCHED
        self.first = _block(2, GROWTH)
        self.dense = nn.ModuleList(_block(GROWTH * (i + 1), GROWTH) for i in range(4))
        channels = 5 * GROWTH
        self.decoder = nn.Sequential(
            _block(channels, channels), _block(channels, 128), _block(128, 64), _block(64, 32)
        )
        self.last = conv3x3(32, 1)

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse two images ``(B, 1, H, W)`` in 0..1 into one of the same kind."""
        x = self.first(torch.cat([vis, ir], dim=1))
        for layer in self.dense:
            x = torch.cat([layer(x), x], dim=1)
        x = self.decoder[0].get_submodule("0")(x).relu()
        return self.last(self.decoder(x)).tanh() / 2 + 0.5
