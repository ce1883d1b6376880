"""DIDFuse under reference-then-supervision (Li et al., Pattern Recognition), as its program trains.

`fusion.training.procedures.ReferenceTraining` is this package's own supervision of any network.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.base.errors import UserError
from fusion.networks.didfuse import DIDFuse
from fusion.training.losses import dssim, sobel
from fusion.training.procedures import FusionTraining


class SupervisedDecompositionLoss(nn.Module):
    """The loss of DIDFuse's fused image and the references ``S_k``, which count alike.

        reconstruction  w_reconstruction mean_k (DSSIM(f, S_k) + MSE(f, S_k))
        base            w_base tanh(L1(base_ir, base_vis))
        detail          -w_detail tanh(L1(detail_ir, detail_vis))
        gradient        w_gradient mean_k L1(Sobel f, Sobel S_k)

    Args:
        w_reconstruction, w_base, w_detail, w_gradient: weights as published.
    """

    def __init__(
        self,
        w_reconstruction: float = 2.0,
        w_base: float = 0.5,
        w_detail: float = 0.5,
        w_gradient: float = 10.0,
    ):
        super().__init__()
        self.w_reconstruction, self.w_gradient = w_reconstruction, w_gradient
        self.w_base, self.w_detail = w_base, w_detail

    def weighted(
        self, reconstruction: Tensor, base: Tensor, detail: Tensor, gradient: Tensor
    ) -> dict[str, Tensor]:
        """The four weighted terms of the mean differences; their sum is the loss."""
        return {
            "reconstruction": self.w_reconstruction * reconstruction,
            "base": self.w_base * base.tanh(),
            "detail": -self.w_detail * detail.tanh(),
            "gradient": self.w_gradient * gradient,
        }

    def forward(
        self,
        fused: Tensor,
        references: Tensor,
        bases: Sequence[Tensor],
        details: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """The four weighted terms; their sum is the loss.

        Args:
            fused: ``(B, 1, H, W)`` in 0..1.
            references: ``(B, K, H, W)`` in 0..1.
            bases, details: features of the infrared and visible images, ``(B, C, H, W)``.
        """
        edges = torch.cat(sobel(fused))
        similar, slopes = [], []
        for reference in references.split(1, dim=1):
            similar.append(dssim(fused, reference) + F.mse_loss(fused, reference))
            slopes.append(F.l1_loss(edges, torch.cat(sobel(reference))))
        return self.weighted(
            torch.stack(similar).mean(),
            F.l1_loss(bases[0], bases[1]),
            F.l1_loss(details[0], details[1]),
            torch.stack(slopes).mean(),
        )


class SupervisedDIDFuseTraining(FusionTraining):
    """DIDFuse trained to fuse to the references, see `SupervisedDecompositionLoss`.

    The released program's rate is 1, under which the published weights saturate; the default here
    is that of DIDFuse's own training.

    Args:
        network: DIDFuse with the rule ``sum``.
        w_reconstruction, w_base, w_detail, w_gradient: see `SupervisedDecompositionLoss`.
        learning_rate: of Adam, constant.
    """

    network: DIDFuse

    def __init__(
        self,
        network: DIDFuse,
        w_reconstruction: float = 2.0,
        w_base: float = 0.5,
        w_detail: float = 0.5,
        w_gradient: float = 10.0,
        learning_rate: float = 1e-3,
    ):
        super().__init__(network, learning_rate)
        self.loss = SupervisedDecompositionLoss(w_reconstruction, w_base, w_detail, w_gradient)

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        if "references" not in batch:
            raise UserError("data.references: required by this procedure; give a folder")
        features = [self.network.encode(batch[name]) for name in ("ir", "vis")]
        combine = self.network.rules[self.network.rule]
        fused = self.network.decode(*map(combine, *features))
        bases, details = ([each[i] for each in features] for i in (2, 3))
        return self.loss(fused, batch["references"], bases, details), fused
