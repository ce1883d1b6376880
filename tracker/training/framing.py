"""Which part of a frame a crop shows, and where the frame ends in it.

A `Framing` cuts a `CropWindow` out of a frame with replicated borders. Its bounds are those of the
frame, or of a virtual frame inside it, as if the camera had a smaller field of view: targets then
lie at the edge of the frame, are truncated by it, or fill it.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from tracker.data.boxes import clip_box
from tracker.training.augmentation import CropWindow


@dataclass(frozen=True)
class Framing:
    """A crop window in a frame with bounds, mirrored or not.

    Attributes:
        view: the part of the frame that the crop shows, in pixels of the frame.
        bounds: ``left, top, right, bottom`` of the frame or virtual frame, in whole pixels.
        mirrored: whether left and right are exchanged.
    """

    view: CropWindow
    bounds: tuple[int, int, int, int]
    mirrored: bool = False

    @property
    def size(self) -> int:
        """Side length of the crop in pixels."""
        return self.view.size

    @property
    def scale(self) -> float:
        """Pixels of the crop per pixel of the frame, the geometric mean of both directions."""
        return self.size / (self.view.width * self.view.height) ** 0.5

    @cached_property
    def steps(self) -> np.ndarray:
        """Pixels of the frame per pixel of the crop, in x (negative if mirrored) and y."""
        x, y = self.view.width / self.size, self.view.height / self.size
        return np.array([-x if self.mirrored else x, y])

    def cut(self, frame: np.ndarray, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
        """The crop of a frame ``HxW`` or ``HxWx3`` uint8, with replicated borders.

        Args:
            shift: moves the content of the frame right and down, in pixels of the frame, like the
                parallax of another camera.
        """
        left, top, right, bottom = self.bounds
        # As in `CropWindow.cut`: the online tracker rounds the corner of a crop down.
        bias = np.array([0 if self.mirrored else 1, 1])
        start = np.array([self.view.x, self.view.y]) - bias - (self.size - 1) / 2 * self.steps
        start -= np.array([left, top]) + np.array(shift)
        matrix = np.array([[self.steps[0], 0, start[0]], [0, self.steps[1], start[1]]])
        return cv2.warpAffine(
            np.asarray(frame[top:bottom, left:right]),
            matrix,
            (self.size, self.size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def place(self, box: np.ndarray) -> np.ndarray:
        """A box ``x, y, w, h`` of the frame in pixels of the crop, from its top-left corner."""
        x, y, w, h = box
        centre = np.array([x + w / 2 - self.view.x, y + h / 2 - self.view.y]) / self.steps
        sides = np.array([w, h]) / np.abs(self.steps)
        return np.concatenate([centre - sides / 2 + self.size / 2, sides])

    def seal(self, *crops: np.ndarray) -> list[np.ndarray]:
        """Replicate the borders again, after something was drawn over the crops."""
        left, top, right, bottom = self.bounds
        (x0, x1), (y0, y1) = self._inside(0, left, right), self._inside(1, top, bottom)
        if (x0, x1, y0, y1) == (0, self.size, 0, self.size):
            return list(crops)
        margins = y0, self.size - y1, x0, self.size - x1
        return [
            cv2.copyMakeBorder(crop[y0:y1, x0:x1], *margins, cv2.BORDER_REPLICATE) for crop in crops
        ]

    def _inside(self, axis: int, low: int, high: int) -> tuple[int, int]:
        """The range of columns (or rows) of the crop within the bounds, end exclusive."""
        centre, step = (self.view.x, self.view.y)[axis], self.steps[axis]
        # Column j shows the frame at centre + (j + 0.5 - size / 2) * step.
        ends = sorted((np.array([low, high]) - centre) / step + self.size / 2 - 0.5)
        first, last = (
            int(v) for v in np.clip([np.ceil(ends[0]), np.floor(ends[1])], 0, self.size - 1)
        )
        return min(first, last), last + 1


def clip_to(box: np.ndarray, bounds: tuple[int, int, int, int]) -> np.ndarray:
    """The part of a box ``x, y, w, h`` within bounds ``left, top, right, bottom``."""
    left, top, right, bottom = bounds
    corner = np.array([left, top, 0, 0])
    return clip_box(np.asarray(box, float) - corner, right - left, bottom - top) + corner


def virtual_frame(
    box: np.ndarray,
    size: tuple[int, int],
    rng: np.random.Generator,
    *,
    tight: bool,
    hidden: float,
) -> tuple[int, int, int, int]:
    """A virtual frame inside the frame that truncates the target, or that the target fills.

    Args:
        box: box of the target, ``x, y, w, h``.
        size: ``(width, height)`` of the frame.
        tight: whether the virtual frame is 1 to 1.8 times as large as the target.
        hidden: maximum fraction of the target's width or height that is cut off.

    Returns:
        ``left, top, right, bottom``; it contains a part of the target.
    """
    width, height = size
    low, high = np.maximum(box[:2], 0), np.minimum(box[:2] + box[2:], [width, height])
    sides = np.maximum(high - low, 1)
    if tight:
        reach = sides * rng.uniform(0, 0.4, 2), sides * rng.uniform(0, 0.4, 2)
        bounds = np.concatenate([low - reach[0], high + reach[1]])
    else:
        bounds = np.array([0, 0, width, height], float)
    # People leave at the left and right; the bottom edge cuts people who are near.
    side = rng.choice(4, p=(0.36, 0.06, 0.36, 0.22))
    axis = side % 2
    cut = rng.uniform(-0.25, hidden) * sides[axis]
    bounds[side] = low[axis] + cut if side < 2 else high[axis] - cut
    limits = np.array([0, 0, width, height])
    bounds = np.where([True, True, False, False], np.maximum(bounds, limits * 0), bounds)
    bounds[2:] = np.minimum(bounds[2:], limits[2:])
    left, top = np.floor(bounds[:2]).astype(int)
    right, bottom = np.ceil(bounds[2:]).astype(int)
    return int(left), int(top), max(int(right), int(left) + 4), max(int(bottom), int(top) + 4)
