"""DenseFuse (Li and Wu, TIP 2019): a densely connected encoder and a decoder, fused by a rule."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.images.pixels import PixelScaling
from fusion.llrr.block import conv3x3
from fusion.networks.autoencoder import AutoencoderFusion, Rule
from fusion.networks.base import UNIT_SCALING, PublishedWeights
from fusion.networks.registry import NETWORKS

__all__ = ["DenseFuse"]


def _on_unit_range(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert weights for images in 0..255 to equivalent weights for images in 0..1.

    Convolutions and ReLU scale with their input, so only the biases have to be scaled.
    """
    return {
        name: tensor / 255 if name.endswith(".bias") else tensor for name, tensor in tensors.items()
    }


@NETWORKS.register("densefuse")
class DenseFuse(AutoencoderFusion):
    """Fuses an infrared and a visible image; 74 193 parameters.

    The .29908 of LRRNet's Table 7 is not a number of parameters but the size in megabytes of the
    colour variant (three input and output channels, 74 771 parameters of four bytes).

    Args:
        rule: ``sum``, the paper's addition; ``average``, as in the published PyTorch port; or
            ``l1``, the paper's l1-norm.
        scaling: pixel convention of the weights. By default the input is ``x / 255``. For ``sum``,
            which is twice as bright as its sources, the output is stretched to 0..255, as for the
            tables of LRRNet's paper; for the averages it is clipped.
    """

    verified = "published weights"
    published = PublishedWeights(
        markers=("DB1.denseblock.0.dense_conv.conv2d.weight",),
        names={
            "first": "conv1.conv2d",
            **{f"dense.{i}": f"DB1.denseblock.{i}.dense_conv.conv2d" for i in range(3)},
            **{f"decoder.{i}": f"conv{2 + i}.conv2d" for i in range(4)},
        },
        prepare=_on_unit_range,
    )

    def __init__(self, rule: Rule = "sum", scaling: PixelScaling | None = None):
        super().__init__(rule)
        self.architecture = {"rule": rule}
        stretched = PixelScaling(input="unit", output="min-max", rounding="round")
        self.scaling = scaling or (stretched if rule == "sum" else UNIT_SCALING)
        self.first = conv3x3(1, 16)
        self.dense = nn.ModuleList(conv3x3(16 * (i + 1), 16) for i in range(3))
        self.decoder = nn.ModuleList(
            (conv3x3(64, 64), conv3x3(64, 32), conv3x3(32, 16), conv3x3(16, 1))
        )

    @property
    def reach(self) -> int:
        return self._reach(1 + len(self.dense) + len(self.decoder))

    def encode(self, image: Tensor) -> tuple[Tensor]:
        """Image ``(B, 1, H, W)`` to 64 feature maps."""
        x = F.relu(self.first(image))
        for layer in self.dense:
            x = torch.cat([x, F.relu(layer(x))], dim=1)
        return (x,)

    def decode(self, features: Tensor) -> Tensor:
        """64 feature maps to an image ``(B, 1, H, W)``."""
        *hidden, last = self.decoder
        for layer in hidden:
            features = F.relu(layer(features))
        return last(features)
