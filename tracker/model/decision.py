"""Decision-level fusion: combining the responses of the branches into one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tracker.model.head import Response

__all__ = ["fuse_decisions"]


def fuse_decisions(
    responses: Sequence[Response],
    weights: Sequence[float] | None = None,
    *,
    drop: bool = True,
    available: Tensor | None = None,
) -> Response:
    """DFAT's decision-level fusion, for any number N of branches.

    With weights w,

        cls = 1/N * sum(w_b cls_b) / sum(w_b),    loc = sum(w_b loc_b) / sum(w_b),

    For two branches with weight .5 this is DFAT's rule up to a factor, and for a single branch it
    is that branch. A branch without any positive target logit sees nothing like the target: its
    weight in ``cls`` becomes 0, unless this holds for all branches. Its regression still counts, as
    in DFAT.

    Args:
        responses: one response per branch, all with the same shape.
        weights: one non-negative weight per branch; None for equal weights. They are equal
            too for an item whose available branches all have weight 0.
        drop: leave branches without a positive target logit out of ``cls``.
        available: ``(N, B)`` booleans; a branch that is not available for an item of the batch is
            ignored for that item, and N counts the others; every item needs one. None if all are
            available.

    Returns:
        The joint response.
    """
    cls = torch.stack([response.cls for response in responses])
    loc = torch.stack([response.loc for response in responses])
    # Filled on the device: a copy from the host would make a GPU wait.
    weight = torch.stack([cls.new_full(cls.shape[1:2], w) for w in weights or [1.0] * len(cls)])
    present = torch.ones_like(weight) if available is None else available.to(weight.dtype)
    weight = weight * present
    weight = torch.where(weight.sum(0) > 0, weight, present)
    count = (weight > 0).sum(0)
    cls_weight = weight
    if drop:
        target = cls[:, :, cls.shape[2] // 2 :]
        positive = (target > 0).flatten(2).any(2)
        kept = weight * positive
        cls_weight = torch.where(kept.sum(0) > 0, kept, weight)
    return Response(
        _weighted_mean(cls, cls_weight) / count.view(-1, 1, 1, 1), _weighted_mean(loc, weight)
    )


def _weighted_mean(maps: Tensor, weight: Tensor) -> Tensor:
    """Mean over the first dimension of ``(N, B, C, H, W)`` with weights ``(N, B)``."""
    return torch.einsum("nb...,nb->b...", maps, weight / weight.sum(0))


class ResponseGate(nn.Module):
    """Predicts the reliability of a branch at every cell from its own response.

    An alternative to fixed weights, for networks trained with it: a thermal crossover or a dark
    region affects parts of a modality, not whole frames.
    """

    def __init__(self, num_anchors: int, width: int = 16):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(6 * num_anchors, width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 1, 1),
        )

    def forward(self, response: Response) -> Tensor:
        """Logit ``(B, 1, H, W)`` of the branch's weight."""
        return self.layers(torch.cat(response, dim=1))


def gate_decisions(
    responses: Sequence[Response], logits: Sequence[Tensor], available: Tensor | None = None
) -> Response:
    """Mean of responses, weighted at every cell by the softmax of the branches' gate logits.

    Args:
        responses: one response per branch.
        logits: one output of `ResponseGate` per branch, ``(B, 1, H, W)``.
        available: ``(N, B)`` booleans, see `fuse_decisions`.
    """
    logit = torch.stack(list(logits))
    if available is not None:
        logit = logit.masked_fill(~available[:, :, None, None, None], float("-inf"))
    weight = logit.softmax(0)
    return Response(
        sum(w * response.cls for w, response in zip(weight, responses, strict=True)),
        sum(w * response.loc for w, response in zip(weight, responses, strict=True)),
    )
