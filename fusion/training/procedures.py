"""Training procedures of fusion networks as Lightning modules.

`DetailToSemanticTraining` is LRRNet's procedure as published. `SaliencyTraining` is this package's
own and needs no pretrained loss network. `ReferenceTraining` regresses to results of other methods,
`DistillationTraining` to those of one network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from fusion.base.errors import UserError
from fusion.base.lightning import cosine_decay, data_module, log_terms, require_within, scheduled
from fusion.images.pixels import PixelScaling
from fusion.networks.base import FusionNetwork
from fusion.training.initial import load_start
from fusion.training.losses import DetailToSemanticLoss, ReferenceLoss, SaliencyLoss, VGG16Features

__all__ = [
    "DetailToSemanticTraining",
    "DistillationTraining",
    "EpochTraining",
    "FusionTraining",
    "ReferenceTraining",
    "SaliencyTraining",
    "central",
]


def central(batch: Mapping[str, Tensor], margin: int) -> dict[str, Tensor]:
    """A batch whose images, and references if any, lack ``margin`` pixels at each border."""
    place = slice(margin, -margin or None)
    names = {"ir", "vis", "references"} & batch.keys()
    return {**batch, **{name: batch[name][..., place, place] for name in names}}


class FusionTraining(L.LightningModule):
    """Base of all procedures: Adam, warm-up and decay per step, and logging of loss terms.

    A subclass computes weighted loss terms and fused images from a batch. Every term is logged
    separately, and their sum is minimised.

    Args:
        network: the network to train.
        learning_rate: learning rate after the warm-up.
        betas, weight_decay: parameters of Adam.
        warmup_steps: number of steps in which the rate grows linearly from 0.
        cosine: let the rate decay to 0 along a cosine over all steps of the run; otherwise it is
            constant.
    """

    def __init__(
        self,
        network: FusionNetwork,
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        cosine: bool = False,
    ):
        super().__init__()
        require_within(0, 1e30, learning_rate=learning_rate, weight_decay=weight_decay)
        require_within(0, 1 - 1e-9, **{f"betas[{i}]": beta for i, beta in enumerate(betas)})
        require_within(0, 1e30, warmup_steps=warmup_steps)
        # In this memory layout, convolutions to and from one channel are plain matrix products,
        # which are a third faster on a CPU.
        self.network = network.to(memory_format=torch.channels_last)
        self.learning_rate = learning_rate
        self.betas = betas
        self.weight_decay = weight_decay
        self.warmup_steps = warmup_steps
        self.cosine = cosine

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        """Weighted loss terms, and the fused images ``(B, 1, H, W)`` in 0..1."""
        raise NotImplementedError

    def setup(self, stage: str) -> None:
        data = data_module(self.trainer)
        size = None if data is None else data.hparams.get("size")
        if size is not None and size < self.network.min_side:
            raise UserError(
                f"data.size: at least {self.network.min_side} for {type(self.network).__name__}, "
                f"got {size}"
            )

    def on_fit_start(self) -> None:
        # Weights depend on how the data module scales pixels, and are saved with that convention.
        data = data_module(self.trainer)
        made = None if data is None else data.hparams.get("scaling")
        if made is not None:
            self.network.scaling = replace(self.network.scaling, input=made)

    def training_step(self, batch: Mapping[str, Tensor], batch_index: int) -> Tensor:
        return self._step(batch, "train")

    def validation_step(self, batch: Mapping[str, Tensor], batch_index: int) -> Tensor:
        return self._step(batch, "val")

    def _step(self, batch: Mapping[str, Tensor], stage: str) -> Tensor:
        terms, _ = self.terms(batch)
        return log_terms(self, stage, terms, len(batch["ir"]))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.Adam(
            [p for p in self.network.parameters() if p.requires_grad],
            self.learning_rate,
            self.betas,
            weight_decay=self.weight_decay,
        )
        total = self.trainer.estimated_stepping_batches if self.cosine else 1

        def factor(step: int) -> float:
            warm = min(1.0, (step + 1) / (self.warmup_steps + 1))
            if not self.cosine:
                return warm
            done = max(0, step - self.warmup_steps) / max(1, total - self.warmup_steps)
            return warm * cosine_decay(done)

        return scheduled(optimizer, factor)


class EpochTraining(FusionTraining):
    """Base of procedures whose learning rate decreases at whole epochs.

    Args:
        network: the network to train.
        learning_rate: of Adam, at first.
        milestones: epochs after which the rates are multiplied by ``decay``.
        decay: factor applied at each of the ``milestones``.
        learning_rates: different rates for some parts, by the names of the network's children.
    """

    def __init__(
        self,
        network: FusionNetwork,
        learning_rate: float,
        milestones: Sequence[int],
        decay: float,
        learning_rates: Mapping[str, float] | None = None,
    ):
        super().__init__(network, learning_rate)
        require_within(0, 1, decay=decay)
        self.milestones, self.decay = list(milestones), decay
        self.learning_rates = dict(learning_rates or {})
        parts = dict(network.named_children())
        for name, rate in self.learning_rates.items():
            if name not in parts:
                raise UserError(
                    f"learning_rates: {type(network).__name__} has no part {name!r}; its parts are "
                    f"{', '.join(parts)}"
                )
            require_within(0, 1e30, **{f"learning_rates.{name}": rate})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        parts: dict[str, list[Tensor]] = {}
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad:
                parts.setdefault(name.partition(".")[0], []).append(parameter)
        optimizer = torch.optim.Adam(
            [
                {"params": part, "lr": self.learning_rates.get(name, self.learning_rate)}
                for name, part in parts.items()
            ]
        )
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, self.milestones, self.decay)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "epoch"},
        }


class DetailToSemanticTraining(FusionTraining):
    """LRRNet as published: Adam at 1e-5, batch 8, fused images stretched before the loss.

    The released program uses a weight decay of 0.9 in Adam, as does the default here.

    Args:
        network: LRRNet or another network; its `scaling` is set to the stretched convention.
        vgg_weights, vgg_pixels: arguments of the loss network, see `VGG16Features`.
        learning_rate, betas, weight_decay, warmup_steps, cosine: see `FusionTraining`.
        **weights: weights of the terms, see `DetailToSemanticLoss`.
    """

    def __init__(
        self,
        network: FusionNetwork,
        vgg_weights: str = "imagenet",
        vgg_pixels: Literal["raw", "imagenet"] = "raw",
        learning_rate: float = 1e-5,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.9,
        warmup_steps: int = 0,
        cosine: bool = False,
        **weights: Any,
    ):
        super().__init__(network, learning_rate, betas, weight_decay, warmup_steps, cosine)
        network.scaling = PixelScaling()
        self.loss = DetailToSemanticLoss(VGG16Features(vgg_weights, vgg_pixels), **weights)

    def on_fit_start(self) -> None:
        """Keep the stretched convention, whatever scaling the data module uses."""

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        ir, vis = batch["ir"], batch["vis"]
        fused = stretch(self.network(stretch(ir), stretch(vis)))
        return self.loss(fused * 255, ir * 255, vis * 255), fused


class SaliencyTraining(FusionTraining):
    """Direct regression to `fusion.training.losses.saliency_target`; the output is clipped, not
    stretched.

    Args:
        network: any fusion network; its `scaling` is set to the clamped convention.
        output_gain: gain of the pixel convention with which the weights are saved.
        start: a weights file of this network to start from; None starts from random weights.
        learning_rate, betas, weight_decay, warmup_steps, cosine: see `FusionTraining`.
        **weights: weights of the terms, see `SaliencyLoss`.

    Raises:
        UserError: ``start`` cannot be read or has a different architecture.
    """

    def __init__(
        self,
        network: FusionNetwork,
        output_gain: float = 1.0,
        start: str | None = None,
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        warmup_steps: int = 50,
        cosine: bool = True,
        **weights: Any,
    ):
        load_start(network, start)
        super().__init__(network, learning_rate, betas, weight_decay, warmup_steps, cosine)
        network.scaling = PixelScaling(output="clamp", gain=output_gain, rounding="round")
        self.loss = SaliencyLoss(**weights)

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        if "target" not in batch:
            raise UserError("data.saliency: required by this procedure; set it to true")
        ir, vis = batch["ir"], batch["vis"]
        fused = self.network(ir, vis)
        return self.loss(fused, ir, vis, batch["target"]), fused


class ReferenceTraining(FusionTraining):
    """Reference-then-supervision of any network: regression to the references selected by
    `fusion.training.reference`.

    The data needs ``references``, see `fusion.training.pairs.PairData`. The output is clipped, not
    stretched.

    Args:
        network: the network to train; its `scaling` is set to the clamped convention.
        output_gain: gain of the pixel convention with which the weights are saved.
        learning_rate, betas, weight_decay, warmup_steps, cosine: see `FusionTraining`.
        **weights: ``aggregate`` and weights of the terms, see `ReferenceLoss`.
    """

    def __init__(
        self,
        network: FusionNetwork,
        output_gain: float = 1.0,
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        warmup_steps: int = 50,
        cosine: bool = True,
        **weights: Any,
    ):
        super().__init__(network, learning_rate, betas, weight_decay, warmup_steps, cosine)
        network.scaling = PixelScaling(output="clamp", gain=output_gain, rounding="round")
        self.loss = ReferenceLoss(**weights)

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        if "references" not in batch:
            raise UserError("data.references: required by this procedure; give a folder")
        fused = self.network(batch["ir"], batch["vis"])
        return self.loss(fused, batch["references"], batch["weights"]), fused


class DistillationTraining(FusionTraining):
    """Regression of a small network to the images of a larger one, its teacher.

    The data needs a ``teacher``, see `fusion.training.pairs.PairData`: the target is the teacher's
    greyscale image as it would be written, of the whole pair. The output is clipped, not stretched.

    Args:
        network: the network to train; its `scaling` is set to the clamped convention.
        w_intensity, w_gradient, w_structure, w_range: see `ReferenceLoss`; the teacher's image is
            the only reference.
        learning_rate, betas, weight_decay, warmup_steps, cosine: see `FusionTraining`.
    """

    def __init__(
        self,
        network: FusionNetwork,
        w_intensity: float = 4.0,
        w_gradient: float = 8.0,
        w_structure: float = 1.0,
        w_range: float = 0.1,
        learning_rate: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        warmup_steps: int = 100,
        cosine: bool = True,
    ):
        super().__init__(network, learning_rate, betas, weight_decay, warmup_steps, cosine)
        network.scaling = PixelScaling(output="clamp", rounding="round")
        self.loss = ReferenceLoss("weighted", w_intensity, w_gradient, w_structure, w_range)

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        if "target" not in batch:
            raise UserError("data.teacher: required by this procedure; name the network to imitate")
        fused = self.network(batch["ir"], batch["vis"])
        target = batch["target"]
        return self.loss(fused, target, target.new_ones(len(target), 1)), fused


def stretch(image: Tensor) -> Tensor:
    """Stretch each image of ``(B, 1, H, W)`` by its own range to 0..1, differentiably.

    This is the published convention, see `fusion.images.pixels.PixelScaling`.
    """
    low = image.amin((1, 2, 3), keepdim=True)
    high = image.amax((1, 2, 3), keepdim=True)
    return (image - low) / (high - low + PixelScaling.EPSILON)
