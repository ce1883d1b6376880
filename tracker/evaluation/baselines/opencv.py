"""OpenCV's own trackers as baselines: on the visible image, the infrared, or the mean of both."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from fusion.base.errors import UserError
from tracker.data.boxes import Box, start_box

#: Inputs for a tracker of one image: the visible image, the infrared image, or their mean.
VIEWS = ("rgb", "ir", "mix")


def picture_of(view: str, rgb: np.ndarray | None, ir: np.ndarray | None) -> np.ndarray | None:
    """The image of a view as BGR uint8 ``HxWx3``, as OpenCV expects it.

    Args:
        view: one of `VIEWS`. ``mix`` is the mean of both images, or the only available one.
        rgb: RGB uint8 ``HxWx3``.
        ir: infrared uint8 ``HxW``.

    Returns:
        The image; None if the frame lacks the modality.

    Raises:
        UserError: ``mix`` is requested and the images differ in size.
    """
    visible = None if rgb is None or view == "ir" else np.ascontiguousarray(rgb[..., ::-1])
    thermal = None if ir is None or view == "rgb" else cv2.cvtColor(ir, cv2.COLOR_GRAY2BGR)
    if visible is None or thermal is None:
        return thermal if visible is None else visible
    if visible.shape != thermal.shape:
        raise UserError("frame: the modalities' sizes differ; register them")
    return cv2.addWeighted(visible, 0.5, thermal, 0.5, 0)


class OpenCVTracker:
    """Run a tracker of OpenCV on one view. If a frame lacks the view, the box does not move.

    Args:
        create: creates OpenCV's tracker; called at each start.
        view: one of `VIEWS`.

    Raises:
        ValueError: the view is unknown.
    """

    def __init__(self, create: Callable[[], Any], view: str):
        if view not in VIEWS:
            raise ValueError(f"view {view!r}: give one of {', '.join(VIEWS)}")
        self.view = view
        self._create = create

    def init(self, rgb: np.ndarray | None, ir: np.ndarray | None, box: Box) -> None:
        """Start on a frame, RGB ``HxWx3`` or infrared ``HxW`` uint8, with a box in pixels.

        Raises:
            UserError: the first frame lacks the view, or the box has no pixel in it.
        """
        picture = picture_of(self.view, rgb, ir)
        if picture is None:
            names = "rgb or ir" if self.view == "mix" else self.view
            raise UserError(f"first frame: no image of {names}")
        height, width = picture.shape[:2]
        x, y, w, h = (round(value) for value in start_box(box, width, height))
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + max(w, 1), width), min(y + max(h, 1), height)
        if right <= left or bottom <= top:
            raise UserError(f"box {box}: has no pixel inside the frame; give x,y,w,h in pixels")
        self._tracker = self._create()
        self._tracker.init(picture, (left, top, right - left, bottom - top))
        self._box: Box = tuple(map(float, box))  # type: ignore[assignment]

    def track(self, rgb: np.ndarray | None, ir: np.ndarray | None) -> tuple[Box, float]:
        """The box ``x, y, w, h`` in pixels of the next frame, and 1 if it was found, else 0."""
        picture = picture_of(self.view, rgb, ir)
        if picture is None:
            return self._box, 0.0
        found, box = self._tracker.update(picture)
        if found:
            self._box = tuple(map(float, box))  # type: ignore[assignment]
        return self._box, float(found)
