"""OpenCV's CSRT, a strong tracker without training.

CSR-DCF (Lukezic et al., CVPR 2017): correlation filters on hand-made features. It is in OpenCV's
contributed modules, so it needs the package opencv-contrib-python instead of opencv-python.
"""

from pathlib import Path

import cv2

from fusion.base.errors import UserError
from tracker.evaluation.baselines.opencv import OpenCVTracker
from tracker.evaluation.trackers import TRACKERS

#: CSRT's constructor, which opencv-python lacks.
CREATE = "TrackerCSRT_create"


def require_csrt() -> None:
    """Make sure that the installed OpenCV contains CSRT.

    Raises:
        UserError: it does not.
    """
    if not hasattr(cv2, CREATE):
        raise UserError(
            "this OpenCV has no CSRT; install opencv-contrib-python instead of opencv-python"
        )


class CSRTTracker(OpenCVTracker):
    """CSRT on one view.

    Args:
        view: "rgb", "ir" or "mix".

    Raises:
        UserError: this OpenCV has no CSRT.
    """

    @staticmethod
    def files(folder: Path | None = None) -> tuple[Path, ...]:
        """No files are needed; raises `UserError` if OpenCV lacks CSRT."""
        require_csrt()
        return ()

    def __init__(self, view: str):
        require_csrt()
        super().__init__(getattr(cv2, CREATE), view)


@TRACKERS.register("csrt_rgb")
class CSRTTrackerRGB(CSRTTracker):
    """OpenCV's CSRT on the visible image."""

    def __init__(self) -> None:
        super().__init__("rgb")


@TRACKERS.register("csrt_ir")
class CSRTTrackerIR(CSRTTracker):
    """OpenCV's CSRT on the infrared image."""

    def __init__(self) -> None:
        super().__init__("ir")


@TRACKERS.register("csrt_mix")
class CSRTTrackerMix(CSRTTracker):
    """OpenCV's CSRT on the mean of both images."""

    def __init__(self) -> None:
        super().__init__("mix")
