"""The registries of fusion networks and of fusion methods without anything learned.

Names are those of ``--method``, of weights files and of the tables.
"""

from fusion.base.registry import Registry

__all__ = ["CLASSICAL", "NETWORKS"]

#: Subclasses of `fusion.networks.base.FusionNetwork` whose weights are trained.
NETWORKS = Registry("fusion network", "fusion.networks:NETWORKS")
#: Those without parameters, which take no weights.
CLASSICAL = Registry("classical fusion method", "fusion.networks:CLASSICAL")
