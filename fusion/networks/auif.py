"""AUIF-Net: algorithm unrolling image fusion (Zhao et al., TCSVT 2022).

Fixed filters separate an image into a base and a detail image. Unrolled gradient steps with learned
filters refine each on a quadratic problem. Base and detail are fused by the rule, added, and
decoded by a single convolution.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.images.pixels import PixelScaling
from fusion.llrr.block import conv3x3
from fusion.networks.autoencoder import AutoencoderFusion, Rule
from fusion.networks.base import UNIT_SCALING, PublishedWeights
from fusion.networks.registry import NETWORKS

__all__ = ["AUIF", "UnrolledStep", "box_blur", "laplacian"]

BLUR_SIZE, LAPLACIAN_SIZE = 11, 19


def box_blur(image: Tensor, size: int) -> Tensor:
    """Mean over ``size x size``, borders reflected; ``(B, C, H, W)``, sides > ``size // 2``."""
    padded = F.pad(image, (size // 2,) * 4, mode="reflect")
    rows = F.avg_pool2d(padded, (size, 1), stride=1)
    return F.avg_pool2d(rows, (1, size), stride=1)


def laplacian(image: Tensor, size: int) -> Tensor:
    """Laplacian with a kernel of sum 0 and l1-norm 1: ``size x size`` equal values and the centre.

    Borders are reflected; ``(B, C, H, W)``, sides > ``size // 2``.
    """
    # sum - n x, with n = size^2 terms, over the kernel's l1-norm of 2 (n - 1).
    terms = size**2
    return (box_blur(image, size) - image) * (terms / (2 * (terms - 1)))


class UnrolledStep(nn.Module):
    """One gradient step, ``x - eta (PReLU(BN(K^T (K x))) - theta (image - x))``.

    ``K`` is a 3x3 convolution to ``num_filters`` maps and ``K^T`` its adjoint with the same kernel.
    ``eta`` and ``theta`` are learned and can have either sign: some published ones are negative.
    """

    def __init__(self, num_filters: int):
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(num_filters, 1, 3, 3))
        nn.init.kaiming_uniform_(self.kernel, a=5**0.5)  # PyTorch's default for convolutions
        self.eta = nn.Parameter(torch.tensor([0.1]))
        self.theta = nn.Parameter(torch.tensor([1e-3]))
        self.rest = nn.Sequential(nn.BatchNorm2d(1), nn.PReLU())

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        """Apply the step; both arguments ``(B, 1, H, W)`` with sides of at least 4."""
        return x - self.eta * (self.rest(self.normal(x)) - self.theta * (image - x))

    def normal(self, x: Tensor) -> Tensor:
        """``K^T (K x)`` of ``(B, 1, H, W)``, with reflected borders in both convolutions.

        Both are linear, so together they are one 5x5 convolution with the sum of the filters'
        autocorrelations, except at a border of one pixel, where the reflected maps of ``K x``
        differ from the maps of a reflected x. For 64 filters this takes 46 times fewer products.
        """
        autocorrelation = F.conv2d(
            F.pad(self.kernel.transpose(0, 1), (2,) * 4), self.kernel.transpose(0, 1)
        )
        inner = F.conv2d(F.pad(x, (1,) * 4, mode="reflect"), autocorrelation)
        top, bottom = self._in_turn(x[..., :4, :]), self._in_turn(x[..., -4:, :])
        left, right = self._in_turn(x[..., :4]), self._in_turn(x[..., -4:])
        middle = torch.cat([left[..., 1:-1, :1], inner, right[..., 1:-1, -1:]], dim=3)
        return torch.cat([top[..., :1, :], middle, bottom[..., -1:, :]], dim=2)

    def _in_turn(self, x: Tensor) -> Tensor:
        """`normal` computed by its definition."""
        maps = F.conv2d(F.pad(x, (1,) * 4, mode="reflect"), self.kernel)
        adjoint = self.kernel.transpose(0, 1).flip(2, 3)
        return F.conv2d(F.pad(maps, (1,) * 4, mode="reflect"), adjoint)


@NETWORKS.register("auif")
class AUIF(AutoencoderFusion):
    """Fuses an infrared and a visible image; 11 631 parameters.

    Images must have at least 10x10 pixels, because the large filters reflect the borders.

    Args:
        rule: ``sum`` as published, ``average`` or ``l1``.
        num_steps: number of unrolled steps per encoder.
        num_filters: number of filters per step.
        scaling: pixel convention of the weights; defaults to the published one, ``x / 255`` for the
            input and ``round(255 x)`` for the output.
    """

    verified = "12 published images"
    min_side = LAPLACIAN_SIZE // 2 + 1
    published = PublishedWeights(
        markers=("conv1.0.kernel", "conv2.0.kernel", "decoder.1.weight"),
        names={"base": "conv1", "detail": "conv2", "decoder": "decoder"},
        # In the authors' decoder, padding is a separate layer.
        shifted={"decoder": 1},
    )

    def __init__(
        self,
        rule: Rule = "sum",
        num_steps: int = 10,
        num_filters: int = 64,
        scaling: PixelScaling | None = None,
    ):
        super().__init__(rule)
        self.architecture = {"rule": rule, "num_steps": num_steps, "num_filters": num_filters}
        self.scaling = scaling or UNIT_SCALING
        self.base = nn.ModuleList(UnrolledStep(num_filters) for _ in range(num_steps))
        self.detail = nn.ModuleList(UnrolledStep(num_filters) for _ in range(num_steps))
        conv = conv3x3(1, 1)
        conv.register_parameter("bias", None)  # the following normalisation has one
        self.decoder = nn.Sequential(conv, nn.BatchNorm2d(1), nn.Sigmoid())

    @property
    def reach(self) -> int:
        widest = max(BLUR_SIZE, LAPLACIAN_SIZE) // 2
        return self._reach(widest + 2 * len(self.base) + 1)

    def encode(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Image ``(B, 1, H, W)`` to its base and detail, each ``(B, 1, H, W)``."""
        base, detail = box_blur(image, BLUR_SIZE), laplacian(image, LAPLACIAN_SIZE)
        for step in self.base:
            base = step(base, image)
        for step in self.detail:
            detail = step(detail, image)
        return base, detail

    def decode(self, base: Tensor, detail: Tensor) -> Tensor:
        """Base and detail to an image ``(B, 1, H, W)`` in 0..1."""
        return self.decoder(base + detail)
