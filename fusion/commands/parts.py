"""What LRRNet sees, as pictures: the parts L_f and S_f and the coefficients of both modalities.

All coefficients of a picture take some 2.4 KB per pixel. Large pictures are therefore computed in
windows, and their maps shown smaller, so that memory stays bounded whatever their size.
"""

from collections.abc import Iterator
from math import ceil
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from fusion.images.pixels import luminance, tile, to_8bit
from fusion.llrr.fast.windows import Window, windows
from fusion.networks.lrrnet import LRRNet, LRRParts

#: Number of coefficient maps shown for each stack, the strongest first.
MAPS_SHOWN = 4

# Pictures of more pixels are computed in windows of this side, and shown with fewer pixels.
WHOLE_PIXELS = 1 << 19
WINDOW = 384
SHOWN_PIXELS = 1 << 20

_STACKS = ("low_rank_ir", "sparse_ir", "low_rank_vis", "sparse_vis")
_TITLES = ("L infrared", "S infrared", "L visible", "S visible")


def parts_sheet(network: LRRNet, ir: np.ndarray, vis: np.ndarray, fused: np.ndarray) -> np.ndarray:
    """One contact sheet of a fusion.

    First row: the sources, the fused parts and the fused picture. Then a row for each of the four
    coefficient stacks: the mean magnitude over channels, and the channels of most energy. Parts
    and single channels are signed, so zero is mid-grey; magnitudes begin at black. Pictures of more
    than `SHOWN_PIXELS` are shown smaller by a whole factor.

    Args:
        ir, vis: ``HxW`` or RGB ``HxWx3`` in 0..255, as `LRRNet.fuse` takes them.
        fused: what it made of them.

    Returns:
        RGB uint8.
    """
    height, width = ir.shape[:2]
    shrink = ceil((height * width / SHOWN_PIXELS) ** 0.5)
    pieces = _Pieces(network, luminance(ir), luminance(vis), shrink)
    maps = {name: pieces.canvas() for name in ("low_rank", "sparse", *_STACKS)}
    energy: dict[str, Any] = dict.fromkeys(_STACKS, 0.0)
    for place, parts in pieces:
        for name in ("low_rank", "sparse"):
            pieces.draw(maps[name], place, getattr(parts, name)[0, 0])
        for name in _STACKS:
            stack = pieces.inner(getattr(parts, name)[0], place)
            pieces.draw(maps[name], place, stack.abs().mean(0), is_inner=True)
            energy[name] = energy[name] + stack.square().sum((1, 2), dtype=torch.float64)
    strongest = {
        name: torch.as_tensor(values).argsort(descending=True, stable=True)[:MAPS_SHOWN].tolist()
        for name, values in energy.items()
    }
    channels = {name: [pieces.canvas() for _ in chosen] for name, chosen in strongest.items()}
    for place, parts in pieces:
        for name, chosen in strongest.items():
            for canvas, channel in zip(channels[name], chosen, strict=True):
                pieces.draw(canvas, place, getattr(parts, name)[0, channel])
    rows = [
        [
            ("infrared", _shrunk(to_8bit(ir), shrink)),
            ("visible", _shrunk(to_8bit(vis), shrink)),
            ("low-rank part L_f", _signed(maps["low_rank"])),
            ("sparse part S_f", _signed(maps["sparse"])),
            ("fused", _shrunk(fused, shrink)),
        ]
    ]
    for title, name in zip(_TITLES, _STACKS, strict=True):
        rows.append(
            [(f"{title}: mean magnitude", _unsigned(maps[name]))]
            + [
                (f"{title}, map {channel}", _signed(canvas))
                for canvas, channel in zip(channels[name], strongest[name], strict=True)
            ]
        )
    return tile(rows)


_Place = tuple[Window, Window]  # rows and columns


class _Pieces:
    """The parts of a picture, window by window; a small picture's are computed once."""

    def __init__(self, network: LRRNet, ir: np.ndarray, vis: np.ndarray, shrink: int):
        self._network, self._pictures, self._shrink = network, (ir, vis), shrink
        self._ranges = [(float(image.min()), float(image.max())) for image in (ir, vis)]
        height, width = ir.shape
        # Windows begin at whole pixels of what is shown.
        size = max(height, width) if height * width <= WHOLE_PIXELS else WINDOW - WINDOW % shrink
        self._places = [
            (rows, columns)
            for rows in windows(height, size, network.reach)
            for columns in windows(width, size, network.reach)
        ]
        self._kept: LRRParts | None = None

    def __iter__(self) -> Iterator[tuple[_Place, LRRParts]]:
        for place in self._places:
            if self._kept is None:
                parts = self._parts(place)
                if len(self._places) == 1:
                    self._kept = parts
                yield place, parts
                del parts
            else:
                yield place, self._kept

    def _parts(self, place: _Place) -> LRRParts:
        inputs = [
            self._network.to_input(image[place[0].read, place[1].read], value_range)
            for image, value_range in zip(self._pictures, self._ranges, strict=True)
        ]
        with torch.inference_mode():
            return self._network.parts(*inputs)

    def canvas(self) -> np.ndarray:
        """Room for a map of the whole picture, as it is shown."""
        height, width = self._pictures[0].shape
        return np.empty((ceil(height / self._shrink), ceil(width / self._shrink)), np.float32)

    def inner(self, values: Tensor, place: _Place) -> Tensor:
        """What of ``(..., H, W)`` of a window belongs to it."""
        return values[..., place[0].inner, place[1].inner]

    def draw(
        self, canvas: np.ndarray, place: _Place, values: Tensor, is_inner: bool = False
    ) -> None:
        """Put a window's map ``(H, W)`` into its place."""
        array = (values if is_inner else self.inner(values, place)).float().cpu().numpy()
        array = _shrunk(array, self._shrink)
        top, left = (window.kept.start // self._shrink for window in place)
        canvas[top : top + array.shape[0], left : left + array.shape[1]] = array


def _shrunk(image: np.ndarray, shrink: int) -> np.ndarray:
    """Means of squares of pixels; what they lack at the right and bottom edge is repeated."""
    if shrink == 1:
        return image
    height, width = image.shape[:2]
    padding = [(0, -height % shrink), (0, -width % shrink)] + [(0, 0)] * (image.ndim - 2)
    image = np.pad(image, padding, mode="edge")
    size = (image.shape[1] // shrink, image.shape[0] // shrink)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _signed(array: np.ndarray) -> np.ndarray:
    """Grey with zero in the middle, scaled to the 99.5th percentile of the magnitude.

    The values of a part may be far from zero, so the median is subtracted first to show contrast.
    """
    array = array - np.median(array)
    top = max(float(np.percentile(np.abs(array), 99.5)), 1e-12)
    return np.clip(np.rint(127.5 + array * (127.5 / top)), 0, 255).astype(np.uint8)


def _unsigned(array: np.ndarray) -> np.ndarray:
    low, top = (float(v) for v in np.percentile(array, (0.5, 99.5)))
    scaled = (array - low) * (255 / max(top - low, 1e-12))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
