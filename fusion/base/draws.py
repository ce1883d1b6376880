"""The order of training samples: seeded, sharded over processes, resumable."""

from collections.abc import Iterator, Mapping, Sized
from typing import Any, cast

import cv2
import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from fusion.base.errors import UserError


class DrawSampler(Sampler):
    """Passes over a dataset, shuffled or in its order, starting at any draw.

    Yields ``(index, draw)`` until the current pass ends. Draws are numbered consecutively over all
    passes. The item of a draw depends only on the seed and the draw's number, so a run that resumes
    at a draw continues exactly as if it had not been interrupted.

    Args:
        length: number of items in the dataset.
        batch: draws per optimiser step, over all processes and accumulated batches; a pass contains
            only complete steps.
        seed: seed of the order.
        rank, world_size: this process takes every ``world_size``-th draw, starting at ``rank``.
        shuffle: False for the dataset's own order in every pass.
    """

    def __init__(
        self,
        length: int,
        batch: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        shuffle: bool = True,
    ):
        if length < batch:
            raise UserError(
                f"{length} training pairs are fewer than the {batch} of a step; add pairs or lower "
                "data.batch_size"
            )
        self.length, self.seed, self.shuffle = length, seed, shuffle
        self.rank, self.world_size = rank, world_size
        self.draws_a_pass = length // batch * batch
        self.next_draw = 0

    def __len__(self) -> int:
        # The length of a full pass, even if the first one is resumed midway: the trainer asks once.
        return self.draws_a_pass // self.world_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        pass_number, start = divmod(self.next_draw, self.draws_a_pass)
        order = np.arange(self.length)
        if self.shuffle:
            order = np.random.default_rng((self.seed, pass_number)).permutation(self.length)
        first = pass_number * self.draws_a_pass
        # The next iteration is the next pass, whether or not this one is read to its end.
        self.next_draw = first + self.draws_a_pass
        for position in range(start + self.rank, self.draws_a_pass, self.world_size):
            yield int(order[position]), first + position


def training_loader(
    data: Dataset,
    batch_size: int,
    *,
    workers: int = 0,
    seed: int = 0,
    trainer: L.Trainer | None = None,
    shuffle: bool = True,
) -> DataLoader:
    """Data loader for a dataset whose items are indexed by ``(index, draw)``, see `DrawSampler`.

    Args:
        data: the dataset.
        batch_size: items per step and device.
        workers: number of worker processes.
        seed: seed of the order.
        trainer: shards the draws over its processes, and resumes at the draw of its next step, also
            in the middle of an epoch.
        shuffle: see `DrawSampler`.
    """
    world_size, rank = (trainer.world_size, trainer.global_rank) if trainer else (1, 0)
    draws = batch_size * world_size * (trainer.accumulate_grad_batches if trainer else 1)
    sampler = DrawSampler(len(cast(Sized, data)), draws, seed, rank, world_size, shuffle)
    if trainer:
        sampler.next_draw = trainer.global_step * draws
    return DataLoader(
        data,
        batch_size,
        sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=_use_one_thread,
        pin_memory=torch.cuda.is_available(),
    )


class SampledData(L.LightningDataModule):
    """A data module whose items are indexed by ``(index, draw)``.

    A subclass has the hyperparameters ``batch_size``, ``workers`` and ``seed``, and creates
    `train_set` and `val_set` in ``setup``.

    Attributes:
        train_set: the dataset for training.
        val_set: the dataset for validation; None or empty without validation.
        val_workers: number of worker processes for validation.
        shuffle: see `DrawSampler`.
    """

    train_set: Any
    val_set: Any = None
    val_workers: int = 0
    shuffle: bool = True

    def train_dataloader(self) -> DataLoader:
        h: Any = self.hparams
        return training_loader(
            self.train_set,
            h.batch_size,
            workers=h.workers,
            seed=h.seed,
            trainer=self.trainer,
            shuffle=self.shuffle,
        )

    def val_dataloader(self) -> DataLoader | list:
        if self.val_set is None or not len(self.val_set):
            return []
        keys = [(index, index) for index in range(len(self.val_set))]
        h: Any = self.hparams
        return DataLoader(self.val_set, h.batch_size, sampler=keys, num_workers=self.val_workers)


def _use_one_thread(worker: int) -> None:
    """Limit a worker process to one thread: training already uses all cores."""
    cv2.setNumThreads(1)


def require_at_least(arguments: Mapping[str, Any], **least: int) -> None:
    """Check the integer arguments of a data module; None selects the default and is accepted.

    Raises:
        UserError: a value is too small, or the seed is negative; names the option.
    """
    for name, smallest in {**least, "seed": 0}.items():
        value = arguments[name]
        if value is not None and value < smallest:
            raise UserError(f"data.{name}: at least {smallest}, got {value}")
