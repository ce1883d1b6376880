"""Tracking by normalised cross-correlation: the baseline that needs no weights.

A trained tracker should be much better. If this baseline scores 0, the evaluation is broken.
"""

import cv2
import numpy as np

from fusion.base.errors import UserError
from tracker.data.boxes import Box, start_box
from tracker.data.frames import MODALITIES
from tracker.evaluation.trackers import TRACKERS

# Search range around the last box in every direction, in box sizes.
REACH = 1.0


@TRACKERS.register("ncc")
class CorrelationTracker:
    """Normalised cross-correlation on both images.

    The patch of the first frame is searched, at its original size, around the last position.

    The responses of the modalities are averaged. A modality is ignored if it is missing, differs
    in size from the first frame, or was missing when tracking started. If none remains, the box
    does not move.

    Args:
        modalities: the modalities to use, "rgb", "ir" or both.
    """

    def __init__(self, modalities: tuple[str, ...] = MODALITIES):
        self.modalities = modalities

    def init(self, rgb: np.ndarray | None, ir: np.ndarray | None, box: Box) -> None:
        """Start on a frame, RGB ``HxWx3`` and infrared ``HxW`` uint8, with a box in pixels.

        Raises:
            UserError: the box has no pixel inside the frame, no modality in use has an image, or
                their sizes differ.
        """
        used = self._used(rgb, ir)
        if len({image.shape[:2] for _, image in used}) > 1:
            raise UserError("first frame: the modalities' sizes differ; register them")
        self._templates: dict[str, np.ndarray] = {}
        for name, image in used:
            rows, columns = self._frame_size = image.shape[:2]
            x, y, width, height = start_box(box, columns, rows)
            left, top = (int(np.clip(round(v), 0, n)) for v, n in ((x, columns), (y, rows)))
            right, bottom = round(x + width), round(y + height)
            patch = image[top : max(bottom, 0), left : max(right, 0)]
            if patch.size == 0:
                raise UserError(f"box {box}: has no pixel inside the frame; give x,y,w,h in pixels")
            self._templates[name] = patch.copy()
            # The position of the box is derived from the position of its visible part.
            self._place, self._offset = (left, top), (x - left, y - top)
        if not self._templates:
            raise UserError(f"first frame: no image of {' or '.join(self.modalities)}")
        self._size = (width, height)

    def track(self, rgb: np.ndarray | None, ir: np.ndarray | None) -> tuple[Box, float]:
        """Box ``x, y, w, h`` in pixels of the next frame, and the correlation there in -1..1."""
        responses = []
        for name, image in self._used(rgb, ir):
            if name in self._templates and image.shape[:2] == self._frame_size:
                response, origin = self._search(image, self._templates[name])
                responses.append(response)
        score = 0.0
        if responses:
            mean = np.mean(responses, axis=0)
            row, column = np.unravel_index(mean.argmax(), mean.shape)
            self._place = (origin[0] + int(column), origin[1] + int(row))
            score = float(mean[row, column])
        (x, y), (dx, dy), (width, height) = self._place, self._offset, self._size
        return (x + dx, y + dy, width, height), score

    def _used(self, rgb: np.ndarray | None, ir: np.ndarray | None) -> list[tuple[str, np.ndarray]]:
        frames = ((name, {"rgb": rgb, "ir": ir}[name]) for name in self.modalities)
        return [(name, frame) for name, frame in frames if frame is not None]

    def _search(
        self, image: np.ndarray, template: np.ndarray
    ) -> tuple[np.ndarray, tuple[int, int]]:
        """The correlation at every position in range, and the first of these positions."""
        height, width = template.shape[:2]
        rows, columns = image.shape[:2]
        x, y = self._place
        left, top = max(0, round(x - REACH * width)), max(0, round(y - REACH * height))
        right = min(columns, round(x + (1 + REACH) * width))
        bottom = min(rows, round(y + (1 + REACH) * height))
        response = cv2.matchTemplate(image[top:bottom, left:right], template, cv2.TM_CCOEFF_NORMED)
        # A flat template or region has no correlation: OpenCV gives infinity or 1 there.
        response[~np.isfinite(response) | (np.abs(response) > 1.001)] = 0
        return response, (left, top)


@TRACKERS.register("ncc_rgb")
def correlation_rgb() -> CorrelationTracker:
    """Normalised cross-correlation on the visible image."""
    return CorrelationTracker(("rgb",))


@TRACKERS.register("ncc_ir")
def correlation_ir() -> CorrelationTracker:
    """Normalised cross-correlation on the infrared image."""
    return CorrelationTracker(("ir",))
