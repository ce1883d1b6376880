"""The other fusion networks, a file each, on the interface of `fusion.network`.

Each is written from its paper and from what the authors' published files and programs show;
`experiments/README.md` lists them with their parameter counts, what each was checked against, and
the methods that were left out. `fusion.weights` loads them.
"""

from fusion.methods.auif import AUIF
from fusion.methods.densefuse import DenseFuse
from fusion.methods.didfuse import DIDFuse

__all__ = ["AUIF", "DIDFuse", "DenseFuse"]
