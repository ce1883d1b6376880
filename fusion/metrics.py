"""Metrics of fused pictures: ``fusion.metrics.create("vif", convention="cddfuse")``.

The short name of `fusion.evaluation.metrics`.
"""

from fusion.evaluation.metrics import *  # noqa: F403
from fusion.evaluation.metrics import __all__ as __all__
