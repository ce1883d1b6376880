"""LRRNet's branches as Triton kernels for GPUs. Not measured yet, and therefore off by default.

There are two kernels per stage, with all branches and images in one grid. The first keeps a block
of pixels in registers and iterates over the coefficient channels: nine neighbours as input,
threshold, nine taps of the convolution to a single map as output; its coefficients pass through
memory once. The second sums the taps to the input of the next stage. All arithmetic is plain
float32 multiply-adds without TF32.

The kernels were tested in Triton's interpreter, which runs them on the CPU
(``TRITON_INTERPRET=1``), and compile for compute capability 9.0.
"""

import os

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["available", "branch_maps"]

_BLOCK = 512  # pixels per program; four per thread, which share the scalar loads of weights
_WARPS = 4


@triton.jit
def _reflected(i, size):
    i = tl.where(i < 0, -i, i)
    return tl.where(i >= size, 2 * size - 2 - i, i)


@triton.jit
def _stage(
    m,  # [pictures, pixels]
    z,  # [pictures, channels, pixels]
    taps,  # [pictures, halves, 9, pixels]
    analysis,  # parameters of branch 0; branches are `stride` floats apart
    bias,
    weight,
    threshold,
    lam,
    stride,
    batch,
    height,
    width,
    channels,
    FIRST: tl.constexpr,
    HALVES: tl.constexpr,
    KEEP: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One stage of a block of pixels: z <- h(analysis * m + lam z), taps <- weight z."""
    picture = tl.program_id(1).to(tl.int64)
    parameters = (picture // batch) * stride
    pixels = height * width
    p = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = p < pixels
    row, column = p // width, p % width
    up, down = _reflected(row - 1, height) * width, _reflected(row + 1, height) * width
    here = row * width
    left, right = _reflected(column - 1, width), _reflected(column + 1, width)
    m += picture * pixels
    m0 = tl.load(m + up + left, mask=inside, other=0.0)
    m1 = tl.load(m + up + column, mask=inside, other=0.0)
    m2 = tl.load(m + up + right, mask=inside, other=0.0)
    m3 = tl.load(m + here + left, mask=inside, other=0.0)
    m4 = tl.load(m + here + column, mask=inside, other=0.0)
    m5 = tl.load(m + here + right, mask=inside, other=0.0)
    m6 = tl.load(m + down + left, mask=inside, other=0.0)
    m7 = tl.load(m + down + column, mask=inside, other=0.0)
    m8 = tl.load(m + down + right, mask=inside, other=0.0)
    factor = tl.load(lam + parameters)
    for half in tl.static_range(HALVES):
        q0 = tl.zeros([BLOCK], tl.float32)
        q1, q2, q3, q4, q5, q6, q7, q8 = q0, q0, q0, q0, q0, q0, q0, q0
        for i in range(channels // HALVES):
            c = half * (channels // HALVES) + i
            a = analysis + parameters + 9 * c
            v = tl.load(bias + parameters + c) + tl.load(a) * m0
            v += tl.load(a + 1) * m1
            v += tl.load(a + 2) * m2
            v += tl.load(a + 3) * m3
            v += tl.load(a + 4) * m4
            v += tl.load(a + 5) * m5
            v += tl.load(a + 6) * m6
            v += tl.load(a + 7) * m7
            v += tl.load(a + 8) * m8
            place = z + (picture * channels + c) * pixels + p
            if not FIRST:
                v += factor * tl.load(place, mask=inside, other=0.0).to(tl.float32)
            magnitude = tl.abs(v) - tl.load(threshold + parameters + c)
            signed = tl.where(v < 0, -magnitude, magnitude)
            zero = (magnitude <= 0) | (v == 0)  # false for NaN
            v = tl.where(zero, 0.0, signed)
            if KEEP:
                tl.store(place, v.to(z.dtype.element_ty), mask=inside)
            w = weight + parameters + 9 * c
            q0 += tl.load(w) * v
            q1 += tl.load(w + 1) * v
            q2 += tl.load(w + 2) * v
            q3 += tl.load(w + 3) * v
            q4 += tl.load(w + 4) * v
            q5 += tl.load(w + 5) * v
            q6 += tl.load(w + 6) * v
            q7 += tl.load(w + 7) * v
            q8 += tl.load(w + 8) * v
        out = taps + (picture * HALVES + half) * 9 * pixels + p
        tl.store(out, q0, mask=inside)
        tl.store(out + pixels, q1, mask=inside)
        tl.store(out + 2 * pixels, q2, mask=inside)
        tl.store(out + 3 * pixels, q3, mask=inside)
        tl.store(out + 4 * pixels, q4, mask=inside)
        tl.store(out + 5 * pixels, q5, mask=inside)
        tl.store(out + 6 * pixels, q6, mask=inside)
        tl.store(out + 7 * pixels, q7, mask=inside)
        tl.store(out + 8 * pixels, q8, mask=inside)


@triton.jit
def _gather(
    taps,  # [maps, 9, pixels]
    x,  # [maps, pixels], where RESIDUAL
    bias,  # of branch 0; branches are `stride` floats apart
    out,  # [maps, pixels]
    stride,
    batch,
    height,
    width,
    RESIDUAL: tl.constexpr,
    HALVES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Sum of the convolution's shifted taps, subtracted from x if RESIDUAL."""
    index = tl.program_id(1).to(tl.int64)
    pixels = height * width
    p = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = p < pixels
    row, column = p // width, p % width
    of_branch = index // HALVES // batch * stride + index % HALVES
    total = tl.zeros([BLOCK], tl.float32) + tl.load(bias + of_branch)
    for k in tl.static_range(9):
        shifted = _reflected(row + k // 3 - 1, height) * width
        shifted += _reflected(column + k % 3 - 1, width)
        total += tl.load(taps + (index * 9 + k) * pixels + shifted, mask=inside, other=0.0)
    if RESIDUAL:
        total = tl.load(x + index * pixels + p, mask=inside, other=0.0) - total
    tl.store(out + index * pixels + p, total, mask=inside)


@torch.no_grad()
def branch_maps(
    x: Tensor,
    packed: Tensor,
    num_filters: int,
    num_blocks: int,
    stored: torch.dtype = torch.float32,
) -> Tensor:
    """Low-rank and sparse maps of images, each computed by its branch; without gradients.

    Requires ``4 * 2 * num_filters`` bytes per pixel and image for the coefficients, or half of that
    if they are stored in half precision.

    Args:
        x, packed, num_filters, num_blocks: see `fusion.llrr.fast.cpu.branch_maps`; on the GPU.
        stored: the type of coefficients between stages: float32, or bfloat16, which has about three
            decimal digits; arithmetic is float32 in both cases.

    Returns:
        ``(branches, B, 2, H, W)``, float32.
    """
    x, packed = x.contiguous(), packed.contiguous()
    branches, batch, height, width = x.shape
    channels, pixels, pictures = 2 * num_filters, height * width, branches * batch
    z = x.new_empty((pictures, channels, pixels) if num_blocks else 0, dtype=stored)
    taps = x.new_empty(pictures, 2, 9, pixels)
    maps = x.new_empty(branches, batch, 2, height, width)
    if not x.numel():
        return maps
    analysis, bias, weight, weight_bias, threshold, lam = _unpacked(
        packed, channels, num_blocks + 1
    )
    where = (packed.stride(0), batch, height, width)
    grid = triton.cdiv(pixels, _BLOCK)
    m, residual = x, torch.empty_like(x)
    for i in range(num_blocks + 1):
        last = i == num_blocks
        halves = 2 if last else 1
        _stage[(grid, pictures)](
            m,
            z,
            taps,
            analysis[:, i],
            bias[:, i],
            weight[:, i],
            threshold,
            lam,
            *where,
            channels,
            FIRST=i == 0,
            HALVES=halves,
            KEEP=not last,
            BLOCK=_BLOCK,
            num_warps=_WARPS,
        )
        m = maps if last else residual
        _gather[(grid, pictures * halves)](
            taps,
            x,
            weight_bias[:, i:],
            m,
            *where,
            RESIDUAL=not last,
            HALVES=halves,
            BLOCK=_BLOCK,
            num_warps=_WARPS,
        )
    return maps


def _unpacked(packed: Tensor, channels: int, stages: int) -> list[Tensor]:
    """Views of the parameters of `fusion.llrr.fast.cpu.branch_maps`, one branch per row."""
    sizes = [stages * channels * 9, stages * channels] * 2
    sizes[3] = stages + 1
    shapes = [(stages, channels, 9), (stages, channels), (stages, channels, 9), (stages + 1,)]
    parts = packed.split([*sizes, channels, 1], dim=1)
    return [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=False)] + list(
        parts[4:]
    )


def available(device: torch.device) -> bool:
    """Whether the kernels run on a device: a CUDA device, or any in Triton's interpreter."""
    return device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"
