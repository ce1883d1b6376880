"""What trainings on responses share: terms of the loss, IoU, and the rate."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from fusion.base.lightning import cosine_decay, scheduled
from tracker.model.reading import Reading
from tracker.training.dense_losses import box_loss, label_cells, label_loss, score_loss


def response_terms(
    network: Any,
    reading: Reading,
    taught: Reading | None,
    batch: Mapping[str, Tensor],
    weights: Mapping[str, float],
) -> dict[str, Tensor]:
    """Terms of a response against a teacher's and against labels, see
    `tracker.training.distillation.Distillation`.

    Args:
        network: gives the size of its search region and its stride.
        taught: the teacher's response at the same cells; None without a teacher.
        batch: ``box``, ``positive`` and ``labelled`` of `VideoPairs`.
        weights: of the terms score, box, cls and loc; those with 0 are left out.
    """
    terms = {}
    box = _about_centre(batch["box"], network.search_size)
    size = reading.logits.shape[-1]
    target, background = label_cells(box, batch["positive"], size, network.stride)
    labelled = batch["labelled"].float()
    if taught is not None:
        agrees = _agreement(taught, box, batch["positive"])
        trust = torch.where(batch["labelled"], agrees.float(), 1.0)
        if weights["score"]:
            terms["score"] = weights["score"] * score_loss(reading.logits, taught.logits, trust)
        if weights["box"]:
            probability = taught.logits.sigmoid() * trust[:, None, None]
            probability = torch.where(probability > 0.1, probability, 0)
            terms["box"] = weights["box"] * box_loss(reading.boxes, taught.boxes, probability)
    if weights["cls"]:
        terms["cls"] = weights["cls"] * label_loss(reading.logits, target, background, labelled)
    if weights["loc"]:
        truth = box[:, :, None, None].expand_as(reading.boxes)
        there = target * labelled[:, None, None]
        terms["loc"] = weights["loc"] * box_loss(reading.boxes, truth, there)
    return terms


def best_ious(network: Any, reading: Reading, batch: Mapping[str, Tensor]) -> Tensor:
    """IoU of the best cell's box with the label, ``(K,)``, over labelled positive pairs."""
    box = _about_centre(batch["box"], network.search_size)
    return _iou(_best(reading), box)[batch["positive"] & batch["labelled"]]


def warm_cosine(
    optimizer: torch.optim.Optimizer, total: float, warmup: float, final_rate: float
) -> OptimizerLRScheduler:
    """Linear growth over a share of all steps, then a cosine down to a share of the rate."""
    warm = warmup * total

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        return cosine_decay((step - warm) / max(1, total - warm), final_rate)

    return scheduled(optimizer, factor)


def _about_centre(box: Tensor, size: int) -> Tensor:
    """``x, y, w, h`` in a crop as centre x and y from the crop's centre, width, height."""
    return torch.cat((box[:, :2] + box[:, 2:] / 2 - size / 2, box[:, 2:]), dim=1)


def _best(reading: Reading) -> Tensor:
    """The box ``(B, 4)`` of the cell of the highest score."""
    best = reading.logits.flatten(1).argmax(1)
    return reading.boxes.flatten(2).gather(2, best[:, None, None].expand(-1, 4, 1)).squeeze(2)


def _iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of boxes ``(B, 4)`` of centre and size, item by item."""
    low = torch.maximum(a[:, :2] - a[:, 2:] / 2, b[:, :2] - b[:, 2:] / 2)
    high = torch.minimum(a[:, :2] + a[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2)
    common = (high - low).clamp(min=0).prod(1)
    return common / (a[:, 2:].prod(1) + b[:, 2:].prod(1) - common).clamp(min=1e-9)


def _agreement(taught: Reading, box: Tensor, positive: Tensor) -> Tensor:
    """Whether the teacher's best box is the label's; of a pair without the target, whether it sees
    none."""
    right = _iou(_best(taught), box) > 0.4
    return torch.where(positive, right, taught.logits.flatten(1).amax(1) < 0)
