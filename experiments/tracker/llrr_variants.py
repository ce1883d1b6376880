"""Variants of LLRR fusion that were tried and did not win, see experiments/README.md.

PYTHONPATH=experiments/tracker tracker --import llrr_variants ablation
    --config experiments/tracker/llrr_variants.yaml ...
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fusion.llrr.block import LLRR, conv3x3
from fusion.llrr.registry import FUSIONS
from tracker.model.joins import ModalityJoin
from tracker.model.registry import JOINS


@FUSIONS.register("llrr_shared")
class SharedFusion(nn.Module):
    """One `LLRR` stack decomposes both maps together, so that they share their coefficients."""

    def __init__(self, channels: int, num_filters: int = 16, num_blocks: int = 2):
        super().__init__()
        self.llrr = LLRR(2 * channels, num_filters, num_blocks)
        self.conv_fused = conv3x3(2 * num_filters, channels)

    def forward(self, rgb: Tensor, ir: Tensor) -> Tensor:
        return self.conv_fused(torch.cat(self.llrr(torch.cat((rgb, ir), dim=1)), dim=1))


@FUSIONS.register("llrr_tied")
class TiedFusion(nn.Module):
    """`LLRRFusion` whose two stacks are the same one."""

    def __init__(self, channels: int, num_filters: int = 16, num_blocks: int = 2):
        super().__init__()
        self.llrr = LLRR(channels, num_filters, num_blocks)
        self.conv_back = conv3x3(2 * num_filters, channels)
        self.conv_fused = conv3x3(2 * channels, channels)

    def forward(self, rgb: Tensor, ir: Tensor) -> Tensor:
        back = self.conv_back(torch.cat(self.llrr(torch.cat((rgb, ir))), dim=1))
        return self.conv_fused(torch.cat(back.chunk(2), dim=1))


@JOINS.register("llrr_gate")
class SparseGate(ModalityJoin):
    """A gate whose logits are computed from the sparse coefficients of each map."""

    def __init__(
        self,
        modalities: Sequence[str],
        channels: int,
        fusion: str | None = None,
        fusion_args: Mapping[str, Any] | None = None,
    ):
        super().__init__(modalities, channels, fusion, fusion_args)
        self.stacks = nn.ModuleDict({m: LLRR(channels, 16, 2) for m in modalities})
        self.gates = nn.ModuleDict({m: _zero(conv3x3(16, 1)) for m in modalities})

    def logits(self, maps: Mapping[str, Tensor]) -> Tensor:
        return torch.stack([self.gates[m](self.stacks[m](x)[1]) for m, x in maps.items()])


def _zero(conv: nn.Conv2d) -> nn.Conv2d:
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)
    return conv
