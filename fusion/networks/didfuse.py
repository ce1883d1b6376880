"""DIDFuse: deep image decomposition (Zhao et al., IJCAI 2020).

The encoder separates an image into background and detail features. The training loss makes the
background features of the modalities similar and the detail features different. The decoder takes
both, and the encoder's first two feature maps through skip connections. The rule fuses all four.
"""

import torch
from torch import Tensor, nn

from fusion.images.pixels import PixelScaling
from fusion.llrr.block import conv3x3
from fusion.networks.autoencoder import AutoencoderFusion, Rule
from fusion.networks.base import UNIT_SCALING, PublishedWeights
from fusion.networks.registry import NETWORKS

__all__ = ["DIDFuse"]

CHANNELS = 64


def _block(conv: nn.Conv2d, activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), activation)


def _zero_padded(in_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, CHANNELS, 3, padding=1)


@NETWORKS.register("didfuse")
class DIDFuse(AutoencoderFusion):
    """Fuses an infrared and a visible image; 260 935 parameters.

    Convolutions from and to an image use reflection padding, those between features zero padding.

    Args:
        rule: ``sum`` as published, ``average`` or ``l1``.
        scaling: pixel convention of the weights; defaults to the published one, ``x / 255`` for the
            input and ``round(255 x)`` for the output.
    """

    verified = "12 published images"
    published = PublishedWeights(
        markers=("cov1.cov1.1.weight", "cov5.cov5.0.weight"),
        names={
            "first": "cov1.cov1",
            "second": "cov2.cov2",
            "base": "cov3.cov3",
            "detail": "cov4.cov4",
            "join": "cov5.cov5",
            "join_second": "cov6.cov6",
            "join_first": "cov7.cov7",
        },
        # In the authors' first and last blocks, padding is a separate layer.
        shifted={"first": 1, "join_first": 1},
    )

    def __init__(self, rule: Rule = "sum", scaling: PixelScaling | None = None):
        super().__init__(rule)
        self.architecture = {"rule": rule}
        self.scaling = scaling or UNIT_SCALING
        self.first = _block(conv3x3(1, CHANNELS), nn.PReLU())
        self.second = _block(_zero_padded(CHANNELS), nn.PReLU())
        self.base = _block(_zero_padded(CHANNELS), nn.Tanh())
        self.detail = _block(_zero_padded(CHANNELS), nn.Tanh())
        self.join = _block(_zero_padded(2 * CHANNELS), nn.PReLU())
        self.join_second = _block(_zero_padded(2 * CHANNELS), nn.PReLU())
        self.join_first = _block(conv3x3(2 * CHANNELS, 1), nn.Sigmoid())

    @property
    def reach(self) -> int:
        return self._reach(6)  # three convolutions in the encoder and three in the decoder

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Image ``(B, 1, H, W)`` to first, second, base and detail features of 64 channels."""
        first = self.first(image)
        second = self.second(first)
        return first, second, self.base(second), self.detail(second)

    def decode(self, first: Tensor, second: Tensor, base: Tensor, detail: Tensor) -> Tensor:
        """The four features to an image ``(B, 1, H, W)`` in 0..1."""
        x = self.join(torch.cat([base, detail], dim=1))
        x = self.join_second(torch.cat([x, second], dim=1))
        return self.join_first(torch.cat([x, first], dim=1))
