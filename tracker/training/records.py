"""What a distillation leaves in its folder."""

from pathlib import Path

import lightning as L

from fusion.base.lightning import data_module
from fusion.images.reading import write_image
from fusion.training.records import LossRecord
from tracker.model.weights import save_tracker
from tracker.training.distillation import Distillation
from tracker.training.sample_sheet import sample_sheet


class KeepStudent(LossRecord):
    """The student's weights, a sheet of the pairs it sees, and loss curves in the run's folder.

    Besides ``losses.png``: ``weights.safetensors`` (for ``tracker track``) and ``pairs.png``.

    Args:
        every_n_steps, samples: see `LossRecord`.
        online: settings of the online tracker that are saved with the weights.
    """

    def __init__(
        self,
        every_n_steps: int = 500,
        samples: int = 12,
        online: dict[str, int | float | str] | None = None,
    ):
        super().__init__(every_n_steps, samples)
        self.online = dict(online or {})

    def write(self, trainer: L.Trainer, module: Distillation, folder: Path) -> None:
        module.network.online = dict(self.online)
        save_tracker(module.network, folder / "weights.safetensors")
        sheet = folder / "pairs.png"
        if not sheet.exists():
            write_image(sheet, sample_sheet(data_module(trainer).train_set, self.samples))
