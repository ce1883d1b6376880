"""Siamese tracking in visible and infrared video (DFAT, LRRNet's tracker), and its evaluation.

The names below are loaded when first used, so that ``import tracker`` is quick:

>>> from tracker import RGBTTracker, load_tracker
>>> follow = RGBTTracker(load_tracker("dfat.pth"))  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fusion.base.threads import wait_passively

if TYPE_CHECKING:
    from tracker.data.sequences import load_dataset, load_sequence
    from tracker.model.network import PRESETS, TrackerNetwork
    from tracker.model.presets import build_network
    from tracker.model.weights import load_tracker, save_tracker
    from tracker.online.rgbt_tracker import RGBTTracker

wait_passively()  # now, because it has no effect once PyTorch is loaded

_HOMES = {
    "PRESETS": "model.network",
    "TrackerNetwork": "model.network",
    "build_network": "model.presets",
    "RGBTTracker": "online.rgbt_tracker",
    "load_dataset": "data.sequences",
    "load_sequence": "data.sequences",
    "load_tracker": "model.weights",
    "save_tracker": "model.weights",
}
_FORMER_NAMES = {"build": "build_network"}

__all__ = [
    "PRESETS",
    "RGBTTracker",
    "TrackerNetwork",
    "build_network",
    "load_dataset",
    "load_sequence",
    "load_tracker",
    "save_tracker",
]


def __getattr__(name: str) -> Any:
    name = _FORMER_NAMES.get(name, name)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
