"""Where training targets come from: datasets, and still pairs without masks.

sources = [load_source("lasher", "LasHeR/trainingset", weight=2)]
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np

from fusion.base.errors import UserError
from fusion.images.pixels import luminance, to_8bit
from fusion.images.reading import read_image
from fusion.training.pairs import find_pairs
from tracker.data.boxes import box_iou
from tracker.data.frames import ImageFrames
from tracker.data.layouts import DATASETS
from tracker.data.sequences import Dataset, Sequence, load_dataset

__all__ = ["TargetSource", "check_source", "load_source", "salient_boxes"]


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
    dataset: Dataset
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
        name: of a dataset (`tracker.data.layouts.DATASETS`); "synthetic", sequences written by
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
            dataset = load_dataset(root, "vot" if name == SYNTHETIC else name)
    except UserError as error:
        raise UserError(f"data.roots.{name}: {error}") from error
    return TargetSource(name, dataset, weight, reach)


def _unmasked_dataset(root: Path) -> Dataset:
    loaders: dict[str, Callable[[], Sequence]] = {
        ir.relative_to(root).as_posix(): partial(_load_unmasked, ir, vis)
        for ir, vis in find_pairs(root)
    }
    return Dataset(root, loaders)


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
