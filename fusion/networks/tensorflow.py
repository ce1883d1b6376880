"""What the networks share whose authors' programs are written in TensorFlow.

These programs normalise by the statistics of what they are given, also when they are tested, and
stretch what they save by its own range.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.images.pixels import PixelScaling

__all__ = ["STRETCHED", "PictureNorm", "in_torch_layout"]

#: Input ``x / 255``, output ``floor((x - min) 255 / (max - min) + 0.5)``.
STRETCHED = PixelScaling(input="unit", output="min-max", rounding="round", epsilon=0.0)


class PictureNorm(nn.Module):
    """Batch normalisation without running statistics.

    In training, the mean and the (biased) variance are those of the batch. In evaluation they are
    those of each picture on its own: the programs fuse one picture at a time.

    Args:
        channels: number of channels.
        eps: added to the variance.
        affine_in_tests: apply the trained scale and shift in evaluation. Programs that do not
            restore them leave 1 and 0 instead.
    """

    def __init__(self, channels: int, eps: float = 1e-5, affine_in_tests: bool = True):
        super().__init__()
        self.eps, self.affine_in_tests = eps, affine_in_tests
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, channels, H, W)``."""
        if self.training:
            return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)
        weight, bias = (self.weight, self.bias) if self.affine_in_tests else (None, None)
        return F.instance_norm(x, None, None, weight, bias, eps=self.eps)

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, eps={self.eps}, affine_in_tests={self.affine_in_tests}"


def in_torch_layout(tensors: Mapping[str, Tensor], scope: str) -> dict[str, Tensor]:
    """The weights of one scope of a TensorFlow checkpoint as PyTorch has them.

    Kernels ``scope/layer/wN`` become ``scope/layer.weight`` as ``(outputs, inputs, height,
    width)``, biases ``scope/layer/bN`` become ``scope/layer.bias``, and scale and shift of a batch
    normalisation ``scope/layer/BatchNorm.weight`` and ``.bias``. Its moving statistics, which the
    programs do not use, and an optimiser's values are left out.

    Args:
        tensors: by their names in the checkpoint, see `fusion.base.tensorflow`.
        scope: the first part of these names.
    """
    made: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        layer, _, own = name.rpartition("/")
        if not name.startswith(f"{scope}/") or own.startswith(("Adam", "RMSProp", "moving_")):
            continue
        kind = {"gamma": "weight", "beta": "bias"}.get(own)
        if kind is None:
            kind = "weight" if own.startswith("w") else "bias"
        made[f"{layer}.{kind}"] = tensor.permute(3, 2, 0, 1) if tensor.ndim == 4 else tensor
    return made
