"""The base of the Lightning data modules of template/search pairs."""

from collections.abc import Callable
from typing import Any

from fusion.base.draws import SampledData, require_at_least
from fusion.base.errors import UserError


class PairDataModule(SampledData):
    """Training pairs, and pairs of held-out data that are the same in every validation.

    A subclass has the hyperparameters ``reach``, ``holdout``, ``pairs``, ``val_pairs``,
    ``batch_size``, ``workers`` and ``seed``. It calls `require_valid` before it reads data, and
    `split` to create the pairs.
    """

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
        if h.holdout:
            self.val_set = draw(length=h.val_pairs, seed=h.seed + 1, part=(kept, 1.0))
