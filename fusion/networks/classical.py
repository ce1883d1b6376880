"""Fusion without anything learned: maximum, average and Laplacian pyramid.

Baselines of a table, and candidates of `fusion.training.reference`.
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
    """Without parameters; computes on the CPU, on pixels over 255."""

    def __init__(self) -> None:
        super().__init__()
        self.architecture = {}
        self.scaling = UNIT_SCALING

    def to_input(self, image: np.ndarray, value_range: tuple[float, float] | None = None) -> Tensor:
        return torch.from_numpy(self.scaling.to_network(image, value_range))[None, None]


@CLASSICAL.register("maximum")
class Maximum(_Classical):
    """The brighter of the two at each pixel."""

    reach = 0

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """``(B, 1, H, W)`` each, and fused."""
        return torch.maximum(ir, vis)


@CLASSICAL.register("average")
class Average(_Classical):
    """The mean of the two at each pixel."""

    reach = 0

    # Halves of a grey level go up. To the even one, as rounding has it, every odd grey would be
    # rare, and entropy lower by a fifth of a bit.
    _UPWARDS = 1e-6

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """``(B, 1, H, W)`` each, and fused."""
        return (ir + vis) / 2 + self._UPWARDS


@CLASSICAL.register("laplacian")
class LaplacianPyramid(_Classical):
    """The stronger detail at each scale and pixel, above the average of what is left (Burt, 1984).

    Args:
        levels: of detail, each of half the size of the one before; fewer where a side would be
            shorter than three pixels.
    """

    min_side = 3

    def __init__(self, levels: int = 4):
        super().__init__()
        self.architecture = {"levels": levels}
        self.levels = levels

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """``(B, 1, H, W)`` each, sides of at least 3, and fused."""
        return self._fuse(ir, vis, self.levels)

    def _fuse(self, ir: Tensor, vis: Tensor, levels: int) -> Tensor:
        if not levels or min(ir.shape[2:]) < 5:  # half of which the next filter could not mirror
            return (ir + vis) / 2
        small_ir, small_vis = pyramid_down(ir), pyramid_down(vis)
        detail_ir = ir - pyramid_up(small_ir, ir.shape[2:])
        detail_vis = vis - pyramid_up(small_vis, vis.shape[2:])
        stronger = torch.where(detail_ir.abs() > detail_vis.abs(), detail_ir, detail_vis)
        return stronger + pyramid_up(self._fuse(small_ir, small_vis, levels - 1), ir.shape[2:])


def _binomial(image: Tensor) -> Tensor:
    """Blur by 1, 4, 6, 4, 1 over 16 along rows and columns, borders mirrored."""
    taps = image.new_tensor((1.0, 4.0, 6.0, 4.0, 1.0)) / 16
    padded = F.pad(image, (2, 2, 2, 2), mode="reflect")
    return F.conv2d(F.conv2d(padded, taps.view(1, 1, 1, 5)), taps.view(1, 1, 5, 1))


def pyramid_down(image: Tensor) -> Tensor:
    """Every other pixel of the blurred picture: ``(B, 1, H, W)`` to halves, rounded up."""
    return _binomial(image)[..., ::2, ::2]


def pyramid_up(image: Tensor, size: Sequence[int]) -> Tensor:
    """Back to ``size`` from a picture of `pyramid_down`: blurred between zeros, and four times."""
    spread = image.new_zeros(*image.shape[:2], *size)
    spread[..., ::2, ::2] = image
    return 4 * _binomial(spread)
