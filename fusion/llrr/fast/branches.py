"""LRRNet's two branches, computed by the fastest implementation for the given tensors."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from types import ModuleType
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from fusion.llrr.block import LLRR, is_as_built, is_recorded, sum_of_taps
from fusion.llrr.fast import cpu
from fusion.llrr.fast.windows import windows

__all__ = ["Branch", "branch_maps"]

GPUKernel = Literal["off", "float32", "bfloat16"]

#: Low-rank and sparse map of a branch, each ``(B, 1, H, W)``.
Maps = tuple[Tensor, Tensor]

# Sides of a tile. On a CPU its coefficients, with 256 channels, should fit in the cache; on other
# devices there should be enough of them to keep the device busy.
_TILE = {"cpu": (92, 92)}
_LARGE_TILE = (1024, 1024)


class Branch(NamedTuple):
    """The modules from one modality's image to its two maps."""

    stack: Any  #: an `LLRR` of one input channel, or another extractor
    low_rank: nn.Conv2d  #: reduces the low-rank coefficients to one map
    sparse: nn.Conv2d  #: reduces the sparse ones

    def parameters(self) -> Iterator[nn.Parameter]:
        """All parameters of the three parts."""
        for part in self:
            yield from part.parameters()


def branch_maps(
    pictures: Sequence[Tensor], branches: Sequence[Branch], gpu_kernel: GPUKernel = "off"
) -> list[Maps] | None:
    """Low-rank and sparse map of each image, equal to those of the branch's modules.

    On the CPU in float32, the compiled kernel is used if it is available. Otherwise, and only
    without gradients, the maps are computed by matrix products in tiles or, on request, by the
    Triton kernels for float32 on a GPU. Under autocast everything is computed in float32: there
    are no large operands for which half precision would save memory traffic.

    Args:
        pictures: one image ``(B, 1, H, W)`` per branch.
        branches: their modules.
        gpu_kernel: the type in which Triton kernels store coefficients, or "off".

    Returns:
        One pair of maps per branch. None if the modules themselves must be called: if they differ
        from what `fusion.networks.lrrnet.LRRNet` builds or have hooks, if types or sizes differ, if
        gradients are required that the kernel cannot compute, or if the computation is recorded
        (`torch.compile`, export).
    """
    first = pictures[0]
    if torch.is_autocast_enabled(first.device.type):
        with torch.autocast(first.device.type, enabled=False):
            return branch_maps([x.float() for x in pictures], branches, gpu_kernel)
    if not (_belong_together(pictures) and all(_is_as_built(b, first) for b in branches)):
        return None
    if first.dtype == torch.float32 and not torch.is_grad_enabled() and gpu_kernel != "off":
        gpu = _gpu_kernels()
        if gpu is not None and gpu.available(first.device):
            stored = {"float32": torch.float32, "bfloat16": torch.bfloat16}[gpu_kernel]
            return _by_kernel(partial(gpu.branch_maps, stored=stored), pictures, branches)
    if first.dtype == torch.float32 and first.device.type == "cpu" and cpu.default_level():
        return _by_kernel(cpu.branch_maps, pictures, branches)
    if first.dtype in (torch.float32, torch.float64) and not torch.is_grad_enabled():
        return [_by_tiles(*each) for each in zip(pictures, branches, strict=True)]
    return None


def _belong_together(pictures: Sequence[Tensor]) -> bool:
    first = pictures[0]
    return (first.ndim == 4 and first.shape[1] == 1 and min(first.shape[2:]) >= 2) and all(
        _is_plain(x) and (x.shape, x.dtype, x.device) == (first.shape, first.dtype, first.device)
        for x in pictures
    )


def _is_plain(tensor: Tensor) -> bool:
    """Whether the tensor is an array in memory rather than a subclass or a placeholder."""
    return (
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.device.type != "meta"
        and tensor.layout == torch.strided
        and not is_recorded(tensor)
    )


def _is_as_built(branch: Branch, like: Tensor) -> bool:
    """Whether a branch consists of this package's unmodified modules, with parameters like
    ``like``."""
    if type(branch.stack) is not LLRR or branch.stack.in_channels != 1:
        return False
    return all(is_as_built(part) for part in branch) and all(
        _is_plain(p) and (p.dtype, p.device) == (like.dtype, like.device)
        for p in branch.parameters()
    )


# --- By a kernel ----------------------------------------------------------------------------------


@cache
def _gpu_kernels() -> ModuleType | None:
    """`fusion.llrr.fast.gpu`, or None if Triton is not installed."""
    try:
        from fusion.llrr.fast import gpu
    except ImportError:
        return None
    return gpu


def _by_kernel(
    kernel: Callable[[Tensor, Tensor, int, int], Tensor],
    pictures: Sequence[Tensor],
    branches: Sequence[Branch],
) -> list[Maps]:
    stack = branches[0].stack
    maps = kernel(
        torch.cat(list(pictures), dim=1).transpose(0, 1),
        torch.stack([_pack(branch) for branch in branches]),
        stack.num_filters,
        len(stack.blocks),
    )
    return [tuple(of_branch.split(1, dim=1)) for of_branch in maps]


def _pack(branch: Branch) -> Tensor:
    """All parameters in the order of `fusion.llrr.fast.cpu.branch_maps`."""
    stack, low_rank, sparse = branch
    analysis = [stack.encode, *(block.analysis for block in stack.blocks)]
    taps = [*(block.synthesis for block in stack.blocks), low_rank, sparse]
    parameters = [conv.weight for conv in analysis] + [conv.bias for conv in analysis]
    parameters += [conv.weight for conv in taps] + [conv.bias for conv in taps]
    parameters += [stack.threshold, stack.lam]
    return torch.cat([parameter.reshape(-1) for parameter in parameters])


# --- By matrix products, tile by tile -------------------------------------------------------------


def _by_tiles(picture: Tensor, branch: Branch) -> Maps:
    maps = torch.empty_like(picture), torch.empty_like(picture)
    height, width = _TILE.get(picture.device.type, _LARGE_TILE)
    reach = 2 * len(branch.stack.blocks) + 2  # number of convolutions from the image to the maps
    # One array for all tiles: several sizes would leave gaps that the C library does not release.
    sides = (min(s, t + 2 * reach) for s, t in zip(picture.shape[2:], (height, width), strict=True))
    coefficients = len(picture) * 2 * branch.stack.num_filters
    store = picture.new_empty(coefficients * math.prod(sides))
    for rows in windows(picture.shape[2], height, reach):
        for columns in windows(picture.shape[3], width, reach):
            tile = picture[..., rows.read, columns.read]
            for out, of_tile in zip(maps, _tile_maps(tile, branch, store), strict=True):
                out[..., rows.kept, columns.kept] = of_tile[..., rows.inner, columns.inner]
    return maps


def _tile_maps(tile: Tensor, branch: Branch, store: Tensor) -> Iterator[Tensor]:
    z, scale = branch.stack.scaled_coefficients(tile, store)
    halves = zip((branch.low_rank, branch.sparse), z.chunk(2, 1), scale.chunk(2), strict=True)
    for conv, half, half_scale in halves:
        taps = sum_of_taps(conv.weight * half_scale[..., None], half, tile.shape[2:])
        yield taps if conv.bias is None else taps + conv.bias
