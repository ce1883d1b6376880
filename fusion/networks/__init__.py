"""Fusion networks, one file per network, with the interface of `fusion.networks.base`.

Each is implemented from its paper and from the layout of the authors' published files and programs.
`experiments/README.md` lists them with their parameter counts, what each was verified against, and
the methods that were left out. `fusion.networks.weights` loads them.

The class of each network is also available here, for example as ``fusion.networks.U2Fusion``.
"""

from typing import Any

from fusion.networks.registry import NETWORKS


def __getattr__(name: str) -> Any:
    if name[:1].isupper():  # a class; modules and Python's own attributes are lower-case
        for network in NETWORKS.values():
            if network.__name__ == name:
                return network
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
