"""PMGI's and SDNet's training as their programs do it: proportions of intensity and gradient.

Images are in -1..1. Both use Adam at 1e-4 on patches of 120x120 in their order, with kernels that
start at a deviation of 1e-3.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.networks.base import FusionNetwork
from fusion.networks.sdnet import SDNet
from fusion.training.filters import blur3, laplacian, to_signed
from fusion.training.initial import draw_truncated_normal
from fusion.training.procedures import FusionTraining, central

__all__ = ["DecompositionTraining", "ProportionalLoss", "ProportionalTraining", "SqueezeLoss"]


class ProportionalLoss(nn.Module):
    """PMGI's loss, with the Laplacian as gradient.

        intensity  w (MSE(f, ir) + w_vis MSE(f, vis))
        gradient   w (w_gradient_vis MSE(∇f, ∇vis) + w_gradient_ir MSE(∇f, ∇ir))

    Args:
        w, w_vis, w_gradient_vis, w_gradient_ir: weights as published.
    """

    def __init__(
        self,
        w: float = 100.0,
        w_vis: float = 0.3,
        w_gradient_vis: float = 5.0,
        w_gradient_ir: float = 4.0,
    ):
        super().__init__()
        self.w, self.w_vis = w, w_vis
        self.w_gradient_vis, self.w_gradient_ir = w_gradient_vis, w_gradient_ir

    def forward(self, fused: Tensor, ir: Tensor, vis: Tensor) -> dict[str, Tensor]:
        """The two weighted terms; their sum is the loss. Images ``(B, 1, H, W)`` in -1..1."""
        edges, edges_ir, edges_vis = (laplacian(image) for image in (fused, ir, vis))
        intensity = F.mse_loss(fused, ir) + self.w_vis * F.mse_loss(fused, vis)
        gradient = self.w_gradient_vis * F.mse_loss(edges, edges_vis)
        gradient = gradient + self.w_gradient_ir * F.mse_loss(edges, edges_ir)
        return {"intensity": self.w * intensity, "gradient": self.w * gradient}


class SqueezeLoss(nn.Module):
    """SDNet's loss, with the Laplacian as gradient.

        intensity      MSE(f, ir) + w_vis MSE(f, vis)
        gradient       w_gradient mean(s_ir (∇f - ∇ir)^2 + s_vis (∇f - ∇vis)^2)
        decomposition  MSE(ir', ir) + MSE(vis', vis)

    ``s_vis`` is 1 where the blurred visible image has the stronger gradient and 0 elsewhere, and
    ``s_ir = 1 - s_vis``; ir' and vis' are the sources made from the fused image.

    Args:
        w_vis, w_gradient: weights as published.
    """

    def __init__(self, w_vis: float = 0.5, w_gradient: float = 80.0):
        super().__init__()
        self.w_vis, self.w_gradient = w_vis, w_gradient

    def forward(
        self, fused: Tensor, ir: Tensor, vis: Tensor, remade: tuple[Tensor, Tensor]
    ) -> dict[str, Tensor]:
        """The three weighted terms; their sum is the loss.

        Args:
            fused, ir, vis: ``(B, 1, H, W)`` in -1..1.
            remade: infrared and visible image made from the fused one, likewise.
        """
        edges, edges_ir, edges_vis = (laplacian(image) for image in (fused, ir, vis))
        from_vis = laplacian(blur3(vis)).abs() > laplacian(blur3(ir)).abs()
        stronger = torch.where(from_vis, edges_vis, edges_ir)
        return {
            "intensity": F.mse_loss(fused, ir) + self.w_vis * F.mse_loss(fused, vis),
            "gradient": self.w_gradient * F.mse_loss(edges, stronger),
            "decomposition": F.mse_loss(remade[0], ir) + F.mse_loss(remade[1], vis),
        }


class ProportionalTraining(FusionTraining):
    """PMGI as published, see `ProportionalLoss`.

    Args:
        network: PMGI or another network with outputs in 0..1.
        margin: pixels of each view's border that are not used: the program cuts 132x132 and uses
            the central 120x120.
        initial_deviation: see `fusion.training.initial.draw_truncated_normal`.
        learning_rate: of Adam, constant.
        **weights: weights of the terms, see `ProportionalLoss`.
    """

    def __init__(
        self,
        network: FusionNetwork,
        margin: int = 6,
        initial_deviation: float | None = 1e-3,
        learning_rate: float = 1e-4,
        **weights: float,
    ):
        super().__init__(network, learning_rate)
        draw_truncated_normal(network, initial_deviation)
        self.margin = margin
        self.loss = ProportionalLoss(**weights)

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        used = central(batch, self.margin if self.training else 0)
        fused = self.network(used["ir"], used["vis"])
        return self.loss(*map(to_signed, (fused, used["ir"], used["vis"]))), fused


class DecompositionTraining(FusionTraining):
    """SDNet as published, see `SqueezeLoss`.

    Args:
        network: SDNet.
        initial_deviation: see `fusion.training.initial.draw_truncated_normal`.
        learning_rate: of Adam, constant.
        **weights: weights of the terms, see `SqueezeLoss`.
    """

    network: SDNet

    def __init__(
        self,
        network: SDNet,
        initial_deviation: float | None = 1e-3,
        learning_rate: float = 1e-4,
        **weights: float,
    ):
        super().__init__(network, learning_rate)
        draw_truncated_normal(network, initial_deviation)
        self.loss = SqueezeLoss(**weights)

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        ir, vis = batch["ir"], batch["vis"]
        fused = self.network(ir, vis)
        remade_ir, remade_vis = map(to_signed, self.network.decompose(fused))
        signed = map(to_signed, (fused, ir, vis))
        return self.loss(*signed, (remade_ir, remade_vis)), fused
