"""Readings of a response, for any head: scores and boxes at its cells."""

from typing import NamedTuple

import torch
from torch import Tensor


class Reading(NamedTuple):
    """Score and box of every cell of a response.

    Attributes:
        logits: ``(B, H, W)``, logit of target against background; with anchors, the logit of the
            cell's best anchor.
        boxes: ``(B, 4, H, W)``: centre relative to the centre of the search region, width and
            height, in pixels.
    """

    logits: Tensor
    boxes: Tensor


class Candidates(NamedTuple):
    """Scores and boxes of all A anchors of every cell; A is 1 for a head without anchors.

    Attributes:
        logits: ``(B, A, H, W)``, logits of target against background.
        boxes: ``(B, 4, A, H, W)``, as in a `Reading`.
    """

    logits: Tensor
    boxes: Tensor

    def best(self) -> Reading:
        """Score and box of every cell's best anchor."""
        logits, best = self.logits.max(1, keepdim=True)
        index = best[:, None].expand(-1, 4, -1, -1, -1)
        return Reading(logits.squeeze(1), self.boxes.gather(2, index).squeeze(2))


def cell_centres(size: int, stride: int, device: torch.device | None = None) -> Tensor:
    """Centres x and y of a response's cells relative to its middle, ``(2, size, size)`` pixels."""
    offsets = (torch.arange(size, device=device) - (size - 1) / 2) * stride
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    return torch.stack((x, y))
