"""The baselines of reference-then-supervision (Li et al., Pattern Recognition), as it trains them.

Each loss is that of the framework's released code. Where that code has a slip, which the loss
documents, ``as_released=False`` gives what was evidently meant. References are ``(B, K, H, W)`` in
0..1, best first, with weights ``(B, K)`` of which each row has the sum 1; the weight 0 marks a
reference that is not there, which counts in no loss.

The adversarial baselines are in `fusion.training.supervised_adversarial`, and this package's own
supervision of any network is `fusion.training.procedures.ReferenceTraining`.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.base.errors import UserError
from fusion.networks.base import FusionNetwork
from fusion.networks.didfuse import DIDFuse
from fusion.networks.nestfuse import LEVELS, NestedFusion
from fusion.networks.sdnet import SDNet
from fusion.training.filters import (
    laplacian,
    ms_ssim,
    sobel_strength,
    ssim_zero_padded,
    to_signed,
)
from fusion.training.initial import load_start
from fusion.training.losses import dssim, sobel
from fusion.training.maximum import MaximumTraining
from fusion.training.nested import stretched
from fusion.training.procedures import FusionTraining, central
from fusion.training.proportional import DecompositionTraining, ProportionalTraining

__all__ = [
    "SupervisedDIDFuseTraining",
    "SupervisedDecompositionLoss",
    "SupervisedMGTLoss",
    "SupervisedMGTTraining",
    "SupervisedNestLoss",
    "SupervisedPMGILoss",
    "SupervisedPMGITraining",
    "SupervisedRFNNestTraining",
    "SupervisedSDNetLoss",
    "SupervisedSDNetTraining",
    "SupervisedSwinFusionLoss",
    "SupervisedSwinFusionTraining",
    "each",
    "references_of",
    "squared",
    "weighted",
]

# --- References -----------------------------------------------------------------------------------


def references_of(batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The references of a batch and their weights.

    Raises:
        UserError: the data has none.
    """
    if "references" not in batch:
        raise UserError("data.references: required by this procedure; give a folder")
    return batch["references"], batch["weights"]


def each(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """A filter of ``(B, 1, H, W)`` applied to each of the images ``(B, K, H, W)``."""
    return function(images.flatten(0, 1)[:, None]).view_as(images)


def present(weights: Tensor) -> Tensor:
    """1 for each reference that is there, and 0 for the others, ``(B, K)``."""
    return (weights > 0).to(weights.dtype)


def weighted(images: Tensor, weights: Tensor) -> Tensor:
    """``sum_k w_k mean_k`` of images ``(B, K, H, W)``, averaged over the batch."""
    return (weights * images.mean((2, 3))).sum(1).mean()


def squared(fused: Tensor, references: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """``sum_k w_k MSE(f, S_k)`` and ``sum_k w_k MSE(∇f, ∇S_k)``, ∇ the Laplacian."""
    edges, edges_of = laplacian(fused), each(laplacian, references)
    return (
        weighted((fused - references).square(), weights),
        weighted((edges - edges_of).square(), weights),
    )


# --- PMGI and SDNet -------------------------------------------------------------------------------


class SupervisedPMGILoss(nn.Module):
    """PMGI's loss of the fused image and the references, ∇ the Laplacian.

        intensity  sum_k w_k MSE(f, S_k)
        gradient   w_gradient sum_k w_k MSE(∇f, ∇S_k)

    Args:
        w_gradient: weight as released.
    """

    def __init__(self, w_gradient: float = 1.0):
        super().__init__()
        self.w_gradient = w_gradient

    def forward(self, fused: Tensor, references: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """The two weighted terms; their sum is the loss. Images in -1..1."""
        intensity, gradient = squared(fused, references, weights)
        return {"intensity": intensity, "gradient": self.w_gradient * gradient}


class SupervisedPMGITraining(ProportionalTraining):
    """PMGI trained to fuse to the references, see `SupervisedPMGILoss`.

    Args:
        network: PMGI or another network with outputs in 0..1.
        start: a weights file of this network to start from; None for random weights.
        w_gradient: see `SupervisedPMGILoss`.
        margin, initial_deviation, learning_rate: see `ProportionalTraining`. The framework resizes
            whole images to 120x120, without a margin.
    """

    def __init__(
        self,
        network: FusionNetwork,
        start: str | None = None,
        w_gradient: float = 1.0,
        margin: int = 0,
        initial_deviation: float | None = 1e-3,
        learning_rate: float = 1e-4,
    ):
        super().__init__(
            network,
            margin=margin,
            initial_deviation=initial_deviation,
            learning_rate=learning_rate,
        )
        load_start(network, start)
        self.supervision = SupervisedPMGILoss(w_gradient)

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        used = central(batch, self.margin if self.training else 0)
        references, weights = references_of(used)
        fused = self.network(used["ir"], used["vis"])
        return self.supervision(to_signed(fused), to_signed(references), weights), fused


class SupervisedSDNetLoss(nn.Module):
    """SDNet's loss of the fused image and the references, ∇ the Laplacian.

        intensity      sum_k w_k MSE(f, S_k)
        gradient       w_gradient sum_k w_k MSE(∇f, ∇S_k)
        decomposition  sum_k [MSE(ir', S_k) + MSE(vis', S_k)]

    ir' and vis' are the sources made from the fused image. The slip: of the infrared image and the
    first reference, the released code has ``mean(ir'^2 - S_1)`` for the squared error.

    Args:
        w_gradient: weight as released.
        as_released: with the slip.
    """

    def __init__(self, w_gradient: float = 10.0, as_released: bool = True):
        super().__init__()
        self.w_gradient, self.as_released = w_gradient, as_released

    def forward(
        self,
        fused: Tensor,
        references: Tensor,
        weights: Tensor,
        remade: tuple[Tensor, Tensor],
    ) -> dict[str, Tensor]:
        """The three weighted terms; their sum is the loss.

        Args:
            fused, references, weights: images in -1..1.
            remade: infrared and visible image made from the fused one, likewise.
        """
        intensity, gradient = squared(fused, references, weights)
        remade_ir, remade_vis = ((image - references).square() for image in remade)
        if self.as_released:
            first = remade[0].square() - references[:, :1]
            remade_ir = torch.cat([first, remade_ir[:, 1:]], dim=1)
        return {
            "intensity": intensity,
            "gradient": self.w_gradient * gradient,
            "decomposition": weighted(remade_ir + remade_vis, present(weights)),
        }


class SupervisedSDNetTraining(DecompositionTraining):
    """SDNet trained to fuse to the references, see `SupervisedSDNetLoss`.

    Args:
        network: SDNet.
        start: a weights file of this network to start from; None for random weights.
        w_gradient, as_released: see `SupervisedSDNetLoss`.
        initial_deviation, learning_rate: see `DecompositionTraining`.
    """

    network: SDNet

    def __init__(
        self,
        network: SDNet,
        start: str | None = None,
        w_gradient: float = 10.0,
        as_released: bool = True,
        initial_deviation: float | None = 1e-3,
        learning_rate: float = 1e-4,
    ):
        super().__init__(network, initial_deviation=initial_deviation, learning_rate=learning_rate)
        load_start(network, start)
        self.supervision = SupervisedSDNetLoss(w_gradient, as_released)

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        references, weights = references_of(batch)
        fused = self.network(batch["ir"], batch["vis"])
        remade_ir, remade_vis = map(to_signed, self.network.decompose(fused))
        signed = to_signed(fused), to_signed(references)
        return self.supervision(*signed, weights, (remade_ir, remade_vis)), fused


# --- SwinFusion and MGT ---------------------------------------------------------------------------


class SupervisedSwinFusionLoss(nn.Module):
    """SwinFusion's loss of the fused image and the references, whose weights do not count.

        intensity  w_intensity L1(f, max_k S_k)
        gradient   w_gradient L1(S f, max_k S S_k), S = |Sobel x| + |Sobel y|
        structure  w_structure (1 - sum_k v_k SSIM(S_k, f))

    ``v_k`` are the shares of ``g_k = mean S S_k``. Two slips: the released code compares the fused
    image's gradient with ``max_k S_k``, pixels; and a bracket is missing in ``v_k = g_k / (g_1 +
    g_2) + g_3 + g_4 + ...``.

    Args:
        w_intensity, w_gradient, w_structure: weights as released.
        as_released: with the slips.
    """

    def __init__(
        self,
        w_intensity: float = 20.0,
        w_gradient: float = 20.0,
        w_structure: float = 10.0,
        as_released: bool = True,
    ):
        super().__init__()
        self.w_intensity, self.w_gradient = w_intensity, w_gradient
        self.w_structure, self.as_released = w_structure, as_released

    def forward(self, fused: Tensor, references: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """The three weighted terms; their sum is the loss. Images in 0..1."""
        there = present(weights)[..., None, None]
        brightest = (references * there).amax(1, keepdim=True)
        edges = each(sobel_strength, references) * there
        wanted = brightest if self.as_released else edges.amax(1, keepdim=True)
        strength = edges.mean((0, 2, 3))
        if self.as_released:
            shares = strength / strength[:2].sum().clamp(min=1e-12) + strength[2:].sum()
        else:
            shares = strength / strength.sum().clamp(min=1e-12)
        similar = torch.stack([ssim_zero_padded(s, fused) for s in references.split(1, dim=1)])
        return {
            "intensity": self.w_intensity * F.l1_loss(fused, brightest),
            "gradient": self.w_gradient * F.l1_loss(sobel_strength(fused), wanted),
            "structure": self.w_structure * (1 - (shares * similar).sum()),
        }


class SupervisedSwinFusionTraining(MaximumTraining):
    """SwinFusion trained to fuse to the references, see `SupervisedSwinFusionLoss`.

    Args:
        network: SwinFusion or another network; its `scaling` is set to the clamped convention.
        start: a weights file of this network to start from; None for random weights.
        w_intensity, w_gradient, w_structure, as_released: see `SupervisedSwinFusionLoss`.
        learning_rate, milestones, decay: see `MaximumTraining`.
    """

    def __init__(
        self,
        network: FusionNetwork,
        start: str | None = None,
        w_intensity: float = 20.0,
        w_gradient: float = 20.0,
        w_structure: float = 10.0,
        as_released: bool = True,
        learning_rate: float = 2e-5,
        milestones: Sequence[int] = (),
        decay: float = 0.1,
    ):
        super().__init__(network, learning_rate=learning_rate, milestones=milestones, decay=decay)
        load_start(network, start)
        self.supervision: nn.Module = SupervisedSwinFusionLoss(
            w_intensity, w_gradient, w_structure, as_released
        )

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        references, weights = references_of(batch)
        fused = self.network(batch["ir"], batch["vis"])
        return self.supervision(fused, references, weights), fused


class SupervisedMGTLoss(nn.Module):
    """MGT's loss of the fused image and the references, whose weights do not count.

        intensity  w_intensity mean_k L1(f, S_k)
        gradient   w_gradient mean_k L1(S f, S S_k), S = |Sobel x| + |Sobel y|
        structure  w_structure (1 - mean_k SSIM(f, S_k))

    The slips: the released code has the last reference alone for the first mean, sums for the other
    two, and the gradient ``S S_k`` for the image in the similarity.

    Args:
        w_intensity, w_gradient, w_structure: weights as released.
        as_released: with the slips.
    """

    def __init__(
        self,
        w_intensity: float = 50.0,
        w_gradient: float = 50.0,
        w_structure: float = 10.0,
        as_released: bool = True,
    ):
        super().__init__()
        self.w_intensity, self.w_gradient = w_intensity, w_gradient
        self.w_structure, self.as_released = w_structure, as_released

    def forward(self, fused: Tensor, references: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """The three weighted terms; their sum is the loss. Images in 0..1."""
        edges = each(sobel_strength, references)
        there = present(weights)
        count = there.sum(1, keepdim=True)
        if self.as_released:
            last = count.long() - 1
            of_intensity = torch.zeros_like(there).scatter(1, last, 1.0)
            shares, compared = there, edges
        else:
            of_intensity = shares = there / count
            compared = references
        similar = [ssim_zero_padded(fused, image) for image in compared.split(1, dim=1)]
        gradient = (sobel_strength(fused) - edges).abs()
        return {
            "intensity": self.w_intensity * weighted((fused - references).abs(), of_intensity),
            "gradient": self.w_gradient * weighted(gradient, shares),
            "structure": self.w_structure * (1 - (shares.mean(0) * torch.stack(similar)).sum()),
        }


class SupervisedMGTTraining(SupervisedSwinFusionTraining):
    """MGT trained to fuse to the references, see `SupervisedMGTLoss`.

    Args:
        network: MGT or another network; its `scaling` is set to the clamped convention.
        start: a weights file of this network to start from; None for random weights.
        w_intensity, w_gradient, w_structure, as_released: see `SupervisedMGTLoss`.
        learning_rate, milestones, decay: see `MaximumTraining`.
    """

    def __init__(
        self,
        network: FusionNetwork,
        start: str | None = None,
        w_intensity: float = 50.0,
        w_gradient: float = 50.0,
        w_structure: float = 10.0,
        as_released: bool = True,
        learning_rate: float = 2e-4,
        milestones: Sequence[int] = (),
        decay: float = 0.1,
    ):
        super().__init__(
            network, start, learning_rate=learning_rate, milestones=milestones, decay=decay
        )
        self.supervision = SupervisedMGTLoss(w_intensity, w_gradient, w_structure, as_released)


# --- RFN-Nest -------------------------------------------------------------------------------------


class SupervisedNestLoss(nn.Module):
    """RFN-Nest's loss of the fused image and the references.

        structure  sum_k w_k (1 - MSSSIM(f, S_k)), on pixels in 0..255
        feature    w_feature MSE(F_4, sum_k w_k E_4(S_k)), of the coarsest features

    The fused image is stretched over the batch to 0..255 before. The released code divides the
    weights one after another by their sum, which changes nothing where that is 1, as it is here.

    Args:
        w_feature: weight as released.
    """

    def __init__(self, w_feature: float = 1000.0):
        super().__init__()
        self.w_feature = w_feature

    def forward(
        self,
        fused: Tensor,
        references: Tensor,
        weights: Tensor,
        feature: Tensor,
        features: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """The two weighted terms; their sum is the loss.

        Args:
            fused, references, weights: images in 0..255.
            feature: the fused features of the coarsest scale.
            features: those of each reference, K of ``(B, C, H, W)``.
        """
        image = stretched(fused)
        # The similarity is not linear in the images of a batch, whose weights differ.
        parts = [
            share * (1 - ms_ssim(image[pair, None], references[pair, None, k, None]))
            for pair, row in enumerate(weights)
            for k, share in enumerate(row)
            if share > 0
        ]
        wanted = (weights.T[..., None, None, None] * torch.stack(list(features))).sum(0)
        return {
            "structure": torch.stack(parts).sum() / len(weights),
            "feature": self.w_feature * F.mse_loss(feature, wanted),
        }


class SupervisedRFNNestTraining(FusionTraining):
    """RFN-Nest, all of it at once, trained to fuse to the references, see `SupervisedNestLoss`.

    Args:
        network: RFNNest or IFT.
        start: a weights file of this network to start from; None for random weights.
        w_feature: see `SupervisedNestLoss`.
        learning_rate: of Adam, constant.
    """

    network: NestedFusion

    def __init__(
        self,
        network: NestedFusion,
        start: str | None = None,
        w_feature: float = 1000.0,
        learning_rate: float = 1e-4,
    ):
        super().__init__(network, learning_rate)
        load_start(network, start)
        self.loss = SupervisedNestLoss(w_feature)

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        references, weights = references_of(batch)
        ir, vis = (self.network.encode(batch[name]) for name in ("ir", "vis"))
        features = self.network.fuse_features(ir, vis)
        fused = self.network.decode(features)
        coarse = [self.network.encode(image)[-1] for image in references.split(1, dim=1)]
        images = fused * LEVELS, references * LEVELS
        return self.loss(*images, weights, features[-1], coarse), fused


# --- DIDFuse --------------------------------------------------------------------------------------


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
        start: a weights file of this network to start from; None for random weights.
        w_reconstruction, w_base, w_detail, w_gradient: see `SupervisedDecompositionLoss`.
        learning_rate: of Adam, constant.
    """

    network: DIDFuse

    def __init__(
        self,
        network: DIDFuse,
        start: str | None = None,
        w_reconstruction: float = 2.0,
        w_base: float = 0.5,
        w_detail: float = 0.5,
        w_gradient: float = 10.0,
        learning_rate: float = 1e-3,
    ):
        super().__init__(network, learning_rate)
        load_start(network, start)
        self.loss = SupervisedDecompositionLoss(w_reconstruction, w_base, w_detail, w_gradient)

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        references, _ = references_of(batch)
        features = [self.network.encode(batch[name]) for name in ("ir", "vis")]
        combine = self.network.rules[self.network.rule]
        fused = self.network.decode(*map(combine, *features))
        bases, details = ([each[i] for each in features] for i in (2, 3))
        return self.loss(fused, references, bases, details), fused
