"""The Triton kernels in Triton's interpreter, against LRRNet's modules."""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from fusion.llrr.fast import branches
from fusion.networks.lrrnet import LRRNet

# A separate program: Triton decides on interpretation when the kernels are defined.
PROGRAM = """
import torch
from fusion.networks.lrrnet import LRRNet

torch.manual_seed(0)
for filters, blocks, size in (
    (2, 1, (1, 1, 2, 2)), (3, 2, (2, 1, 5, 7)), (2, 0, (1, 1, 3, 33)), (2, 3, (1, 1, 30, 21))
):
    network = LRRNet(filters, blocks)
    with torch.no_grad():
        network.infrared.threshold[0] = -0.05
        network.infrared.threshold[1:] *= 0.1
    ir, vis = torch.rand(2, *size)
    network.fast = False
    expected = network(ir, vis).detach()
    network.fast = True
    errors = []
    for network.gpu_kernel in ("float32", "bfloat16"):
        with torch.no_grad():
            ours = network(ir, vis)
        errors.append(float((ours - expected).abs().max()))
    print(*errors, float(expected.abs().max()), blocks)
    assert network(ir, vis).requires_grad
ir[:] = float("nan")
with torch.no_grad():
    assert network(ir, vis).isnan().all()
    assert network(ir[:0], vis[:0]).shape == (0, 1, 30, 21)
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="no Triton")
def test_interpreted_kernels_give_the_maps():
    environment = os.environ | {"TRITON_INTERPRET": "1", "RGBT_FAST": "0"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    cases = [list(map(float, line.split())) for line in done.stdout.splitlines()]
    assert len(cases) == 4
    for exact, half, largest, blocks in cases:
        assert exact < 2e-6
        assert half < 0.1 * largest
        # This proves that matrix products were not used: they do not store half precision.
        assert (half > 1e-5) == (blocks > 0)


def test_off_by_default_and_absent_where_triton_is(monkeypatch):
    network = LRRNet(2, 1)
    assert network.gpu_kernel == "off"
    ir, vis = torch.rand(2, 1, 1, 6, 7)
    with torch.no_grad():
        expected = network(ir, vis)
        monkeypatch.setattr(branches, "_gpu_kernels", lambda: None)
        network.gpu_kernel = "float32"
        assert torch.equal(network(ir, vis), expected)
