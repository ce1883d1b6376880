"""Crops of a frame, and their random variation between training pairs.

The defaults of `Augmentation` are DFAT's.
"""

import dataclasses
from dataclasses import dataclass

import cv2
import numpy as np

from fusion.base.errors import UserError
from tracker.data.crops import context_side
from tracker.training.degradation import add_haze, add_noise, change_gain, darken

# --- Views --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CropWindow:
    """A rectangle of a frame that is resampled to a square crop.

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
        """The crop, ``size x size`` or ``size x size x C``, with ``fill`` outside the frame."""
        # As published, the online tracker rounds the corner of a crop down to whole pixels, so that
        # the crop's centre is on average half a pixel to the top left of the reference for boxes.
        # Training crops do the same, so that the network learns from what it will see.
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
        """Box ``x, y, w, h`` of the frame in the crop: centre relative to the crop's, and size."""
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


# --- Variation ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Augmentation:
    """Variation of crops. Shifts and scales are uniform; others are probabilities per crop.

    Attributes:
        template_shift, search_shift: maximum offset of the target's centre from the crop's, in
            pixels of the crop, in either direction in x and y.
        template_scale, search_scale: maximum relative change of a side of the window, drawn
            separately for both sides.
        flip: mirror both crops of a pair left to right.
        blur: blur a search crop along a line, like motion.
        grey: remove the colour from both crops of a pair.
        light: change gain and offset of a crop.
        degrade: degrade one modality of a search crop: dark and noisy, hazy, out of focus, without
            contrast, or (infrared) inverted.
        distract: paste other targets into a search crop, of similar size and beside its own.
        transplant: move the target of a search crop to different surroundings.
        occlude: cover a quarter to half of the target in a search crop.
        drop_search, drop_template: remove one of two modalities from a pair, as the online tracker
            does if it is missing.
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


def window_around(
    box: np.ndarray, exemplar: int, size: int, shift: float, scale: float, rng: np.random.Generator
) -> CropWindow:
    """A crop window around a box ``x, y, w, h`` as in the online tracker, shifted and scaled.

    Args:
        exemplar: side of a template crop in pixels, to which the context's square is scaled.
        size: side of this crop.
        shift, scale: see `Augmentation`.
    """
    x, y, w, h = box
    side = context_side(w, h) * size / exemplar
    width, height = side * (1 + rng.uniform(-scale, scale, 2))
    off_x, off_y = rng.uniform(-shift, shift, 2)
    return CropWindow(
        x + w / 2 - off_x * width / size, y + h / 2 - off_y * height / size, width, height, size
    )


def degrade(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Degrade a crop in one of the ways in which cameras or weather do."""
    kinds = ["dark", "haze", "defocus", "flat"] + (["inverted"] if image.ndim == 2 else [])
    kind = kinds[rng.integers(len(kinds))]
    if kind == "dark":
        return darken(image, rng.uniform(0.03, 0.35), rng)
    if kind == "defocus":
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(1, 3))
    if kind == "inverted":
        return 255 - image
    if kind == "haze":
        image = add_haze(image, rng.uniform(0.4, 0.85), rng)
    else:
        image = change_gain(image, rng.uniform(0.05, 0.3), 0)
    return add_noise(image, rng.uniform(1, 8), rng)


def paste(below: np.ndarray, above: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Blend ``above`` over ``below``, ``HxW`` or ``HxWx3`` uint8, by ``mask`` ``HxW`` in 0..1."""
    mask = mask if below.ndim == 2 else mask[..., None]
    return np.rint(below + mask * (above.astype(np.float32) - below)).astype(np.uint8)


def round_mask(size: int, box: np.ndarray) -> np.ndarray:
    """Mask that is 1 within a box and 0 outside, with rounded corners and a soft edge.

    Args:
        size: side of the square mask.
        box: centre x and y relative to the mask's centre, width, height, in pixels.

    Returns:
        ``size x size`` float32.
    """
    x, y, width, height = box
    along = np.arange(size) - (size - 1) / 2
    right, down = np.abs(along - x) / (width / 2), np.abs(along - y) / (height / 2)
    reach = (right[None] ** 3 + down[:, None] ** 3) ** (1 / 3)
    return np.clip((1.15 - reach) / 0.25, 0, 1).astype(np.float32)


def cover_mask(size: int, box: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mask that is 1 in a rectangle covering a quarter to half of a box from one side.

    Args:
        size, box: see `round_mask`.
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
