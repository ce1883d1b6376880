"""The order in which training draws its items: seeded, sharded, resumable."""

from collections.abc import Iterator, Mapping, Sized
from typing import Any, cast

import cv2
import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from fusion.base.errors import UserError

__all__ = ["DrawSampler", "require_at_least", "training_loader"]


class DrawSampler(Sampler):
    """Shuffled passes over a data set, from any draw on.

    Yields ``(index, draw)`` until the current pass ends, with draws numbered through all passes.
    Which item a draw is depends on the seed and its number, not on what was drawn before, so a run
    that resumes at a draw goes on as if nothing had happened.

    Args:
        length: items of the data set.
        batch: draws a step takes in all processes together, and over all parts of it where
            gradients are accumulated; a pass has whole steps alone.
        seed: of the order.
        rank, world_size: this process takes every ``world_size``-th draw, from ``rank`` on.
    """

    def __init__(self, length: int, batch: int, seed: int = 0, rank: int = 0, world_size: int = 1):
        if length < batch:
            raise UserError(
                f"{length} training pairs are fewer than the {batch} of a step; add pairs or lower "
                "data.batch_size"
            )
        self.length, self.seed = length, seed
        self.rank, self.world_size = rank, world_size
        self.draws_a_pass = length // batch * batch
        self.next_draw = 0

    def __len__(self) -> int:
        # Of a whole pass, also where the first one resumes within: the trainer asks once.
        return self.draws_a_pass // self.world_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        pass_number, start = divmod(self.next_draw, self.draws_a_pass)
        order = np.random.default_rng((self.seed, pass_number)).permutation(self.length)
        first = pass_number * self.draws_a_pass
        # The next iteration is of the next pass, whether or not this one is read to its end here.
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
) -> DataLoader:
    """Batches of a data set whose items are asked for by ``(index, draw)``, see `DrawSampler`.

    Args:
        data: what is drawn from.
        batch_size: items a step and device.
        workers: processes that read ahead.
        seed: of the order.
        trainer: deals the draws out to its processes, and goes on at the draw its next step would
            have had, also where it resumes.
    """
    world_size, rank = (trainer.world_size, trainer.global_rank) if trainer else (1, 0)
    draws = batch_size * world_size * (trainer.accumulate_grad_batches if trainer else 1)
    sampler = DrawSampler(len(cast(Sized, data)), draws, seed, rank, world_size)
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


def _use_one_thread(worker: int) -> None:
    """Processes that read ahead share the cores with training already."""
    cv2.setNumThreads(1)


def require_at_least(arguments: Mapping[str, Any], **least: int) -> None:
    """Check a data module's numbers; one that is None is left to its default.

    Raises:
        UserError: one is too small, or the seed is negative; names it as on the command line.
    """
    for name, smallest in {**least, "seed": 0}.items():
        value = arguments[name]
        if value is not None and value < smallest:
            raise UserError(f"data.{name}: at least {smallest}, got {value}")
