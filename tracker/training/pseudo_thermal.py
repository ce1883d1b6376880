"""A plausible infrared image from a visible one and the silhouette of its target.

In a thermal image, texture is weak and of either sign, and a target is hotter than its
surroundings, colder, or equally hot. A `ThermalLook` is one random mapping of this kind; template
and search of a pair share it.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np


@dataclass(frozen=True)
class ThermalLook:
    """A mapping from visible to infrared pixels. Levels are grey levels from 0 to 255.

    Attributes:
        mix: ``(3,)`` weights of red, green and blue in the brightness that is mapped.
        curve: ``(256,)`` uint8, infrared level of the background for each brightness.
        blur: standard deviation of the blur in pixels of the frame.
        offset: mean level of the target above that of the background; 0 makes it invisible.
        texture: gain of the target's brightness variations in infrared; may be negative.
        head: additional level at the top of the target, because faces are warmer than clothes.
    """

    mix: np.ndarray
    curve: np.ndarray
    blur: float
    offset: float
    texture: float
    head: float

    @property
    def shows(self) -> bool:
        """Whether the target stands out in infrared."""
        return abs(self.offset) + 0.6 * abs(self.head) >= 18

    @property
    def textured(self) -> bool:
        """Whether the background has contrast in infrared."""
        return float(self.curve.std()) >= 12

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "ThermalLook":
        """Draw a look: half of the targets are hot, the others cold, equal, or warm at the top."""
        mix = rng.dirichlet((1, 1, 1))
        low, high = sorted(rng.uniform(5, 160, 2))
        knots = np.array([0, 64, 128, 192, 255])
        kind = rng.random()
        if kind < 0.25:  # weak texture, as of a camera with a wide range
            middle = (low + high) / 2
            values = middle + rng.uniform(-1, 1) * np.linspace(-40, 40, 5)
        elif kind < 0.65:  # brightness, falling or rising
            values = np.linspace(low, high + 40, 5)[:: rng.choice([-1, 1])]
        else:  # materials of any heat
            values = rng.uniform(low, high + 30, 5)
        curve = np.interp(np.arange(256), knots, values)
        temper = rng.random()
        if temper < 0.5:
            offset, head = rng.uniform(35, 130), rng.uniform(0, 40)
        elif temper < 0.72:  # cold clothes, warm head and hands
            offset, head = rng.uniform(-15, 15), rng.uniform(20, 90)
        elif temper < 0.87:
            offset, head = rng.uniform(-70, -25), rng.uniform(-10, 10)
        else:
            offset, head = rng.uniform(-8, 8), 0.0
        texture = rng.uniform(-0.5, 0.7)
        blur = rng.uniform(0.5, 2.0)
        return cls(
            mix, np.rint(np.clip(curve, 0, 255)).astype(np.uint8), blur, offset, texture, head
        )

    def varied(self, rng: np.random.Generator) -> "ThermalLook":
        """The look of another individual in the same scene: slightly hotter or colder."""
        return replace(
            self,
            offset=self.offset + rng.normal(0, 14),
            texture=self.texture + rng.normal(0, 0.1),
            head=self.head + rng.normal(0, 8),
        )

    def background(self, rgb: np.ndarray, scale: float = 1.0) -> np.ndarray:
        """Infrared ``HxW`` of a background ``HxWx3`` uint8.

        Args:
            scale: pixels of the crop per pixel of the frame.
        """
        return _soften(cv2.LUT(self._mixed(rgb), self.curve), self.blur * scale)

    def target(
        self,
        rgb: np.ndarray,
        level: float,
        scale: float = 1.0,
        span: tuple[float, float] = (0.0, 1.0),
    ) -> np.ndarray:
        """Infrared ``hxw`` of a target in surroundings of mean level ``level``.

        Args:
            rgb: ``hxwx3`` uint8: the box of the target, or some of its rows.
            scale: pixels of the crop per pixel of the frame.
            span: first and last of these rows, as fractions of the box's height.
        """
        mixed = self._mixed(rgb).astype(np.float32)
        down = np.linspace(*span, len(rgb), dtype=np.float32)
        warm = np.clip(1 - 4.5 * down, 0, 1)[:, None]
        heat = level + self.offset + self.texture * (mixed - mixed.mean()) + self.head * warm
        return _soften(np.clip(heat, 0, 255).astype(np.uint8), 0.7 * self.blur * scale)

    def _mixed(self, rgb: np.ndarray) -> np.ndarray:
        return cv2.transform(rgb, self.mix[None])


def pseudo_thermal(
    rgb: np.ndarray,
    mask: np.ndarray,
    box: np.ndarray,
    look: ThermalLook,
    scale: float = 1.0,
) -> np.ndarray:
    """Make the infrared image of a crop from the visible one and the target's silhouette.

    Args:
        rgb: ``HxWx3`` uint8.
        mask: ``HxW`` uint8, 255 on the target.
        box: box of the target in the crop, ``x, y, w, h``; may extend beyond the crop.
        look: the mapping.
        scale: pixels of the crop per pixel of the frame.

    Returns:
        ``HxW`` uint8.
    """
    heat = look.background(rgb, scale)
    height, width = mask.shape
    x, y, w, h = box
    rows = slice(max(0, int(y)), min(height, int(np.ceil(y + h))))
    columns = slice(max(0, int(x)), min(width, int(np.ceil(x + w))))
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return heat
    # Not the mean of the crop, which differs between template and search.
    inside = rows, columns
    part = np.ascontiguousarray(rgb[inside])
    span = (rows.start - y) / h, (rows.stop - y) / h
    target = look.target(part, float(look.curve.mean()), scale, span)
    share = cv2.GaussianBlur(np.ascontiguousarray(mask[inside]), (3, 3), 0).astype(np.float32) / 255
    heat[inside] = cv2.blendLinear(target, np.ascontiguousarray(heat[inside]), share, 1 - share)
    return heat


def _soften(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur, skipped if it would have no visible effect."""
    return image if sigma < 0.35 else cv2.GaussianBlur(image, (0, 0), min(sigma, 4.0))
