"""Targets cut out of real images and pasted into crops of others.

A `Cutout` is a target with its silhouette. A `Layer` is a cut-out at a place in a frame.
`paste_layers` draws layers into a crop of that frame, behind or in front of its own target.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from tracker.training.footage import Picture, Track
from tracker.training.framing import Framing
from tracker.training.pseudo_thermal import ThermalLook


@dataclass(frozen=True)
class Cutout:
    """A target without its surroundings.

    Attributes:
        rgb: ``hxwx3`` uint8.
        ir: ``hxw`` uint8; None if a `ThermalLook` makes it.
        mask: ``hxw`` uint8, 255 on the target and 0 around it.
        level: mean of ``ir`` around the target; 0 without ``ir``.
    """

    rgb: np.ndarray
    ir: np.ndarray | None
    mask: np.ndarray
    level: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """``(width, height)`` in pixels."""
        return self.mask.shape[1], self.mask.shape[0]


@dataclass(frozen=True)
class Layer:
    """A cut-out at a place in a frame.

    Attributes:
        cutout: the object.
        box: its position, ``x, y, w, h`` in pixels of the frame.
        look: makes its infrared if the cut-out has none.
        mirrored: whether left and right are exchanged.
        behind: whether the target hides it.
        is_target: whether it is the target, which hides layers with ``behind``.
        gain: factors of red, green and blue.
        heat: grey levels added to its infrared.
    """

    cutout: Cutout
    box: np.ndarray
    look: ThermalLook | None = None
    mirrored: bool = False
    behind: bool = False
    is_target: bool = False
    gain: tuple[float, float, float] = (1, 1, 1)
    heat: float = 0.0


def cut_out(picture: Picture, track: Track, index: int) -> Cutout | None:
    """The target of a track in frame ``index``; None without a silhouette or a visible image."""
    local = track.mask(index)
    if local is None or picture.rgb is None or min(local.mask.shape) < 4:
        return None
    height, width = local.mask.shape
    inside = slice(local.y, local.y + height), slice(local.x, local.x + width)
    rgb = np.ascontiguousarray(picture.rgb[inside])
    if picture.ir is None:
        return Cutout(rgb, None, np.ascontiguousarray(local.mask))
    ir = np.ascontiguousarray(picture.ir[inside])
    around = local.mask == 0
    level = float(ir[around].mean()) if around.any() else float(ir.min())
    return Cutout(rgb, ir, np.ascontiguousarray(local.mask), level)


def paste_layers(
    rgb: np.ndarray,
    ir: np.ndarray,
    layers: Sequence[Layer],
    framing: Framing,
    target: np.ndarray | None,
    shifts: tuple[tuple[float, float], tuple[float, float]] = ((0, 0), (0, 0)),
    level: float | None = None,
) -> np.ndarray:
    """Draw layers into both crops of a frame, in their order.

    Args:
        rgb, ir: the crops, changed in place.
        layers: what is drawn.
        framing: the framing of the crops.
        target: ``size x size`` uint8, 255 on the target of the frame itself; None if not known.
        shifts: of RGB and of infrared, see `Framing.cut`.
        level: mean grey level of the surroundings in infrared; None takes the mean of the crop.

    Returns:
        ``size x size`` uint8: the visible part of the target's silhouette.
    """
    size = framing.size
    covered = np.zeros((size, size), np.uint8) if target is None else target.copy()
    heat_level = float(ir.mean()) if level is None else level
    for layer in layers:
        made = _fit(layer, framing, shifts[0])
        if made is None:
            continue
        (rows, columns), matrix, cutout = made
        shape = columns.stop - columns.start, rows.stop - rows.start
        mask = _warp(_feather(cutout.mask), matrix, shape, cv2.BORDER_CONSTANT)
        if layer.behind:
            mask = cv2.subtract(mask, np.ascontiguousarray(covered[rows, columns]))
        colour = _warp(cutout.rgb, matrix, shape)
        if layer.gain != (1, 1, 1):
            colour = cv2.transform(colour, np.diag(layer.gain))
        _blend(rgb, colour, mask, rows, columns)
        if layer.is_target:
            covered[rows, columns] = cv2.max(np.ascontiguousarray(covered[rows, columns]), mask)
        elif not layer.behind:
            covered[rows, columns] = cv2.subtract(
                np.ascontiguousarray(covered[rows, columns]), mask
            )

        if cutout.ir is None:
            assert layer.look is not None
            _, y, _, h = framing.place(layer.box)
            span = (rows.start - y) / h, (rows.stop - y) / h
            heat = layer.look.target(colour, heat_level, framing.scale, span)
        else:
            offset = layer.heat + 0.7 * (heat_level - cutout.level)
            heat = cv2.add(_warp(cutout.ir, matrix, shape), np.array([offset]), dtype=cv2.CV_8U)
        move = np.rint((np.array(shifts[1]) - np.array(shifts[0])) / framing.steps).astype(int)
        _blend_moved(ir, heat, mask, rows, columns, move)
    return covered


def _fit(
    layer: Layer, framing: Framing, shift: tuple[float, float]
) -> tuple[tuple[slice, slice], np.ndarray, Cutout] | None:
    """The rows and columns that a layer covers, the map from there into its cut-out, and the
    cut-out, reduced if it is shown much smaller. None if it lies outside the crop."""
    x, y, w, h = framing.place(layer.box + np.array([*shift, 0, 0]))
    left, top = max(0, int(np.floor(x - 1))), max(0, int(np.floor(y - 1)))
    right = min(framing.size, int(np.ceil(x + w + 1)))
    bottom = min(framing.size, int(np.ceil(y + h + 1)))
    if right - left < 2 or bottom - top < 2:
        return None
    cutout = layer.cutout
    width, height = cutout.shape
    shrink = min(width / w, height / h)
    if shrink > 1.5:  # linear interpolation would skip pixels
        size = max(2, round(width / shrink)), max(2, round(height / shrink))
        rgb, mask = (
            cv2.resize(a, size, interpolation=cv2.INTER_AREA) for a in (cutout.rgb, cutout.mask)
        )
        ir = cutout.ir
        ir = None if ir is None else cv2.resize(ir, size, interpolation=cv2.INTER_AREA)
        cutout = Cutout(rgb, ir, mask, cutout.level)
        width, height = size
    step_x, step_y = width / w, height / h
    start_x = (left + 0.5 - x) * step_x - 0.5
    start_y = (top + 0.5 - y) * step_y - 0.5
    if layer.mirrored != framing.mirrored:
        start_x, step_x = width - 1 - start_x, -step_x
    matrix = np.array([[step_x, 0, start_x], [0, step_y, start_y]])
    return (slice(top, bottom), slice(left, right)), matrix, cutout


def _warp(
    image: np.ndarray,
    matrix: np.ndarray,
    shape: tuple[int, int],
    border: int = cv2.BORDER_REPLICATE,
) -> np.ndarray:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, shape, flags=flags, borderMode=border)


def _feather(mask: np.ndarray) -> np.ndarray:
    """Soften a silhouette. Large ones are eroded first: annotated masks include some background."""
    if min(mask.shape) >= 24:
        mask = cv2.erode(mask, np.ones((3, 3), np.uint8), borderValue=0)
    return cv2.GaussianBlur(mask, (3, 3), 0, borderType=cv2.BORDER_REPLICATE)


def _blend(
    below: np.ndarray, above: np.ndarray, mask: np.ndarray, rows: slice, columns: slice
) -> None:
    """Blend ``above`` over a part of ``below``, with ``mask`` 255 for opaque."""
    share = mask.astype(np.float32) / 255
    part = np.ascontiguousarray(below[rows, columns])
    below[rows, columns] = cv2.blendLinear(above, part, share, 1 - share)


def _blend_moved(
    below: np.ndarray,
    above: np.ndarray,
    mask: np.ndarray,
    rows: slice,
    columns: slice,
    move: np.ndarray,
) -> None:
    """As `_blend`, but moved by whole pixels right and down."""
    dx, dy = (int(v) for v in move)
    height, width = below.shape[:2]
    top, bottom = max(0, rows.start + dy), min(height, rows.stop + dy)
    left, right = max(0, columns.start + dx), min(width, columns.stop + dx)
    if bottom <= top or right <= left:
        return
    inner = (
        slice(top - rows.start - dy, bottom - rows.start - dy),
        slice(left - columns.start - dx, right - columns.start - dx),
    )
    above, mask = np.ascontiguousarray(above[inner]), np.ascontiguousarray(mask[inner])
    _blend(below, above, mask, slice(top, bottom), slice(left, right))
