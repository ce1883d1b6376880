"""Losses of trackers: on RPN responses and on fused features."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import box_convert, generalized_box_iou_loss, sigmoid_focal_loss

from fusion.training.losses import FeatureFusionLoss, ssim_map
from tracker.model.anchors import decode, encode
from tracker.model.head import Response
from tracker.training.labels import IGNORED, NEGATIVE, POSITIVE

__all__ = [
    "FewLevelsFusionLoss",
    "RFNLoss",
    "by_anchor",
    "cross_entropy_loss",
    "focal_loss",
    "localisation_loss",
]

# --- Losses on responses ------------------------------------------------------------------------


def by_anchor(response: Response) -> tuple[Tensor, Tensor]:
    """Logits ``(B, 2, A, H, W)``, background and target, and regression ``(B, 4, A, H, W)``."""
    return response.cls.unflatten(1, (2, -1)), response.loc.unflatten(1, (4, -1))


def cross_entropy_loss(response: Response, labels: Tensor) -> Tensor:
    """Cross entropy of background and target, with equal weight for both, as in SiamRPN++.

        1/2 mean over positive anchors of -log p(target)
      + 1/2 mean over negative anchors of -log p(background)

    Args:
        response: of B pairs.
        labels: ``(B, A, H, W)`` of `POSITIVE`, `NEGATIVE` and `IGNORED`.

    Returns:
        A scalar; the part of a kind that no anchor is of is 0.
    """
    log_p = by_anchor(response)[0].float().log_softmax(1)
    loss = log_p.new_zeros(())
    for kind, channel in ((POSITIVE, 1), (NEGATIVE, 0)):
        of_kind = labels == kind
        loss = loss - 0.5 * (log_p[:, channel] * of_kind).sum() / of_kind.sum().clamp(min=1)
    return loss


def focal_loss(response: Response, labels: Tensor, alpha: float = 0.25, gamma: float = 2) -> Tensor:
    """Focal loss (Lin et al., ICCV 2017) over all anchors, by the number of positive ones.

    Args:
        response, labels: as for `cross_entropy_loss`.
        alpha: weight of the target against the background's ``1 - alpha``.
        gamma: how far what is right already counts less.
    """
    background, target = by_anchor(response)[0].float().unbind(1)
    positive = labels == POSITIVE
    loss = sigmoid_focal_loss(target - background, positive.float(), alpha, gamma)
    return (loss * (labels != IGNORED)).sum() / positive.sum().clamp(min=1)


def localisation_loss(
    response: Response,
    labels: Tensor,
    boxes: Tensor,
    anchors: Tensor,
    kind: Literal["l1", "smooth_l1", "giou"] = "l1",
) -> Tensor:
    """Regression error at positive anchors: mean over a pair's anchors, then over all pairs.

    Args:
        response: of B pairs.
        labels: ``(B, A, H, W)``.
        boxes: ``(B, 4)``: centre x, centre y, width, height in the search region.
        anchors: ``(4, A, H, W)``.
        kind: "l1", the sum over the four numbers of `tracker.model.anchors.encode`, as in
        SiamRPN++;
            "smooth_l1", the same, quadratic below 1; "giou", 1 - GIoU of the decoded box.

    Returns:
        A scalar; pairs without a positive anchor count as 0.
    """
    loc = by_anchor(response)[1].float()
    boxes = boxes.float()[:, :, None, None, None]
    if kind == "giou":
        found = decode(loc, anchors).movedim(1, -1)
        truth = boxes.expand_as(loc).movedim(1, -1)
        corners = (box_convert(b, "cxcywh", "xyxy") for b in (found, truth))
        error = generalized_box_iou_loss(*corners)
    else:
        measure = {"l1": F.l1_loss, "smooth_l1": F.smooth_l1_loss}[kind]
        target = encode(boxes, anchors).expand_as(loc)
        error = measure(loc, target, reduction="none").sum(1)
    positive = (labels == POSITIVE).flatten(1)
    # Selected, not multiplied: a far anchor's decoded box may be infinite.
    error = torch.where(positive, error.flatten(1), 0)
    return (error.sum(1) / positive.sum(1).clamp(min=1)).mean()


# --- Losses on fused features -------------------------------------------------------------------


class FewLevelsFusionLoss(FeatureFusionLoss):
    """Eq. 15 for networks of three levels or two.

    Of two levels, the finer one is the shallow and the other the deep one: each keeps a term of its
    own, and the middle term is left out, because on one feature its target would contradict
    another's. Targets are constants: else the cheapest way to a small loss is small features.

    Args:
        gammas, ws_rgb, wm_ir, wm_rgb, wd_ir, wd_rgb: see `FeatureFusionLoss`.
    """

    def forward(
        self, fused: Sequence[Tensor], rgb: Sequence[Tensor], ir: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """The terms, weighted; their sum is the loss.

        Args:
            fused, rgb, ir: three or two levels ``(B, C, H, W)`` each, finest first.
        """
        rgb, ir = ([level.detach() for level in levels] for levels in (rgb, ir))
        if len(fused) != 2:
            return super().forward(fused, rgb, ir)
        three = ((levels[0], levels[1], levels[1]) for levels in (fused, rgb, ir))
        terms = super().forward(*three)
        return {name: terms[name] for name in ("shallow", "deep")}


class RFNLoss(nn.Module):
    """The feature loss RFN is trained with in DFAT+RFN, summed over levels.

        intensity  MSE(f, w_ir ir + w_rgb rgb) / (C H W)
        structure  1 - SSIM(f, rgb)

    SSIM is of every channel as a picture, with the constants of a range of 1.

    Args:
        w_ir, w_rgb: of both in the first term.
    """

    def __init__(self, w_ir: float = 4.0, w_rgb: float = 0.5):
        super().__init__()
        self.w_ir, self.w_rgb = w_ir, w_rgb

    def forward(
        self, fused: Sequence[Tensor], rgb: Sequence[Tensor], ir: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Both terms; arguments as `FewLevelsFusionLoss.forward`, maps of 11 cells or more."""
        intensity = structure = fused[0].new_zeros(())
        for f, r, i in zip(fused, rgb, ir, strict=True):
            r, i = r.detach(), i.detach()
            target = self.w_ir * i + self.w_rgb * r
            intensity = intensity + F.mse_loss(f, target) / f[0].numel()
            f, r = (x.flatten(0, 1)[:, None] for x in (f, r))
            structure = structure + 1 - ssim_map(f, r).mean()
        return {"intensity": intensity, "structure": structure}
