"""Learned low-rank representation: soft threshold, LLRR block and the unrolled stack.

LRRNet (Li et al., TPAMI 2023, Sec. 3) writes an input as ``X = D1 L + D2 S`` with low-rank
coefficients L and sparse coefficients S, and minimises the relaxed objective by proximal gradient
steps on ``Z = [L; S]``. Each step has the form of Eq. 6-9,

    Z <- h_t( C2 * (X - C1 * Z) + lam Z ),

where ``h_t`` is the soft threshold, ``C1`` maps coefficients back to the input (the dictionary)
and ``C2`` maps the residual to coefficients (its adjoint). The network unrolls a few such steps
and learns ``C1``, ``C2``, ``t`` and ``lam``: learned iterative shrinkage (LISTA) with
convolutions for matrices.

Everything here works on any number of input channels: one for an image, hundreds for a feature map.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["LLRR", "LLRRBlock", "conv3x3", "conv_by_groups", "soft_threshold"]


def conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A 3x3 convolution with bias that keeps the size by reflection, as everywhere in LRRNet."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, padding_mode="reflect")


def soft_threshold(v: Tensor, threshold: Tensor | float) -> Tensor:
    """Soft threshold ``sign(v) max(|v| - t, 0)``, elementwise (the ``h`` of Eq. 6-9).

    For ``t >= 0`` this is the proximal operator of ``t |.|``. A learned threshold may turn negative
    (one in the published LRRNet is); the formula is then taken literally and moves ``v`` away from
    zero by ``|t|``, with ``h(0) = 0``. `torch.nn.functional.softshrink` and ``v - clamp(v, -t, t)``
    are different functions there.

    Args:
        v: any shape.
        threshold: broadcastable to ``v``, for instance ``(C, 1, 1)`` for one value a channel.

    Returns:
        A tensor of the shape of ``v``.
    """
    return torch.sign(v) * F.relu(torch.abs(v) - threshold)


def _soft_threshold_(v: Tensor, threshold: Tensor) -> Tensor:
    """`soft_threshold` in place, for code that keeps no graph."""
    magnitude = v.abs().sub_(threshold).relu_()
    return v.sign_().mul_(magnitude)


# Without a graph, coefficients are made and used a group of channels at a time. A convolution
# library pads and reorders its operands, so that 256 full-size maps would be held two or three
# times over; with groups, the one array of coefficients is nearly all the memory a stack takes.
_GROUP_ELEMENTS = 8 * 640 * 512


def _channel_groups(num_channels: int, batch: int, height: int, width: int) -> list[slice]:
    """Slices of at least eight channels that keep a group's temporaries small."""
    size = max(8, _GROUP_ELEMENTS // max(1, batch * height * width))
    return [slice(i, i + size) for i in range(0, num_channels, size)]


def conv_by_groups(conv: nn.Conv2d, z: Tensor) -> Tensor:
    """``conv(z)`` of a `conv3x3`, summed over groups of input channels.

    Equal to ``conv(z)`` up to rounding. Saves memory where ``z`` has many channels and no graph is
    kept; under autograd it would save nothing.
    """
    out = conv.bias.view(1, -1, 1, 1)
    for group in _channel_groups(z.shape[1], z.shape[0], *z.shape[2:]):
        padded = F.pad(z[:, group], (1, 1, 1, 1), mode="reflect")
        out = out + F.conv2d(padded, conv.weight[:, group])
    return out


class LLRRBlock(nn.Module):
    """One unrolled step, ``h_t(C2 * (x - C1 * z) + lam z)`` (Eq. 8).

    The block owns its two convolutions. The threshold and ``lam`` are arguments, because a stack
    shares them among its blocks.

    Args:
        in_channels: channels of the input ``x``.
        num_coefficients: channels of the coefficients ``z``.
    """

    def __init__(self, in_channels: int, num_coefficients: int):
        super().__init__()
        self.synthesis = conv3x3(num_coefficients, in_channels)  # C1
        self.analysis = conv3x3(in_channels, num_coefficients)  # C2

    def forward(self, x: Tensor, z: Tensor, threshold: Tensor, lam: Tensor) -> Tensor:
        """Next coefficients.

        Args:
            x: input, ``(B, in_channels, H, W)``, H and W at least 2.
            z: coefficients, ``(B, num_coefficients, H, W)``.
            threshold: ``(num_coefficients, 1, 1)``.
            lam: scalar weight of the previous coefficients.

        Returns:
            Coefficients, ``(B, num_coefficients, H, W)``.
        """
        return soft_threshold(self.analysis(x - self.synthesis(z)) + lam * z, threshold)

    def step_(self, x: Tensor, z: Tensor, threshold: Tensor, lam: Tensor) -> Tensor:
        """`forward` written over ``z``, by groups of channels. Only where no graph is kept."""
        residual = F.pad(x - conv_by_groups(self.synthesis, z), (1, 1, 1, 1), mode="reflect")
        for group in _channel_groups(z.shape[1], z.shape[0], *z.shape[2:]):
            change = F.conv2d(residual, self.analysis.weight[group], self.analysis.bias[group])
            _soft_threshold_(z[:, group].mul_(lam).add_(change), threshold[group])
        return z


class LLRR(nn.Module):
    """The unrolled stack: ``Z0 = h_t(C0 * x)``, then ``num_blocks`` times `LLRRBlock`.

    One learned threshold a coefficient channel and one learned scalar ``lam``, shared by the first
    step and all blocks.

    Args:
        in_channels: channels of the input: 1 for an image, any number for a feature map.
        num_filters: low-rank coefficient maps, and as many sparse ones (the paper's n = 128).
        num_blocks: unrolled steps T; 0 leaves ``Z0``.
    """

    def __init__(self, in_channels: int = 1, num_filters: int = 128, num_blocks: int = 4):
        super().__init__()
        if in_channels < 1 or num_filters < 1 or num_blocks < 0:
            raise ValueError(
                "LLRR needs in_channels >= 1, num_filters >= 1 and num_blocks >= 0, got "
                f"{in_channels}, {num_filters}, {num_blocks}"
            )
        self.in_channels = in_channels
        self.num_filters = num_filters
        num_coefficients = 2 * num_filters
        self.encode = conv3x3(in_channels, num_coefficients)  # C0
        self.blocks = nn.ModuleList(
            LLRRBlock(in_channels, num_coefficients) for _ in range(num_blocks)
        )
        # As published: thresholds from U(0, 1), the weight of the previous step from U(0, 1) too.
        self.threshold = nn.Parameter(torch.rand(num_coefficients, 1, 1))
        self.lam = nn.Parameter(torch.rand(()))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Decompose ``x``.

        Args:
            x: ``(B, in_channels, H, W)``, H and W at least 2.

        Returns:
            Low-rank and sparse coefficients, ``(B, num_filters, H, W)`` each.
        """
        if torch.is_grad_enabled():
            z = soft_threshold(self.encode(x), self.threshold)
            for block in self.blocks:
                z = block(x, z, self.threshold, self.lam)
        else:
            z = self._encode_by_groups(x)
            for block in self.blocks:
                block.step_(x, z, self.threshold, self.lam)
        return z.chunk(2, dim=1)

    def _encode_by_groups(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        z = x.new_empty(batch, 2 * self.num_filters, height, width)
        for group in _channel_groups(z.shape[1], batch, height, width):
            z[:, group] = F.conv2d(padded, self.encode.weight[group], self.encode.bias[group])
            _soft_threshold_(z[:, group], self.threshold[group])
        return z
