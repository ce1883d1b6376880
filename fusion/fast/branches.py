"""When LRRNet's branches can go through a fused kernel, and how."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fusion.fast import cpu
from fusion.llrr import LLRR

__all__ = ["Branch", "kernel_applies", "reduce_by_kernel"]


class Branch(NamedTuple):
    """One modality's way from its picture to its two maps."""

    stack: nn.Module  #: an `LLRR` of one input channel, where the kernel shall apply
    low_rank: nn.Conv2d  #: reduces the low-rank coefficients to one map
    sparse: nn.Conv2d  #: reduces the sparse ones

    def modules(self) -> Iterator[nn.Module]:
        for part in self:
            yield from part.modules()


def kernel_applies(pictures: Sequence[Tensor], branches: Sequence[Branch]) -> bool:
    """Whether `reduce_by_kernel` would give what the modules give.

    It would for pictures of one size and parameters, all float32 on the CPU (under autocast,
    pictures of any float type), where the modules are what `fusion.lrrnet.LRRNet` builds and
    nothing hooks into them, and nobody records the computation (`torch.compile`, export, tracing).
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or cpu.default_level() is None:
        return False
    first = pictures[0]
    if first.ndim != 4 or first.shape[1] != 1 or min(first.shape[2:]) < 2:
        return False
    autocast = torch.is_autocast_enabled("cpu")
    if not all(
        _is_plain(x)
        and x.shape == first.shape
        and (x.dtype == torch.float32 or (autocast and x.is_floating_point()))
        for x in pictures
    ):
        return False
    return all(_is_built_by_us(branch) for branch in branches)


def _is_plain(tensor: Tensor) -> bool:
    """An array in the CPU's memory, not a stand-in for one."""
    return (
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.device.type == "cpu"
        and tensor.layout == torch.strided
        and not torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    )


def _is_built_by_us(branch: Branch) -> bool:
    if type(branch.stack) is not LLRR or branch.stack.in_channels != 1:
        return False
    # A hook would be passed by; so would one that makes a module's parameters, as pruning's does.
    return not any(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks
        for module in branch.modules()
    ) and all(
        _is_plain(parameter) and parameter.dtype == torch.float32
        for module in branch.modules()
        for parameter in module.parameters(recurse=False)
    )


def reduce_by_kernel(
    pictures: Sequence[Tensor], branches: Sequence[Branch]
) -> list[tuple[Tensor, Tensor]]:
    """Each picture's low-rank and sparse map, as the modules of its branch give them.

    Under autocast everything is computed in float32: the kernel has no operands in memory whose
    traffic half precision would spare.

    Args:
        pictures: ``(B, 1, H, W)`` each, one a branch, such that `kernel_applies`.
        branches: their modules.

    Returns:
        A pair of ``(B, 1, H, W)`` a branch, float32.
    """
    with torch.autocast("cpu", enabled=False):
        x = torch.cat([picture.float() for picture in pictures], dim=1).transpose(0, 1)
        packed = torch.stack([_pack(branch) for branch in branches])
        stack = branches[0].stack
        maps = cpu.branch_maps(x, packed, stack.num_filters, len(stack.blocks))
    return [tuple(of_branch.split(1, dim=1)) for of_branch in maps]


def _pack(branch: Branch) -> Tensor:
    """Parameters in the order of `fusion.fast.cpu.branch_maps`."""
    stack, low_rank, sparse = branch
    analysis = [stack.encode, *(block.analysis for block in stack.blocks)]
    taps = [*(block.synthesis for block in stack.blocks), low_rank, sparse]
    parameters = [conv.weight for conv in analysis] + [conv.bias for conv in analysis]
    parameters += [conv.weight for conv in taps] + [conv.bias for conv in taps]
    parameters += [stack.threshold, stack.lam]
    return torch.cat([parameter.reshape(-1) for parameter in parameters])
