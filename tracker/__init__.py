"""Siamese tracking in visible and infrared video (DFAT, LRRNet's tracker), and its evaluation.

The names below are loaded when first used, so that ``import tracker`` is quick:

>>> from tracker import RGBTTracker, load_tracker
>>> follow = RGBTTracker(load_tracker("dfat.pth"))  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracker.network import PRESETS, TrackerNetwork, build
    from tracker.online import RGBTTracker
    from tracker.sequences import load_dataset, load_sequence
    from tracker.weights import load_tracker, save_tracker

_HOMES = {
    "PRESETS": "network",
    "TrackerNetwork": "network",
    "build": "network",
    "RGBTTracker": "online",
    "load_dataset": "sequences",
    "load_sequence": "sequences",
    "load_tracker": "weights",
    "save_tracker": "weights",
}

__all__ = [
    "PRESETS",
    "RGBTTracker",
    "TrackerNetwork",
    "build",
    "load_dataset",
    "load_sequence",
    "load_tracker",
    "save_tracker",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
