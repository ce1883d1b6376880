"""Where the modalities of a `tracker.model.joint.JointTracker` meet: registered classes by name.

A join is created once for the score and once for the box, with ``(modalities, channels, fusion,
fusion_args)``. One whose ``stage`` is "maps" maps correlation maps (or, with tap "towers", what the
towers make of them) to one; one of stage "responses" adds branches and combines their responses.

A fusion module F of two maps takes part in every join. It reads correlation maps, or whatever the
join reads. With tap "features" it reads the backbone's features of template and search region
instead, and the join receives the correlation of both as a map named `FUSED`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fusion.llrr.block import conv3x3
from fusion.llrr.registry import FUSIONS
from tracker.model.decision import fuse_decisions
from tracker.model.head import Response
from tracker.model.registry import JOINS

__all__ = ["FUSED", "ContextJoin", "DecisionJoin", "MeanJoin", "ModalityJoin"]

#: Name of the map that a fusion module makes of both modalities.
FUSED = "fused"


def _both(available: Mapping[str, Tensor], modalities: Sequence[str]) -> Tensor:
    return torch.stack([available[m] for m in modalities]).all(0)


def _fusion_module(
    fusion: str | None, channels: int, arguments: Mapping[str, Any] | None
) -> nn.Module | None:
    """The join's own fusion module; None without one, or if the maps contain its result."""
    if fusion is None or fusion == FUSED:
        return None
    return FUSIONS[fusion](channels, **(arguments or {}))


@JOINS.register("mean")
class MeanJoin(nn.Module):
    """Maps of several modalities to one.

        joined = mean over available m of x_m  [+ s F(x_rgb, x_ir)]

    A modality that is not available has no weight; its map need not exist. A fusion module F, with
    a learned scale ``s`` for every channel that is zero at the start, counts where both are there.

    Args:
        modalities: their names.
        channels: of the maps.
        fusion: F, of `fusion.llrr.registry.FUSIONS`, or `FUSED` if the maps contain what it made;
            None for no such term.
        fusion_args: arguments of that module besides ``channels``.
    """

    stage = "maps"

    def __init__(
        self,
        modalities: Sequence[str],
        channels: int,
        fusion: str | None = None,
        fusion_args: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self.modalities = tuple(modalities)
        self.fusion = _fusion_module(fusion, channels, fusion_args)
        self.fuses = fusion is not None
        if self.fuses:
            self.scale = nn.Parameter(torch.zeros(channels, 1, 1))

    def logits(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Logits ``(M, B, 1, H, W)`` of the maps' weights, in their order."""
        return torch.stack([x.new_zeros(x[:, :1].shape) for x in maps.values()])

    def weights(
        self, maps: Mapping[str, Tensor], available: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Weights ``(M, B, 1, H, W)`` of the maps, in their order; their sum over M is 1."""
        logits = self.logits(maps)
        if available is not None:
            mask = torch.stack([available[m] for m in maps])
            logits = logits.masked_fill(~mask[:, :, None, None, None], float("-inf"))
        return logits.softmax(0)

    def forward(
        self, maps: Mapping[str, Tensor], available: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Join maps.

        Args:
            maps: by modality, ``(B, channels, H, W)``; at least one. `FUSED`, if there, is what a
                fusion module made.
            available: by modality, ``(B,)`` booleans; each item of the batch needs one modality.
                All where None.
        """
        own = {m: x for m, x in maps.items() if m != FUSED}
        if len(own) == 1:
            return next(iter(own.values()))
        weighted = [w * x for w, x in zip(self.weights(own, available), own.values(), strict=True)]
        if available is not None:
            # A map that is not available may hold anything, even what is not finite.
            masks = [available[m][:, None, None, None] for m in own]
            weighted = [torch.where(m, x, 0) for m, x in zip(masks, weighted, strict=True)]
        joined = sum(weighted[1:], weighted[0])
        if not self.fuses or len(own) < len(self.modalities):
            return joined
        made = maps[FUSED] if self.fusion is None else self.fuse(own)
        fused = self.scale * made
        if available is None:
            return joined + fused
        both = _both(available, self.modalities)[:, None, None, None]
        return joined + torch.where(both, fused, 0)

    def fuse(self, maps: Mapping[str, Tensor]) -> Tensor:
        """F of the maps of both modalities."""
        assert self.fusion is not None
        return self.fusion(*(maps[m] for m in self.modalities))


@JOINS.register("gate")
class ModalityJoin(MeanJoin):
    """`MeanJoin` with learned weights.

        joined = sum over m of g_m x_m  [+ s F(x_rgb, x_ir)],    g = softmax over m of w_m * x_m

    with a 1x1 convolution ``w_m`` for every modality, zero at the start, which is the mean.

    Args:
        modalities, channels, fusion, fusion_args: see `MeanJoin`.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        channels: int,
        fusion: str | None = None,
        fusion_args: Mapping[str, Any] | None = None,
    ):
        super().__init__(modalities, channels, fusion, fusion_args)
        gates = {m: nn.Conv2d(channels, 1, 1) for m in modalities}
        for gate in gates.values():
            for parameter in gate.parameters():
                nn.init.zeros_(parameter)
        self.gates = nn.ModuleDict(gates)

    def logits(self, maps: Mapping[str, Tensor]) -> Tensor:
        return torch.stack([self.gates[m](x) for m, x in maps.items()])


@JOINS.register("context")
class ContextJoin(MeanJoin):
    """`MeanJoin` with learned weights that depend on all maps, and on the neighbouring cells.

        g = softmax over m of (V * relu(U * [x_rgb, x_ir]))_m

    with 3x3 convolutions U, to 16 channels, and V, zero at the start, which is the mean.

    Args:
        modalities, channels, fusion, fusion_args: see `MeanJoin`.
    """

    _WIDTH = 16

    def __init__(
        self,
        modalities: Sequence[str],
        channels: int,
        fusion: str | None = None,
        fusion_args: Mapping[str, Any] | None = None,
    ):
        super().__init__(modalities, channels, fusion, fusion_args)
        last = conv3x3(self._WIDTH, len(modalities))
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        first = conv3x3(len(modalities) * channels, self._WIDTH)
        self.gate = nn.Sequential(first, nn.ReLU(), last)

    def logits(self, maps: Mapping[str, Tensor]) -> Tensor:
        return self.gate(torch.cat(list(maps.values()), dim=1)).movedim(1, 0)[:, :, None]

    def weights(
        self, maps: Mapping[str, Tensor], available: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        if available is not None:
            # What is not finite would spoil the weights of the other modalities too.
            masks = {m: available[m][:, None, None, None] for m in maps}
            maps = {m: torch.where(masks[m], x, 0) for m, x in maps.items()}
        return super().weights(maps, available)


@JOINS.register("decision")
class DecisionJoin(nn.Module):
    """DFAT's decision-level fusion: every modality has a response of its own, see `fuse_decisions`.

    A fusion module makes one more branch, as in DFAT+RFN and DFAT+LLRR.

    Args:
        modalities, channels, fusion, fusion_args: see `MeanJoin`.
    """

    stage = "responses"

    def __init__(
        self,
        modalities: Sequence[str],
        channels: int,
        fusion: str | None = None,
        fusion_args: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self.modalities = tuple(modalities)
        self.fusion = _fusion_module(fusion, channels, fusion_args)

    def branches(
        self, maps: Mapping[str, Tensor], available: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """The maps, with that of the fused branch where both modalities have one."""
        if self.fusion is None or len(maps) < len(self.modalities):
            return dict(maps)
        own = [maps[m] for m in self.modalities]
        if available is not None:
            # What is not available may be not finite, and would stay so with a weight of zero.
            there = _both(available, self.modalities)[:, None, None, None]
            own = [torch.where(there, x, 0) for x in own]
        return {**maps, FUSED: self.fusion(*own)}

    def combine(
        self, responses: Mapping[str, Response], available: Mapping[str, Tensor] | None = None
    ) -> Response:
        """One response of those of the branches."""
        if len(responses) == 1:
            return next(iter(responses.values()))
        there = None
        if available is not None:
            masks = {**available, FUSED: _both(available, self.modalities)}
            there = torch.stack([masks[m] for m in responses])
            clean = {
                m: Response(*(torch.where(masks[m][:, None, None, None], x, 0) for x in response))
                for m, response in responses.items()
            }
            responses = clean
        return fuse_decisions(list(responses.values()), available=there)
