"""FusionGAN's generator (Ma et al., Information Fusion 2019)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.images.pixels import PixelScaling
from fusion.networks.base import FusionNetwork
from fusion.networks.registry import NETWORKS
from fusion.networks.tensorflow import STRETCHED, PictureNorm

__all__ = ["PADDING", "FusionGAN"]

LEAK = 0.2
#: Output channels and kernel size of the convolutions with batch normalisation.
LAYERS = ((256, 5), (128, 5), (64, 3), (32, 3))
PADDING = sum(size // 2 for _, size in LAYERS)


@NETWORKS.register("fusiongan")
class FusionGAN(FusionNetwork):
    """Fuses an infrared and a visible image; 925 633 parameters (Table 7: .92563 M).

    Both images are scaled to -1..1, concatenated, and padded once by replication; the convolutions
    are not padded. `fusion.training.fusiongan` trains it against its discriminator.

    Normalisation uses the statistics of the picture, so the receptive field is unbounded. The
    released program for tests restores the convolutions only, so scale and shift of the
    normalisation are 1 and 0 there, whatever was trained; and it uses the kernels as they are
    stored, while training divides them by their spectral norms.

    Args:
        affine_in_tests: apply the trained scale and shift in tests.
        scaling: pixel convention of the weights.
    """

    verified = "parameter counts"

    def __init__(self, affine_in_tests: bool = False, scaling: PixelScaling | None = None):
        super().__init__()
        self.architecture = {"affine_in_tests": affine_in_tests}
        self.scaling = scaling or STRETCHED
        self.hidden = nn.ModuleList()
        channels = 2
        for outputs, size in LAYERS:
            conv = nn.Conv2d(channels, outputs, size)
            norm = PictureNorm(outputs, affine_in_tests=affine_in_tests)
            self.hidden.append(nn.Sequential(conv, norm, nn.LeakyReLU(LEAK)))
            channels = outputs
        self.last = nn.Conv2d(channels, 1, 1)

    def forward(self, ir: Tensor, vis: Tensor, padded: bool = True) -> Tensor:
        """Fuse two images ``(B, 1, H, W)`` in 0..1 into one of the same kind; without padding, the
        result lacks `PADDING` pixels at each border."""
        x = torch.cat([ir, vis], dim=1) * 2 - 1
        if padded:
            x = F.pad(x, (PADDING,) * 4, mode="replicate")
        for layer in self.hidden:
            x = layer(x)
        return self.last(x).tanh() / 2 + 0.5
