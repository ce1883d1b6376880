"""Autoencoders for fusion: encode both images, combine the features by a rule, decode."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from fusion.networks.base import FusionNetwork

__all__ = ["RULES", "AutoencoderFusion", "Rule", "l1_weighted"]

Rule = Literal["sum", "average", "l1"]


def l1_weighted(a: Tensor, b: Tensor) -> Tensor:
    """Average of two feature maps, weighted by activity at each location (DenseFuse, Eq. 3-5).

    Activity is the l1-norm over channels, averaged over the 3x3 neighbourhood. If neither map has
    any activity at a location, both have equal weight.

    Args:
        a, b: ``(B, C, H, W)``.

    Returns:
        ``(B, C, H, W)``.
    """
    activity_a, activity_b = (
        F.avg_pool2d(x.abs().sum(1, keepdim=True), 3, stride=1, padding=1) for x in (a, b)
    )
    return weighted_average(a, b, activity_a, activity_b)


def weighted_average(a: Tensor, b: Tensor, weight_a: Tensor, weight_b: Tensor) -> Tensor:
    """``(weight_a a + weight_b b) / (weight_a + weight_b)``, or the mean if both weights are 0.

    Args:
        a, b: tensors of equal shape.
        weight_a, weight_b: non-negative, broadcastable to a and b.
    """
    total = weight_a + weight_b
    # Make the divisor safe first: a NaN in the branch not selected would still reach the gradient.
    weight = torch.where(total > 0, weight_a / total.where(total > 0, 1.0), 0.5)
    return weight * a + (1 - weight) * b


#: Functions that fuse two feature maps of equal shape into one.
RULES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sum": torch.add,
    "average": lambda a, b: (a + b) / 2,
    "l1": l1_weighted,
}


class AutoencoderFusion(FusionNetwork):
    """Base of networks that learn to reconstruct single images and fuse features by a fixed rule.

    A subclass defines `encode` and `decode`.

    Args:
        rule: one of `rules`, which are `RULES` unless a subclass adds some; applied to each of the
            features.
    """

    rules = RULES

    #: Decodes the features of `encode`, fused or not, to an image ``(B, 1, H, W)``. Each network
    #: has different features as arguments.
    decode: Callable[..., Tensor]

    def __init__(self, rule: str):
        super().__init__()
        if rule not in self.rules:
            raise ValueError(f"rule is {', '.join(self.rules)}, got {rule!r}")
        self.rule = rule

    def _reach(self, layers: int) -> int:
        """`reach` of kernels that extend over ``layers`` pixels, plus the rule's neighbourhood."""
        return layers + (self.rule == "l1")

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """Image ``(B, 1, H, W)`` to feature maps ``(B, C, H, W)``."""
        raise NotImplementedError

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse images that were scaled according to `scaling`.

        Args:
            ir, vis: ``(B, 1, H, W)``, 0..1; sides of at least `min_side`.

        Returns:
            ``(B, 1, H, W)``; `scaling` converts it to pixels.
        """
        combine = self.rules[self.rule]
        pairs = zip(self.encode(ir), self.encode(vis), strict=True)
        return self.decode(*(combine(a, b) for a, b in pairs))

    def reconstruct(self, image: Tensor) -> Tensor:
        """Encode and decode a single image ``(B, 1, H, W)``."""
        return self.decode(*self.encode(image))
