"""Siamese RGBT networks: branches on RGB, infrared and fused features, and their joint decision.

A branch follows SiamRPN++: backbone, neck, correlation RPN. RGB and infrared branches form DFAT,
the winner of VOT2020-RGBT. LRRNet's tracker (TPAMI 2023, Fig. 14) adds a third branch, which fuses
the features of both and has its own RPN.

    rgb --- backbone --- neck ---+------------ RPN ---+
                                 +--- fusion - RPN ---+--- decision
    ir ---- backbone --- neck ---+------------ RPN ---+
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fusion.llrr.registry import FUSIONS
from tracker.data.frames import MODALITIES
from tracker.model.anchors import RATIOS, anchor_grid, decode
from tracker.model.decision import ResponseGate, fuse_decisions, gate_decisions
from tracker.model.head import Response
from tracker.model.neck import Neck, crop_centre
from tracker.model.reading import Candidates
from tracker.model.registry import BACKBONES, HEADS, NETWORKS
from tracker.model.winograd import Module, use_winograd

#: Indices from a nested structure to a tensor in it, with a name each.
Path = tuple[tuple[str | int, str], ...]

__all__ = ["PRESETS", "TrackerNetwork", "fold_batch_norm", "infrared_shift"]

TAPS = ("after_neck", "before_neck")
PIXELS = ("bgr255", "standardized")


# --- Pixels -------------------------------------------------------------------------------------


def infrared_shift(rgb: Tensor, ir: Tensor) -> Tensor:
    """The shift that DFAT adds to an infrared crop to give it the mean of the RGB crop.

    Args:
        rgb, ir: crops ``(B, C, H, W)``.

    Returns:
        ``(B, 1, 1, 1)``.
    """
    dims = (1, 2, 3)
    return rgb.float().mean(dims, keepdim=True) - ir.float().mean(dims, keepdim=True)


def _standardize(x: Tensor) -> Tensor:
    """Zero mean and unit deviation per crop; a deviation below one grey level is not amplified."""
    dims = (1, 2, 3)
    x = x - x.mean(dims, keepdim=True)
    return x / x.square().mean(dims, keepdim=True).sqrt().clamp(min=1)


# --- The network --------------------------------------------------------------------------------


@NETWORKS.register("siamese")
class TrackerNetwork(nn.Module):
    """A siamese network on RGB, infrared or both, with or without a fused branch.

    Images are dictionaries of crops by modality, "rgb" ``(B, 3, S, S)`` and "ir" ``(B, 1, S, S)``
    or ``(B, 3, S, S)``, in RGB order, 0..255, of any dtype; S is ``exemplar_size`` for templates
    and ``search_size`` for search regions. A modality may be absent from a dictionary: branches
    that need it are then absent from the results. Features, kernels and responses are dictionaries
    by branch.

    Args:
        branches: modalities that have a branch, among "rgb" and "ir".
        fusion: adds the branch "fused", whose features are computed from both modalities' by a
            module of `fusion.llrr.registry.FUSIONS`, such as "llrr" or "rfn"; None for no such
            branch.
        fusion_args: arguments of that module besides ``channels``, such as ``{"num_blocks": 2}``.
        fusion_tap: fuse features "after_neck", or "before_neck", followed by a separate neck.
        backbone: a name in `tracker.model.registry.BACKBONES`, such as "resnet50" or "compact".
        backbone_args: arguments of the backbone's constructor.
        head: a name in `tracker.model.registry.HEADS`, such as "rpn".
        head_args: arguments of the head besides ``(num_levels, channels, num_anchors)``.
        shared_backbone: share backbone, neck and RPN between both modalities.
        channels: channels of the neck and the RPNs.
        exemplar_size, search_size: sides of template and search crops in pixels, as required by the
            backbone: ``16 k + 15`` for those of this package.
        template_cells: number of central cells of the template's features that are kept, per side.
        anchor_scale: side of the square anchor in cells.
        anchor_ratios: height over width of the anchors.
        pixels: "bgr255" (published networks: raw BGR, infrared shifted by `infrared_shift`) or
            "standardized" (each crop by its own mean and deviation).
        branch_weights: weights of the branches in `fuse_decisions`, in the order of `branches`;
            None for equal weights.
        drop_branches: DFAT's drop rule in `fuse_decisions`.
        gate: weight the branches at every cell by a learned `ResponseGate` instead of
            `fuse_decisions`.

    Attributes:
        branches: names of all branches, "fused" last.
        modalities: modalities with a branch.
        input_names: keys of the result of `prepare`.
        architecture: the arguments, of JSON's types, by which a weights file rebuilds the network.
        response_size: cells of a response along a side.
        stride: pixels of the search region between two cells.
        num_levels: levels of the backbone.
        online: settings of `tracker.model.settings.OnlineSettings` that were chosen for the
            weights and differ from the published ones.

    Raises:
        UserError: no part is registered under a name.
        ValueError: an argument is invalid, or arguments contradict each other.
    """

    def __init__(
        self,
        branches: Sequence[str] = MODALITIES,
        *,
        fusion: str | None = None,
        fusion_args: dict[str, Any] | None = None,
        fusion_tap: str = "after_neck",
        backbone: str = "resnet50",
        backbone_args: dict[str, Any] | None = None,
        head: str = "rpn",
        head_args: dict[str, Any] | None = None,
        shared_backbone: bool = True,
        channels: int = 256,
        exemplar_size: int = 127,
        search_size: int = 255,
        template_cells: int = 7,
        anchor_scale: float = 8,
        anchor_ratios: Sequence[float] = RATIOS,
        pixels: str = "bgr255",
        branch_weights: Sequence[float] | None = None,
        drop_branches: bool = True,
        gate: bool = False,
    ):
        super().__init__()
        self.architecture: dict[str, Any] = {
            "branches": list(branches),
            "fusion": fusion,
            "fusion_args": dict(fusion_args or {}),
            "fusion_tap": fusion_tap,
            "backbone": backbone,
            "backbone_args": dict(backbone_args or {}),
            "head": head,
            "head_args": dict(head_args or {}),
            "shared_backbone": shared_backbone,
            "channels": channels,
            "exemplar_size": exemplar_size,
            "search_size": search_size,
            "template_cells": template_cells,
            "anchor_scale": anchor_scale,
            "anchor_ratios": list(anchor_ratios),
            "pixels": pixels,
            "branch_weights": None if branch_weights is None else list(branch_weights),
            "drop_branches": drop_branches,
            "gate": gate,
        }
        if not branches or set(branches) - set(MODALITIES) or len(set(branches)) < len(branches):
            raise ValueError(f"branches must be some of {MODALITIES}, got {tuple(branches)}")
        for name, value, known in (("fusion_tap", fusion_tap, TAPS), ("pixels", pixels, PIXELS)):
            if value not in known:
                raise ValueError(f"{name} must be one of {known}, got {value!r}")
        if not all(0 < value < 1e6 for value in (anchor_scale, channels, *anchor_ratios)):
            raise ValueError("anchor_scale, channels and anchor_ratios must be positive")
        if fusion and len(branches) < 2:
            raise ValueError(f"fusion needs both modalities, got branches {tuple(branches)}")
        self.modalities = tuple(branches)
        self.input_names = self.modalities
        self.branches = (*branches, "fused") if fusion else self.modalities
        if branch_weights is not None and (
            len(branch_weights) != len(self.branches)
            or not all(0 <= weight < 1e6 for weight in branch_weights)
            or sum(branch_weights) <= 0
        ):
            raise ValueError(
                f"branch_weights must be {len(self.branches)} numbers, none negative and not all "
                f"0, for the branches {self.branches}; got {branch_weights}"
            )
        self.exemplar_size, self.search_size = exemplar_size, search_size
        self.template_cells = template_cells
        self.pixels = pixels
        self.branch_weights = branch_weights
        self.drop_branches = drop_branches
        self.fusion_tap = fusion_tap
        self.online: dict[str, Any] = {}
        self._anchors: dict[tuple[int, torch.device], Tensor] = {}  # made when first needed

        # A part that both modalities share is named "shared"; others are named after the modality.
        self.part_of = {m: "shared" if shared_backbone else m for m in self.modalities}
        parts = sorted(set(self.part_of.values()))
        stems = {m: BACKBONES[backbone].make_stem() for m in self.modalities}
        self.stems = nn.ModuleDict({m: stem for m, stem in stems.items() if stem is not None})
        backbones = {part: BACKBONES.create(backbone, **(backbone_args or {})) for part in parts}
        self.stride = backbones[parts[0]].stride
        self.response_size = self._response_size(backbones[parts[0]].cells)
        levels = backbones[parts[0]].channels
        self.num_levels = len(levels)

        def make_head() -> nn.Module:
            shape = (self.num_levels, channels, len(anchor_ratios))
            return HEADS.create(head, *shape, **(head_args or {}))

        self.backbones: Any = nn.ModuleDict(backbones)
        self.necks = nn.ModuleDict({part: Neck(levels, channels) for part in parts})
        self.heads: Any = nn.ModuleDict({part: make_head() for part in parts})
        self.fusions = nn.ModuleList()
        if fusion:
            before = fusion_tap == "before_neck"
            for width in levels if before else [channels] * len(levels):
                self.fusions.append(FUSIONS.create(fusion, width, **(fusion_args or {})))
            if before:
                self.necks["fused"] = Neck(levels, channels)
            self.part_of["fused"] = "fused"
            self.heads["fused"] = make_head()
        self.gates = nn.ModuleDict(
            {b: ResponseGate(len(anchor_ratios)) for b in self.branches}
            if gate and len(self.branches) > 1
            else {}
        )

    def _response_size(self, cells_of: Callable[[int], int]) -> int:
        """Cells of a response; refuses sizes whose centres do not coincide."""
        exemplar, search = cells_of(self.exemplar_size), cells_of(self.search_size)
        if self.template_cells not in range(exemplar, 2, -2):
            raise ValueError(
                f"template_cells must be one of {list(range(exemplar, 2, -2))}, the central cells "
                f"of the {exemplar} that exemplars of {self.exemplar_size} pixels have; got "
                f"{self.template_cells}"
            )
        if search < exemplar:
            raise ValueError(f"search_size {self.search_size} is less than exemplar_size")
        if (search - exemplar) * self.stride != self.search_size - self.exemplar_size:
            raise ValueError(
                f"crops of {self.exemplar_size} and {self.search_size} pixels have {exemplar} and "
                f"{search} cells; at stride {self.stride} their centres do not meet: give sizes "
                "that differ by as many strides"
            )
        return search - self.template_cells + 1

    def anchors(self, size: int | None = None) -> Tensor:
        """`anchor_grid` of the network's responses, ``(4, A, response_size, response_size)``, or of
        responses of another ``size``."""
        arguments = self.architecture
        return torch.from_numpy(
            anchor_grid(
                size or self.response_size,
                self.stride,
                arguments["anchor_scale"],
                arguments["anchor_ratios"],
            )
        )

    # --- From images to responses ---

    def prepare(
        self, images: Mapping[str, Tensor], ir_shift: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Images in the pixel convention of the network, each float ``(B, 3, S, S)``.

        Args:
            images: images by modality; those without a branch are ignored.
            ir_shift: ``(B, 1, 1, 1)``, for "bgr255": added to the infrared image. None uses the
                `infrared_shift` of the images if both are present, else 0.
        """
        dtype = next(self.parameters()).dtype
        inputs = {
            m: images[m].to(dtype).expand(-1, 3, -1, -1) for m in self.modalities if m in images
        }
        if self.pixels == "standardized":
            return {m: _standardize(x) for m, x in inputs.items()}
        if ir_shift is None and len(inputs) == 2:
            ir_shift = infrared_shift(images["rgb"], images["ir"])
        if ir_shift is not None and "ir" in inputs:
            inputs["ir"] = inputs["ir"] + ir_shift.to(dtype)
        return {m: x.flip(1) for m, x in inputs.items()}

    def features(self, inputs: Mapping[str, Tensor]) -> dict[str, list[Tensor]]:
        """Neck features of every branch from `prepare`'s inputs, ``(B, channels, H, W)`` per level.

        Modalities that share a backbone are processed as one batch.
        """
        maps = {m: self.stems[m](x) if self.stems else x for m, x in inputs.items()}
        raw = self._by_part({m: (x,) for m, x in maps.items()}, self.backbones)
        features = self._by_part({m: (levels,) for m, levels in raw.items()}, self.necks)
        if self.fusions and len(features) == len(MODALITIES):
            before = self.fusion_tap == "before_neck"
            source = raw if before else features
            fused = [
                fuse(rgb, ir)
                for fuse, rgb, ir in zip(self.fusions, source["rgb"], source["ir"], strict=True)
            ]
            features["fused"] = self.necks["fused"](fused) if before else fused
        return features

    def template(self, inputs: Mapping[str, Tensor]) -> dict[str, list[Tensor]]:
        """`features` of templates, cropped to the central ``template_cells``."""
        return {
            branch: [crop_centre(level, self.template_cells) for level in levels]
            for branch, levels in self.features(inputs).items()
        }

    def kernels(self, template: Mapping[str, list[Tensor]]) -> dict[str, list]:
        """Correlation kernels from `template`'s features, for `respond`."""
        return {
            branch: self.heads[self.part_of[branch]].kernels(levels)
            for branch, levels in template.items()
        }

    def respond(
        self, kernels: Mapping[str, list], features: Mapping[str, list[Tensor]]
    ) -> dict[str, Response]:
        """RPN responses of the branches that have both kernels and search features."""
        return self._by_part(
            {b: (kernels[b], features[b]) for b in self.branches if b in kernels and b in features},
            self.heads,
        )

    def decide(
        self, responses: Mapping[str, Response], available: Mapping[str, Tensor] | None = None
    ) -> Response:
        """The joint response of the branches, by `fuse_decisions` or learned gates.

        Args:
            responses: responses by branch, at least one.
            available: ``(B,)`` booleans by branch: the items of the batch for which it counts.
                Every item needs at least one branch. None if all branches are available.
        """
        names = list(responses)
        mask = None if available is None else torch.stack([available[name] for name in names])
        if self.gates:
            logits = [self.gates[name](responses[name]) for name in names]
            return gate_decisions([responses[name] for name in names], logits, mask)
        weights = None
        if self.branch_weights is not None:
            by_name = dict(zip(self.branches, self.branch_weights, strict=True))
            weights = [by_name[name] for name in names]
        return fuse_decisions(
            [responses[name] for name in names], weights, drop=self.drop_branches, available=mask
        )

    def joint_response(
        self,
        kernels: Mapping[str, list],
        features: Mapping[str, list[Tensor]],
        available: Mapping[str, Tensor] | None = None,
    ) -> Response:
        """The joint response of all branches, see `respond` and `decide`.

        Args:
            kernels, features: by branch.
            available: by modality, ``(B,)`` booleans: items of the batch that have it. The fused
                branch needs both. None if all are available.
        """
        if available is not None and self.fusions:
            available = {**available, "fused": torch.stack(list(available.values())).all(0)}
        responses = self.respond(kernels, features)
        return self.decide({b: at_least_float32(r) for b, r in responses.items()}, available)

    def candidates(self, response: Response) -> Candidates:
        """Scores and boxes of all anchors of a response."""
        size, device = response.cls.shape[-1], response.cls.device
        if (size, device) not in self._anchors:
            self._anchors[size, device] = self.anchors(size).to(device)
        background, target = response.cls.float().unflatten(1, (2, -1)).unbind(1)
        loc = response.loc.float().unflatten(1, (4, -1))
        return Candidates(target - background, decode(loc, self._anchors[size, device]))

    def forward(
        self, template: Mapping[str, Tensor], search: Mapping[str, Tensor]
    ) -> dict[str, Response]:
        """Response of every branch to search images, given template images, both as read."""
        kernels = self.kernels(self.template(self.prepare(template)))
        return self.respond(kernels, self.features(self.prepare(search)))

    def _by_part(self, arguments: Mapping[str, tuple], parts: nn.ModuleDict) -> dict:
        """Call every entry's part on its arguments; entries of one part as one batch."""
        results = {}
        for part in dict.fromkeys(self.part_of[name] for name in arguments):
            names = [name for name in arguments if self.part_of[name] == part]
            if len(names) == 1:
                results[names[0]] = parts[part](*arguments[names[0]])
            else:
                batch = _concatenate([arguments[name] for name in names])
                results.update(zip(names, _divide(parts[part](*batch), len(names)), strict=True))
        return results

    # --- Inference ---

    def for_inference(
        self, device: torch.device | str = "cpu", *, winograd: bool = True
    ) -> "TrackerNetwork":
        """A copy for inference on ``device``: batch normalisation folded, channels last, and on a
        CPU the large 3x3 convolutions by `WinogradConv2d`, unless ``winograd`` is False."""
        network = fold_batch_norm(copy.deepcopy(self).eval().requires_grad_(False))
        if winograd and torch.device(device).type == "cpu":
            network = use_winograd(network)
        # PyTorch's type declaration of `to` lacks the memory format as a keyword.
        return network.to(device).to(memory_format=torch.channels_last)

    def in_precision(self, dtype: torch.dtype) -> "TrackerNetwork":
        """Convert the network to another precision, except the modules that join responses."""
        network = self.to(dtype)
        network.gates.float()
        return network

    @property
    def template_paths(self) -> list[Path]:
        """Paths to the tensors in the result of `template`, each with a name."""
        levels = range(self.num_levels)
        return [((b, b), (level, str(level))) for b in self.branches for level in levels]

    @property
    def kernel_paths(self) -> list[Path]:
        """Paths to the tensors in the result of `kernels`, each with a name."""
        outputs = ((0, "cls"), (1, "loc"))
        return [(*path, output) for path in self.template_paths for output in outputs]


def at_least_float32(response: Response) -> Response:
    """A response in float32, or in its own precision where that is higher."""
    dtype = torch.promote_types(response.cls.dtype, torch.float32)
    return Response(response.cls.to(dtype), response.loc.to(dtype))


def _concatenate(items: Sequence) -> Any:
    """Join equal structures of tensors along the batch."""
    if isinstance(items[0], Tensor):
        return torch.cat(list(items))
    joined = [_concatenate(parts) for parts in zip(*items, strict=True)]
    return type(items[0])(joined)


def _divide(joined: Any, count: int) -> list:
    """Undo `_concatenate` for ``count`` items of equal batch size."""
    if isinstance(joined, Tensor):
        return list(joined.chunk(count))
    parts = zip(*(_divide(part, count) for part in joined), strict=True)
    if isinstance(joined, Response):
        return [Response(*part) for part in parts]
    return [type(joined)(part) for part in parts]


def fold_batch_norm(network: Module) -> Module:
    """Fold batch normalisation into the convolutions before it, in place.

    A pair is a convolution and the batch normalisation registered directly after it in the same
    module, which in this package is also the order of execution.

    Args:
        network: in evaluation mode.
    """
    for module in list(network.modules()):
        children = list(module.named_children())
        for (name, conv), (norm_name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())
    return network


# --- Presets ------------------------------------------------------------------------------------

_BRANCHES: dict[str, dict[str, Any]] = {
    "rgb": {"branches": ["rgb"]},
    "ir": {"branches": ["ir"]},
    "dfat": {},
    "dfat_rfn": {"fusion": "rfn"},
    "dfat_llrr": {"fusion": "llrr"},
}
# About a hundredth of the arithmetic of the published size: for two CPU cores in real time.
_COMPACT: dict[str, Any] = {
    "backbone": "compact",
    "channels": 64,
    "exemplar_size": 63,
    "search_size": 159,
    "template_cells": 5,
    "anchor_scale": 4,
    "pixels": "standardized",
    "gate": True,
}
_SMALL_STACKS = {"dfat_llrr": {"fusion_args": {"num_filters": 16, "num_blocks": 2}}}

PRESETS: dict[str, dict] = {
    **_BRANCHES,
    **{
        f"compact_{name}": _COMPACT | arguments | _SMALL_STACKS.get(name, {})
        for name, arguments in _BRANCHES.items()
    },
}
"""Arguments of `TrackerNetwork` by name: the rows of LRRNet's Table 8 ("rgb", "ir", "dfat",
"dfat_rfn", "dfat_llrr") and a small counterpart of each ("compact_dfat_llrr" and so on)."""
