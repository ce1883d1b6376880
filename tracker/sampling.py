"""Template/search pairs for training, and the anchors' labels.

A pair is two crops of one target, as the online tracker cuts them: a template about it, and a
search region in which it lies somewhere. Both modalities of a crop share their geometry; each has
photometry of its own. Every pair is decided by a seed and the number of its draw alone, so that a
run gives the same pairs on every machine, in any number of processes and after an interruption.

    sources = [TargetSource("lasher", load_dataset(root, "lasher"), weight=2)]
    pairs = TargetPairs(sources, PairGeometry.of(network))
    pairs[0, 17]    # the 18th draw; the first number is of no consequence

Crops, context, and labels follow SiamRPN++ (Li et al., CVPR 2019, Sec. 5.1) and SiamRPN (CVPR 2018,
Sec. 3.3); the defaults of `Augmentation` are DFAT's.
"""

import dataclasses
import warnings
from collections.abc import Callable
from collections.abc import Sequence as AbstractSequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from fusion.errors import UserError
from fusion.images import luminance, read_image, to_8bit
from fusion.pairs import find_pairs
from tracker import sequences
from tracker.boxes import box_iou, cxcywh_to_xywh
from tracker.frames import ImageFrames
from tracker.network import TrackerNetwork
from tracker.online import context_side, mean_colour
from tracker.sequences import DATASETS, Sequence

__all__ = [
    "Augmentation",
    "PairGeometry",
    "TargetPairs",
    "TargetSource",
    "check_source",
    "label_anchors",
    "load_source",
    "salient_boxes",
    "select_anchors",
]


# --- Geometry of crops --------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """A rectangle of a frame that becomes a square crop.

    Attributes:
        x, y: its centre in pixels of the frame, where a box ``(0, 0, w, h)`` has ``w / 2, h / 2``.
        width, height: in pixels of the frame.
        size: side of the crop in pixels.
    """

    x: float
    y: float
    width: float
    height: float
    size: int

    def cut(self, frame: np.ndarray, fill: float | np.ndarray) -> np.ndarray:
        """The crop, ``size x size`` or ``size x size x C``; outside the frame is ``fill``."""
        # As published, the online tracker rounds a crop's corner down to whole pixels, so that its
        # centre lies half a pixel to the top left of the one boxes are measured from, on average.
        # Crops here do too: a network then learns what it will be shown.
        step_x, step_y = self.width / self.size, self.height / self.size
        left = self.x - 1 - (self.size - 1) / 2 * step_x
        top = self.y - 1 - (self.size - 1) / 2 * step_y
        matrix = np.array([[step_x, 0, left], [0, step_y, top]])
        return cv2.warpAffine(
            frame,
            matrix,
            (self.size, self.size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderValue=tuple(np.atleast_1d(fill).tolist()),
        )

    def place(self, box: np.ndarray) -> np.ndarray:
        """A frame's box ``x, y, w, h`` in the crop: centre from the crop's centre, and size."""
        x, y, w, h = box
        scale_x, scale_y = self.size / self.width, self.size / self.height
        return np.array(
            [
                (x + w / 2 - self.x) * scale_x,
                (y + h / 2 - self.y) * scale_y,
                w * scale_x,
                h * scale_y,
            ]
        )


@dataclass(frozen=True)
class PairGeometry:
    """What of a network decides its pairs.

    Attributes:
        modalities: among "rgb" and "ir".
        exemplar_size, search_size: sides of the crops in pixels.
        anchors: ``(4, A, H, W)``, see `tracker.anchors.anchor_grid`.
    """

    modalities: tuple[str, ...]
    exemplar_size: int
    search_size: int
    anchors: np.ndarray

    @classmethod
    def of(cls, network: TrackerNetwork) -> "PairGeometry":
        """That of a network."""
        return cls(
            network.modalities,
            network.exemplar_size,
            network.search_size,
            network.anchors().cpu().numpy(),
        )


# --- Labels -------------------------------------------------------------------------------------

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1


def label_anchors(
    box: np.ndarray,
    anchors: np.ndarray,
    positive: float = 0.6,
    negative: float = 0.3,
    best: bool = False,
) -> np.ndarray:
    """Which anchors stand for a box, by their IoU with it.

    Args:
        box: centre x, y, width, height from the centre of the search region, in pixels.
        anchors: ``(4, A, H, W)``, likewise.
        positive: an anchor above this IoU is the target's.
        negative: an anchor below this IoU is background; those between are `IGNORED`.
        best: where no anchor is above ``positive``, the one of the highest IoU is the target's
            all the same, as in region proposal networks (Ren et al., 2015); else such a box has
            none, as in SiamRPN.

    Returns:
        ``(A, H, W)`` int64 of `POSITIVE`, `NEGATIVE` and `IGNORED`.
    """
    boxes = cxcywh_to_xywh(np.moveaxis(anchors, 0, -1))
    iou = box_iou(boxes, cxcywh_to_xywh(box))
    labels = np.full(iou.shape, IGNORED)
    labels[iou > positive] = POSITIVE
    labels[iou < negative] = NEGATIVE
    if best and iou.max() <= positive:
        labels.flat[iou.argmax()] = POSITIVE
    return labels


def select_anchors(
    labels: np.ndarray, rng: np.random.Generator, positives: int = 16, total: int = 64
) -> np.ndarray:
    """The anchors a pair's cross entropy counts: background would outweigh the target else.

    At most ``positives`` anchors of the target, and background up to ``total`` of both.

    Args:
        labels: of `label_anchors`.

    Returns:
        Booleans of the same shape.
    """
    chosen = np.zeros(labels.shape, bool)
    count = _choose(chosen, labels == POSITIVE, positives, rng)
    _choose(chosen, labels == NEGATIVE, total - count, rng)
    return chosen


def _choose(chosen: np.ndarray, among: np.ndarray, most: int, rng: np.random.Generator) -> int:
    """Mark up to ``most`` of ``among`` in ``chosen``; says how many."""
    places = np.flatnonzero(among)
    places = rng.permutation(places)[:most]
    chosen.flat[places] = True
    return len(places)


# --- Augmentation -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Augmentation:
    """How crops vary. Shifts and scales are uniform, the others probabilities a crop and modality.

    Attributes:
        template_shift, search_shift: most the target's centre lies off the crop's, in pixels of the
            crop, either way in x and y.
        template_scale, search_scale: most a side of the view differs, as a share, each of the two
            for itself.
        flip: mirror both crops of a pair left to right.
        blur: blur a search crop along a line, as motion does.
        grey: take the colour out of both crops of a pair.
        light: change gain and offset of a crop.
        degrade: spoil one modality of a search crop: dark and noisy, hazy, out of focus, without
            contrast or, infrared, inverted.
        distract: paste other targets into a search crop, about as large as its own and beside it.
        transplant: put the target of a search crop into other surroundings.
        occlude: cover a part of the target in a search crop, a quarter to half of it.
        drop_search, drop_template: leave one of two modalities out of a pair, as the online tracker
            does with one that is missing.
    """

    template_shift: float = 4
    template_scale: float = 0.05
    search_shift: float = 96
    search_scale: float = 0.18
    flip: float = 0.0
    blur: float = 0.18
    grey: float = 0.1
    light: float = 0.0
    degrade: float = 0.0
    distract: float = 0.0
    transplant: float = 0.0
    occlude: float = 0.0
    drop_search: float = 0.0
    drop_template: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            name, value = field.name, getattr(self, field.name)
            if name.endswith("_shift"):
                if not 0 <= value <= 10_000:
                    raise UserError(f"augmentation.{name}: from 0 to 10000 pixels, got {value}")
            elif name.endswith("_scale"):
                if not 0 <= value < 1:
                    raise UserError(
                        f"augmentation.{name}: a share is from 0 to below 1, got {value}"
                    )
            elif not 0 <= value <= 1:
                raise UserError(f"augmentation.{name}: a probability is from 0 to 1, got {value}")


def view_about(
    box: np.ndarray, exemplar: int, size: int, shift: float, scale: float, rng: np.random.Generator
) -> View:
    """A view about a box ``x, y, w, h`` as the online tracker takes it, shifted and scaled.

    Args:
        exemplar: side of a template crop in pixels, to which the context's square is scaled.
        size: side of this crop.
        shift, scale: see `Augmentation`.
    """
    x, y, w, h = box
    side = context_side(w, h) * size / exemplar
    width, height = side * (1 + rng.uniform(-scale, scale, 2))
    off_x, off_y = rng.uniform(-shift, shift, 2)
    return View(
        x + w / 2 - off_x * width / size, y + h / 2 - off_y * height / size, width, height, size
    )


def motion_blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur along a line of 3 to 9 pixels in any direction."""
    size = 2 * int(rng.integers(1, 5)) + 1
    angle = rng.uniform(0, np.pi)
    # Drawn in the middle of twice the length: the line's ends keep their softness.
    kernel = np.zeros((2 * size + 1, 2 * size + 1), np.float32)
    reach = (size - 1) / 2 * np.array([np.cos(angle), np.sin(angle)])
    ends = np.rint((np.array([-reach, reach]) + size) * 16).astype(int)
    cv2.line(kernel, ends[0].tolist(), ends[1].tolist(), 1.0, 1, cv2.LINE_AA, shift=4)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)


def change_light(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gain of 0.6 to 1.6 about the mean, and an offset of up to 40 grey levels."""
    gain, offset = np.exp(rng.uniform(np.log(0.6), np.log(1.6))), rng.uniform(-40, 40)
    return _to_uint8((image - image.mean(dtype=np.float32)) * gain + image.mean() + offset)


def degrade(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Spoil a crop in one of the ways a camera or the weather does."""
    kinds = ["dark", "haze", "defocus", "flat"] + (["inverted"] if image.ndim == 2 else [])
    kind = kinds[rng.integers(len(kinds))]
    if kind == "defocus":
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(1, 3))
    if kind == "inverted":
        return 255 - image
    values = image.astype(np.float32)
    if kind == "dark":
        values *= rng.uniform(0.03, 0.35)
    elif kind == "haze":
        share = rng.uniform(0.4, 0.85)
        values = values * (1 - share) + share * rng.uniform(140, 230)
    else:
        values = (values - values.mean()) * rng.uniform(0.05, 0.3) + values.mean()
    noise = rng.uniform(1, 8) * rng.standard_normal(image.shape, np.float32)
    return _to_uint8(values + noise)


def paste(below: np.ndarray, above: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """``above`` over ``below``, ``HxW`` or ``HxWx3`` uint8, as far as ``mask`` ``HxW`` is 1."""
    mask = mask if below.ndim == 2 else mask[..., None]
    return _to_uint8(below + mask * (above.astype(np.float32) - below))


def round_mask(size: int, box: np.ndarray) -> np.ndarray:
    """1 within a box and 0 outside, with rounded corners and a soft rim.

    Args:
        size: of the square mask.
        box: centre x and y from the mask's centre, width, height, in pixels.

    Returns:
        ``size x size`` float32.
    """
    x, y, width, height = box
    along = np.arange(size) - (size - 1) / 2
    right, down = np.abs(along - x) / (width / 2), np.abs(along - y) / (height / 2)
    reach = (right[None] ** 3 + down[:, None] ** 3) ** (1 / 3)
    return np.clip((1.15 - reach) / 0.25, 0, 1).astype(np.float32)


def cover_mask(size: int, box: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """1 in a rectangle that hides a quarter to half of a box from one side, and 0 elsewhere.

    Args:
        size, box: as for `round_mask`.
    """
    centre, sides = box[:2], box[2:]
    low, high = centre - sides * rng.uniform(0.6, 1, 2), centre + sides * rng.uniform(0.6, 1, 2)
    axis, hidden = rng.integers(2), rng.uniform(0.25, 0.5) * sides
    if rng.random() < 0.5:
        high[axis] = centre[axis] - sides[axis] / 2 + hidden[axis]
    else:
        low[axis] = centre[axis] + sides[axis] / 2 - hidden[axis]
    along = np.arange(size) - (size - 1) / 2
    columns, rows = ((low[i] <= along) & (along <= high[i]) for i in range(2))
    return (rows[:, None] & columns[None]).astype(np.float32)


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


# --- Where targets come from --------------------------------------------------------------------


@dataclass
class TargetSource:
    """A dataset targets are drawn from.

    Attributes:
        name: for messages.
        dataset: its sequences; a still is a sequence of one frame.
        weight: pairs are drawn from sources in proportion to it.
        reach: frames that may lie between template and search.
    """

    name: str
    dataset: sequences.Dataset
    weight: float = 1.0
    reach: int = 100


# Names of sources beside those of datasets.
UNMASKED, SYNTHETIC = "pairs", "synthetic"
SOURCES = (*DATASETS, SYNTHETIC, UNMASKED)


def check_source(name: str, key: str) -> None:
    """Make sure that a source goes by this name, which stands under ``key`` in a configuration.

    Raises:
        UserError: none does.
    """
    if name not in SOURCES:
        raise UserError(f"{key}.{name}: no such source; give one of {', '.join(SOURCES)}")


def load_source(name: str, root: str | Path, weight: float = 1.0, reach: int = 100) -> TargetSource:
    """A source by its name.

    Args:
        name: of a dataset (`tracker.sequences.DATASETS`); "synthetic", sequences written by
            `tracker.synthetic.write_dataset`; or "pairs", still pairs without masks in ``ir`` and
            ``vis``, whose targets are what `salient_boxes` finds.
        root: its folder.
        weight, reach: see `TargetSource`.

    Raises:
        UserError: no such name, or nothing of the kind in the folder.
    """
    check_source(name, "data.roots")
    if not 0 < weight < float("inf"):
        raise UserError(
            f"data.weights.{name}: a weight is above 0, got {weight}; leave out its root"
        )
    try:
        if name == UNMASKED:
            dataset = _unmasked_dataset(Path(root))
            reach = 0  # "frames" are the same picture with other targets
        else:
            dataset = sequences.load_dataset(root, "vot" if name == SYNTHETIC else name)
    except UserError as error:
        raise UserError(f"data.roots.{name}: {error}") from error
    return TargetSource(name, dataset, weight, reach)


def _unmasked_dataset(root: Path) -> sequences.Dataset:
    loaders: dict[str, Callable[[], Sequence]] = {
        ir.relative_to(root).as_posix(): partial(_load_unmasked, ir, vis)
        for ir, vis in find_pairs(root)
    }
    return sequences.Dataset(root, loaders)


def _load_unmasked(ir: Path, vis: Path) -> Sequence:
    """A still pair as a sequence that shows the same picture once for each target in it."""
    boxes = _boxes_in(ir, vis)
    if not len(boxes):
        raise UserError(f"{ir}: nothing salient in it")
    count = len(boxes)
    return Sequence(
        name=ir.stem,
        layout="pair",
        rgb=ImageFrames(vis.parent, [vis.name] * count),
        ir=ImageFrames(ir.parent, [ir.name] * count),
        boxes_rgb=np.full((count, 4), np.nan),
        boxes_ir=boxes,
        annotated=np.ones(count, bool),
    )


@cache
def _boxes_in(ir: Path, vis: Path) -> np.ndarray:
    """`salient_boxes` of a pair of files; found once, for a picture is drawn many times."""
    heat = to_8bit(luminance(read_image(ir)))
    light = to_8bit(luminance(read_image(vis)))
    if heat.shape != light.shape:
        light = cv2.resize(light, heat.shape[::-1], interpolation=cv2.INTER_AREA)
    return salient_boxes(light, heat)


def salient_boxes(light: np.ndarray, heat: np.ndarray, most: int = 12) -> np.ndarray:
    """Boxes about what stands out from its surroundings in either modality.

    Blobs of three sizes: connected parts where a blurred picture differs from one blurred four
    times as far by more than two standard deviations of that difference.

    Args:
        light, heat: ``HxW`` uint8.
        most: boxes kept, the most salient ones.

    Returns:
        ``(N, 4)`` boxes ``x, y, w, h``, of 8 pixels or more, up to half the picture a side.
    """
    # Blobs of 8 pixels and more show at half the size, at a quarter of the cost.
    light, heat = (
        cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(np.float32)
        for image in (light, heat)
    )
    height, width = heat.shape
    found = []
    for sigma in (min(height, width) / share for share in (160, 80, 40)):
        salience = np.zeros((height, width), np.float32)
        for image in (light, heat):
            band = cv2.GaussianBlur(image, (0, 0), sigma)
            band = np.abs(band - cv2.GaussianBlur(image, (0, 0), 4 * sigma))
            salience = np.maximum(salience, band / max(float(band.std()), 1e-6))
        mask = (salience > salience.mean() + 2).astype(np.uint8)
        count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        for part in range(1, count):
            x, y, w, h, area = stats[part]
            thin = area < 0.35 * w * h or max(w, h) > 4 * min(w, h)
            if min(w, h) >= 4 and w <= width / 2 and h <= height / 2 and not thin:
                inside = salience[y : y + h, x : x + w][parts[y : y + h, x : x + w] == part]
                found.append((float(inside.mean()), (2 * x, 2 * y, 2 * w, 2 * h)))
    kept: list[np.ndarray] = []
    for _, box in sorted(found, reverse=True):
        if len(kept) < most and all(box_iou(other, np.array(box)) < 0.5 for other in kept):
            kept.append(np.array(box, float))
    return np.array(kept).reshape(-1, 4)


# --- Pairs --------------------------------------------------------------------------------------


class _Unusable(Exception):
    """What was drawn shows no target; the message says why."""


@dataclass(frozen=True)
class _Moment:
    """A target in a frame: pictures by modality, those that show something, and its box."""

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
    """A box of the other's shape and about this one's area that does not touch it.

    Args:
        box: centre x and y from the crop's centre, width, height.
        other: ``x, y, w, h`` in its own frame.
        size: of the crop.

    Returns:
        As ``box``; None where a few tries found no room.
    """
    scale = np.sqrt(box[2] * box[3] / (other[2] * other[3])) * rng.uniform(0.75, 1.3)
    sides = other[2:] * scale
    for _ in range(8):
        centre = rng.uniform(-size / 2, size / 2, 2)
        if (np.abs(centre - box[:2]) > (box[2:] + sides) / 2).any():
            return np.concatenate((centre, sides))
    return None


def _view_onto(box: np.ndarray, place: np.ndarray, size: int) -> View:
    """The view that shows a frame's ``box`` ``x, y, w, h`` at ``place`` in a crop, see
    `View.place`."""
    x, y, w, h = box
    step = w / place[2]
    return View(
        x + w / 2 - place[0] * step, y + h / 2 - place[1] * step, size * step, size * step, size
    )


class TargetPairs(TorchDataset):
    """Template/search pairs, each decided by the seed and the number of its draw alone.

    Args:
        sources: where targets come from.
        geometry: of the network.
        augmentation: how crops vary; DFAT's where None.
        negatives: share of pairs whose search region is about another target of any source.
        positive_iou, best_anchor: ``positive`` and ``best`` of `label_anchors`.
        length: pairs of a pass.
        seed: of all draws.
        part: of every source's sequences, shares of its list from and to, such as ``(0, 0.9)``;
            what is held out is the end of the list.

    Raises:
        UserError: there is no sequence in that part of a source.
    """

    #: Draws that may fail in a row before a source is given up.
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
        """The pair of draw ``key[1]``; ``key[0]``, a data set's index elsewhere, does not matter.

        Returns:
            ``template_rgb`` ``(3, exemplar_size, exemplar_size)``, ``template_ir`` ``(1, ...)``,
            ``search_rgb`` and ``search_ir`` of ``search_size``, uint8, of the network's modalities;
            ``usable_rgb``, ``usable_ir``: bool, whether template and search both have it;
            ``box`` ``(4,)``: the target in the search region, centre from its centre and size in
            pixels (in a negative pair, the other target);
            ``labels`` ``(A, H, W)`` of `label_anchors`, ``chosen`` of `select_anchors`;
            ``positive``: bool, whether the target is there.
        """
        rng = np.random.default_rng((self.seed, key[1]))
        template, search, negative = self._targets(rng)
        augmentation, geometry = self.augmentation, self.geometry
        if rng.random() < augmentation.flip:
            template, search = template.flipped(), search.flipped()
        exemplar, size = geometry.exemplar_size, geometry.search_size
        shift, scale = augmentation.template_shift, augmentation.template_scale
        about_template = view_about(template.box, exemplar, exemplar, shift, scale, rng)
        shift, scale = augmentation.search_shift, augmentation.search_scale
        about_search = view_about(search.box, exemplar, size, shift, scale, rng)

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
                picture = motion_blur(picture, rng)
            item[f"search_{modality}"] = self._finish(picture, grey, rng)
        usable = self._usable(template, search, rng)
        item |= {f"usable_{m}": torch.tensor(m in usable) for m in geometry.modalities}

        labels = label_anchors(box, geometry.anchors, self.positive_iou, best=self.best_anchor)
        if negative:
            # The other target's anchors are the hardest background there is, and enough of it.
            chosen = np.zeros(labels.shape, bool)
            _choose(chosen, labels != NEGATIVE, 16, rng)
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
        self, search: _Moment, view: View, box: np.ndarray, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Crops of a search region by modality, perhaps with parts of another scene in them.

        Args:
            box: the target in the crop, as `View.place` gives it.
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
        # What shows in one modality alone would give itself away.
        others = [other for other in others if other.usable == search.usable]
        for other in others:
            anywhere = view_about(other.box, self.geometry.exemplar_size, size, size / 2, 0.5, rng)
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
                    source = _view_onto(other.box, beside, size)
                for modality, crop in crops.items():
                    image = other.images[modality]
                    crops[modality] = paste(crop, source.cut(image, mean_colour(image)), mask)
            # The second moment, of the same other target, is for a second look-alike alone.
            kinds = [kind for kind in kinds if kind == "distract"]
        return crops

    def _finish(self, picture: np.ndarray, grey: bool, rng: np.random.Generator) -> Tensor:
        """What both kinds of crops undergo; ``HxW`` or ``HxWx3`` to ``(1 or 3, H, W)``."""
        if rng.random() < self.augmentation.light:
            picture = change_light(picture, rng)
        if picture.ndim == 2:
            return torch.from_numpy(picture[None])
        if grey:
            picture = np.repeat(luminance(picture)[..., None], 3, axis=2)
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))

    def _one_modality(self, rng: np.random.Generator, probability: float) -> str | None:
        """With this probability, one of two modalities; never the only one."""
        happens, which = rng.random() < probability, rng.integers(2)
        modalities = self.geometry.modalities
        return modalities[which] if happens and len(modalities) == 2 else None

    def _usable(self, template: _Moment, search: _Moment, rng: np.random.Generator) -> set[str]:
        """Modalities that template and search both have, after one is perhaps dropped."""
        usable = set(template.usable & search.usable)
        for probability in (self.augmentation.drop_template, self.augmentation.drop_search):
            dropped = self._one_modality(rng, probability)
            if len(usable) == 2:
                usable.discard(dropped)
        # A negative pair's two moments may have no modality in common: any answer is right there.
        return usable or set(search.usable)

    # --- Drawing targets ---

    def _targets(self, rng: np.random.Generator) -> tuple[_Moment, _Moment, bool]:
        """Template, search, and whether they are of two targets."""
        negative = rng.random() < self.negatives
        known, template, search = self._moments(rng)
        if negative:
            for _ in range(self.PATIENCE):
                other, _, elsewhere = self._moments(rng)
                if other != known:
                    return template, elsewhere, True
        # Where there is but one target at all, no pair can be negative.
        return template, search, False

    def _moments(self, rng: np.random.Generator) -> tuple[tuple, _Moment, _Moment]:
        """Two moments of one target, after what tells it from others."""
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
            # Without reach, every frame is of a target of its own.
            template, search = moments
            return (number, which, first if source.reach == 0 else None), template, search
        raise UserError(
            f"data.roots.{source.name}: {self.PATIENCE} draws in a row show no target ({problem}); "
            "tracker data says what is wrong with a dataset"
        )

    def _warn(self, source: TargetSource, name: str, problem: str) -> None:
        if f"{source.name}/{name}" not in self._warned:
            self._warned.add(f"{source.name}/{name}")
            warnings.warn(f"{source.name}: left out of a pair: {name}: {problem}", stacklevel=3)

    def _two_of(
        self, sequence: Sequence, reach: int, rng: np.random.Generator
    ) -> tuple[int, _Moment, _Moment]:
        """The template's frame, template and search."""
        sequence.resize = True  # crops need one frame of reference for both modalities
        boxes = np.where(np.isnan(sequence.boxes_rgb), sequence.boxes_ir, sequence.boxes_rgb)
        good = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] >= 2).all(axis=1)
        # Synthetic sequences say how much of a target shows; one behind a wall teaches nothing.
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
            if image is None:  # a crop all the same, which nothing is learned from
                channels = (3,) if modality == "rgb" else ()
                images[modality] = np.zeros((height, width, *channels), np.uint8)
        return _Moment(images, usable, boxes[index])
