"""NanoTrack v3's published checkpoint in a `JointTracker`.

Honglin Chu, SiamTrackers, 2023, Apache-2.0: ``nanotrackv3.pth``. The file is the user's own.
"""

import re

__all__ = ["ONLINE", "is_nanotrack", "our_name"]

#: Online settings NanoTrack v3 is published with.
ONLINE = {"penalty": 0.138, "window": 0.455, "rate": 0.348, "update_interval": 0}

# Published patterns to ours. Blocks count from 1 there; the heads are called "reg" and "cls".
_PARTS = {"reg": "loc", "cls": "cls"}
_CORRELATIONS = (
    (r"corr_(dw|pw)_(reg|cls)\.conv_(kernel|search)\.(.+)", "{0}wise_{2}.{3}"),
    (r"corr_(pw)_(reg|cls)\.CA_layer\.fc([12])\.(.+)", "attention.{2}.{3}"),
    (r"corr_(pw)_(reg|cls)\.conv\.(.+)", "spread.{2}"),
)
_UNUSED = ("neck.",)


def is_nanotrack(names: object) -> bool:
    return False


def our_name(name: str) -> str | None:
    """Our name of a published tensor; None for one that no box depends on; unknown names stay."""
    return None
