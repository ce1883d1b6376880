"""The three passes of a tracker's network as modules on flat lists of tensors, for exporters.

    TemplatePass   template crops -> template features      at the start and in updates
    KernelPass     template features -> kernels             after either
    SearchPass     kernels, search crops -> cls, loc        in every frame

Updates blend template features, therefore the kernels are a separate pass. All three are for frames
that have every modality of the network; other frames are processed by `TrackerNetwork` itself.
`PreparedSearchPass` is a search without its first step, for loops that prepare crops themselves.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from tracker.model.network import Path
from tracker.model.weights import Network

_OUTPUTS = ("cls", "loc")


def _flat(structure: Mapping[str, Any], paths: Sequence[Path]) -> list[Tensor]:
    """Tensors of a nested structure, in the order of their paths."""
    tensors = []
    for path in paths:
        part: Any = structure
        for key, _ in path:
            part = part[key]
        tensors.append(part)
    return tensors


def _nested(tensors: Sequence[Tensor], paths: Sequence[Path]) -> dict[str, Any]:
    """The inverse of `_flat`: a dictionary of tensors, or of lists of them and so on."""
    structure: dict[Any, Any] = {}
    for tensor, path in zip(tensors, paths, strict=True):
        *parents, last = [key for key, _ in path]
        part = structure
        for key in parents:
            part = part.setdefault(key, {})
        part[last] = tensor
    return {name: _as_lists(part) for name, part in structure.items()}


def _as_lists(part: Any) -> Any:
    return [_as_lists(item) for item in part.values()] if isinstance(part, dict) else part


def flat_kernels(network: Network, kernels: Mapping[str, list]) -> list[Tensor]:
    """Kernels of all branches as `SearchPass` takes them, in the order of ``kernel_paths``."""
    return _flat(kernels, network.kernel_paths)


class _Pass(nn.Module):
    def __init__(self, network: Network):
        super().__init__()
        self.network: Any = network

    @property
    def feature_names(self) -> list[str]:
        """Names of template features: ``template_rgb_0`` and so on."""
        return _names("template", self.network.template_paths)

    @property
    def kernel_names(self) -> list[str]:
        """Names of kernels: ``kernel_rgb_0_cls`` and so on."""
        return _names("kernel", self.network.kernel_paths)


def _names(kind: str, paths: Sequence[Path]) -> list[str]:
    return ["_".join([kind, *(name for _, name in path)]) for path in paths]


class TemplatePass(_Pass):
    """Template crops to the template features of every branch and level."""

    def forward(self, *crops: Tensor) -> list[Tensor]:
        """One ``(B, 3, exemplar_size, exemplar_size)`` per modality, as `TrackerNetwork.prepare`
        takes them, to ``(B, channels, template_cells, template_cells)`` each."""
        images = dict(zip(self.network.modalities, crops, strict=True))
        template = self.network.template(self.network.prepare(images))
        return _flat(template, self.network.template_paths)


class KernelPass(_Pass):
    """Template features to correlation kernels."""

    def forward(self, *features: Tensor) -> list[Tensor]:
        """`TemplatePass`'s features to `flat_kernels`."""
        template = _nested(features, self.network.template_paths)
        return flat_kernels(self.network, self.network.kernels(template))


class PreparedSearchPass(_Pass):
    """Kernels and prepared search crops to the joint response."""

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        """`flat_kernels`, then one ``(B, 3, search_size, search_size)`` for each of the network's
        ``input_names``, as its ``prepare`` gives it, to cls and loc of a
        `tracker.model.head.Response`, at least in float32."""
        network = self.network
        names = network.input_names
        kernels = _nested(tensors[: -len(names)], network.kernel_paths)
        features = network.features(dict(zip(names, tensors[-len(names) :], strict=True)))
        cls, loc = network.joint_response(kernels, features)
        return cls, loc


class SearchPass(PreparedSearchPass):
    """Kernels and search crops to the joint response."""

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        """As `PreparedSearchPass`, from crops as `TrackerNetwork.prepare` takes them."""
        modalities = self.network.modalities
        kernels, images = tensors[: -len(modalities)], tensors[-len(modalities) :]
        inputs = self.network.prepare(dict(zip(modalities, images, strict=True)))
        return super().forward(*kernels, *inputs.values())
