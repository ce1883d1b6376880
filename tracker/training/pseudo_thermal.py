"""A plausible infrared picture of a visible one and its target's silhouette.

What a thermal camera sees follows other rules than light: texture is weak and of either sign,
the sky is cold, and a target is hotter than its surroundings, colder, or of the same heat. A
`ThermalLook` is one such rule; a pair's template and search share it.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

__all__ = ["ThermalLook", "pseudo_thermal"]


@dataclass(frozen=True)
class ThermalLook:
    """How visible pixels become heat. Levels are grey levels of 0 to 255.

    Attributes:
        mix: ``(3,)`` weights of red, green and blue in what texture is left.
        curve: ``(256,)`` uint8, heat of the background by mixed brightness.
        blur: deviation in pixels of the frame by which texture is softened.
        offset: mean heat of the target above the background's mean; 0 where it does not stand out.
        texture: contrast of the target's own brightness in its heat; may be negative.
        head: heat of the upper end of the target above the rest: faces are warm, clothes are not.
    """

    mix: np.ndarray
    curve: np.ndarray
    blur: float
    offset: float
    texture: float
    head: float

    @property
    def shows(self) -> bool:
        """Whether the target stands out by its heat."""
        return abs(self.offset) + 0.6 * abs(self.head) >= 18

    @property
    def textured(self) -> bool:
        """Whether surroundings show by their heat."""
        return float(self.curve.std()) >= 12

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "ThermalLook":
        """Any look: hot targets half of the time, cold or equal ones else."""
        mix = rng.dirichlet((1, 1, 1))
        low, high = sorted(rng.uniform(10, 140, 2))
        knots = np.array([0, 64, 128, 192, 255])
        kind = rng.random()
        if kind < 0.35:  # weak texture, as of a camera with a wide range
            middle = (low + high) / 2
            values = middle + rng.uniform(-1, 1) * np.linspace(-40, 40, 5)
        elif kind < 0.7:  # brightness, falling or rising
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
        """Another individual of the same kind in the same scene: a little hotter or colder."""
        return replace(
            self,
            offset=self.offset + rng.normal(0, 14),
            texture=self.texture + rng.normal(0, 0.1),
            head=self.head + rng.normal(0, 8),
        )

    def background(self, rgb: np.ndarray, scale: float = 1.0) -> np.ndarray:
        """Heat of surroundings ``HxWx3`` uint8 as ``HxW`` uint8.

        Args:
            scale: pixels of the crop for each of the frame.
        """
        return _soften(cv2.LUT(self._mixed(rgb), self.curve), self.blur * scale)

    def target(
        self,
        rgb: np.ndarray,
        level: float,
        scale: float = 1.0,
        span: tuple[float, float] = (0.0, 1.0),
    ) -> np.ndarray:
        """Heat of a target in surroundings of mean heat ``level``.

        Args:
            rgb: ``hxwx3`` uint8: its box, or some rows of it.
            scale: pixels of the crop for each of the frame.
            span: which rows these are, as shares of the box's height.
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
    """The infrared picture of a crop whose target's silhouette is known.

    Args:
        rgb: ``HxWx3`` uint8.
        mask: ``HxW`` uint8, 255 on the target.
        box: of the target in the crop, ``x, y, w, h``; may reach over its edges.
        look: the rule.
        scale: pixels of the crop for each of the frame.

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
    # The curve's level alone: a crop's mean depends on where it lies.
    inside = rows, columns
    part = np.ascontiguousarray(rgb[inside])
    span = (rows.start - y) / h, (rows.stop - y) / h
    target = look.target(part, float(look.curve.mean()), scale, span)
    share = cv2.GaussianBlur(np.ascontiguousarray(mask[inside]), (3, 3), 0).astype(np.float32) / 255
    heat[inside] = cv2.blendLinear(target, np.ascontiguousarray(heat[inside]), share, 1 - share)
    return heat


def _soften(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur, left out where it would not be seen."""
    return image if sigma < 0.35 else cv2.GaussianBlur(image, (0, 0), min(sigma, 4.0))
