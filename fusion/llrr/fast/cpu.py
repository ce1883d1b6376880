"""The compiled CPU kernel and its integration into autograd.

The library (C++, `kernel.h`) is built at installation if there is a compiler, and is called through
ctypes. It contains one kernel per *level* of instruction set: ``avx512``, ``avx2`` and
``baseline``. The best level that the processor supports is used. The environment variable
``RGBT_FAST`` selects a lower one, or disables the library if it is ``0``.
"""

import ctypes
import functools
import importlib.machinery
import math
import os
import time
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from fusion.base.errors import UserError

__all__ = ["branch_maps", "default_level", "levels", "peak_flops"]

# Largest and smallest number of columns that a thread processes at a time. With the largest, the
# coefficients still fit in the last-level cache; with the smallest, the 20 columns that adjacent
# chunks compute twice are a small part.
_CHUNK = 640
_LEAST_CHUNK = 160


@functools.cache
def _library() -> ctypes.CDLL | None:
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_llrr{suffix}")
        if path.is_file():
            try:
                library = ctypes.CDLL(str(path))
            except OSError:  # built for another system
                continue
            library.rgbt_llrr_level.restype = ctypes.c_char_p
            library.rgbt_llrr_multiply_add.restype = ctypes.c_double
            return library
    return None


@functools.cache
def levels() -> tuple[str, ...]:
    """Levels that this processor supports, best first; empty if the library was not built."""
    library = _library()
    if library is None:
        return ()
    names: list[str] = []
    while name := library.rgbt_llrr_level(len(names)):
        names.append(name.decode())
    return tuple(names)


def default_level() -> str | None:
    """The level selected by ``RGBT_FAST``, or the best one; None if there is none.

    Raises:
        UserError: ``RGBT_FAST`` is neither ``0`` nor a level that this processor supports.
    """
    wanted = os.environ.get("RGBT_FAST", "")
    if wanted == "0" or not levels():
        return None
    if wanted and wanted not in levels():
        raise UserError(
            f"RGBT_FAST={wanted}: set it to 0 or to one of {', '.join(levels())}, or unset it"
        )
    return wanted or levels()[0]


def peak_flops(level: str) -> float:
    """Measure the floating-point operations per second of one core, in register multiply-adds."""
    rounds, best = 3_000_000, 0.0  # tens of milliseconds or more
    library = _library()
    assert library is not None  # a level exists
    for _ in range(5):
        begin = time.process_time()
        done = library.rgbt_llrr_multiply_add(level.encode(), rounds)
        best = max(best, done / (time.process_time() - begin))
    return best


def branch_maps(
    x: Tensor, packed: Tensor, num_filters: int, num_blocks: int, level: str | None = None
) -> Tensor:
    """Low-rank and sparse maps of images, each computed by its branch.

    Differentiable once, with respect to images and parameters. Uses as many threads as PyTorch; the
    result does not depend on their number.

    Args:
        x: images, ``(branches, B, H, W)``, float32 on the CPU, H and W at least 2.
        packed: parameters, ``(branches, P)``, in the order of `Parameters` in ``llrr.h``: analysis
            weights (encoder, then blocks), analysis biases, weights to single maps (blocks'
            synthesis, then the low-rank and the sparse reduction), their biases, thresholds, lam.
        num_filters, num_blocks: those of the `fusion.llrr.block.LLRR`.
        level: one of `levels`; defaults to `default_level`.

    Returns:
        ``(branches, B, 2, H, W)``.

    Raises:
        RuntimeError: the level is not available, memory is exhausted, or a second derivative is
            requested.
        ValueError: shapes or types do not match.
    """
    coefficients = 2 * num_filters
    size = (num_blocks + 1) * coefficients * 19 + num_blocks + 2 + coefficients + 1
    for tensor in (x, packed):
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            raise ValueError(f"float32 on the CPU is needed, got {tensor.dtype} on {tensor.device}")
    if x.ndim != 4 or packed.shape != (x.shape[0], size) or min(x.shape[2:]) < 2:
        raise ValueError(
            f"(branches, B, H, W) with H and W at least 2 and (branches, {size}) are needed, got "
            f"{tuple(x.shape)} and {tuple(packed.shape)}"
        )
    level = level or default_level()
    if level is None:
        raise RuntimeError("the compiled kernel is not available, or disabled by RGBT_FAST=0")
    return _BranchMaps.apply(x, packed, num_filters, num_blocks, level)


class _BranchMaps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, packed: Tensor, num_filters: int, num_blocks: int, level: str
    ) -> Tensor:
        x, packed = x.contiguous(), packed.contiguous()
        branches, batch, height, width = x.shape
        maps = x.new_empty(branches, batch, 2, height, width)
        residuals = None
        if any(ctx.needs_input_grad):
            residuals = x.new_empty(branches, batch, num_blocks, height, width)
            ctx.save_for_backward(x, packed, residuals)
            ctx.setting = (num_filters, num_blocks, level)
        if x.numel():
            chunk = _chunk(width, pictures=branches * batch)
            sizes = (*x.shape, num_filters, num_blocks, chunk)
            _call("forward", level, sizes, (x, packed, maps, residuals))
        return maps

    @staticmethod
    def backward(ctx: Any, grad_maps: Tensor) -> tuple[Tensor | None, ...]:
        grad_x, grad_packed = _BranchGradients.apply(
            grad_maps, *ctx.saved_tensors, ctx.setting, ctx.needs_input_grad[1]
        )
        return grad_x, grad_packed, None, None, None


def _chunk(width: int, pictures: int) -> int:
    """Columns that a thread processes at a time; the result does not depend on them, bit by bit."""
    threads_a_picture = max(1, torch.get_num_threads() // pictures)
    return min(_CHUNK, max(_LEAST_CHUNK, math.ceil(width / threads_a_picture)))


class _BranchGradients(torch.autograd.Function):
    """The backward pass as a separate function, so that differentiating it raises an error."""

    @staticmethod
    def forward(
        ctx: Any,
        grad_maps: Tensor,
        x: Tensor,
        packed: Tensor,
        residuals: Tensor,
        setting: tuple[int, int, str],
        wants_packed: bool,
    ) -> tuple[Tensor, Tensor | None]:
        num_filters, num_blocks, level = setting
        grad_x = torch.zeros_like(x)
        grad_packed = x.new_zeros(*x.shape[:2], packed.shape[1]) if wants_packed else None
        if x.numel():
            arrays = (x, packed, residuals, grad_maps.contiguous(), grad_x, grad_packed)
            _call("backward", level, (*x.shape, num_filters, num_blocks), arrays)
        return grad_x, None if grad_packed is None else grad_packed.sum(1)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> NoReturn:
        raise RuntimeError(
            "LRRNet's compiled kernel has no second derivative; set the network's `fast` to False"
        )


def _call(
    function: str, level: str, sizes: tuple[int, ...], arrays: tuple[Tensor | None, ...]
) -> None:
    pointers = [ctypes.c_void_p(None if a is None else a.data_ptr()) for a in arrays]
    status = getattr(_library(), f"rgbt_llrr_{function}")(
        level.encode(), torch.get_num_threads(), *sizes, *pointers
    )
    if status:
        reason = {1: f"this processor has no level {level!r}", 2: "out of memory"}[status]
        raise RuntimeError(f"LRRNet's compiled kernel: {reason}")
