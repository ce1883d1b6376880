"""Fixtures for all tests."""

import os
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
