"""Contact sheets that show the sources and the fused images of several methods."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from fusion.base.errors import UserError
from fusion.images.pairing import list_images, pair_folders
from fusion.images.pixels import tile, to_8bit
from fusion.images.reading import read_image


def draw_comparison(
    ir: Path,
    vis: Path,
    methods: Mapping[str, Path],
    count: int,
    cell: tuple[int, int] = (300, 225),
) -> np.ndarray:
    """Draw one row per pair: infrared, visible, then each method.

    Args:
        ir, vis: folders of the sources.
        methods: folders of fused images by the method's name.
        count: number of pairs, chosen at equal distances from those that all methods have.
        cell: width and height of a cell; images are scaled to fit.

    Returns:
        RGB uint8.

    Raises:
        UserError: a folder or image is missing or unreadable, or no pair is in all folders.
    """
    found = {name: {p.stem: p for p in list_images(folder)} for name, folder in methods.items()}
    pairs = {b.stem: (a, b) for a, b in pair_folders(ir, vis).pairs}
    stems = [stem for stem in pairs if all(stem in pictures for pictures in found.values())]
    if not stems:
        raise UserError(f"{ir}: no pair has an image of every method")
    rows = []
    for stem in _spread(stems, count):
        paths = {"infrared": pairs[stem][0], f"visible {stem}": pairs[stem][1]}
        paths |= {name: pictures[stem] for name, pictures in found.items()}
        rows.append([(title, fitted(to_8bit(read_image(p)), cell)) for title, p in paths.items()])
    return tile(rows)


def _spread(items: Sequence[str], count: int) -> list[str]:
    """``count`` items at equal distances, from the first to the last."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round()
    return [items[int(place)] for place in places]


def fitted(image: np.ndarray, cell: tuple[int, int]) -> np.ndarray:
    """Centre an image in a white cell, RGB ``HxWx3``."""
    width, height = cell
    scale = min(width / image.shape[1], height / image.shape[0])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(image, size, interpolation=kind)
    if small.ndim == 2:
        small = np.repeat(small[..., None], 3, axis=2)
    fitted = np.full((height, width, 3), 255, np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    fitted[top : top + size[1], left : left + size[0]] = small
    return fitted
