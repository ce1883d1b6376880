"""Fusion without learned parameters: maximum, average and Laplacian pyramid.

Used as baselines, and as candidates of `fusion.training.reference`.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fusion.networks.base import UNIT_SCALING, FusionNetwork
from fusion.networks.registry import CLASSICAL

__all__ = ["Average", "LaplacianPyramid", "Maximum", "pyramid_down", "pyramid_up"]


class _Classical(FusionNetwork):
    """Base of methods without parameters; computes on the CPU, on pixels divided by 255."""

    def __init__(self) -> None:
        super().__init__()
        self.architecture = {}
        self.scaling = UNIT_SCALING

    def to_input(self, image: np.ndarray, value_range: tuple[float, float] | None = None) -> Tensor:
        return torch.from_numpy(self.scaling.to_network(image, value_range))[None, None]


@CLASSICAL.register("maximum")
class Maximum(_Classical):
    """The brighter of the two images at each pixel."""

    reach = 0

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse two images ``(B, 1, H, W)``."""
        return torch.maximum(ir, vis)


@CLASSICAL.register("average")
class Average(_Classical):
    """The mean of the two images at each pixel."""

    reach = 0

    # Half grey levels are rounded up. Rounding to even would make odd grey levels rare, and lower
    # the entropy by a fifth of a bit.
    _UPWARDS = 1e-6

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse two images ``(B, 1, H, W)``."""
        return (ir + vis) / 2 + self._UPWARDS


@CLASSICAL.register("laplacian")
class LaplacianPyramid(_Classical):
    """The stronger detail at each scale and pixel, and the average of the remainder (Burt, 1984).

    Args:
        levels: number of detail levels, each half the size of the one before; fewer if a side would
            be shorter than three pixels.
    """

    min_side = 3

    def __init__(self, levels: int = 4):
        super().__init__()
        self.architecture = {"levels": levels}
        self.levels = levels

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse two images ``(B, 1, H, W)`` with sides of at least 3."""
        return self._fuse(ir, vis, self.levels)

    def _fuse(self, ir: Tensor, vis: Tensor, levels: int) -> Tensor:
        if not levels or min(ir.shape[2:]) < 5:  # the next level would be too small to reflect
            return (ir + vis) / 2
        small_ir, small_vis = pyramid_down(ir), pyramid_down(vis)
        detail_ir = ir - pyramid_up(small_ir, ir.shape[2:])
        detail_vis = vis - pyramid_up(small_vis, vis.shape[2:])
        stronger = torch.where(detail_ir.abs() > detail_vis.abs(), detail_ir, detail_vis)
        return stronger + pyramid_up(self._fuse(small_ir, small_vis, levels - 1), ir.shape[2:])


def _binomial(image: Tensor) -> Tensor:
    """Blur by 1, 4, 6, 4, 1 over 16 along rows and columns, with reflected borders."""
    taps = image.new_tensor((1.0, 4.0, 6.0, 4.0, 1.0)) / 16
    padded = F.pad(image, (2, 2, 2, 2), mode="reflect")
    return F.conv2d(F.conv2d(padded, taps.view(1, 1, 1, 5)), taps.view(1, 1, 5, 1))


def pyramid_down(image: Tensor) -> Tensor:
    """Every other pixel of the blurred image: ``(B, 1, H, W)`` to half the size, rounded up."""
    return _binomial(image)[..., ::2, ::2]


def pyramid_up(image: Tensor, size: Sequence[int]) -> Tensor:
    """Inverse of `pyramid_down` to ``size``: insert zeros, blur, and multiply by four."""
    spread = image.new_zeros(*image.shape[:2], *size)
    spread[..., ::2, ::2] = image
    return 4 * _binomial(spread)
