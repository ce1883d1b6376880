"""Decision-level fusion: how the responses of the branches become one."""

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

    which for two branches of weight .5 is DFAT's rule to the factor, and for one branch that
    branch. A branch without any positive target logit sees nothing like the target; in ``cls`` its
    weight becomes 0, unless that is so of all branches. Its regression still counts, as in DFAT.

    Args:
        responses: one a branch, of one shape.
        weights: one a branch, not negative; equal where None.
        drop: leave out of ``cls`` the branches without a positive target logit.
        available: ``(N, B)`` booleans; a branch that is not available to an item of the batch is
            left out of that item altogether, N counting the others. All where None.

    Returns:
        The joint response.
    """
    cls = torch.stack([response.cls for response in responses])
    loc = torch.stack([response.loc for response in responses])
    # Filled, not copied from the host: a copy would make a GPU wait.
    weight = torch.stack([cls.new_full(cls.shape[1:2], w) for w in weights or [1.0] * len(cls)])
    if available is not None:
        weight = weight * available
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
    """How far a branch can be believed at every cell, read from its own response.

    An alternative to fixed weights, for networks trained with it: a thermal crossover or a dark
    corner spoils a modality in places, not in whole frames.
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
    """Mean of responses weighted at every cell by the softmax of the branches' gate logits.

    Args:
        responses: one a branch.
        logits: of a `ResponseGate` each, ``(B, 1, H, W)``.
        available: ``(N, B)`` booleans, as in `fuse_decisions`.
    """
    logit = torch.stack(list(logits))
    if available is not None:
        logit = logit.masked_fill(~available[:, :, None, None, None], float("-inf"))
    weight = logit.softmax(0)
    return Response(
        sum(w * response.cls for w, response in zip(weight, responses, strict=True)),
        sum(w * response.loc for w, response in zip(weight, responses, strict=True)),
    )
