"""The registries of fusion networks and of fusion methods without learned parameters.

Their names are used by ``--method``, in weights files and in tables.
"""

from fusion.base.registry import Registry

__all__ = ["CLASSICAL", "NETWORKS"]

#: Subclasses of `fusion.networks.base.FusionNetwork` whose weights are trained.
NETWORKS = Registry("fusion network", "fusion.networks:NETWORKS")
#: Methods without parameters, which need no weights.
CLASSICAL = Registry("classical fusion method", "fusion.networks:CLASSICAL")
