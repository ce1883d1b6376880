"""The fusion methods that can be chosen on the page, and their networks."""

import functools
from collections.abc import Sequence
from pathlib import Path

from fusion.base.commandline import resolve_device
from fusion.networks.base import FusionNetwork
from fusion.networks.registry import CLASSICAL, NETWORKS
from fusion.networks.weights import included_weights, load_named

#: The method that is chosen at first.
FIRST = "lrrnet"


def method_choices(weights: Sequence[Path] = ()) -> dict[str, str]:
    """What can be chosen, by the names for `network_of`, with what the page calls it.

    Args:
        weights: files of further networks.
    """
    included = {name: f"{name} (included weights)" for name in NETWORKS if included_weights(name)}
    given = {str(path): path.name for path in weights}
    return included | given | {name: f"{name} (no learning)" for name in CLASSICAL}


@functools.lru_cache(maxsize=4)
def network_of(method: str, device: str) -> FusionNetwork:
    """The network of a method's name, or of a weights file's path.

    Raises:
        UserError: see `fusion.load_network`.
    """
    return load_named(method, resolve_device(device))
