"""SDNet: squeeze-and-decomposition (Zhang and Ma, IJCV 2021).

The squeeze part fuses. The decomposition part reconstructs both sources from the fused image, which
in training preserves their content. `fusion.training.proportional` trains both.
"""

from functools import partial

import torch
from torch import Tensor, nn

from fusion.images.pixels import PixelScaling
from fusion.networks.base import FusionNetwork, PublishedWeights
from fusion.networks.pmgi import conv_block
from fusion.networks.registry import NETWORKS
from fusion.networks.tensorflow import STRETCHED, in_torch_layout

__all__ = ["SDNet"]

CHANNELS = 16


def _encoder() -> nn.ModuleList:
    return nn.ModuleList(
        conv_block(inputs, CHANNELS, size)
        for inputs, size in ((1, 5), (CHANNELS, 3), (2 * CHANNELS, 3), (3 * CHANNELS, 3))
    )


def _source() -> nn.Sequential:
    return nn.Sequential(
        conv_block(8 * CHANNELS, CHANNELS, 3),
        conv_block(CHANNELS, 4, 3),
        nn.Conv2d(4, 1, 3, padding=1),
        nn.Tanh(),
    )


def _published_names() -> dict[str, str]:
    names = {"squeeze": "layer5_fuse", "expand.0": "layer6_sept"}
    for ours, end in (("infrared", "ir"), ("visible", "vi")):
        names |= {f"{ours}.{i}.0": f"layer{i + 1}_{end}" for i in range(4)}
        rebuilt = ("0.0", "1.0", "2")
        names |= {f"to_{ours}.{x}": f"layer{7 + i}_{end}" for i, x in enumerate(rebuilt)}
    return {ours: f"fusion_model/{theirs}" for ours, theirs in names.items()}


@NETWORKS.register("sdnet")
class SDNet(FusionNetwork):
    """Fuses an infrared and a visible image; 67 091 parameters, of which fusion uses 28 705.

    It is not in Table 7.

    Args:
        scaling: pixel convention of the weights.
    """

    verified = "12 published images"
    published = PublishedWeights(
        markers=("fusion_model/layer5_fuse/w5_fuse",),
        names=_published_names(),
        prepare=partial(in_torch_layout, scope="fusion_model"),
    )
    reach = 2 + 1 + 1 + 1

    def __init__(self, scaling: PixelScaling | None = None):
        super().__init__()
        self.architecture = {}
        self.scaling = scaling or STRETCHED
        self.infrared, self.visible = _encoder(), _encoder()
        self.squeeze = nn.Conv2d(8 * CHANNELS, 1, 1)
        self.expand = conv_block(1, 8 * CHANNELS, 1)
        self.to_infrared, self.to_visible = _source(), _source()

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse two images ``(B, 1, H, W)`` in 0..1 into one of the same kind."""
        features = [
            _dense(layers, image * 2 - 1)
            for layers, image in ((self.infrared, ir), (self.visible, vis))
        ]
        levels = [x for level in zip(*features, strict=True) for x in level]
        return self.squeeze(torch.cat(levels, dim=1)).tanh() / 2 + 0.5

    def decompose(self, fused: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruct infrared and visible image from the fused one, each ``(B, 1, H, W)``."""
        x = self.expand(fused * 2 - 1)
        return self.to_infrared(x) / 2 + 0.5, self.to_visible(x) / 2 + 0.5


def _dense(layers: nn.ModuleList, x: Tensor) -> list[Tensor]:
    """Outputs of all layers; each layer takes the outputs of those before it."""
    made = [layers[0](x)]
    for layer in layers[1:]:
        made.append(layer(torch.cat(made, dim=1)))
    return made
