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
from tracker.training.registry import FUSION_LOSSES

# --- Losses on responses ------------------------------------------------------------------------


def by_anchor(response: Response) -> tuple[Tensor, Tensor]:
    """Logits ``(B, 2, A, H, W)``, background and target, and regression ``(B, 4, A, H, W)``."""
    return response.cls.unflatten(1, (2, -1)), response.loc.unflatten(1, (4, -1))


def cross_entropy_loss(response: Response, labels: Tensor) -> Tensor:
    """Cross entropy of background and target, with equal weight for both, as in SiamRPN++.

        1/2 mean over positive anchors of -log p(target)
      + 1/2 mean over negative anchors of -log p(background)

    Args:
        response: responses to B pairs.
        labels: ``(B, A, H, W)`` of `POSITIVE`, `NEGATIVE` and `IGNORED`.

    Returns:
        A scalar; a term without any anchor is 0.
    """
    log_p = by_anchor(response)[0].float().log_softmax(1)
    loss = log_p.new_zeros(())
    for kind, channel in ((POSITIVE, 1), (NEGATIVE, 0)):
        of_kind = labels == kind
        loss = loss - 0.5 * (log_p[:, channel] * of_kind).sum() / of_kind.sum().clamp(min=1)
    return loss


def focal_loss(response: Response, labels: Tensor, alpha: float = 0.25, gamma: float = 2) -> Tensor:
    """Focal loss (Lin et al., ICCV 2017) over all anchors, divided by the number of positive ones.

    Args:
        response, labels: see `cross_entropy_loss`.
        alpha: weight of the target; the background has ``1 - alpha``.
        gamma: exponent that reduces the weight of correctly classified anchors.
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
        response: responses to B pairs.
        labels: ``(B, A, H, W)``.
        boxes: ``(B, 4)``: centre x, centre y, width, height in the search region.
        anchors: ``(4, A, H, W)``.
        kind: "l1", the sum over the four numbers of `tracker.model.anchors.encode`, as in
            SiamRPN++; "smooth_l1", the same but quadratic below 1; "giou", 1 - GIoU of the decoded
            box.

    Returns:
        A scalar; pairs without a positive anchor count as 0.
    """
    positive = labels == POSITIVE
    # Others are selected away before anything is computed from them: their decoded box may be
    # infinite, and an infinity that is selected away afterwards still makes its gradient NaN.
    loc = torch.where(positive[:, None], by_anchor(response)[1], 0)
    loc = loc.to(torch.promote_types(loc.dtype, torch.float32))
    boxes = boxes.to(loc.dtype)[:, :, None, None, None]
    if kind == "giou":
        found = decode(loc, anchors).movedim(1, -1)
        truth = boxes.expand_as(loc).movedim(1, -1)
        corners = (box_convert(b, "cxcywh", "xyxy") for b in (found, truth))
        error = generalized_box_iou_loss(*corners)
    else:
        measure = {"l1": F.l1_loss, "smooth_l1": F.smooth_l1_loss}[kind]
        target = encode(boxes, anchors).expand_as(loc)
        error = measure(loc, target, reduction="none").sum(1)
    positive = positive.flatten(1)
    error = torch.where(positive, error.flatten(1), 0)
    return (error.sum(1) / positive.sum(1).clamp(min=1)).mean()


# --- Losses on fused features -------------------------------------------------------------------


@FUSION_LOSSES.register("eq15")
class FewLevelsFusionLoss(FeatureFusionLoss):
    """Eq. 15 for networks with two or three levels.

    With two levels, the finer one is the shallow and the other the deep level: each has its own
    term, and the middle term is left out, because its target would contradict that of another term
    on the same feature. Targets are constants; otherwise, small features would be the easiest way
    to a small loss.

    Args:
        gammas, ws_rgb, wm_ir, wm_rgb, wd_ir, wd_rgb: see `FeatureFusionLoss`.
    """

    def forward(
        self, fused: Sequence[Tensor], rgb: Sequence[Tensor], ir: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """The weighted terms; their sum is the loss.

        Args:
            fused, rgb, ir: two or three levels ``(B, C, H, W)`` each, finest first.
        """
        rgb, ir = ([level.detach() for level in levels] for levels in (rgb, ir))
        if len(fused) != 2:
            return super().forward(fused, rgb, ir)
        three = ((levels[0], levels[1], levels[1]) for levels in (fused, rgb, ir))
        terms = super().forward(*three)
        return {name: terms[name] for name in ("shallow", "deep")}


@FUSION_LOSSES.register("rfn")
class RFNLoss(nn.Module):
    """The feature loss of RFN in DFAT+RFN, summed over levels.

        intensity  MSE(f, w_ir ir + w_rgb rgb) / (C H W)
        structure  1 - SSIM(f, rgb)

    SSIM treats every channel as an image, with the constants for a range of 1.

    Args:
        w_ir, w_rgb: weights of the two modalities in the intensity term.
    """

    def __init__(self, w_ir: float = 4.0, w_rgb: float = 0.5):
        super().__init__()
        self.w_ir, self.w_rgb = w_ir, w_rgb

    def forward(
        self, fused: Sequence[Tensor], rgb: Sequence[Tensor], ir: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Both terms; see `FewLevelsFusionLoss.forward`. Maps must have 11 cells or more."""
        intensity = structure = fused[0].new_zeros(())
        for f, r, i in zip(fused, rgb, ir, strict=True):
            r, i = r.detach(), i.detach()
            target = self.w_ir * i + self.w_rgb * r
            intensity = intensity + F.mse_loss(f, target) / f[0].numel()
            f, r = (x.flatten(0, 1)[:, None] for x in (f, r))
            structure = structure + 1 - ssim_map(f, r).mean()
        return {"intensity": intensity, "structure": structure}
