"""OpenCV's CSRT, a strong tracker without training.

CSR-DCF (Lukezic et al., CVPR 2017): correlation filters on hand-made features. It is in OpenCV's
contributed modules, so it needs the package opencv-contrib-python in the place of opencv-python.
"""

import cv2

from fusion.base.errors import UserError
from tracker.evaluation.baselines.opencv import OpenCVTracker

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


class CSRTTracker(OpenCVTracker):
    """CSRT on one view.

    Args:
        view: "rgb", "ir" or "mix".

    Raises:
        UserError: this OpenCV has no CSRT.
    """

    def __init__(self, view: str):
        require_csrt()
        super().__init__(getattr(cv2, CREATE), view)
