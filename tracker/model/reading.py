"""What a response says, cell by cell, whatever the head: a score and a box."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Reading", "cell_centres"]


class Reading(NamedTuple):
    """Score and box of every cell of a response.

    Attributes:
        logits: ``(B, H, W)``, logit of the target against the background; of a head with anchors,
            that of the cell's best anchor.
        boxes: ``(B, 4, H, W)``: centre x and y from the centre of the search region, width and
            height, in its pixels.
    """

    logits: Tensor
    boxes: Tensor


def cell_centres(size: int, stride: int, device: torch.device | None = None) -> Tensor:
    """Centres x and y of the cells of a response from its middle, ``(2, size, size)`` pixels."""
    offsets = (torch.arange(size, device=device) - (size - 1) / 2) * stride
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    return torch.stack((x, y))
