"""The base of the Lightning data modules of template/search pairs."""

from collections.abc import Callable
from typing import Any

import lightning as L
from torch.utils.data import DataLoader

from fusion.base.draws import require_at_least, training_loader
from fusion.base.errors import UserError


class PairDataModule(L.LightningDataModule):
    """Training pairs, and pairs of held-out data that are the same in every validation.

    A subclass has the hyperparameters ``reach``, ``holdout``, ``pairs``, ``val_pairs``,
    ``batch_size``, ``workers`` and ``seed``. It calls `require_valid` before it reads data, and
    `split` to create the pairs.
    """

    #: Whether validation uses worker processes as well.
    VALIDATES_IN_WORKERS = True

    def require_valid(self) -> None:
        """Check the common hyperparameters.

        Raises:
            UserError: one is out of range.
        """
        h: Any = self.hparams
        require_at_least(h, reach=0, pairs=1, val_pairs=1, batch_size=1, workers=0)
        if not 0 <= h.holdout < 1:
            raise UserError(f"data.holdout: a share is from 0 to below 1, got {h.holdout}")

    def split(self, draw: Callable[..., Any]) -> None:
        """Create the pairs of both parts by ``draw(length, seed, part)``."""
        h: Any = self.hparams
        kept = 1 - h.holdout
        self.train_set = draw(length=h.pairs, seed=h.seed, part=(0.0, kept))
        self.val_set = None
        if h.holdout:
            self.val_set = draw(length=h.val_pairs, seed=h.seed + 1, part=(kept, 1.0))

    def train_dataloader(self) -> DataLoader:
        h: Any = self.hparams
        return training_loader(
            self.train_set, h.batch_size, workers=h.workers, seed=h.seed, trainer=self.trainer
        )

    def val_dataloader(self) -> DataLoader | list:
        if self.val_set is None:
            return []
        h: Any = self.hparams
        keys = [(index, index) for index in range(len(self.val_set))]
        workers = h.workers if self.VALIDATES_IN_WORKERS else 0
        return DataLoader(self.val_set, h.batch_size, sampler=keys, num_workers=workers)
