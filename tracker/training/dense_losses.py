"""Losses on readings: the scores and boxes of a response's cells, for any head.

A cell's score is compared with a probability from a teacher or a label, and its box with a box, by
generalised IoU. Target and background have equal weight, independent of their numbers of cells.
"""

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_convert, generalized_box_iou_loss

from tracker.model.reading import Reading, cell_centres


def resample(reading: Reading, size: int, stride: float, own_stride: float) -> Reading:
    """Resample a reading at the cells of another response to the same search region.

    Args:
        reading: reading of B items.
        size: cells along a side of the other response.
        stride: pixels between its cells.
        own_stride: pixels between the reading's cells, in the scale of the other response; the
            boxes are already in this scale.

    Returns:
        Bilinear interpolation; cells outside the reading take the values of its border.
    """
    own = reading.logits.shape[-1]
    if own == size and own_stride == stride:
        return reading
    places = cell_centres(size, 1, reading.logits.device) * (stride / own_stride * 2 / (own - 1))
    grid = places.permute(1, 2, 0).expand(len(reading.logits), -1, -1, -1).float()
    maps = torch.cat((reading.logits[:, None], reading.boxes), dim=1).float()
    maps = F.grid_sample(maps, grid, padding_mode="border", align_corners=True)
    return Reading(maps[:, 0], maps[:, 1:])


def _balanced(probability: Tensor, weight: Tensor) -> Tensor:
    """Weights ``(B, H, W)`` of cells: in each item, half for the target, half for background."""
    target = probability / probability.sum((1, 2), keepdim=True).clamp(min=1)
    rest = 1 - probability
    background = rest / rest.sum((1, 2), keepdim=True).clamp(min=1)
    return (target + background) / 2 * weight[:, None, None]


def score_loss(logits: Tensor, teacher: Tensor, weight: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the student's scores from the teacher's; 0 if they are equal.

    Args:
        logits: logits of the student, ``(B, H, W)``.
        teacher: logits of the teacher, ``(B, H, W)``.
        weight: ``(B,)`` weights of the items.

    Returns:
        The mean over the items.
    """
    probability = teacher.sigmoid()
    error = F.binary_cross_entropy_with_logits(logits, probability, reduction="none")
    # The teacher's entropy is subtracted, because it does not depend on the student.
    error = error - F.binary_cross_entropy_with_logits(teacher, probability, reduction="none")
    return (error * _balanced(probability, weight)).sum((1, 2)).mean()


def box_loss(boxes: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """``1 - GIoU`` of boxes, weighted by cell.

    Args:
        boxes, targets: ``(B, 4, H, W)``: centre, width, height.
        weights: ``(B, H, W)``; the weight of an item is the sum over its cells, at most 1.

    Returns:
        The mean over the items.
    """
    corners = (box_convert(b.movedim(1, -1), "cxcywh", "xyxy") for b in (boxes, targets))
    error = generalized_box_iou_loss(*corners)
    total = weights.sum((1, 2)).clamp(min=1)
    # Selected instead of multiplied, because the box of a far cell may be infinite.
    error = torch.where(weights > 0, error * weights, 0)
    return (error.sum((1, 2)) / total).mean()


def label_cells(boxes: Tensor, positive: Tensor, size: int, stride: int) -> tuple[Tensor, Tensor]:
    """Label cells as target, background or neither (Chen et al., SiamBAN, CVPR 2020, Sec. 3.3).

    Cells inside the ellipse with half the sides of the box are target, cells outside the ellipse
    inscribed in the box are background, and those between are ignored. If a box is too small to
    contain a cell, the nearest cell is target.

    Args:
        boxes: ``(B, 4)``: centre relative to the centre of the search region, width, height.
        positive: ``(B,)`` booleans; if False, no cell is target.
        size, stride: size and stride of the response.

    Returns:
        Target cells and background cells, ``(B, size, size)`` booleans.
    """
    x, y = cell_centres(size, stride, boxes.device)
    centre_x, centre_y, width, height = (value[:, None, None] for value in boxes.unbind(1))
    distance = ((x - centre_x) / (width / 2)) ** 2 + ((y - centre_y) / (height / 2)) ** 2
    steps = (x - centre_x) ** 2 + (y - centre_y) ** 2
    nearest = steps <= steps.amin((1, 2), keepdim=True)
    inside = (distance < 0.25) | nearest
    there = positive[:, None, None]
    return inside & there, ((distance > 1) & ~nearest) | ~there


def label_loss(logits: Tensor, target: Tensor, background: Tensor, weight: Tensor) -> Tensor:
    """Cross entropy of scores with labels: the target has weight 1/2, all background 1/4, and the
    sixteen hardest background cells 1/4.

    Args:
        logits: ``(B, H, W)``.
        target, background: from `label_cells`.
        weight: ``(B,)`` weights of the items.
    """
    missed = F.softplus(-logits) * target
    taken = (F.softplus(logits) * background).flatten(1)
    hardest = taken.topk(min(16, taken.shape[1]), dim=1).values.mean(1)
    loss = 0.5 * missed.sum((1, 2)) / target.sum((1, 2)).clamp(min=1)
    loss = loss + 0.25 * taken.sum(1) / background.sum((1, 2)).clamp(min=1) + 0.25 * hardest
    return (loss * weight).mean()
