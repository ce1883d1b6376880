"""NanoTrack v2, a small trained tracker, run by OpenCV's TrackerNano.

NanoTrack (Honglin Chu, SiamTrackers; Apache-2.0) is a Siamese network with .3 M parameters for
exemplars of 127 and search regions of 255 pixels. OpenCV contains the tracker; the user provides
the two ONNX files of version 2, ``nanotrack_backbone_sim.onnx`` and ``nanotrack_head_sim.onnx``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from fusion.base.errors import UserError
from tracker.evaluation.baselines.opencv import OpenCVTracker
from tracker.evaluation.trackers import TRACKERS

#: OpenCV's class, which versions before 4.7 lack.
NAME = "TrackerNano"

#: Endings of the two file names. Version 3's names lack ``_sim``; OpenCV cannot run it.
FILES = ("nanotrack_backbone_sim.onnx", "nanotrack_head_sim.onnx")


def find_files(folder: Path | None = None) -> tuple[Path, Path]:
    """Find the files of NanoTrack v2's backbone and head in a folder.

    Args:
        folder: a folder with files whose names end as in `FILES`.

    Raises:
        UserError: this OpenCV has no TrackerNano, no folder was given, or a file is missing.
    """
    if not hasattr(cv2, NAME):
        raise UserError("this OpenCV has no TrackerNano; install opencv-python 4.7 or newer")
    if folder is None:
        raise UserError(
            f"NanoTrack needs {FILES[0]} and {FILES[1]} of version 2; give their folder with "
            "--nanotrack or RGBT_NANOTRACK"
        )
    found = []
    for name in FILES:
        matches = sorted(Path(folder).glob(f"*{name}"))
        if len(matches) != 1:
            what = "several files end" if matches else "no file ends"
            raise UserError(
                f"{folder}: {what} in {name}; put NanoTrack v2's {FILES[0]} and {FILES[1]} there, "
                "or give their folder with --nanotrack or RGBT_NANOTRACK"
            )
        found.append(matches[0])
    return found[0], found[1]


@contextmanager
def _errors_only() -> Iterator[None]:
    """Suppress OpenCV 5's warning that its new engine ignores TrackerNano's choice of target."""
    logging = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        logging.setLogLevel(level)


class NanoTracker(OpenCVTracker):
    """NanoTrack v2 on one view, in OpenCV's own implementation and settings.

    Args:
        backbone, head: NanoTrack's ONNX files, see `find_files`.
        view: "rgb", "ir" or "mix".

    Raises:
        UserError: OpenCV cannot read the files as networks of TrackerNano.
    """

    files = staticmethod(find_files)

    def __init__(self, backbone: Path, head: Path, view: str):
        parameters = getattr(cv2, f"{NAME}_Params")()
        parameters.backbone, parameters.neckhead = str(backbone), str(head)

        def create() -> object:
            try:
                with _errors_only():
                    return getattr(cv2, f"{NAME}_create")(parameters)
            except cv2.error as error:
                reason = " ".join(str(error).split())
                raise UserError(
                    f"{backbone.parent}: OpenCV cannot read {backbone.name} and {head.name} as "
                    f"NanoTrack v2 ({reason})"
                ) from error

        create()  # an invalid file is reported before any frame is read
        super().__init__(create, view)


@TRACKERS.register("nanotrack_rgb")
class NanoTrackerRGB(NanoTracker):
    """NanoTrack v2 by OpenCV's TrackerNano on the visible image."""

    def __init__(self, backbone: Path, head: Path):
        super().__init__(backbone, head, "rgb")


@TRACKERS.register("nanotrack_ir")
class NanoTrackerIR(NanoTracker):
    """NanoTrack v2 by OpenCV's TrackerNano on the infrared image."""

    def __init__(self, backbone: Path, head: Path):
        super().__init__(backbone, head, "ir")


@TRACKERS.register("nanotrack_mix")
class NanoTrackerMix(NanoTracker):
    """NanoTrack v2 by OpenCV's TrackerNano on the mean of both images."""

    def __init__(self, backbone: Path, head: Path):
        super().__init__(backbone, head, "mix")
