"""Training of fusion networks: Lightning modules, what they log, and the pictures they leave.

`DetailToSemanticTraining` is LRRNet's procedure as published, `SaliencyTraining` ours, which needs
no pretrained loss network, and `ReferenceTraining` regresses to results of other methods.
"""

import itertools
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from fusion.errors import UserError
from fusion.files import whole_file
from fusion.images import PixelScaling, tile, write_image
from fusion.losses import DetailToSemanticLoss, ReferenceLoss, SaliencyLoss, VGG16Features
from fusion.network import FusionNetwork
from fusion.weights import NETWORKS, read_tensors, require_match, save_network

__all__ = [
    "DetailToSemanticTraining",
    "FusionTraining",
    "KeepRecord",
    "LossRecord",
    "PairRate",
    "ReferenceTraining",
    "SaliencyTraining",
    "data_module",
    "log_terms",
    "plot_curves",
    "require_within",
]


def log_terms(
    module: L.LightningModule, stage: str, terms: Mapping[str, Tensor], batch_size: int
) -> Tensor:
    """Log every term as ``stage/name``, and their sum, which is the loss and returned."""
    loss = torch.stack(list(terms.values())).sum()
    values = {f"{stage}/{name}": term.detach() for name, term in terms.items()}
    whole_set = stage == "val"
    module.log_dict(values, batch_size=batch_size, sync_dist=whole_set)
    module.log(
        f"{stage}/loss", loss.detach(), prog_bar=True, batch_size=batch_size, sync_dist=whole_set
    )
    return loss


def data_module(trainer: L.Trainer) -> Any:
    """The data module a trainer was given, or None. Lightning sets this name but declares none."""
    return getattr(trainer, "datamodule", None)


def require_within(low: float, high: float, **values: float) -> None:
    """Check a training's numbers.

    Raises:
        UserError: one is outside, or NaN; names it as in a configuration.
    """
    for name, value in values.items():
        if not low <= value <= high:
            raise UserError(f"model.{name}: from {low:g} to {high:g}, got {value}")


class FusionTraining(L.LightningModule):
    """What all procedures share: Adam, a warm-up and decay by the step, and logged loss terms.

    A subclass turns a batch into weighted loss terms and the fused pictures; every term is logged
    on its own, and their sum is minimised.

    Args:
        network: what is trained.
        learning_rate: after warm-up.
        betas, weight_decay: Adam's.
        warmup_steps: steps of linear growth from 0.
        cosine: decay to 0 along a cosine over all steps of the run; else constant.
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
        # Convolutions to and from one channel are plain matrix products in this layout: a third
        # faster on a CPU.
        self.network = network.to(memory_format=torch.channels_last)
        self.learning_rate = learning_rate
        self.betas = betas
        self.weight_decay = weight_decay
        self.warmup_steps = warmup_steps
        self.cosine = cosine

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        """Weighted loss terms, and the fused pictures on 0..1, ``(B, 1, H, W)``."""
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
        # Weights are for what the data module makes of pixels, and are saved with that.
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
            self.network.parameters(),
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
            return warm * (1 + math.cos(math.pi * min(1.0, done))) / 2

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class DetailToSemanticTraining(FusionTraining):
    """LRRNet as published: Adam at 1e-5, batch 8, fused pictures stretched before the loss.

    The released program gives Adam a weight decay of 0.9, which the default follows.

    Args:
        network: LRRNet or another; its `scaling` is set to the stretched convention.
        vgg_weights, vgg_pixels: of the loss network, see `VGG16Features`.
        gamma1, gamma2, gamma4, w_ir, w_vis, beta: see `DetailToSemanticLoss`.
        learning_rate, betas, weight_decay, warmup_steps, cosine: see `FusionTraining`.
    """

    def __init__(
        self,
        network: FusionNetwork,
        vgg_weights: str = "imagenet",
        vgg_pixels: Literal["raw", "imagenet"] = "raw",
        gamma1: float = 10.0,
        gamma2: float = 1.5,
        gamma4: float = 2000.0,
        w_ir: float = 3.0,
        w_vis: float = 0.5,
        beta: tuple[float, float] = (0.01, 0.5),
        learning_rate: float = 1e-5,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.9,
        warmup_steps: int = 0,
        cosine: bool = False,
    ):
        super().__init__(network, learning_rate, betas, weight_decay, warmup_steps, cosine)
        network.scaling = PixelScaling()
        features = VGG16Features(vgg_weights, vgg_pixels)
        self.loss = DetailToSemanticLoss(features, gamma1, gamma2, gamma4, w_ir, w_vis, beta)

    def on_fit_start(self) -> None:
        """Pictures are stretched here, whatever the data module made of them."""

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        ir, vis = batch["ir"], batch["vis"]
        fused = stretch(self.network(stretch(ir), stretch(vis)))
        return self.loss(fused * 255, ir * 255, vis * 255), fused


class SaliencyTraining(FusionTraining):
    """Direct regression to `fusion.losses.saliency_target`; the output is clipped, not stretched.

    Args:
        network: any; its `scaling` is set to the clamped convention.
        w_intensity, w_gradient, w_structure, w_range, w_overshoot, w_hot, gradient_gain: see
            `SaliencyLoss`.
        output_gain: of the pixel convention the weights are saved with.
        start: weights of this network to begin with, a file saved by this package; random where
            None.
        learning_rate, betas, weight_decay, warmup_steps, cosine: see `FusionTraining`.

    Raises:
        UserError: ``start`` cannot be read or is of another architecture.
    """

    def __init__(
        self,
        network: FusionNetwork,
        w_intensity: float = 2.0,
        w_gradient: float = 5.0,
        w_structure: float = 1.0,
        w_range: float = 2.0,
        w_overshoot: float = 0.0,
        w_hot: float = 0.0,
        gradient_gain: float = 1.2,
        output_gain: float = 1.0,
        start: str | None = None,
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        warmup_steps: int = 50,
        cosine: bool = True,
    ):
        if start is not None:
            if not Path(start).exists():
                raise UserError(
                    f"{start}: no such file; train the stage before this one, or name its weights "
                    "by model.init_args.start"
                )
            network.load_state_dict(require_match(start, read_tensors(start)[0], network))
        super().__init__(network, learning_rate, betas, weight_decay, warmup_steps, cosine)
        network.scaling = PixelScaling(output="clamp", gain=output_gain, rounding="round")
        self.loss = SaliencyLoss(
            w_intensity, w_gradient, w_structure, w_range, w_overshoot, w_hot, gradient_gain
        )

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        if "target" not in batch:
            raise UserError("data.saliency: needed here; give true")
        ir, vis = batch["ir"], batch["vis"]
        fused = self.network(ir, vis)
        return self.loss(fused, ir, vis, batch["target"]), fused


class ReferenceTraining(FusionTraining):
    """Reference-then-supervision of any network: regression to `fusion.reference`'s choice.

    The data needs ``references``, see `fusion.pairs.PairData`. The output is clipped, not
    stretched.

    Args:
        network: what is trained; its `scaling` is set to the clamped convention.
        aggregate, w_intensity, w_gradient, w_structure, w_range: see `ReferenceLoss`.
        output_gain: of the pixel convention the weights are saved with.
        learning_rate, betas, weight_decay, warmup_steps, cosine: see `FusionTraining`.
    """

    def __init__(
        self,
        network: FusionNetwork,
        aggregate: Literal["weighted", "mean", "max"] = "weighted",
        w_intensity: float = 2.0,
        w_gradient: float = 5.0,
        w_structure: float = 1.0,
        w_range: float = 4.0,
        output_gain: float = 1.0,
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        warmup_steps: int = 50,
        cosine: bool = True,
    ):
        super().__init__(network, learning_rate, betas, weight_decay, warmup_steps, cosine)
        network.scaling = PixelScaling(output="clamp", gain=output_gain, rounding="round")
        self.loss = ReferenceLoss(aggregate, w_intensity, w_gradient, w_structure, w_range)

    def terms(self, batch: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
        if "references" not in batch:
            raise UserError("data.references: needed here; give a folder of fusion reference")
        fused = self.network(batch["ir"], batch["vis"])
        return self.loss(fused, batch["references"], batch["weights"]), fused


def stretch(image: Tensor) -> Tensor:
    """Each picture of ``(B, 1, H, W)`` by its own range to 0..1, differentiably.

    The published convention, see `fusion.images.PixelScaling`.
    """
    low = image.amin((1, 2, 3), keepdim=True)
    high = image.amax((1, 2, 3), keepdim=True)
    return (image - low) / (high - low + PixelScaling.EPSILON)


class LossRecord(Callback):
    """Loss curves in the run's folder, ``losses.png``; a subclass adds what else it shows.

    Written every ``every_n_steps`` and at the end. The curves go into checkpoints, so that those
    of a resumed run are whole.

    Args:
        every_n_steps: steps between two records.
        samples: pairs shown.
    """

    def __init__(self, every_n_steps: int = 500, samples: int = 4):
        for name, value in (("every_n_steps", every_n_steps), ("samples", samples)):
            if value < 1:
                raise UserError(f"{type(self).__name__}.{name}: at least 1, got {value}")
        self.every_n_steps = every_n_steps
        self.samples = samples
        self.curves: dict[str, list[tuple[int, float]]] = {}

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._has_trained = False

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._has_trained = True
        self._last_step = trainer.global_step

    def write(self, trainer: L.Trainer, module: Any, folder: Path) -> None:
        """Write the rest of the record into ``folder``; called in one process alone."""
        raise NotImplementedError

    def state_dict(self) -> dict:
        return {"curves": self.curves}

    def load_state_dict(self, state: dict) -> None:
        self.curves = state["curves"]

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_index: int,
    ) -> None:
        losses = {
            name: value
            for name, value in trainer.logged_metrics.items()
            if name.startswith("train/") and not name.endswith(("_step", "_epoch"))
        }
        for name, value in losses.items():
            if not math.isfinite(value):
                raise UserError(
                    f"step {trainer.global_step}: {name} is {float(value)}, and all that "
                    "follows would be; go on from a checkpoint before it with a smaller "
                    "learning_rate, or with trainer.precision 32-true"
                )
        if trainer.global_step == self._last_step:
            return  # a part of a step, where gradients are accumulated
        self._last_step = trainer.global_step
        for name, value in losses.items():
            self.curves.setdefault(name, []).append((trainer.global_step, float(value)))
        if trainer.global_step % self.every_n_steps == 0:
            self._record(trainer, module)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._record(trainer, module)

    def on_fit_end(self, trainer: Any, module: L.LightningModule) -> None:
        if self._has_trained:
            return
        # Resumed at its last step, a run trains nothing, and Lightning tells nobody of its end.
        for callback in trainer.callbacks:
            if isinstance(callback, WeightAveraging):
                callback.on_train_end(trainer, module)
        self._record(trainer, module)

    def _record(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        folder = trainer.log_dir  # asked for by all processes: it is agreed among them
        if not trainer.is_global_zero or folder is None:
            return
        plot_curves(self.curves, Path(folder) / "losses.png")
        self.write(trainer, module, Path(folder))


class KeepRecord(LossRecord):
    """Weights, sample pictures and loss curves in the run's folder.

    Besides ``losses.png``: ``weights.safetensors`` (for ``fusion fuse``) and
    ``samples/NNNNNN.png`` (infrared, visible, fused, perhaps the target or the best reference, of
    a few held-out pairs).

    Args:
        every_n_steps, samples: see `LossRecord`.
    """

    def setup(self, trainer: L.Trainer, module: Any, stage: str) -> None:
        """Refuse what could be trained and not be saved.

        Raises:
            UserError: the network has no name for its weights file.
        """
        kind = type(module.network)
        if kind not in NETWORKS.values():
            raise UserError(
                f"{kind.__module__}.{kind.__name__}: has no name for its weights file; give it one "
                "in NETWORKS of fusion/weights.py"
            )

    def write(self, trainer: L.Trainer, module: FusionTraining, folder: Path) -> None:
        save_network(module.network, folder / "weights.safetensors")
        data = data_module(trainer)
        shown = data.val_set if len(data.val_set) else data.train_set
        rows = []
        module.eval()  # as the weights will be used: batch normalisation by its running statistics
        for index in range(min(self.samples, len(shown))):
            item = shown[index, index]
            batch = {name: view[None].to(module.device) for name, view in item.items()}
            with torch.inference_mode():
                batch["fused"] = module.terms(batch)[1]
            pictures = {name: view for name, view in batch.items() if view.ndim == 4}
            rows.append([(name, _picture(view)) for name, view in pictures.items()])
        module.train()
        write_image(folder / "samples" / f"{trainer.global_step:06d}.png", tile(rows))


class PairRate(Callback):
    """Says at the end how many pairs a second were trained on, and whether reading kept up.

    One line on stderr: pairs a second of the whole loop, the share of its time spent waiting for
    data, pairs a second of the model without that, and those that reading alone delivers.

    Args:
        batches: read at the end, beside no training, to measure reading alone; 0 for none.
    """

    def __init__(self, batches: int = 8):
        self.batches = batches
        self._pairs = 0
        self._waited = self._worked = 0.0
        self._mark: float | None = None

    def on_train_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_index: int
    ) -> None:
        now = time.perf_counter()
        # The first batch has no moment before it, and the first of a pass comes after validation.
        if self._mark is not None and batch_index > 0:
            self._waited += now - self._mark
        self._mark = now

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_index: int,
    ) -> None:
        now = time.perf_counter()
        assert self._mark is not None  # set when the batch started
        self._worked += now - self._mark
        self._mark = now
        self._pairs += len(next(iter(batch.values()))) * trainer.world_size

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        total = self._worked + self._waited
        if not trainer.is_global_zero or not total:
            return
        line = (
            f"{self._pairs} pairs in {total:.1f} s: {_rate(self._pairs / total)} a second, "
            f"{self._waited / total:.0%} of the time waiting for data; "
            f"the model alone takes {_rate(self._pairs / self._worked)} a second"
        )
        if self.batches:
            line += f", reading alone gives {_rate(self._reading_rate(trainer))} a second"
        print(line, file=sys.stderr)

    def _reading_rate(self, trainer: L.Trainer) -> float:
        loader = data_module(trainer).train_dataloader()
        batches = (batch for _ in itertools.count() for batch in loader)  # passes may be short
        next(batches)  # processes start within the first
        start = time.perf_counter()
        pairs = sum(len(next(iter(b.values()))) for b in itertools.islice(batches, self.batches))
        return pairs * trainer.world_size / (time.perf_counter() - start)


def _rate(pairs: float) -> str:
    """Pairs a second to read, also where one takes long."""
    return f"{pairs:.1f} pairs" if pairs >= 1 else f"{pairs:.2g} pairs"


def _picture(view: Tensor) -> np.ndarray:
    return np.rint(view[0, 0].clamp(0, 1).cpu().numpy() * 255).astype(np.uint8)


def plot_curves(curves: Mapping[str, list[tuple[int, float]]], path: Path) -> None:
    """Loss terms over steps, one panel each, smoothed over a fiftieth of the run."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    if not curves:
        return
    figure = Figure(figsize=(4 * min(3, len(curves)), 2.6 * math.ceil(len(curves) / 3)))
    axes = figure.subplots(math.ceil(len(curves) / 3), min(3, len(curves)), squeeze=False)
    for axis, (name, points) in zip(axes.flat, sorted(curves.items()), strict=False):
        steps, values = np.array(points).T
        width = max(1, len(values) // 50)
        smooth = np.convolve(values, np.ones(width) / width, mode="valid")
        axis.plot(steps, values, color="0.8", linewidth=0.7)
        axis.plot(steps[width - 1 :], smooth, linewidth=1.5)
        axis.set_title(name, fontsize=9)
        # Within a decade a logarithmic axis has no labels, or labels of four figures.
        axis.set_yscale(
            "log" if values.min() > 0 and values.max() > 10 * values.min() else "linear"
        )
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axis.tick_params(which="both", labelsize=7)
    for axis in axes.flat[len(curves) :]:
        axis.remove()
    figure.supxlabel("step", fontsize=8)
    figure.tight_layout()
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=110)
