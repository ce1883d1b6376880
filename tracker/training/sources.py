"""Sources of training targets: datasets, and still pairs without masks.

sources = [load_source("lasher", "LasHeR/trainingset", weight=2)]
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np

from fusion.base.errors import UserError
from fusion.base.registry import unknown
from fusion.images.alignment import Calibration
from fusion.images.pixels import luminance, to_8bit
from fusion.images.reading import read_image
from fusion.training.pairs import find_pairs
from tracker.data.boxes import box_iou
from tracker.data.frames import ImageFrames
from tracker.data.layouts import dataset_names
from tracker.data.sequences import Dataset, Sequence, load_dataset


@dataclass
class TargetSource:
    """A dataset from which targets are sampled.

    Attributes:
        name: name for messages.
        dataset: its sequences; a still pair is a sequence of one frame.
        weight: sampling weight of the source.
        reach: maximum number of frames between template and search region.
    """

    name: str
    dataset: Dataset
    weight: float = 1.0
    reach: int = 100


# Names of sources in addition to those of datasets.
UNMASKED, SYNTHETIC = "pairs", "synthetic"


def check_source(name: str, key: str) -> None:
    """Check that a source name is known; ``key`` is the configuration key for the error message.

    Raises:
        UserError: the name is unknown.
    """
    sources = (*dataset_names(), SYNTHETIC, UNMASKED)
    if name not in sources:
        raise UserError(f"{key}.{name}: {unknown('source', name, sources)}")


def load_calibrations(
    files: Mapping[str, str] | None, sources: Collection[str]
) -> dict[str, Calibration]:
    """The calibrations of ``data.align``, by the names of the sources that they are for.

    Raises:
        UserError: a file is no calibration, or its source is not used.
    """
    for name in files or {}:
        if name not in sources:
            raise UserError(f"data.align.{name}: {unknown('source', name, list(sources))}")
    return {name: Calibration.load(path) for name, path in (files or {}).items()}


def load_source(
    name: str,
    root: str | Path,
    weight: float = 1.0,
    reach: int = 100,
    calibration: Calibration | None = None,
) -> TargetSource:
    """Load a source by its name.

    Args:
        name: name of a dataset (`tracker.data.layouts.dataset_names`); "synthetic", sequences
            written by `tracker.synthetic.write_dataset`; or "pairs", still pairs without masks in
            ``ir`` and ``vis``, whose targets are found by `salient_boxes`.
        root: its folder.
        weight, reach: see `TargetSource`.
        calibration: brings its infrared onto its visible images, boxes included.

    Raises:
        UserError: the name is unknown, or the folder does not contain such data.
    """
    check_source(name, "data.roots")
    if not 0 < weight < float("inf"):
        raise UserError(
            f"data.weights.{name}: a weight must be above 0, got {weight}; leave out its root"
        )
    try:
        if name == UNMASKED:
            dataset = _unmasked_dataset(Path(root), calibration)
            reach = 0  # the "frames" are the same image with other targets
        else:
            layout = "vot" if name == SYNTHETIC else name
            dataset = load_dataset(root, layout, calibration=calibration)
    except UserError as error:
        raise UserError(f"data.roots.{name}: {error}") from error
    return TargetSource(name, dataset, weight, reach)


def _unmasked_dataset(root: Path, calibration: Calibration | None) -> Dataset:
    loaders: dict[str, Callable[[], Sequence]] = {
        ir.relative_to(root).as_posix(): partial(_load_unmasked, ir, vis, calibration)
        for ir, vis in find_pairs(root)
    }
    return Dataset(root, loaders)


def _load_unmasked(ir: Path, vis: Path, calibration: Calibration | None) -> Sequence:
    """A still pair as a sequence that repeats the same image once for each target in it."""
    boxes = _boxes_in(ir, vis, calibration)
    if not len(boxes):
        raise UserError(f"{ir}: contains no salient region")
    count = len(boxes)
    sequence = Sequence(
        name=ir.stem,
        layout="pair",
        rgb=ImageFrames(vis.parent, [vis.name] * count),
        ir=ImageFrames(ir.parent, [ir.name] * count),
        boxes_rgb=np.full((count, 4), np.nan),
        boxes_ir=boxes,
        annotated=np.ones(count, bool),
    )
    if calibration is not None:
        # These boxes were found on the aligned pictures.
        sequence = replace(sequence.aligned(calibration), boxes_ir=boxes)
    return sequence


@cache
def _boxes_in(ir: Path, vis: Path, calibration: Calibration | None) -> np.ndarray:
    """`salient_boxes` of a pair of files; cached, because an image is sampled many times."""
    heat = to_8bit(luminance(read_image(ir)))
    light = to_8bit(luminance(read_image(vis)))
    if calibration is not None:
        heat, light = calibration.align(heat), calibration.undistort(light)
    if heat.shape != light.shape:
        light = cv2.resize(light, heat.shape[::-1], interpolation=cv2.INTER_AREA)
    return salient_boxes(light, heat)


def salient_boxes(light: np.ndarray, heat: np.ndarray, most: int = 12) -> np.ndarray:
    """Boxes around regions that differ from their surroundings in either modality.

    Blobs of three sizes: connected regions where an image blurred at one scale differs from the
    image blurred at four times that scale by more than two standard deviations of the difference.

    Args:
        light, heat: ``HxW`` uint8.
        most: maximum number of boxes, the most salient ones.

    Returns:
        ``(N, 4)`` boxes ``x, y, w, h`` with sides from 8 pixels to half the image.
    """
    # Blobs of 8 pixels and more are visible at half the size, at a quarter of the cost.
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
