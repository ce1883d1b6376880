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

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A 3x3 convolution with bias and reflection padding, as used throughout LRRNet."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, padding_mode="reflect")


def soft_threshold(v: Tensor, threshold: Tensor | float) -> Tensor:
    """Soft threshold ``sign(v) max(|v| - t, 0)``, elementwise (the ``h`` of Eq. 6-9).

    For ``t >= 0`` this is the proximal operator of ``t |.|``. A learned threshold can become
    negative (one in the published LRRNet is); the formula is then applied literally and moves ``v``
    away from zero by ``|t|``, with ``h(0) = 0``. `torch.nn.functional.softshrink` and
    ``v - clamp(v, -t, t)`` are different functions for negative thresholds.

    Args:
        v: any shape.
        threshold: broadcastable to ``v``, for example ``(C, 1, 1)`` for one value per channel.

    Returns:
        A tensor with the shape of ``v``.
    """
    return torch.sign(v) * F.relu(torch.abs(v) - threshold)


def is_recorded(x: Tensor) -> bool:
    """Whether operations on ``x`` are compiled, exported, traced or transformed by `torch.func`.

    If not, values may be inspected and, without gradients, overwritten.
    """
    return (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch._C._functorch.is_functorch_wrapped_tensor(x)
    )


def has_hooks(module: nn.Module) -> bool:
    """Whether the module has hooks, which expect it to be called as a module."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def is_as_built(module: nn.Module) -> bool:
    """Whether a stack, block or convolution is unmodified, so that its result follows from its
    parameters alone.

    A shortcut would bypass a part that was replaced by another class, and a hook; pruning, for
    instance, computes the weights in a hook.
    """
    return all(
        type(part) in (LLRR, LLRRBlock, nn.Conv2d, nn.ModuleList)
        and not has_hooks(part)
        and (type(part) is not nn.Conv2d or _keeps_size_by_reflection(part))
        for part in module.modules()
    )


def _keeps_size_by_reflection(conv: nn.Conv2d) -> bool:
    return (conv.kernel_size, conv.padding_mode) == ((3, 3), "reflect")


# --- Convolutions to and from one map, as matrix products -----------------------------------------
# A convolution library pads and reorders all maps of its operands. If one side has a single map,
# there is a cheaper way: the product of the (256, 9) weights with nine shifted copies of that map
# or, in the other direction, of the (9, 256) weights with the maps, with the nine results shifted
# and added. Reflection commutes with the sum over maps, so it too is applied to the nine only.


def _neighbours(x: Tensor) -> Tensor:
    """``(B, 1, H, W)`` to ``(B, 10, H * W)``: the 3x3 neighbours with reflection, and ones."""
    batch, _, height, width = x.shape
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
    neighbours = x.new_empty(batch, 10, height, width)
    for k in range(9):
        i, j = divmod(k, 3)
        neighbours[:, k] = padded[:, 0, i : i + height, j : j + width]
    neighbours[:, 9] = 1
    return neighbours.flatten(2)


def sum_of_taps(weight: Tensor, z: Tensor, size: Sequence[int]) -> Tensor:
    """3x3 convolution to one map, without bias, with reflection padding.

    Args:
        weight: ``(1, C, 3, 3)``.
        z: ``(B, C, H * W)``.
        size: ``(H, W)``, at least 2 each.

    Returns:
        ``(B, 1, H, W)``.
    """
    height, width = size
    taps = torch.matmul(weight.reshape(-1, 9).T, z)
    padded = F.pad(taps.view(-1, 9, height, width), (1, 1, 1, 1), mode="reflect")
    total = padded[:, :1, :height, :width].clone()
    for k in range(1, 9):
        i, j = divmod(k, 3)
        total += padded[:, k : k + 1, i : i + height, j : j + width]
    return total


class LLRRBlock(nn.Module):
    """One unrolled step, ``h_t(C2 * (x - C1 * z) + lam z)`` (Eq. 8).

    The block owns its two convolutions. The threshold and ``lam`` are passed to `forward`, because
    the blocks of a stack share them.

    Args:
        in_channels: channels of the input ``x``.
        num_coefficients: channels of the coefficients ``z``.
    """

    def __init__(self, in_channels: int, num_coefficients: int):
        super().__init__()
        self.synthesis = conv3x3(num_coefficients, in_channels)  # C1
        self.analysis = conv3x3(in_channels, num_coefficients)  # C2

    def forward(self, x: Tensor, z: Tensor, threshold: Tensor, lam: Tensor) -> Tensor:
        """Compute the next coefficients.

        Args:
            x: input, ``(B, in_channels, H, W)``, H and W at least 2.
            z: coefficients, ``(B, num_coefficients, H, W)``.
            threshold: ``(num_coefficients, 1, 1)``.
            lam: scalar weight of the current coefficients.

        Returns:
            Coefficients, ``(B, num_coefficients, H, W)``.
        """
        return soft_threshold(self.analysis(x - self.synthesis(z)) + lam * z, threshold)


class LLRR(nn.Module):
    """The unrolled stack: ``Z0 = h_t(C0 * x)``, followed by ``num_blocks`` `LLRRBlock` steps.

    There is one learned threshold per coefficient channel and one learned scalar ``lam``. The first
    step and all blocks share them.

    Args:
        in_channels: channels of the input: 1 for an image, any number for a feature map.
        num_filters: number of low-rank coefficient maps, and of sparse ones (the paper's n = 128).
        num_blocks: number of unrolled steps T; with 0 the result is ``Z0``.
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
        self.blocks: Any = nn.ModuleList(
            LLRRBlock(in_channels, num_coefficients) for _ in range(num_blocks)
        )
        # As published: thresholds and the weight of the previous step are drawn from U(0, 1).
        self.threshold = nn.Parameter(torch.rand(num_coefficients, 1, 1))
        self.lam = nn.Parameter(torch.rand(()))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Decompose ``x``.

        Args:
            x: ``(B, in_channels, H, W)``, H and W at least 2.

        Returns:
            Low-rank and sparse coefficients, each ``(B, num_filters, H, W)``.
        """
        at_once = self.in_channels == 1 and not torch.is_grad_enabled() and not is_recorded(x)
        if at_once and is_as_built(self):
            z, scale = self.scaled_coefficients(x)
            z = z.mul_(scale).view(x.shape[0], -1, *x.shape[2:])
        else:
            z = soft_threshold(self.encode(x), self.threshold)
            for block in self.blocks:
                z = block(x, z, self.threshold, self.lam)
        low_rank, sparse = z.chunk(2, dim=1)
        return low_rank, sparse

    # Dividing by a smaller threshold is numerically unsafe.
    _LEAST_SCALE = 1e-6

    @torch.no_grad()
    def scaled_coefficients(self, x: Tensor, store: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Low-rank and sparse coefficients divided by their thresholds, saving time and memory.

        After division by its threshold a channel has the threshold 1, and PyTorch's soft threshold
        with a scalar takes one pass over memory instead of the five of the general formula.
        Channels with a threshold near or below zero keep their scale and use the formula. One array
        holds the coefficients of all stages in turn. Records no gradients; requires one input
        channel.

        Args:
            x: ``(B, 1, H, W)``, H and W at least 2, float32 or float64.
            store: a flat array of x's type and device that is large enough for the coefficients; a
                new one if None.

        Returns:
            ``(B, 2 * num_filters, H * W)``, and the scale ``(2 * num_filters, 1)`` to multiply by.
        """
        threshold = self.threshold.flatten(1)
        divides = threshold > self._LEAST_SCALE
        scale = torch.where(divides, threshold, 1)
        apart = (~divides).flatten().nonzero().flatten()
        lam = float(self.lam)
        shape = (x.shape[0], len(scale), math.prod(x.shape[2:]))
        store = x.new_empty(math.prod(shape)) if store is None else store
        z = store[: math.prod(shape)].view(shape)
        for conv, taps in self._stages():
            weight = torch.cat([conv.weight.flatten(1), conv.bias[:, None]], 1) / scale
            weight = weight.expand(x.shape[0], -1, -1)
            if taps is None:
                torch.bmm(weight, _neighbours(x), out=z)
            else:
                scaled = taps.weight * scale.view(1, -1, 1, 1)
                residual = x - taps.bias - sum_of_taps(scaled, z, x.shape[2:])
                z.baddbmm_(weight, _neighbours(residual), beta=lam)
            if apart.numel():
                kept = soft_threshold(z[:, apart], threshold[apart])
            torch._C._nn.softshrink(z, 1.0, out=z)  # type: ignore[call-arg]  # the stub lacks out
            if apart.numel():
                z[:, apart] = kept
        return z, scale

    def _stages(self) -> list[tuple[Any, Any]]:
        """Analysis of each stage, with the preceding synthesis; the first stage has none."""
        return [(self.encode, None)] + [(block.analysis, block.synthesis) for block in self.blocks]
