"""Callbacks that write curves, weights and sample images of a training run to its folder."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from torch import Tensor

from fusion.base.errors import UserError
from fusion.base.files import natural_key, whole_file
from fusion.base.lightning import data_module
from fusion.images.pixels import tile
from fusion.images.reading import write_image
from fusion.networks.registry import NETWORKS
from fusion.networks.weights import save_network
from fusion.training.procedures import FusionTraining, stretch


class LossRecord(Callback):
    """Writes loss curves to the run's folder as ``losses.png``; subclasses add further content.

    The record is written every ``every_n_steps`` and at the end; the curves are read from the log
    of `lightning.pytorch.loggers.CSVLogger` in that folder. Training stops if a loss is not finite.

    Args:
        every_n_steps: steps between two records.
        samples: number of pairs shown.
    """

    def __init__(self, every_n_steps: int = 500, samples: int = 4):
        for name, value in (("every_n_steps", every_n_steps), ("samples", samples)):
            if value < 1:
                raise UserError(f"{type(self).__name__}.{name}: at least 1, got {value}")
        self.every_n_steps = every_n_steps
        self.samples = samples

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._has_trained = False

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._has_trained = True
        self._last_step = trainer.global_step

    def write(self, trainer: L.Trainer, module: Any, folder: Path) -> None:
        """Write the rest of the record to ``folder``; called in one process only."""
        raise NotImplementedError

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_index: int,
    ) -> None:
        for name, value in trainer.logged_metrics.items():
            if name.startswith("train/") and not math.isfinite(value):
                raise UserError(
                    f"step {trainer.global_step}: {name} is {float(value)}, and training cannot "
                    "continue; resume from an earlier checkpoint with a smaller learning_rate, or "
                    "with trainer.precision 32-true"
                )
        if trainer.global_step == self._last_step:
            return  # part of a step, with accumulated gradients
        self._last_step = trainer.global_step
        if trainer.global_step % self.every_n_steps == 0:
            self._record(trainer, module)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._record(trainer, module)

    def on_fit_end(self, trainer: Any, module: L.LightningModule) -> None:
        if self._has_trained:
            return
        # A run that is resumed at its last step trains nothing, and Lightning skips on_train_end.
        for callback in trainer.callbacks:
            if isinstance(callback, WeightAveraging):
                callback.on_train_end(trainer, module)
        self._record(trainer, module)

    def _record(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        folder = trainer.log_dir  # read in all processes, because it is synchronised among them
        if not trainer.is_global_zero or folder is None:
            return
        for logger in trainer.loggers:
            logger.save()
        plot_curves(read_curves(Path(folder) / "metrics.csv"), Path(folder) / "losses.png")
        self.write(trainer, module, Path(folder))


class KeepRecord(LossRecord):
    """Writes weights, sample images and loss curves to the run's folder.

    Besides ``losses.png``: ``weights.safetensors`` (for ``fusion fuse``) and
    ``samples/NNNNNN.png`` (infrared, visible, fused, and if available the target or the best
    reference, for a few held-out pairs).

    Args:
        every_n_steps, samples: see `LossRecord`.
    """

    def setup(self, trainer: L.Trainer, module: Any, stage: str) -> None:
        """Refuse a network that could be trained but not saved.

        Raises:
            UserError: the network has no name for its weights file.
        """
        NETWORKS.stored_name(type(module.network))

    def write(self, trainer: L.Trainer, module: FusionTraining, folder: Path) -> None:
        save_network(module.network, folder / "weights.safetensors")
        data = data_module(trainer)
        shown = data.val_set if len(data.val_set) else data.train_set
        rows = []
        module.eval()  # as the weights will be used: batch normalisation with running statistics
        for index in range(min(self.samples, len(shown))):
            item = shown[index, index]
            batch = {name: view[None].to(module.device) for name, view in item.items()}
            with torch.inference_mode():
                fused = module.terms(batch)[1]
            stretched = module.network.scaling.output == "min-max"  # as the weights will be used
            batch["fused"] = stretch(fused) if stretched else fused
            pictures = {name: view for name, view in batch.items() if view.ndim == 4}
            rows.append([(name, _picture(view)) for name, view in pictures.items()])
        module.train()
        write_image(folder / "samples" / f"{trainer.global_step:06d}.png", tile(rows))


def _picture(view: Tensor) -> np.ndarray:
    return np.rint(view[0, 0].clamp(0, 1).cpu().numpy() * 255).astype(np.uint8)


def read_curves(path: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values of the training losses in a ``metrics.csv``; empty if it does not exist."""
    curves: dict[str, list[tuple[int, float]]] = {}
    if not path.is_file():
        return curves
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and name.startswith("train/") and not name.endswith(("_step", "_epoch")):
                    curves.setdefault(name, []).append((int(row["step"]), float(value)))
    return curves


def read_run(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """`read_curves` of a run that may have been interrupted: of all ``version_*/metrics.csv``.

    Steps that were repeated after an interruption count once, as the last version has them.
    """
    curves: dict[str, dict[int, float]] = {}
    for version in sorted(folder.glob("version_*"), key=natural_key):
        for name, points in read_curves(version / "metrics.csv").items():
            curves.setdefault(name, {}).update(points)
    return {name: sorted(points.items()) for name, points in curves.items()}


def plot_curves(curves: Mapping[str, list[tuple[int, float]]], path: Path) -> None:
    """Plot loss terms over steps, one panel each, smoothed over a fiftieth of the run."""
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
        # Within a decade, a logarithmic axis has no labels, or labels with four digits.
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
