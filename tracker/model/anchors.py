"""Anchors: the reference boxes of an RPN's outputs (Ren et al., 2015; SiamRPN, CVPR 2018)."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
import torch
from torch import Tensor

RATIOS = (1 / 3, 1 / 2, 1, 2, 3)
"""Height over width of the five anchors of SiamRPN++."""


def anchor_shapes(stride: int, scale: float = 8, ratios: Sequence[float] = RATIOS) -> np.ndarray:
    """Width and height of the anchors, in pixels of the search region.

    Args:
        stride: pixels between two cells.
        scale: side of the square anchor in cells.
        ratios: height over width.

    All anchors have about the area ``(scale * stride) ** 2``. Sides are rounded down before
    scaling, as in the training of published networks; the middle one is 64 x 64 at stride 8, scale
    8.

    Returns:
        ``(len(ratios), 2)``, float64.
    """
    shapes = []
    for ratio in ratios:
        width = int(sqrt(stride * stride / ratio))
        shapes.append((width * scale, int(width * ratio) * scale))
    return np.array(shapes, np.float64)


def anchor_grid(
    size: int, stride: int, scale: float = 8, ratios: Sequence[float] = RATIOS
) -> np.ndarray:
    """Anchors of every cell of a response, relative to the centre of the search region.

    Args:
        size: cells of the response along a side; their middle is at the centre.
        stride, scale, ratios: see `anchor_shapes`.

    Returns:
        ``(4, A, size, size)``, float32: centre x, centre y, width, height in pixels.
    """
    shapes = anchor_shapes(stride, scale, ratios)
    offsets = (np.arange(size) - (size - 1) / 2) * stride
    grid = np.empty((4, len(shapes), size, size), np.float32)
    grid[0] = offsets[None, None, :]
    grid[1] = offsets[None, :, None]
    grid[2] = shapes[:, 0, None, None]
    grid[3] = shapes[:, 1, None, None]
    return grid


def decode(loc: Tensor, anchors: Tensor) -> Tensor:
    """Boxes from an RPN's regression: shifts relative to the anchor's size, and log scale factors.

    Args:
        loc: ``(..., 4, A, H, W)``.
        anchors: `anchor_grid`, ``(4, A, H, W)``.

    Returns:
        ``(..., 4, A, H, W)``: centre x, centre y, width, height in pixels of the search region.
    """
    dx, dy, dw, dh = loc.unbind(-4)
    x, y, width, height = anchors.unbind(0)
    return torch.stack(
        (dx * width + x, dy * height + y, dw.exp() * width, dh.exp() * height), dim=-4
    )


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Regression targets of ``boxes``: the inverse of `decode`.

    Args:
        boxes: ``(..., 4, A, H, W)`` or broadcastable to it: centre x, centre y, width, height.
        anchors: ``(4, A, H, W)``.
    """
    x, y, width, height = anchors.unbind(0)
    bx, by, bw, bh = boxes.unbind(-4)
    return torch.stack(
        ((bx - x) / width, (by - y) / height, (bw / width).log(), (bh / height).log()), dim=-4
    )
