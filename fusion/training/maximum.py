"""SwinFusion's and MGT's training as their programs do it: the brighter and the stronger source."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.images.pixels import PixelScaling
from fusion.networks.base import FusionNetwork
from fusion.training.filters import sobel_strength, ssim_zero_padded
from fusion.training.procedures import EpochTraining


class MaximumLoss(nn.Module):
    """Regression to the maxima of the sources, and similarity to both.

        intensity  w_intensity L1(f, m), m = max(ir, vis)
        gradient   w_gradient L1(S f, max(S ir, S vis)), S = |Sobel x| + |Sobel y|
        structure  w_structure (1 - v_ir SSIM(ir, f) - v_vis SSIM(vis, f))
        smooth     w_smooth (mean squared differences of rows, plus those of columns, of f - m)

    ``v_ir`` and ``v_vis`` are the shares of the means of S. The released SwinFusion has the weights
    20, 20, 10, 0, MGT 50, 50, 10, 0; SwinFusion's published weights were trained with 10, 20, 10,
    20.

    Args:
        w_intensity, w_gradient, w_structure, w_smooth: weights of the terms.
    """

    def __init__(
        self,
        w_intensity: float = 20.0,
        w_gradient: float = 20.0,
        w_structure: float = 10.0,
        w_smooth: float = 0.0,
    ):
        super().__init__()
        self.w_intensity, self.w_gradient = w_intensity, w_gradient
        self.w_structure, self.w_smooth = w_structure, w_smooth

    def forward(self, fused: Tensor, ir: Tensor, vis: Tensor) -> dict[str, Tensor]:
        """The four weighted terms; their sum is the loss. Images ``(B, 1, H, W)`` in 0..1."""
        brighter = torch.maximum(ir, vis)
        edges, edges_ir, edges_vis = (sobel_strength(image) for image in (fused, ir, vis))
        # Two black images have no edges; each then has half of the weight, where the programs
        # divide 0 by 0.
        total = edges_ir.mean() + edges_vis.mean()
        share = torch.where(total > 0, edges_ir.mean() / total.clamp(min=1e-12), 0.5)
        similarity = share * ssim_zero_padded(ir, fused)
        similarity = similarity + (1 - share) * ssim_zero_padded(vis, fused)
        rest = fused - brighter
        rough = rest.diff(dim=2).square().mean() + rest.diff(dim=3).square().mean()
        return {
            "intensity": self.w_intensity * F.l1_loss(fused, brighter),
            "gradient": self.w_gradient * F.l1_loss(edges, torch.maximum(edges_ir, edges_vis)),
            "structure": self.w_structure * (1 - similarity),
            "smooth": self.w_smooth * rough,
        }


class MaximumTraining(EpochTraining):
    """SwinFusion or MGT as published, see `MaximumLoss`.

    Args:
        network: SwinFusion, MGT or another network; its `scaling` is set to the clamped convention.
        learning_rate, milestones, decay: see `EpochTraining`.
        **weights: weights of the terms, see `MaximumLoss`.
    """

    def __init__(
        self,
        network: FusionNetwork,
        learning_rate: float = 2e-5,
        milestones: Sequence[int] = (),
        decay: float = 0.1,
        **weights: float,
    ):
        super().__init__(network, learning_rate, milestones, decay)
        network.scaling = PixelScaling(output="clamp", rounding="round")
        self.loss = MaximumLoss(**weights)

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        fused = self.network(batch["ir"], batch["vis"])
        return self.loss(fused, batch["ir"], batch["vis"]), fused
