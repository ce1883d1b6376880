"""Threads: how many, and that they sleep while they wait."""

import os
import subprocess
import sys

import pytest
import torch

from fusion.base.threads import limited_threads, requested_threads


@pytest.mark.parametrize("package", ["fusion", "tracker"])
@pytest.mark.parametrize(
    ("first", "policy", "expected"),
    [("", None, "PASSIVE"), ("", "ACTIVE", "ACTIVE"), ("import torch", None, "None")],
)
def test_the_policy_is_set_before_torch_is_loaded_and_only_then(package, first, policy, expected):
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    environment |= {"OMP_WAIT_POLICY": policy} if policy else {}
    code = f"{first}\nimport os, sys, {package}\nprint(os.environ.get('OMP_WAIT_POLICY'))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == expected


def test_a_limit_ends_with_its_block():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), limited_threads(before + 2):
        assert torch.get_num_threads() == before + 2
        raise KeyError
    assert torch.get_num_threads() == before
    with limited_threads(None):
        assert torch.get_num_threads() == before


@pytest.mark.parametrize(("text", "expected"), [("", None), ("3", 3), ("4,2", 4), ("x", None)])
def test_the_environments_number(monkeypatch, text, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert requested_threads() == expected
