"""Training of autoencoders that fuse by a rule, AUIF and DIDFuse.

They are trained to reconstruct single images, without fusion. All other networks learn to
fuse, with any procedure of `fusion.training.procedures`.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.base.lightning import require_within
from fusion.networks.autoencoder import AutoencoderFusion
from fusion.networks.didfuse import DIDFuse
from fusion.training.losses import dssim, sobel
from fusion.training.procedures import EpochTraining


class DecompositionLoss(nn.Module):
    """DIDFuse's loss: reconstruct both images, with similar bases and different details.

        pixel      w_pixel (MSE_vis + MSE_ir)
        structure  w_pixel w_dssim (DSSIM_vis + DSSIM_ir)
        gradient   w_gradient L1(Sobel of the visible and its reconstruction)
        base       w_base tanh(L1(base_ir, base_vis))
        detail     -w_detail tanh(L1(detail_ir, detail_vis))

    Args:
        w_pixel, w_dssim, w_gradient, w_base, w_detail: weights as published.
    """

    def __init__(
        self,
        w_pixel: float = 2.0,
        w_dssim: float = 5.0,
        w_gradient: float = 10.0,
        w_base: float = 1.0,
        w_detail: float = 0.5,
    ):
        super().__init__()
        self.w_pixel, self.w_dssim, self.w_gradient = w_pixel, w_dssim, w_gradient
        self.w_base, self.w_detail = w_base, w_detail

    def forward(
        self,
        pictures: Sequence[Tensor],
        reconstructions: Sequence[Tensor],
        bases: Sequence[Tensor],
        details: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """The five weighted terms; their sum is the loss.

        Args:
            pictures, reconstructions: infrared and visible images, ``(B, 1, H, W)`` in 0..1.
            bases, details: features of the infrared and visible images, ``(B, C, H, W)``.

        Returns:
            Scalars ``pixel``, ``structure``, ``gradient``, ``base`` and ``detail``.
        """
        both = list(zip(reconstructions, pictures, strict=True))
        pixel = torch.stack([F.mse_loss(*pair) for pair in both]).sum()
        structure = torch.stack([dssim(*pair) for pair in both]).sum()
        (base_ir, base_vis), (detail_ir, detail_vis) = bases, details
        gradient = torch.cat(sobel(reconstructions[1])), torch.cat(sobel(pictures[1]))
        return {
            "pixel": self.w_pixel * pixel,
            "structure": self.w_pixel * self.w_dssim * structure,
            "gradient": self.w_gradient * F.l1_loss(*gradient),
            "base": self.w_base * F.l1_loss(base_ir, base_vis).tanh(),
            "detail": -self.w_detail * F.l1_loss(detail_ir, detail_vis).tanh(),
        }


class ReconstructionTraining(EpochTraining):
    """Mean squared error and structural dissimilarity of reconstructed images, as for AUIF.

    Infrared and visible images form one set: a batch of N pairs is a batch of 2 N images.

    Args:
        network: AUIF, DenseFuse or another autoencoder.
        w_dssim: weight of the dissimilarity.
        window: side of its windows.
        learning_rate, milestones, decay, learning_rates: see `EpochTraining`.
    """

    network: AutoencoderFusion

    def __init__(
        self,
        network: AutoencoderFusion,
        w_dssim: float = 5.0,
        window: int = 3,
        learning_rate: float = 1e-2,
        learning_rates: Mapping[str, float] | None = None,
        milestones: Sequence[int] = (),
        decay: float = 0.1,
    ):
        super().__init__(network, learning_rate, milestones, decay, learning_rates)
        require_within(1, 1e3, window=window)
        self.w_dssim, self.window = w_dssim, window

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        """Weighted loss terms, and images ``(B, 1, H, W)`` in 0..1.

        In evaluation these are the fused images. In training nothing is fused, and they are the
        reconstructed visible images.
        """
        pictures = torch.cat([batch["ir"], batch["vis"]])
        reconstructed = self.network.reconstruct(pictures)
        terms = {
            "pixel": F.mse_loss(reconstructed, pictures),
            "structure": self.w_dssim * dssim(reconstructed, pictures, self.window),
        }
        return terms, self._shown(batch, reconstructed[len(batch["ir"]) :])

    def _shown(self, batch: Mapping[str, Tensor], reconstructed: Tensor) -> Tensor:
        return reconstructed if self.training else self.network(batch["ir"], batch["vis"])


class DIDFuseTraining(ReconstructionTraining):
    """DIDFuse as published, see `DecompositionLoss`; each modality is a batch of its own.

    Args:
        network: DIDFuse.
        learning_rate, learning_rates, milestones, decay: see `ReconstructionTraining`.
        **weights: weights of the terms, see `DecompositionLoss`.
    """

    network: DIDFuse

    def __init__(
        self,
        network: DIDFuse,
        learning_rate: float = 1e-3,
        learning_rates: Mapping[str, float] | None = None,
        milestones: Sequence[int] = (40, 80),
        decay: float = 0.1,
        **weights: float,
    ):
        super().__init__(
            network,
            learning_rate=learning_rate,
            learning_rates=learning_rates,
            milestones=milestones,
            decay=decay,
        )
        self.loss = DecompositionLoss(**weights)

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        pictures = batch["ir"], batch["vis"]
        features = [self.network.encode(picture) for picture in pictures]
        reconstructed = [self.network.decode(*each) for each in features]
        bases, details = ([each[i] for each in features] for i in (2, 3))
        terms = self.loss(pictures, reconstructed, bases, details)
        return terms, self._shown(batch, reconstructed[1])
