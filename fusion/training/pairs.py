"""Training data: pairs of infrared and visible images, sampled in an order set by a seed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from fusion.base.draws import SampledData, require_at_least
from fusion.base.errors import UserError
from fusion.images.alignment import Calibration
from fusion.images.alignment.calibration import load_chosen
from fusion.images.pairing import pair_folders
from fusion.images.pixels import PixelScaling, luminance, to_8bit
from fusion.images.reading import IMAGE_SUFFIXES, read_image, read_infrared, read_visible
from fusion.networks.base import UNIT_SCALING, FusionNetwork
from fusion.networks.weights import load_named
from fusion.training.losses import saliency_target
from fusion.training.reference import read_references

CropMode = Literal["crop", "resize", "center", "resized-crop", "grid"]
Interpolation = Literal["area", "nearest", "bicubic"]

__all__ = ["PairData", "PairDataset", "find_pairs"]


def find_pairs(root: Path, ir: str = "ir", vis: str = "vis") -> list[tuple[Path, Path]]:
    """Find pairs of image files ``(infrared, visible)`` under ``root``.

    The layout is either ``root/<ir>`` and ``root/<vis>``, matched by stem, or KAIST as distributed:
    ``setNN/VNNN`` folders at any depth, each with ``lwir`` and ``visible``, whose files have the
    same names.

    Raises:
        UserError: the folder does not exist, or has neither layout.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give the root of the training images")
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
            f"{root}: contains neither {ir}/ and {vis}/ nor KAIST's setNN/VNNN/lwir and visible"
        )
    return pairs


def pair_name(root: Path, vis: str, visible: Path) -> str:
    """Name of a pair within its root: ``7`` of ``root/vis/7.png``, or ``set00/V000/I00007`` of
    KAIST's ``root/set00/V000/visible/I00007.jpg``.

    Args:
        root, vis: as for `find_pairs`.
        visible: the pair's visible picture.
    """
    folder = Path(root) if visible.parent == Path(root) / vis else visible.parent.parent
    return (folder.relative_to(root) / visible.stem).as_posix()


class PairDataset(Dataset):
    """Random views of greyscale pairs, each determined by the seed and the draw's number alone.

    Items are indexed by ``(index, draw)``. The same draw gives the same crop on every machine and
    after every interruption.

    Args:
        pairs: files ``(infrared, visible)``.
        size: side of a view in pixels.
        view: ``crop``, a random position at full resolution; ``resize``, the whole image, as LRRNet
            was trained; ``center``, the centre at full resolution, as for DIDFuse;
            ``resized-crop``, a random position with random size and aspect, as for AUIF; or
            ``grid``, each of all crops whose positions are multiples of ``stride``, which are then
            the items.
        scaling: how pixels become values, ``min-max`` or ``unit``, see `PixelScaling`.
        stride: distance of the crops of a ``grid`` in pixels.
        interpolation: how views are resized: ``area`` averages, ``nearest`` takes single pixels.
        flip: mirror half of the views horizontally and half vertically.
        rotate: also turn half of the views by a quarter.
        saliency: also return the `saliency_target`, computed from the whole images.
        teacher: also return, as the target, the greyscale image that this network makes of the
            whole images.
        cache: keep decoded images in memory.
        seed: seed of the views.
        references: also return the references of each pair and their weights, by the path of the
            pair's visible image, best first; every pair must have some.
        calibration: brings the infrared images onto the visible ones; both are cropped to the area
            that they share, as by `fusion fuse --align`.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Path, Path]],
        size: int = 128,
        view: CropMode = "crop",
        flip: bool = True,
        saliency: bool = False,
        cache: bool = False,
        seed: int = 0,
        scaling: Literal["min-max", "unit"] = "min-max",
        references: Mapping[Path, Sequence[tuple[Path, float]]] | None = None,
        calibration: Calibration | None = None,
        teacher: FusionNetwork | None = None,
        stride: int = 1,
        interpolation: Interpolation = "area",
        rotate: bool = False,
    ):
        self.pairs = list(pairs)
        self.size = size
        self.view = view
        self.flip = flip
        self.saliency = saliency
        self.seed = seed
        self.scaling = PixelScaling(input=scaling)
        self.teacher = teacher
        self.references = references
        self.calibration = calibration
        self._ranks = max(map(len, references.values()), default=0) if references else 0
        self._cache: dict[int, tuple[np.ndarray, ...]] | None = {} if cache else None
        self.interpolation, self.rotate = interpolation, rotate
        #: Of a grid: for each item, the number of its pair, and the view's top and left.
        self._grid = self._places(stride) if view == "grid" else None

    def __len__(self) -> int:
        return len(self.pairs) if self._grid is None else len(self._grid)

    def _places(self, stride: int) -> list[tuple[int, int, int]]:
        places = []
        for pair in range(len(self.pairs)):
            height, width = self._whole(pair)[0].shape
            tops, lefts = (range(0, side - self.size + 1, stride) for side in (height, width))
            places += [(pair, top, left) for top in tops for left in lefts]
        return places

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        """A pair of views: ``ir``, ``vis`` and optionally ``target``, in 0..1.

        Each is float32 ``(1, size, size)``; the sources are scaled according to ``scaling``.
        ``references`` are optional, ``(K, size, size)`` with pixels divided by 255, as are their
        ``weights``, ``(K,)``. A pair with fewer than K references repeats the best one with weight
        0.

        Raises:
            UserError: an image is unreadable, sizes differ, or an image is smaller than a crop.
        """
        index, draw = key
        rng = np.random.default_rng((self.seed, draw))
        if self._grid is None:
            images = self._whole(index)
            height, width = images[0].shape
            place = self._place(height, width, rng)
        else:
            index, top, left = self._grid[index]
            images = self._whole(index)
            place = slice(top, top + self.size), slice(left, left + self.size)
        views = [image[place] for image in images]
        if self.view in ("resize", "resized-crop"):
            views = [_resize(view, self.size, self.interpolation) for view in views]
        if self.flip:
            for axis in (0, 1):
                if rng.random() < 0.5:
                    views = [np.flip(view, axis) for view in views]
        if self.rotate and rng.random() < 0.5:
            views = [np.rot90(view) for view in views]
        tensors = [torch.from_numpy(np.ascontiguousarray(v, np.float32))[None] for v in views]
        item = {"ir": tensors.pop(0), "vis": tensors.pop(0)}
        if self.saliency or self.teacher is not None:
            item["target"] = tensors.pop(0)
        if self.references is not None:
            item["references"] = torch.cat(tensors)
            item["weights"] = torch.tensor([weight for _, weight in self._ranked(index)])
        return item

    def _ranked(self, index: int) -> list[tuple[Path, float]]:
        """The pair's references and weights, padded to the largest number that any pair has."""
        assert self.references is not None
        references = list(self.references[self.pairs[index][1]])
        return references + [(references[0][0], 0.0)] * (self._ranks - len(references))

    def _place(self, height: int, width: int, rng: np.random.Generator) -> tuple[slice, slice]:
        """Rows and columns of a view within an image."""
        if self.view == "resize":
            return slice(None), slice(None)
        if self.view == "resized-crop":
            tall, wide = _random_shape(height, width, rng)
        else:
            tall = wide = self.size
        if self.view == "center":
            top, left = (height - tall) // 2, (width - wide) // 2
        else:
            top, left = (int(rng.integers(rest + 1)) for rest in (height - tall, width - wide))
        return slice(top, top + tall), slice(left, left + wide)

    def _whole(self, index: int) -> tuple[np.ndarray, ...]:
        if self._cache is not None and index in self._cache:
            return self._cache[index]
        images = self._read(*self.pairs[index])
        if self.references is not None:
            images += tuple(
                self._read_reference(path, images[0]) for path, _ in self._ranked(index)
            )
        if self._cache is not None:
            # Half precision distinguishes all grey levels of an 8-bit image.
            images = tuple(image.astype(np.float16) for image in images)
            self._cache[index] = images
        return images

    def _read(self, ir_path: Path, vis_path: Path) -> tuple[np.ndarray, ...]:
        ir, vis = read_infrared(ir_path), luminance(read_visible(vis_path))
        if self.calibration is not None:
            sizes = [(image.shape[1], image.shape[0]) for image in (ir, vis)]
            self.calibration.require_sizes(sizes[0], sizes[1], f"{ir_path} and {vis_path}")
            ir, vis = self.calibration.pair(ir, vis)
        if ir.shape != vis.shape:
            raise UserError(
                f"{ir_path} and {vis_path}: sizes differ, {ir.shape[1]}x{ir.shape[0]} and "
                f"{vis.shape[1]}x{vis.shape[0]}; register them, for example by 'fusion align' "
                "and --data.align, or leave them out"
            )
        if self.view in ("crop", "center", "grid") and min(ir.shape) < self.size:
            raise UserError(
                f"{ir_path}: {ir.shape[1]}x{ir.shape[0]} is smaller than a crop of {self.size}; "
                "leave it out, or set size or view: resize"
            )
        taught = None
        if self.teacher is not None:
            taught = UNIT_SCALING.to_network(self.teacher.fuse(ir, vis, color=False))
        ir, vis = self.scaling.to_network(ir), self.scaling.to_network(vis)
        if taught is not None:
            return ir, vis, taught
        if not self.saliency:
            return ir, vis
        whole_ir, whole_vis = (torch.from_numpy(image)[None, None] for image in (ir, vis))
        return ir, vis, saliency_target(whole_ir, whole_vis)[0, 0].numpy()

    def _read_reference(self, path: Path, ir: np.ndarray) -> np.ndarray:
        image = UNIT_SCALING.to_network(to_8bit(luminance(read_image(path))))
        if image.shape != ir.shape:
            raise UserError(
                f"{path}: {image.shape[1]}x{image.shape[0]}, its sources {ir.shape[1]}x"
                f"{ir.shape[0]}; create the references from these pairs"
            )
        return image


def _random_shape(height: int, width: int, rng: np.random.Generator) -> tuple[int, int]:
    """Height and width of a part with 8 to 100 % of the area and an aspect ratio of 3/4 to 4/3.

    These are the usual ranges of a random resized crop. A shape that does not fit is drawn again,
    at most ten times; then the largest square is used.
    """
    for _ in range(10):
        area = height * width * rng.uniform(0.08, 1)
        aspect = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        tall, wide = round(np.sqrt(area / aspect)), round(np.sqrt(area * aspect))
        if 0 < tall <= height and 0 < wide <= width:
            return tall, wide
    return (min(height, width),) * 2


_CV2 = {"area": cv2.INTER_AREA, "nearest": cv2.INTER_NEAREST}


def _resize(image: np.ndarray, size: int, interpolation: Interpolation = "area") -> np.ndarray:
    image = image.astype(np.float32)
    if interpolation == "bicubic":  # Pillow's, which averages where it shrinks; OpenCV's does not
        return np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))
    return cv2.resize(image, (size, size), interpolation=_CV2[interpolation])


class PairData(SampledData):
    """Training pairs of one folder, some of them held out for validation.

    Args:
        root: see `find_pairs`.
        ir, vis: names of the two folders under ``root``, unless it has KAIST's layout.
        subset: train on this many pairs, selected by the seed; None uses all. The paper uses
            20 000 pairs of KAIST.
        holdout: number of pairs held out for validation, the last by name, which in a video form a
            separate scene.
        size, view, flip, saliency, cache, scaling, stride, interpolation, rotate: see
            `PairDataset`. Held-out pairs of a ``grid`` are seen in their centre.
        shuffle: take the pairs, or the views of a grid, in a random order in each epoch, otherwise
            in their own order.
        batch_size: pairs per step and device.
        workers: number of worker processes.
        seed: seed of subset, order and views.
        references: folder written by ``fusion reference``, for KAIST with a subfolder
            ``setNN/VNNN`` per video; pairs without references are left out.
        align: calibration file from ``fusion align`` that brings the infrared onto the visible
            images; None for registered pairs.
        teacher: the network whose images are the target: a weights file, or the name of a method
            with included weights or without any. Not together with ``saliency``.
    """

    def __init__(
        self,
        root: str,
        ir: str = "ir",
        vis: str = "vis",
        subset: int | None = None,
        holdout: int = 0,
        size: int = 128,
        view: CropMode = "crop",
        flip: bool = True,
        saliency: bool = False,
        cache: bool = False,
        batch_size: int = 8,
        workers: int = 1,
        seed: int = 0,
        scaling: Literal["min-max", "unit"] = "min-max",
        references: str | None = None,
        align: str | None = None,
        teacher: str | None = None,
        stride: int = 1,
        interpolation: Interpolation = "area",
        rotate: bool = False,
        shuffle: bool = True,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.shuffle = shuffle

    def setup(self, stage: str | None = None) -> None:
        h: Any = self.hparams
        require_at_least(h, size=1, batch_size=1, workers=0, holdout=0, subset=1, stride=1)
        if h.teacher is not None and h.saliency:
            raise UserError(
                "data.teacher: the target of data.saliency is another; give one of them"
            )
        teacher = None if h.teacher is None else load_named(h.teacher)
        pairs = find_pairs(h.root, h.ir, h.vis)
        references = None
        if h.references is not None:
            named = {pair_name(h.root, h.vis, vis): vis for _, vis in pairs}
            found = read_references(h.references)
            references = {vis: found[name] for name, vis in named.items() if name in found}
            pairs = [pair for pair in pairs if pair[1] in references]
            if not pairs:
                raise UserError(
                    f"{h.references}: contains references of no pair in {h.root}: of "
                    f"{next(iter(found))} and so on, not of {next(iter(named))}"
                )
        if h.holdout >= len(pairs):
            raise UserError(
                f"{h.root}: {len(pairs)} pairs, of which data.holdout takes all; give fewer than "
                f"{len(pairs)}"
            )
        self.held_out = pairs[len(pairs) - h.holdout :]
        pairs = pairs[: len(pairs) - h.holdout]
        if h.subset is not None:
            if h.subset > len(pairs):
                raise UserError(
                    f"{h.root}: {len(pairs)} pairs, fewer than data.subset {h.subset}; give at "
                    f"most {len(pairs)}"
                )
            chosen = np.random.default_rng(h.seed).permutation(len(pairs))[: h.subset]
            pairs = [pairs[i] for i in sorted(chosen)]
        views = {"size": h.size, "saliency": h.saliency, "seed": h.seed, "scaling": h.scaling}
        views |= {"references": references, "interpolation": h.interpolation}
        views |= {"calibration": load_chosen(h.align and Path(h.align)), "teacher": teacher}
        self.train_set = PairDataset(
            pairs,
            view=h.view,
            flip=h.flip,
            rotate=h.rotate,
            stride=h.stride,
            cache=h.cache,
            **views,
        )
        held_out: CropMode = "center" if h.view == "grid" else h.view
        self.val_set = PairDataset(self.held_out, view=held_out, flip=False, **views)
