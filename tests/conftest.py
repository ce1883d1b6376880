"""Fixtures for all tests."""

import os
import sys
from pathlib import Path

import pytest
import torch

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # the workers already use all cores


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real data and published results to check against.

    It is beside the repository, or in RGBT_SHARED. Without it, the tests that need it are
    skipped, except in CI, where its absence is a failure.
    """
    folder = Path(os.environ.get("RGBT_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not folder.is_dir():
        message = f"no reference data at {folder}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture
def rng():
    import numpy as np

    return np.random.default_rng(0)


@pytest.fixture
def forget():
    """A function that forgets what tests added to registries, and their modules ``my_...``."""
    from fusion.evaluation.metrics import METRICS
    from fusion.llrr.registry import FUSIONS
    from fusion.networks.registry import NETWORKS
    from tracker.data.layouts import LAYOUTS
    from tracker.evaluation.trackers import TRACKERS
    from tracker.model import registry
    from tracker.training.registry import FUSION_LOSSES

    networks = (registry.BACKBONES, registry.HEADS, registry.JOINS, registry.NETWORKS)
    kinds = (NETWORKS, LAYOUTS, FUSIONS, FUSION_LOSSES, TRACKERS, *networks)
    known = [set(kind) for kind in kinds]
    metrics, modules = set(METRICS), set(sys.modules)

    def clear():
        for kind, names in zip(kinds, known, strict=True):
            for name in set(kind) - names:
                kind.unregister(name)
        for name in set(METRICS) - metrics:
            METRICS.unregister(name)
        for name in set(sys.modules) - modules:
            if name.startswith("my_"):
                del sys.modules[name]

    return clear


@pytest.fixture
def registries(forget):
    """Examples may add to the registries and import modules; nobody else is to see it."""
    yield
    forget()
