"""Infrared and visible image fusion by learned low-rank representation (LRRNet).

The names below are loaded when first used, so that ``import fusion`` is quick:

>>> from fusion import load_network
>>> fused = load_network().fuse(ir, vis)  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fusion.base.threads import wait_passively

if TYPE_CHECKING:
    from fusion import metrics
    from fusion.base.errors import UserError
    from fusion.images.pixels import PixelScaling
    from fusion.images.reading import read_image, read_infrared, read_visible, write_image
    from fusion.llrr.block import LLRR, LLRRBlock, soft_threshold
    from fusion.networks.base import FusionNetwork
    from fusion.networks.lrrnet import LRRNet, LRRParts
    from fusion.networks.weights import load_network, save_network

wait_passively()  # now, because it has no effect once PyTorch is loaded

_HOMES = {
    "UserError": "base.errors",
    "PixelScaling": "images.pixels",
    "read_image": "images.reading",
    "read_infrared": "images.reading",
    "read_visible": "images.reading",
    "write_image": "images.reading",
    "LLRR": "llrr.block",
    "LLRRBlock": "llrr.block",
    "soft_threshold": "llrr.block",
    "LRRNet": "networks.lrrnet",
    "LRRParts": "networks.lrrnet",
    "FusionNetwork": "networks.base",
    "load_network": "networks.weights",
    "save_network": "networks.weights",
}

__all__ = [
    "LLRR",
    "FusionNetwork",
    "LLRRBlock",
    "LRRNet",
    "LRRParts",
    "PixelScaling",
    "UserError",
    "load_network",
    "metrics",
    "read_image",
    "read_infrared",
    "read_visible",
    "save_network",
    "soft_threshold",
    "write_image",
]


def __getattr__(name: str) -> Any:
    if name == "metrics":
        return import_module("fusion.metrics")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
