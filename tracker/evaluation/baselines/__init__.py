"""Trackers to compare with that need no training here, by name.

========================  =================================================================
``ncc``, ``ncc_*``        normalised cross-correlation on both modalities, or on one
``csrt_*``                OpenCV's CSRT; needs the package opencv-contrib-python
``nanotrack_*``           OpenCV's TrackerNano; needs NanoTrack v2's two ONNX files
========================  =================================================================

``*`` is ``rgb``, ``ir``, or ``mix``, the mean of both pictures (which ``ncc`` does not have).
"""

from pathlib import Path
from typing import TYPE_CHECKING

from fusion.base.errors import UserError

if TYPE_CHECKING:
    from tracker.online.running import Tracker

__all__ = ["BASELINES", "baseline_files", "make_baseline"]

BASELINES = (
    *("ncc", "ncc_rgb", "ncc_ir"),
    *("csrt_rgb", "csrt_ir", "csrt_mix"),
    *("nanotrack_rgb", "nanotrack_ir", "nanotrack_mix"),
)


def baseline_files(name: str, nanotrack: Path | None = None) -> tuple[Path, ...]:
    """The files that a baseline is made from; none for most.

    Args:
        name: one of `BASELINES`.
        nanotrack: the folder of NanoTrack's files.

    Raises:
        UserError: what the baseline needs is not installed, or a file is missing.
    """
    kind, _ = _split(name)
    if kind == "csrt":
        from tracker.evaluation.baselines.csrt import require_csrt

        require_csrt()
    if kind == "nanotrack":
        from tracker.evaluation.baselines.nanotrack import find_files

        return find_files(nanotrack)
    return ()


def make_baseline(name: str, nanotrack: Path | None = None) -> "Tracker":
    """A baseline as a tracker.

    Args:
        name: one of `BASELINES`, in upper or lower case.
        nanotrack: the folder of NanoTrack's files.

    Raises:
        UserError: no such baseline, or as `baseline_files`.
    """
    kind, view = _split(name)
    if kind == "csrt":
        from tracker.evaluation.baselines.csrt import CSRTTracker

        return CSRTTracker(view)
    if kind == "nanotrack":
        from tracker.evaluation.baselines.nanotrack import NanoTracker, find_files

        return NanoTracker(*find_files(nanotrack), view)

    from tracker.evaluation.baselines.correlation import CorrelationTracker

    return CorrelationTracker((view,)) if view else CorrelationTracker()


def _split(name: str) -> tuple[str, str]:
    if name.lower() not in BASELINES:
        raise UserError(f"baseline {name}: unknown; give one of {', '.join(BASELINES)}")
    kind, _, view = name.lower().partition("_")
    return kind, view
