"""Training data: pairs of infrared and visible pictures, drawn in an order a seed decides."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import cv2
import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fusion.errors import UserError
from fusion.images import (
    IMAGE_SUFFIXES,
    PixelScaling,
    luminance,
    pair_folders,
    read_infrared,
    read_visible,
)
from fusion.losses import saliency_target

__all__ = ["DrawSampler", "PairData", "PairDataset", "find_pairs", "training_loader"]


def find_pairs(root: Path, ir: str = "ir", vis: str = "vis") -> list[tuple[Path, Path]]:
    """Pairs of picture files ``(infrared, visible)`` under ``root``.

    Either ``root/<ir>`` and ``root/<vis>``, matched by stem; or KAIST as distributed, any depth of
    ``setNN/VNNN`` above folders ``lwir`` and ``visible`` whose files have the same names.

    Raises:
        UserError: no such folder, or neither layout is there.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give the root of the training pictures")
    if (root / ir).is_dir() and (root / vis).is_dir():
        return pair_folders(root / ir, root / vis).pairs
    pairs = [
        (path, partner)
        for folder in sorted(root.glob("**/lwir"))
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES
        and (partner := folder.parent / "visible" / path.name).is_file()
    ]
    if not pairs:
        raise UserError(
            f"{root}: holds neither {ir}/ and {vis}/ nor KAIST's setNN/VNNN/lwir and visible"
        )
    return pairs


class PairDataset(Dataset):
    """Random views of grey pairs, each decided by the seed and the number of its draw alone.

    An item is asked for by ``(index, draw)``. The same draw gives the same crop on every machine
    and after every interruption.

    Args:
        pairs: files ``(infrared, visible)``.
        size: side of a view in pixels.
        view: ``crop``, a random place at full resolution, or ``resize``, the whole picture, as
            LRRNet was trained.
        flip: mirror half of the views, and turn half upside down.
        saliency: also give the `saliency_target`, made from the whole pictures.
        cache: keep decoded pictures in memory.
        seed: of the views.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Path, Path]],
        size: int = 128,
        view: Literal["crop", "resize"] = "crop",
        flip: bool = True,
        saliency: bool = False,
        cache: bool = False,
        seed: int = 0,
    ):
        self.pairs = list(pairs)
        self.size = size
        self.view = view
        self.flip = flip
        self.saliency = saliency
        self.seed = seed
        self._cache: dict[int, tuple[np.ndarray, ...]] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        """Views on 0..1, each picture scaled by its own range: ``ir``, ``vis``, perhaps ``target``.

        ``(1, size, size)`` each, float32.

        Raises:
            UserError: a picture is unreadable, the two differ in size, or are smaller than a crop.
        """
        index, draw = key
        rng = np.random.default_rng((self.seed, draw))
        images = self._whole(index)
        if self.view == "resize":
            views = [_resize(image, self.size) for image in images]
        else:
            height, width = images[0].shape
            top = rng.integers(height - self.size + 1)
            left = rng.integers(width - self.size + 1)
            views = [i[top : top + self.size, left : left + self.size] for i in images]
        if self.flip:
            for axis in (0, 1):
                if rng.random() < 0.5:
                    views = [np.flip(view, axis) for view in views]
        names = ("ir", "vis", "target")[: len(views)]
        return {
            name: torch.from_numpy(np.ascontiguousarray(view, np.float32))[None]
            for name, view in zip(names, views, strict=True)
        }

    def _whole(self, index: int) -> tuple[np.ndarray, ...]:
        if self._cache is not None and index in self._cache:
            return self._cache[index]
        images = self._read(*self.pairs[index])
        if self._cache is not None:
            # Half precision keeps every grey level of an 8-bit picture apart.
            images = tuple(image.astype(np.float16) for image in images)
            self._cache[index] = images
        return images

    def _read(self, ir_path: Path, vis_path: Path) -> tuple[np.ndarray, ...]:
        ir, vis = read_infrared(ir_path), luminance(read_visible(vis_path))
        if ir.shape != vis.shape:
            raise UserError(
                f"{ir_path} and {vis_path}: sizes differ, {ir.shape[1]}x{ir.shape[0]} and "
                f"{vis.shape[1]}x{vis.shape[0]}; register them or leave them out"
            )
        if self.view == "crop" and min(ir.shape) < self.size:
            raise UserError(
                f"{ir_path}: {ir.shape[1]}x{ir.shape[0]} is smaller than a crop of {self.size}; "
                "leave it out, or set size or view: resize"
            )
        scaling = PixelScaling()
        ir, vis = scaling.to_network(ir), scaling.to_network(vis)
        if not self.saliency:
            return ir, vis
        whole = (torch.from_numpy(image)[None, None] for image in (ir, vis))
        return ir, vis, saliency_target(*whole)[0, 0].numpy()


def _resize(image: np.ndarray, size: int) -> np.ndarray:
    image = image.astype(np.float32)
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)


class DrawSampler(Sampler):
    """Shuffled passes over a data set, from any draw on.

    Yields ``(index, draw)`` until the current pass ends, with draws numbered through all passes.
    Which item a draw is depends on the seed and its number, not on what was drawn before, so a run
    that resumes at a draw goes on as if nothing had happened.

    Args:
        length: items of the data set.
        batch: draws a step takes in all processes together; a pass has whole steps alone.
        seed: of the order.
        rank, world_size: this process takes every ``world_size``-th draw, from ``rank`` on.
    """

    def __init__(self, length: int, batch: int, seed: int = 0, rank: int = 0, world_size: int = 1):
        if length < batch:
            raise UserError(
                f"{length} training pairs are fewer than a batch of {batch}; add pairs or lower "
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
    sampler = DrawSampler(len(data), batch_size * world_size, seed, rank, world_size)
    if trainer:
        steps = trainer.global_step * trainer.accumulate_grad_batches
        sampler.next_draw = steps * batch_size * world_size
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


class PairData(L.LightningDataModule):
    """Training pairs of one root, a part of them held out for validation.

    Args:
        root: see `find_pairs`.
        ir, vis: names of the two folders under ``root``, where it is not KAIST.
        subset: train on this many pairs, chosen by the seed; all where None. The paper takes
            20 000 of KAIST's.
        holdout: pairs held out for validation, the last by name, which in a video are a scene of
            their own.
        size, view, flip, saliency, cache: see `PairDataset`.
        batch_size: pairs a step and device.
        workers: processes that read ahead.
        seed: of subset, order and views.
    """

    def __init__(
        self,
        root: str,
        ir: str = "ir",
        vis: str = "vis",
        subset: int | None = None,
        holdout: int = 0,
        size: int = 128,
        view: Literal["crop", "resize"] = "crop",
        flip: bool = True,
        saliency: bool = False,
        cache: bool = False,
        batch_size: int = 8,
        workers: int = 1,
        seed: int = 0,
    ):
        super().__init__()
        self.save_hyperparameters()

    def setup(self, stage: str | None = None) -> None:
        h = self.hparams
        pairs = find_pairs(h.root, h.ir, h.vis)
        if h.holdout >= len(pairs):
            raise UserError(f"{h.root}: {len(pairs)} pairs, of which data.holdout takes all")
        self.held_out = pairs[len(pairs) - h.holdout :]
        pairs = pairs[: len(pairs) - h.holdout]
        if h.subset is not None:
            if h.subset > len(pairs):
                raise UserError(f"{h.root}: {len(pairs)} pairs, fewer than data.subset {h.subset}")
            chosen = np.random.default_rng(h.seed).permutation(len(pairs))[: h.subset]
            pairs = [pairs[i] for i in sorted(chosen)]
        views = {"size": h.size, "view": h.view, "saliency": h.saliency, "seed": h.seed}
        self.train_set = PairDataset(pairs, flip=h.flip, cache=h.cache, **views)
        self.val_set = PairDataset(self.held_out, flip=False, **views)

    def train_dataloader(self) -> DataLoader:
        h = self.hparams
        return training_loader(
            self.train_set, h.batch_size, workers=h.workers, seed=h.seed, trainer=self.trainer
        )

    def val_dataloader(self) -> DataLoader:
        keys = [(index, index) for index in range(len(self.val_set))]
        return DataLoader(self.val_set, self.hparams.batch_size, sampler=keys)
