"""Callbacks that leave curves, weights and pictures of a training in its folder."""

import itertools
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from torch import Tensor

from fusion.base.errors import UserError
from fusion.base.files import whole_file
from fusion.base.lightning import data_module
from fusion.images.pixels import tile
from fusion.images.reading import write_image
from fusion.networks.registry import NETWORKS
from fusion.networks.weights import save_network
from fusion.training.procedures import FusionTraining

__all__ = [
    "KeepRecord",
    "LossRecord",
    "PairRate",
    "plot_curves",
]


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
        if NETWORKS.name_of(kind) is None:
            raise UserError(
                f"{kind.__module__}.{kind.__name__}: has no name for its weights file; give it one "
                'by @NETWORKS.register("a-name") of fusion.networks.registry above the class'
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
