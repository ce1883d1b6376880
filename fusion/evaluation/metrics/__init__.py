"""Objective metrics of fused images under the conventions of several families of papers.

Definitions differ between papers under one name. Each metric has one function here, whose arguments
are the variants; a convention is a named set of these. `docs/metrics.md` says what each metric
rewards and which numbers to report.

>>> import numpy as np
>>> from fusion import metrics
>>> fused, ir, vis = np.random.default_rng(0).integers(0, 256, (3, 48, 64), np.uint8)
>>> mi = metrics.create("mi", convention="cddfuse")
>>> mi.heading
'MI sum [nat]'
>>> round(mi(fused, ir, vis), 4)
6.0079

A data set's value is the plain mean over its images.
"""

from fusion.evaluation.metrics import (
    color,
    contrast,
    edges,
    feature_information,
    fidelity,
    information,
    perception,
    structure,
    visual,
)
from fusion.evaluation.metrics.catalogue import METRICS, register
from fusion.evaluation.metrics.conventions import (
    CONVENTIONS,
    Column,
    Convention,
    find_convention,
    list_conventions,
)
from fusion.evaluation.metrics.metric import (
    DEFAULT,
    Metric,
    create,
    create_all,
    evaluate,
    evaluate_levels,
    list_metrics,
)

__all__ = [
    "CONVENTIONS",
    "DEFAULT",
    "METRICS",
    "Column",
    "Convention",
    "Metric",
    "color",
    "contrast",
    "create",
    "create_all",
    "edges",
    "evaluate",
    "evaluate_levels",
    "feature_information",
    "fidelity",
    "find_convention",
    "information",
    "list_conventions",
    "list_metrics",
    "perception",
    "register",
    "structure",
    "visual",
]
