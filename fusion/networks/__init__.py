"""Fusion networks, a file each, on the interface of `fusion.networks.base`.

Each is written from its paper and from what the authors' published files and programs show;
`experiments/README.md` lists them with their parameter counts, what each was checked against, and
the methods that were left out. `fusion.networks.weights` loads them.

A network's class is also found here under its own name, such as ``fusion.networks.U2Fusion``.
"""

from typing import Any

from fusion.networks.registry import NETWORKS


def __getattr__(name: str) -> Any:
    if name[:1].isupper():  # a class; modules of the package and names of Python's own are not
        for network in NETWORKS.values():
            if network.__name__ == name:
                return network
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
