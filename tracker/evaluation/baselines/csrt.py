"""OpenCV's CSRT, a strong tracker without training, as a baseline on either modality.

CSR-DCF (Lukezic et al., CVPR 2017): correlation filters on hand-made features. It is in OpenCV's
contributed modules, so it needs the package opencv-contrib-python in the place of opencv-python.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from fusion.base.errors import UserError
from tracker.data.boxes import Box, start_box

#: CSRT's constructor, which opencv-python lacks.
CREATE = "TrackerCSRT_create"


def require_csrt() -> None:
    """Make sure that this OpenCV has CSRT.

    Raises:
        UserError: it has not.
    """
    if not hasattr(cv2, CREATE):
        raise UserError(
            "this OpenCV has no CSRT; install opencv-contrib-python in the place of opencv-python"
        )


class CSRTTracker:
    """CSRT on one modality. Where a frame lacks it, the box stays.

    Args:
        modality: "rgb" or "ir".

    Raises:
        UserError: this OpenCV has no CSRT.
    """

    def __init__(self, modality: str):
        require_csrt()
        self.modality = modality

    def init(self, rgb: np.ndarray | None, ir: np.ndarray | None, box: Box) -> None:
        """Start on a frame, RGB ``HxWx3`` or infrared ``HxW`` uint8, with a box in pixels.

        Raises:
            UserError: the first frame lacks the modality, or the box has no pixel in it.
        """
        frame = self._frame(rgb, ir)
        if frame is None:
            raise UserError(f"first frame: no picture of {self.modality}")
        height, width = frame.shape[:2]
        x, y, w, h = (round(value) for value in start_box(box, width, height))
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + max(w, 1), width), min(y + max(h, 1), height)
        if right <= left or bottom <= top:
            raise UserError(f"box {box}: has no pixel inside the frame; give x,y,w,h in pixels")
        self._csrt = getattr(cv2, CREATE)()
        self._csrt.init(frame, (left, top, right - left, bottom - top))
        self._box = _as_box(box)

    def track(self, rgb: np.ndarray | None, ir: np.ndarray | None) -> tuple[Box, float]:
        """Box ``x, y, w, h`` in pixels of the next frame; 1 where CSRT found it, else 0."""
        frame = self._frame(rgb, ir)
        if frame is None:
            return self._box, 0.0
        found, box = self._csrt.update(frame)
        if found:
            self._box = _as_box(box)
        return self._box, float(found)

    def _frame(self, rgb: np.ndarray | None, ir: np.ndarray | None) -> np.ndarray | None:
        """What CSRT takes: three channels, BGR."""
        frame = {"rgb": rgb, "ir": ir}[self.modality]
        if frame is None:
            return None
        if frame.ndim == 2:
            return cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)
        return np.ascontiguousarray(frame[..., ::-1])


def _as_box(numbers: Sequence[float]) -> Box:
    x, y, width, height = map(float, numbers)
    return x, y, width, height
