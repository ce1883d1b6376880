"""A small siamese network on both modalities: one backbone, joined before an anchor-free head.

    rgb --- backbone --- correlation with its template ---+
                                                          +--- join --- towers --- score and box
    ir ---- backbone --- correlation with its template ---+

The backbone and the head are those of NanoTrack v3 (github.com/HonglinChu/SiamTrackers), whose
published checkpoint fits. NanoTrack reads one picture; here both modalities pass the same layers,
and a gate weighs them at every cell of the correlation maps.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tracker.data.frames import MODALITIES
from tracker.model.head import Response
from tracker.model.joins import FUSED
from tracker.model.joint_head import TAPS, CorrelationKernels, JointHead
from tracker.model.network import at_least_float32, fold_batch_norm
from tracker.model.reading import Candidates, cell_centres
from tracker.model.registry import BACKBONES, JOINS, NETWORKS

__all__ = ["JOINT_PRESETS", "JointTracker"]


@NETWORKS.register("joint")
class JointTracker(nn.Module):
    """A siamese network whose modalities share all layers and are joined before the head's towers.

    Images are dictionaries of crops by modality as for `tracker.network.TrackerNetwork`, raw pixels
    in 0..255; any modality may be absent from a dictionary.

    Args:
        modalities: among "rgb" and "ir".
        join: how the modalities are joined, of `tracker.model.registry.JOINS` ("gate", "context",
            "mean", "decision"), or as "pixels", which reads the mean of both pictures as one.
        fusion, fusion_args: see `tracker.model.joins.MeanJoin`.
        tap: what the fusion module reads, of `tracker.model.joint_head.TAPS`.
        backbone: of `tracker.model.registry.BACKBONES`, of one level, such as "mobile".
        backbone_args: arguments of the backbone's constructor.
        depth: of the `JointHead`.
        exemplar_size, search_size: sides of template and search crops in pixels; the backbone
            makes an even number of cells of a template, and ``32 k - 1`` fit the mobile one.

    Attributes:
        modalities, exemplar_size, search_size: as given.
        branches: names of what has features: the modalities, or "mean" where they are joined as
            pixels.
        input_names: keys of what `prepare` gives, the same.
        template_paths, kernel_paths: where tensors are in what `template` and `kernels` give, as
            indices with a name each.
        architecture: the arguments, of JSON's types, by which a weights file rebuilds the network.
        response_size: cells of a response along a side.
        stride: pixels of the search region between two cells.
        online: settings of the online tracker that were chosen for the weights.

    Raises:
        ValueError: an argument is none of the known ones.
    """

    def __init__(
        self,
        modalities: Sequence[str] = MODALITIES,
        *,
        join: str = "gate",
        fusion: str | None = None,
        fusion_args: dict[str, Any] | None = None,
        tap: Literal["features", "maps", "towers"] = "maps",
        backbone: str = "mobile",
        backbone_args: dict[str, Any] | None = None,
        depth: int = 6,
        exemplar_size: int = 127,
        search_size: int = 255,
    ):
        super().__init__()
        self.architecture: dict[str, Any] = {
            "modalities": list(modalities),
            "join": join,
            "fusion": fusion,
            "fusion_args": dict(fusion_args or {}),
            "tap": tap,
            "backbone": backbone,
            "backbone_args": dict(backbone_args or {}),
            "depth": depth,
            "exemplar_size": exemplar_size,
            "search_size": search_size,
        }
        if not modalities or set(modalities) - set(MODALITIES):
            raise ValueError(f"modalities must be some of {MODALITIES}, got {tuple(modalities)}")
        if join not in (*JOINS, "pixels"):
            raise ValueError(f"join must be one of {', '.join([*JOINS, 'pixels'])}, got {join!r}")
        if tap not in TAPS:
            raise ValueError(f"tap must be one of {', '.join(TAPS)}, got {tap!r}")
        if fusion and (join == "pixels" or len(modalities) < 2):
            raise ValueError("fusion needs both modalities, joined after the backbone")
        self.modalities = tuple(modalities)
        self.branches = self.input_names = ("mean",) if join == "pixels" else self.modalities
        self.join = join
        self.exemplar_size, self.search_size = exemplar_size, search_size
        self.backbone = BACKBONES.create(backbone, **(backbone_args or {}))
        if len(self.backbone.channels) != 1:
            raise ValueError(f"backbone {backbone} has {len(self.backbone.channels)} levels, not 1")
        self.stride = self.backbone.stride
        cells, search_cells = (self.backbone.cells(size) for size in (exemplar_size, search_size))
        if cells % 2 or not 4 <= cells <= search_cells:
            raise ValueError(
                f"exemplars of {exemplar_size} and search regions of {search_size} pixels have "
                f"{cells} and {search_cells} cells; a template needs an even number from 4 on, and "
                "a search region no fewer"
            )
        (channels,) = self.backbone.channels
        self.head = JointHead(
            self.branches, channels, cells, cells // 2, depth, fusion, fusion_args, join, tap
        )
        fused = [FUSED] if self.head.fusion is not None else []
        self.response_size = search_cells - 1
        self.online: dict[str, Any] = {}
        self.template_paths = [((branch, branch),) for branch in self.branches]
        self.kernel_paths = [
            ((branch, branch), (part, name), (index, field))
            for branch in (*self.branches, *fused)
            for part, name in enumerate(self.head.correlations)
            for index, field in enumerate(CorrelationKernels._fields)
        ]

    # --- From images to responses ---

    def prepare(self, images: Mapping[str, Tensor], ir_shift: Tensor | None = None) -> dict:
        """Images as the backbone reads them: BGR in 0..255, ``(B, 3, S, S)`` float each.

        Args:
            images: by modality; those the network does not read are left out.
            ir_shift: not used; networks of other families shift the infrared.
        """
        dtype = next(self.parameters()).dtype
        inputs = {
            m: images[m].to(dtype).expand(-1, 3, -1, -1).flip(1)
            for m in self.modalities
            if m in images
        }
        if self.join == "pixels" and inputs:
            return {"mean": sum(inputs.values()) / len(inputs)}
        return inputs

    def features(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Features ``(B, C, H, W)`` of every modality, which pass the backbone as one batch."""
        (joined,) = self.backbone(torch.cat(list(inputs.values())))
        return dict(zip(inputs, joined.chunk(len(inputs)), strict=True))

    template = features

    def kernels(self, template: Mapping[str, Tensor]) -> dict[str, list[CorrelationKernels]]:
        """What of `template`'s features a search needs."""
        return {m: self.head.kernels(x) for m, x in self._with_fused(template).items()}

    def _with_fused(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The features, and what a fusion module before the correlations makes of both."""
        fusion = self.head.fusion
        if fusion is None or not all(m in features for m in self.modalities):
            return dict(features)
        return {**features, FUSED: fusion(*(features[m] for m in self.modalities))}

    def correlate(
        self, kernels: Mapping[str, list[CorrelationKernels]], features: Mapping[str, Tensor]
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Correlation maps of the modalities that have both kernels and search features."""
        features = self._with_fused(features)
        names = [m for m in features if m in kernels]
        joined = [
            CorrelationKernels(*(torch.cat(parts) for parts in zip(*of_part, strict=True)))
            for of_part in zip(*(kernels[m] for m in names), strict=True)
        ]
        maps = self.head.correlate(joined, torch.cat([features[m] for m in names]))
        parts = (x.chunk(len(names)) for x in maps)
        return dict(zip(names, zip(*parts, strict=True), strict=True))

    def joint_response(
        self,
        kernels: Mapping[str, list[CorrelationKernels]],
        features: Mapping[str, Tensor],
        available: Mapping[str, Tensor] | None = None,
    ) -> Response:
        """The response of all modalities together.

        Args:
            kernels, features: by modality.
            available: by modality, ``(B,)`` booleans; each item needs one modality. None: all.
        """
        response = self.head.decide(self.correlate(kernels, features), available)
        return at_least_float32(response)

    def forward(
        self,
        template: Mapping[str, Tensor],
        search: Mapping[str, Tensor],
        available: Mapping[str, Tensor] | None = None,
    ) -> Response:
        """Response to search images, given template images, both as read."""
        kernels = self.kernels(self.template(self.prepare(template)))
        return self.joint_response(kernels, self.features(self.prepare(search)), available)

    def candidates(self, response: Response) -> Candidates:
        """Scores and boxes of a response, one per cell."""
        distances = response.loc.float().exp()
        left, top, right, bottom = distances.unbind(1)
        x, y = cell_centres(response.cls.shape[-1], self.stride, distances.device)
        boxes = torch.stack(
            (x + (right - left) / 2, y + (bottom - top) / 2, left + right, top + bottom), dim=1
        )
        background, target = response.cls.float().unbind(1)
        return Candidates((target - background)[:, None], boxes[:, :, None])

    # --- Inference ---

    def for_inference(
        self, device: torch.device | str = "cpu", *, winograd: bool = True
    ) -> "JointTracker":
        """A copy to run on ``device`` without training: batch norm folded, channels last.

        ``winograd`` is for networks with large convolutions, of which this one has none.
        """
        network = fold_batch_norm(copy.deepcopy(self).eval().requires_grad_(False))
        return network.to(device).to(memory_format=torch.channels_last)

    def in_precision(self, dtype: torch.dtype) -> "JointTracker":
        """The network itself, brought to another precision; its response is at least float32."""
        return self.to(dtype)


_SMALL: dict[str, Any] = {"backbone_args": {"blocks": "small", "smooth_stem": False}}
_SMALL_STACKS = {"fusion": "llrr", "fusion_args": {"num_filters": 16, "num_blocks": 2}}

JOINT_PRESETS: dict[str, dict[str, Any]] = {
    "small": _SMALL,
    "small_llrr": _SMALL | _SMALL_STACKS,
    "small_rgb": _SMALL | {"modalities": ["rgb"]},
    "small_ir": _SMALL | {"modalities": ["ir"]},
    "nanotrack": {},
    "nanotrack_mean": {"join": "pixels"},
    "nanotrack_rgb": {"modalities": ["rgb"]},
    "nanotrack_ir": {"modalities": ["ir"]},
}
"""Arguments of `JointTracker` by name. Those of "nanotrack" fit the published checkpoint."""
