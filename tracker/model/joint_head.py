"""An anchor-free head on two correlations, as in NanoTrack, that joins modalities inside.

Pixelwise correlation compares every cell of the search region with every cell of the template (Yan
et al., Alpha-Refine, CVPR 2021); depthwise correlation moves the template's centre over the search
region (SiamRPN++). A tower of separable convolutions reads a score from both, another one the
distances from a cell to the sides of the box. Several modalities are joined between the
correlations and the towers, so that each is compared with its own template and one tower decides.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from fusion.llrr.registry import FUSIONS
from tracker.model.head import Response, depthwise_correlation
from tracker.model.joins import FUSED
from tracker.model.neck import crop_centre
from tracker.model.registry import JOINS

__all__ = ["TAPS", "CorrelationKernels", "JointHead"]

Tap = Literal["features", "maps", "towers"]

#: What a fusion module reads: the backbone's features, correlation maps, or the towers' output.
TAPS: tuple[Tap, ...] = ("features", "maps", "towers")


class CorrelationKernels(NamedTuple):
    """What of a template a `Correlation` needs.

    Attributes:
        pixelwise: ``(B, C, cells)``, a vector for every cell of the template.
        depthwise: ``(B, C, h, w)``, the central cells.
    """

    pixelwise: Tensor
    depthwise: Tensor


def _conv_bn(inputs: int, outputs: int, bias: bool = False) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 1, bias=bias), nn.BatchNorm2d(outputs)]


def _filter_bn(channels: int, size: int, padding: int) -> list[nn.Module]:
    conv = nn.Conv2d(channels, channels, size, padding=padding, groups=channels, bias=False)
    return [conv, nn.BatchNorm2d(channels), nn.ReLU6(inplace=True)]


class Correlation(nn.Module):
    """Template and search features to one map of how alike they are.

    Args:
        channels: of the features and of the result.
        template_cells: cells of a template along a side.
        centre_cells: cells of the depthwise kernel along a side.
    """

    def __init__(self, channels: int, template_cells: int, centre_cells: int):
        super().__init__()
        self.centre_cells = centre_cells
        cells = template_cells * template_cells
        self.pixelwise_kernel = nn.Sequential(*_conv_bn(channels, channels, bias=True))
        self.pixelwise_search = nn.Sequential(*_conv_bn(channels, channels, bias=True))
        self.depthwise_kernel = nn.Sequential(*_conv_bn(channels, channels, bias=True))
        self.depthwise_search = nn.Sequential(*_conv_bn(channels, channels, bias=True))
        self.attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(cells, cells, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(cells, cells, 1),
            nn.Sigmoid(),
        )
        # Without padding of its own the 2x2 filter brings the map to the depthwise one's size.
        self.spread = nn.Sequential(*_filter_bn(cells, 2, 0), *_conv_bn(cells, cells, bias=True))
        self.reduce = nn.Conv2d(channels + cells, channels, 1)

    def kernels(self, template: Tensor) -> CorrelationKernels:
        """Kernels of a template ``(B, C, template_cells, template_cells)``."""
        centre = crop_centre(template, self.centre_cells)
        return CorrelationKernels(
            self.pixelwise_kernel(template).flatten(2), self.depthwise_kernel(centre)
        )

    def forward(self, kernels: CorrelationKernels, search: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C, H - 1, W - 1)``."""
        # Cells by channels: the product is a map in channels-last memory, as convolutions read it.
        cells = self.pixelwise_search(search).permute(0, 2, 3, 1)
        similarity = cells.flatten(1, 2) @ kernels.pixelwise
        similarity = similarity.unflatten(1, cells.shape[1:3]).permute(0, 3, 1, 2)
        similarity = self.spread(similarity * self.attention(similarity))
        padded = nn.functional.pad(self.depthwise_search(search), [self.centre_cells // 2 - 1] * 4)
        slid = depthwise_correlation(padded, kernels.depthwise)
        return self.reduce(torch.cat((similarity, slid), dim=1))


def _tower(channels: int, depth: int) -> nn.Sequential:
    """Separable convolutions: depthwise 3x3 with ReLU6, then 1x1 without activation."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [*_filter_bn(channels, 3, 1), *_conv_bn(channels, channels)]
    return nn.Sequential(*layers)


class JointHead(nn.Module):
    """Scores and boxes of a search region, from features of one modality or several.

    Args:
        modalities: their names; they share the correlations and the towers.
        channels: of the features.
        template_cells, centre_cells: see `Correlation`.
        depth: separable convolutions of a tower.
        fusion, fusion_args: see `tracker.model.joins.MeanJoin`.
        join: of `tracker.model.registry.JOINS`.
        tap: what the fusion module reads, of `TAPS`; with "towers", the join reads it too.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        channels: int = 96,
        template_cells: int = 8,
        centre_cells: int = 4,
        depth: int = 6,
        fusion: str | None = None,
        fusion_args: Mapping[str, Any] | None = None,
        join: str = "gate",
        tap: Tap = "maps",
    ):
        super().__init__()
        parts = ("cls", "loc")
        self.tap = tap
        self.correlations: Any = nn.ModuleDict(
            {p: Correlation(channels, template_cells, centre_cells) for p in parts}
        )
        several = len(modalities) > 1
        before = bool(fusion) and tap == "features"
        # Before both correlations, one module for templates and search regions.
        self.fusion = None
        if fusion and before:
            self.fusion = FUSIONS[fusion](channels, **(fusion_args or {}))
        of_join = (FUSED, None) if before else (fusion, fusion_args)
        self.joins: Any = nn.ModuleDict(
            {p: JOINS.create(join, modalities, channels, *of_join) for p in parts}
            if several
            else {}
        )
        self.towers = nn.ModuleDict({p: _tower(channels, depth) for p in parts})
        self.outputs = nn.ModuleDict(
            {"cls": nn.Conv2d(channels, 2, 1), "loc": nn.Conv2d(channels, 4, 1)}
        )

    def kernels(self, template: Tensor) -> list[CorrelationKernels]:
        """Kernels of a template, of the score and of the box."""
        return [correlation.kernels(template) for correlation in self.correlations.values()]

    def correlate(
        self, kernels: Sequence[CorrelationKernels], search: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Maps of one modality's correlation, of the score and of the box."""
        cls, loc = (
            correlation(kernel, search)
            for correlation, kernel in zip(self.correlations.values(), kernels, strict=True)
        )
        return cls, loc

    def decide(
        self,
        maps: Mapping[str, tuple[Tensor, Tensor]],
        available: Mapping[str, Tensor] | None = None,
    ) -> Response:
        """The response of correlation maps by modality; ``available`` as for
        `tracker.model.joins.MeanJoin`.

        In the result, ``cls`` has a logit of the background and one of the target, and ``loc`` the
        logarithms of the distances from the cell to the left, top, right and bottom of the box.
        """
        if self.joins and self.joins["cls"].stage == "responses":
            return self._decide_by_responses(maps, available)
        outputs = []
        for index, (part, tower) in enumerate(self.towers.items()):
            of_part = {m: pair[index] for m, pair in maps.items()}
            if not self.joins:
                (joined,) = map(tower, of_part.values())
            elif self.tap == "towers":
                joined = self.joins[part]({m: tower(x) for m, x in of_part.items()}, available)
            else:
                joined = tower(self.joins[part](of_part, available))
            outputs.append(self.outputs[part](joined))
        return Response(*outputs)

    def _decide_by_responses(
        self,
        maps: Mapping[str, tuple[Tensor, Tensor]],
        available: Mapping[str, Tensor] | None,
    ) -> Response:
        found: dict[str, list[Tensor]] = {}
        for index, (part, tower) in enumerate(self.towers.items()):
            of_part = {m: pair[index] for m, pair in maps.items()}
            for m, x in self.joins[part].branches(of_part, available).items():
                found.setdefault(m, []).append(self.outputs[part](tower(x)))
        responses = {m: Response(*outputs) for m, outputs in found.items()}
        return self.joins["cls"].combine(responses, available)
