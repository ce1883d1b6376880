"""Training in stages as NestFuse's successors do it: an autoencoder first, then what fuses.

The first stage is also the whole training of the published DenseFuse and Res2Fusion, which fuse by
a rule. Losses are computed on pixels in 0..255.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.base.checkpoints import require_match
from fusion.images.pixels import PixelScaling
from fusion.networks.autoencoder import AutoencoderFusion
from fusion.networks.base import FusionNetwork
from fusion.networks.nestfuse import LEVELS, NestedFusion
from fusion.training.filters import ms_ssim
from fusion.training.initial import require_start
from fusion.training.procedures import EpochTraining, FusionTraining


class AutoencoderTraining(EpochTraining):
    """Reconstruction of single images: ``MSE(r, x) + w_structure (1 - MSSSIM(r, x))``.

    `fusion.training.filters.ms_ssim` is the similarity. Published: 80 000 images of MS-COCO as
    greyscale, resized to 256x256 without interpolation, Adam at 1e-4.

    Args:
        network: RFNNest or IFT, whose autoencoder is trained, or DenseFuse, Res2Fusion or another
            network that fuses by a rule.
        w_structure: 100 for NestFuse and DenseFuse; 1 to 1000 for Res2Fusion.
        pictures: ``both``, a batch of N pairs is a batch of 2 N images; or ``vis``, the visible
            image alone, for a folder of single images named as ``ir`` and as ``vis``.
        learning_rate, milestones, decay: see `EpochTraining`.
    """

    network: NestedFusion | AutoencoderFusion

    def __init__(
        self,
        network: FusionNetwork,
        w_structure: float = 100.0,
        pictures: Literal["both", "vis"] = "both",
        learning_rate: float = 1e-4,
        milestones: Sequence[int] = (),
        decay: float = 0.1,
    ):
        super().__init__(network, learning_rate, milestones, decay)
        if not isinstance(network, NestedFusion | AutoencoderFusion):
            raise ValueError(f"{type(network).__name__} cannot reconstruct single images")
        self.w_structure, self.pictures = w_structure, pictures
        if isinstance(network, NestedFusion):
            network.fusion.requires_grad_(False)

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        """Weighted loss terms, and the reconstructed visible images; in evaluation of a network
        that fuses by a rule, the fused images."""
        images = batch["vis"]
        if self.pictures == "both":
            images = torch.cat([batch["ir"], images])
        remade = self.network.reconstruct(images)
        pixels, expected = remade * LEVELS, images * LEVELS
        terms = {
            "pixel": F.mse_loss(pixels, expected),
            "structure": self.w_structure * (1 - ms_ssim(pixels, expected)),
        }
        if not self.training and isinstance(self.network, AutoencoderFusion):
            return terms, self.network(batch["ir"], batch["vis"])
        return terms, remade[-len(batch["vis"]) :]


def stretched(fused: Tensor) -> Tensor:
    """The range of a batch of images stretched to 0..255."""
    low, high = fused.min(), fused.max()
    return (fused - low) / (high - low + PixelScaling.EPSILON) * LEVELS


class NestedFusionLoss(nn.Module):
    """The loss of RFN-Nest and of the Image Fusion Transformer.

        detail   w_detail (1 - MSSSIM(f, vis)), on pixels in 0..255
        feature  sum_m w_scales[m] MSE(F_m, w_ir E_m(ir) + w_vis E_m(vis)), m from fine to coarse

    The fused image is stretched over the batch to 0..255 before.

    Args:
        w_detail, w_ir, w_vis, w_scales: weights as published.
    """

    def __init__(
        self,
        w_detail: float = 700.0,
        w_ir: float = 6.0,
        w_vis: float = 3.0,
        w_scales: tuple[float, float, float, float] = (1.0, 10.0, 100.0, 1000.0),
    ):
        super().__init__()
        self.w_detail, self.w_ir, self.w_vis = w_detail, w_ir, w_vis
        self.w_scales = w_scales

    def forward(
        self,
        fused: Tensor,
        vis: Tensor,
        features: Sequence[Tensor],
        features_ir: Sequence[Tensor],
        features_vis: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """The two weighted terms; their sum is the loss.

        Args:
            fused, vis: ``(B, 1, H, W)`` in 0..255.
            features, features_ir, features_vis: fused features and those of the sources at four
                scales, finest first.
        """
        parts = [
            weight * F.mse_loss(f, self.w_ir * a + self.w_vis * b)
            for weight, f, a, b in zip(
                self.w_scales, features, features_ir, features_vis, strict=True
            )
        ]
        return {
            "detail": self.w_detail * (1 - ms_ssim(stretched(fused), vis)),
            "feature": torch.stack(parts).sum(),
        }


class NestedFusionTraining(FusionTraining):
    """The second stage of RFN-Nest and of the Image Fusion Transformer, see `NestedFusionLoss`.

    Args:
        network: RFNNest or IFT.
        start: weights of the first stage, of either network; its autoencoder is not trained here.
        learning_rate: of Adam, constant.
        **weights: weights of the terms, see `NestedFusionLoss`.

    Raises:
        UserError: ``start`` is missing, cannot be read, or has another autoencoder.
    """

    network: NestedFusion

    def __init__(
        self,
        network: NestedFusion,
        start: str | None = None,
        learning_rate: float = 1e-4,
        **weights: Any,
    ):
        super().__init__(network, learning_rate)
        tensors = require_start(start, "the autoencoder's weights")
        own = "autoencoder."
        found = {n.removeprefix(own): t for n, t in tensors.items() if n.startswith(own)}
        network.autoencoder.load_state_dict(require_match(str(start), found, network.autoencoder))
        network.autoencoder.requires_grad_(False)
        self.loss = NestedFusionLoss(**weights)

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        ir, vis = (self.network.encode(batch[name]) for name in ("ir", "vis"))
        features = self.network.fuse_features(ir, vis)
        fused = self.network.decode(features)
        return self.loss(fused * LEVELS, batch["vis"] * LEVELS, features, ir, vis), fused
