"""A tracker's three passes as modules on flat lists of tensors, as exporters take.

    TemplatePass   template crops -> template features      at the start and in updates
    KernelPass     template features -> kernels             after either
    SearchPass     kernels, search crops -> cls, loc        in every frame

Updates blend template features, which is why the kernels are a pass of their own. All three are for
frames that have every modality of the network; others are for `TrackerNetwork` itself.
`PreparedSearchPass` is a search without its first step, for loops that prepare crops themselves.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from tracker.model.head import Response
from tracker.model.network import TrackerNetwork

__all__ = ["KernelPass", "PreparedSearchPass", "SearchPass", "TemplatePass", "flat_kernels"]

_OUTPUTS = ("cls", "loc")


def _num_levels(network: TrackerNetwork) -> int:
    return len(network.heads[network.part_of[network.branches[0]]].rpns)


def flat_kernels(network: TrackerNetwork, kernels: Mapping[str, list]) -> list[Tensor]:
    """Kernels of all branches as `SearchPass` takes them: by branch, level, and cls before loc."""
    return [k for branch in network.branches for level in kernels[branch] for k in level]


class _Pass(nn.Module):
    def __init__(self, network: TrackerNetwork):
        super().__init__()
        self.network = network

    @property
    def level_names(self) -> list[tuple[str, int]]:
        levels = range(_num_levels(self.network))
        return [(branch, level) for branch in self.network.branches for level in levels]

    @property
    def feature_names(self) -> list[str]:
        """Names of template features: ``template_rgb_0`` and so on."""
        return [f"template_{branch}_{level}" for branch, level in self.level_names]

    @property
    def kernel_names(self) -> list[str]:
        """Names of kernels: ``kernel_rgb_0_cls`` and so on."""
        return [
            f"kernel_{b}_{level}_{output}" for b, level in self.level_names for output in _OUTPUTS
        ]

    def _by_branch(self, items: Sequence) -> dict[str, list]:
        count = _num_levels(self.network)
        return {
            branch: list(items[i * count : (i + 1) * count])
            for i, branch in enumerate(self.network.branches)
        }


class TemplatePass(_Pass):
    """Template crops to the template features of every branch and level."""

    def forward(self, *crops: Tensor) -> list[Tensor]:
        """One ``(B, 3, exemplar_size, exemplar_size)`` a modality, as `TrackerNetwork.prepare`
        takes them, to ``(B, channels, template_cells, template_cells)`` each."""
        images = dict(zip(self.network.modalities, crops, strict=True))
        template = self.network.template(self.network.prepare(images))
        return [level for branch in self.network.branches for level in template[branch]]


class KernelPass(_Pass):
    """Template features to correlation kernels."""

    def forward(self, *features: Tensor) -> list[Tensor]:
        """`TemplatePass`'s features to `flat_kernels`."""
        return flat_kernels(self.network, self.network.kernels(self._by_branch(features)))


class PreparedSearchPass(_Pass):
    """Kernels and prepared search crops to the joint response."""

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        """`flat_kernels`, then a modality's ``(B, 3, search_size, search_size)`` each, as
        `TrackerNetwork.prepare` gives it, to cls and loc of a `tracker.model.head.Response`,
        decided in
        float32 (where the network is not, but its gates are)."""
        network = self.network
        count = len(network.modalities)
        kernels, inputs = tensors[:-count], tensors[-count:]
        pairs = self._by_branch(list(zip(kernels[::2], kernels[1::2], strict=True)))
        features = network.features(dict(zip(network.modalities, inputs, strict=True)))
        responses = {
            branch: Response(response.cls.float(), response.loc.float())
            for branch, response in network.respond(pairs, features).items()
        }
        cls, loc = network.decide(responses)
        return cls, loc


class SearchPass(PreparedSearchPass):
    """Kernels and search crops to the joint response."""

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        """As `PreparedSearchPass`, of crops as `TrackerNetwork.prepare` takes them."""
        modalities = self.network.modalities
        kernels, images = tensors[: -len(modalities)], tensors[-len(modalities) :]
        inputs = self.network.prepare(dict(zip(modalities, images, strict=True)))
        return super().forward(*kernels, *inputs.values())
