"""NanoTrack v3's published checkpoint as the weights of a `tracker.model.joint.JointTracker`.

``nanotrackv3.pth`` of github.com/HonglinChu/SiamTrackers (Apache-2.0). The file is the user's own.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

#: Settings of the online tracker that NanoTrack v3 is published with.
NANOTRACK_ONLINE: dict[str, Any] = {
    "penalty": 0.138,
    "window": 0.455,
    "rate": 0.348,
    "update_interval": 0,
    "border": "rounded",
}

# Published patterns to ours. The heads are called "reg" and "cls" there, blocks count from 1.
_HEADS = {"reg": "loc", "cls": "cls", "bbox": "loc"}
_LAYERS = {"fc.0": "reduce", "fc.2": "expand"}
# Blocks without attention keep its place and that of the activation behind it.
_WITHOUT_ATTENTION, _AFTER_ATTENTION = ("2", "3"), {"7": "6", "8": "7"}


def is_nanotrack(names: Iterable[str]) -> bool:
    """Whether a checkpoint's tensors have NanoTrack v3's names."""
    return any(name.startswith("ban_head.corr_pw_") for name in names)


def rename_nanotrack(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names of `JointTracker`; names that no rule knows are kept.

    The neck is left out: the published tracker does not run it.
    """
    renamed = {}
    for name, tensor in tensors.items():
        if name.startswith("neck."):
            continue
        ours = _our_name(name)
        if ".blocks." in ours and ours.endswith(("reduce.weight", "expand.weight")):
            tensor = tensor[:, :, None, None]  # linear there, a 1x1 convolution here
        renamed[ours] = tensor
    return renamed


def _our_name(name: str) -> str:
    if match := re.fullmatch(r"backbone\.features\.0\.(.+)", name):
        return f"backbone.stem.{match[1]}"
    if match := re.fullmatch(r"backbone\.features\.(\d+)\.conv\.(\d+)\.(.+)", name):
        number, layer, rest = match.groups()
        if number in _WITHOUT_ATTENTION:
            layer = _AFTER_ATTENTION.get(layer, layer)
        for theirs, ours in _LAYERS.items():
            rest = rest.replace(theirs, ours)
        return f"backbone.blocks.{int(number) - 1}.layers.{layer}.{rest}"
    rules = (
        (r"corr_dw_(reg|cls)\.conv_(kernel|search)\.(.+)", r"correlations.<\1>.depthwise_\2.\3"),
        (r"corr_pw_(reg|cls)\.conv_(kernel|search)\.(.+)", r"correlations.<\1>.pixelwise_\2.\3"),
        (r"corr_pw_(reg|cls)\.CA_layer\.fc1\.(.+)", r"correlations.<\1>.attention.1.\2"),
        (r"corr_pw_(reg|cls)\.CA_layer\.fc2\.(.+)", r"correlations.<\1>.attention.3.\2"),
        (r"corr_pw_(reg|cls)\.conv\.(.+)", r"correlations.<\1>.spread.\2"),
        (r"down_(reg|cls)\.0\.(.+)", r"correlations.<\1>.reduce.\2"),
        (r"(cls|bbox)_tower\.(.+)", r"towers.<\1>.\2"),
        (r"(cls|bbox)_(?:logits|pred)\.0\.(.+)", r"outputs.<\1>.\2"),
    )
    for pattern, replacement in rules:
        if re.fullmatch(rf"ban_head\.{pattern}", name):
            ours = re.sub(rf"ban_head\.{pattern}", replacement, name)
            return "head." + re.sub(r"<(\w+)>", lambda match: _HEADS[match[1]], ours)
    return name
