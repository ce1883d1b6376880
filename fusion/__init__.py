"""Infrared and visible image fusion by learned low-rank representation (LRRNet).

The names below are loaded when first used, so that ``import fusion`` is quick:

>>> from fusion import load_network
>>> fused = load_network().fuse(ir, vis)  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusion.errors import UserError
    from fusion.images import (
        PixelScaling,
        read_image,
        read_infrared,
        read_visible,
        write_image,
    )
    from fusion.llrr import LLRR, LLRRBlock, soft_threshold
    from fusion.lrrnet import LRRNet, LRRParts
    from fusion.network import FusionNetwork
    from fusion.weights import load_network, save_network

_HOMES = {
    "UserError": "errors",
    "PixelScaling": "images",
    "read_image": "images",
    "read_infrared": "images",
    "read_visible": "images",
    "write_image": "images",
    "LLRR": "llrr",
    "LLRRBlock": "llrr",
    "soft_threshold": "llrr",
    "LRRNet": "lrrnet",
    "LRRParts": "lrrnet",
    "FusionNetwork": "network",
    "load_network": "weights",
    "save_network": "weights",
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
    "read_image",
    "read_infrared",
    "read_visible",
    "save_network",
    "soft_threshold",
    "write_image",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
