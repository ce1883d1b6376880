"""Template/search pairs for training, and the anchors' labels.

A pair is two crops of one target, cut as by the online tracker: a template centred on it, and a
search region that contains it. Both modalities of a crop share their geometry and differ in their
photometric augmentation. Every pair depends only on a seed and the number of its draw. A run
therefore uses the same pairs on every machine, in any number of processes and after being resumed.

    sources = [load_source("lasher", "LasHeR/trainingset", weight=2)]
    pairs = TargetPairs(sources, PairGeometry.of(network))
    pairs[0, 17]    # the 18th draw; the first number is not used

Crops, context, and labels follow SiamRPN++ (Li et al., CVPR 2019, Sec. 5.1) and SiamRPN (CVPR 2018,
Sec. 3.3).
"""

import warnings
from collections.abc import Sequence as AbstractSequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from fusion.base.errors import UserError
from fusion.images.pixels import luminance
from tracker.data.crops import mean_colour
from tracker.data.sequences import Sequence
from tracker.training.augmentation import (
    Augmentation,
    CropWindow,
    cover_mask,
    degrade,
    paste,
    round_mask,
    window_around,
)
from tracker.training.degradation import blur_along_line, change_gain
from tracker.training.labels import NEGATIVE, PairGeometry, label_anchors, select_anchors, subsample
from tracker.training.sources import TargetSource


class _Unusable(Exception):
    """The drawn frames show no target; the message gives the reason."""


@dataclass(frozen=True)
class _Moment:
    """A target in a frame: images by modality, the usable modalities, and the box."""

    images: dict[str, np.ndarray]
    usable: frozenset[str]
    box: np.ndarray

    def flipped(self) -> "_Moment":
        images = {m: np.ascontiguousarray(image[:, ::-1]) for m, image in self.images.items()}
        width = next(iter(images.values())).shape[1]
        x, y, w, h = self.box
        return _Moment(images, self.usable, np.array([width - x - w, y, w, h]))


def _place_beside(
    box: np.ndarray, other: np.ndarray, size: int, rng: np.random.Generator
) -> np.ndarray | None:
    """A box with the shape of ``other`` and about the area of ``box`` that does not overlap it.

    Args:
        box: centre x and y relative to the centre of the crop, width, height.
        other: ``x, y, w, h`` in its frame.
        size: side length of the crop.

    Returns:
        As ``box``; None if several attempts found no free place.
    """
    scale = np.sqrt(box[2] * box[3] / (other[2] * other[3])) * rng.uniform(0.75, 1.3)
    sides = other[2:] * scale
    for _ in range(8):
        centre = rng.uniform(-size / 2, size / 2, 2)
        if (np.abs(centre - box[:2]) > (box[2:] + sides) / 2).any():
            return np.concatenate((centre, sides))
    return None


def _window_onto(box: np.ndarray, place: np.ndarray, size: int) -> CropWindow:
    """The crop window that shows a frame's ``box`` ``x, y, w, h`` at ``place`` in a crop, see
    `CropWindow.place`."""
    x, y, w, h = box
    step = w / place[2]
    return CropWindow(
        x + w / 2 - place[0] * step, y + h / 2 - place[1] * step, size * step, size * step, size
    )


class TargetPairs(TorchDataset):
    """Template/search pairs; each depends only on the seed and the number of its draw.

    Args:
        sources: the sources of targets.
        geometry: sizes and anchors of the network.
        augmentation: how crops vary; None for DFAT's variation.
        negatives: share of pairs whose search region shows another target, from any source.
        positive_iou, best_anchor: ``positive`` and ``best`` of `label_anchors`.
        length: number of pairs per pass.
        seed: seed of all draws.
        part: the used part of every source's sequences: start and end as fractions of its list,
            such as ``(0, 0.9)``; validation uses the end.

    Raises:
        UserError: a source has no sequence in that part.
    """

    #: Number of consecutive failed draws after which an error is raised.
    PATIENCE = 50

    def __init__(
        self,
        sources: AbstractSequence[TargetSource],
        geometry: PairGeometry,
        augmentation: Augmentation | None = None,
        *,
        negatives: float = 0.1,
        positive_iou: float = 0.6,
        best_anchor: bool = False,
        length: int = 10_000,
        seed: int = 0,
        part: tuple[float, float] = (0.0, 1.0),
    ):
        if not sources:
            raise ValueError("pairs need at least one source")
        self.sources = list(sources)
        self.geometry = geometry
        self.augmentation = augmentation or Augmentation()
        self.negatives = negatives
        self.positive_iou = positive_iou
        self.best_anchor = best_anchor
        self.length = length
        self.seed = seed
        self._shares = np.array([source.weight for source in sources], float)
        self._shares /= self._shares.sum()
        self._ranges = [
            range(*(round(share * len(source.dataset)) for share in part)) for source in sources
        ]
        for source, numbers in zip(self.sources, self._ranges, strict=True):
            if not numbers:
                raise UserError(
                    f"data.roots.{source.name}: {len(source.dataset)} sequences or pairs are too "
                    f"few for a share of {part[1] - part[0]:.2f}; change data.holdout"
                )
        self._warned: set[str] = set()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        """The pair of draw ``key[1]``; ``key[0]``, an index in other data sets, is not used.

        Returns:
            ``template_rgb`` ``(3, exemplar_size, exemplar_size)``, ``template_ir`` ``(1, ...)``,
            ``search_rgb`` and ``search_ir`` of ``search_size``, uint8, of the network's modalities;
            ``usable_rgb``, ``usable_ir``: bool, whether template and search both have the modality;
            ``box`` ``(4,)``: the target in the search region, its centre relative to the region's
            centre and its size, in pixels (in a negative pair, of the other target);
            ``labels`` ``(A, H, W)`` from `label_anchors`, ``chosen`` from `select_anchors`;
            ``positive``: bool, whether the search region shows the target.
        """
        rng = np.random.default_rng((self.seed, key[1]))
        template, search, negative = self._targets(rng)
        augmentation, geometry = self.augmentation, self.geometry
        if rng.random() < augmentation.flip:
            template, search = template.flipped(), search.flipped()
        exemplar, size = geometry.exemplar_size, geometry.search_size
        shift, scale = augmentation.template_shift, augmentation.template_scale
        about_template = window_around(template.box, exemplar, exemplar, shift, scale, rng)
        shift, scale = augmentation.search_shift, augmentation.search_scale
        about_search = window_around(search.box, exemplar, size, shift, scale, rng)

        grey = rng.random() < augmentation.grey
        spoiled = self._one_modality(rng, augmentation.degrade)
        item = {}
        for modality, image in template.images.items():
            picture = about_template.cut(image, mean_colour(image))
            item[f"template_{modality}"] = self._finish(picture, grey, rng)
        box = about_search.place(search.box)
        for modality, picture in self._search_crops(search, about_search, box, rng).items():
            if modality == spoiled:
                picture = degrade(picture, rng)
            if rng.random() < augmentation.blur:
                length, angle = rng.uniform(3, 9), rng.uniform(0, np.pi)
                picture = blur_along_line(picture, length, angle)
            item[f"search_{modality}"] = self._finish(picture, grey, rng)
        usable = self._usable(template, search, rng)
        item |= {f"usable_{m}": torch.tensor(m in usable) for m in geometry.modalities}

        labels = label_anchors(box, geometry.anchors, self.positive_iou, best=self.best_anchor)
        if negative:
            # The anchors on the other target are the hardest background; no others are selected.
            chosen = np.zeros(labels.shape, bool)
            subsample(chosen, labels != NEGATIVE, 16, rng)
            labels = np.full_like(labels, NEGATIVE)
        else:
            chosen = select_anchors(labels, rng)
        return item | {
            "box": torch.from_numpy(box.astype(np.float32)),
            "labels": torch.from_numpy(labels),
            "chosen": torch.from_numpy(chosen),
            "positive": torch.tensor(not negative),
        }

    def _search_crops(
        self, search: _Moment, view: CropWindow, box: np.ndarray, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Crops of a search region by modality, which may contain parts of another scene.

        Args:
            box: the target in the crop, as returned by `CropWindow.place`.
        """
        crops = {m: view.cut(image, mean_colour(image)) for m, image in search.images.items()}
        augmentation, size = self.augmentation, view.size
        kinds = [
            kind
            for kind in ("transplant", "distract", "occlude")
            if rng.random() < getattr(augmentation, kind)
        ]
        if not kinds:
            return crops
        _, *others = self._moments(rng)
        # An object that appears in one modality only could be recognised as pasted.
        others = [other for other in others if other.usable == search.usable]
        for other in others:
            anywhere = window_around(
                other.box, self.geometry.exemplar_size, size, size / 2, 0.5, rng
            )
            for kind in kinds:
                source = anywhere
                if kind == "transplant":
                    mask = 1 - round_mask(size, box)
                elif kind == "occlude":
                    mask = cover_mask(size, box, rng)
                else:
                    beside = _place_beside(box, other.box, size, rng)
                    if beside is None:
                        continue
                    mask = round_mask(size, beside)
                    source = _window_onto(other.box, beside, size)
                for modality, crop in crops.items():
                    image = other.images[modality]
                    crops[modality] = paste(crop, source.cut(image, mean_colour(image)), mask)
            # The second moment of the other target is used for a second look-alike only.
            kinds = [kind for kind in kinds if kind == "distract"]
        return crops

    def _finish(self, picture: np.ndarray, grey: bool, rng: np.random.Generator) -> Tensor:
        """The last steps for every crop: ``HxW`` or ``HxWx3`` to ``(1 or 3, H, W)``."""
        if rng.random() < self.augmentation.light:
            gain, offset = np.exp(rng.uniform(np.log(0.6), np.log(1.6))), rng.uniform(-40, 40)
            picture = change_gain(picture, gain, offset)
        if picture.ndim == 2:
            return torch.from_numpy(picture[None])
        if grey:
            picture = np.repeat(luminance(picture)[..., None], 3, axis=2)
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))

    def _one_modality(self, rng: np.random.Generator, probability: float) -> str | None:
        """With this probability, one of two modalities; None if the network has only one."""
        happens, which = rng.random() < probability, rng.integers(2)
        modalities = self.geometry.modalities
        return modalities[which] if happens and len(modalities) == 2 else None

    def _usable(self, template: _Moment, search: _Moment, rng: np.random.Generator) -> set[str]:
        """The modalities that template and search both have, after random drops."""
        usable = set(template.usable & search.usable)
        for probability in (self.augmentation.drop_template, self.augmentation.drop_search):
            dropped = self._one_modality(rng, probability)
            if len(usable) == 2:
                usable.discard(dropped)
        # The moments of a negative pair may have no modality in common; the label remains valid.
        return usable or set(search.usable)

    # --- Drawing targets ---

    def _targets(self, rng: np.random.Generator) -> tuple[_Moment, _Moment, bool]:
        """Template, search, and whether they show different targets."""
        negative = rng.random() < self.negatives
        known, template, search = self._moments(rng)
        if negative:
            for _ in range(self.PATIENCE):
                other, _, elsewhere = self._moments(rng)
                if other != known:
                    return template, elsewhere, True
        # With a single target in all sources, no pair can be negative.
        return template, search, False

    def _moments(self, rng: np.random.Generator) -> tuple[tuple, _Moment, _Moment]:
        """A key that identifies a target, and two moments of this target."""
        number = rng.choice(len(self.sources), p=self._shares)
        source, numbers = self.sources[number], self._ranges[number]
        problem = ""
        for _ in range(self.PATIENCE):
            which = numbers[rng.integers(len(numbers))]
            try:
                first, *moments = self._two_of(source.dataset[which], source.reach, rng)
            except (UserError, _Unusable) as error:
                problem = str(error)
                self._warn(source, source.dataset.names[which], problem)
                continue
            # If reach is 0, every frame counts as a separate target.
            template, search = moments
            return (number, which, first if source.reach == 0 else None), template, search
        raise UserError(
            f"data.roots.{source.name}: {self.PATIENCE} consecutive draws show no target "
            f"({problem}); run tracker data on the dataset to see its problems"
        )

    def _warn(self, source: TargetSource, name: str, problem: str) -> None:
        if f"{source.name}/{name}" not in self._warned:
            self._warned.add(f"{source.name}/{name}")
            warnings.warn(
                f"{source.name}: skipped in a training pair: {name}: {problem}", stacklevel=3
            )

    def _two_of(
        self, sequence: Sequence, reach: int, rng: np.random.Generator
    ) -> tuple[int, _Moment, _Moment]:
        """The index of the template's frame, the template and the search moment."""
        # Crops need one frame of reference for both modalities and their boxes.
        sequence = sequence.resized(stretch=True)
        boxes = np.where(np.isnan(sequence.boxes_rgb), sequence.boxes_ir, sequence.boxes_rgb)
        good = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] >= 2).all(axis=1)
        # Synthetic sequences state the visible share of a target; hidden ones are not used.
        visibility = sequence.attributes.get("visibility", np.ones(len(boxes)))
        templates = np.flatnonzero(good & (visibility > 0.5))
        if not len(templates):
            raise _Unusable("no frame has a box of 2 pixels or more")
        first = templates[rng.integers(len(templates))]
        near = np.abs(np.arange(len(boxes)) - first) <= reach
        searches = np.flatnonzero(good & near & (visibility > 0.25))
        second = searches[rng.integers(len(searches))]
        template = self._read(sequence, first, boxes)
        search = template if second == first else self._read(sequence, second, boxes)
        if not template.usable & search.usable:
            raise _Unusable(f"frames {first + 1} and {second + 1} have no modality in common")
        return int(first), template, search

    def _read(self, sequence: Sequence, index: int, boxes: np.ndarray) -> _Moment:
        frame = sequence.frame(int(index))
        images = {m: getattr(frame, m) for m in self.geometry.modalities}
        usable = frozenset(m for m in images if m not in frame.problems)
        if not usable:
            reasons = "; ".join(problem.reason for problem in frame.problems.values())
            raise _Unusable(reasons)
        height, width = next(images[m] for m in images if m in usable).shape[:2]
        for modality, image in images.items():
            if image is None:  # a blank crop, which is marked as unusable
                channels = (3,) if modality == "rgb" else ()
                images[modality] = np.zeros((height, width, *channels), np.uint8)
        return _Moment(images, usable, boxes[index])
