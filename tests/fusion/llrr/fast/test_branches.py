"""LRRNet without the compiled kernel: matrix products in tiles against the modules."""

import copy

import pytest
import torch

from fusion.llrr.fast import branches
from fusion.networks.lrrnet import LRRNet


@pytest.fixture(autouse=True)
def without_kernel(monkeypatch):
    monkeypatch.setenv("RGBT_FAST", "0")
    torch.manual_seed(0)


def modules(network, ir, vis):
    plain = copy.deepcopy(network)
    plain.fast = False
    return plain(ir, vis).detach()


@pytest.mark.parametrize("tile", [(96, 96), (7, 5), (3, 30), (1, 1)])
@pytest.mark.parametrize(
    ("size", "num_blocks", "combine"),
    [
        ((1, 1, 2, 2), 4, "concat"),
        ((2, 1, 8, 8), 4, "add"),
        ((1, 1, 13, 22), 2, "concat"),
        ((2, 1, 30, 3), 0, "concat"),
    ],
)
def test_tiles_join_without_a_seam(monkeypatch, tile, size, num_blocks, combine):
    monkeypatch.setitem(branches._TILE, "cpu", tile)
    network = LRRNet(5, num_blocks, combine).double()
    with torch.no_grad():
        network.infrared.threshold[:3, 0, 0] = torch.tensor([-0.05, 0.0, 1e-9])
    ir, vis = torch.rand(2, *size, dtype=torch.float64)
    with torch.no_grad():
        ours = network(ir, vis)
    torch.testing.assert_close(ours, modules(network, ir, vis), rtol=0, atol=1e-11)


def test_published_size_in_float32():
    network = LRRNet()
    ir, vis = torch.rand(2, 1, 1, 40, 130)
    with torch.inference_mode():
        ours = network(ir.mT, vis.mT)
    exact = modules(network.double(), ir.mT.double(), vis.mT.double())
    torch.testing.assert_close(ours.double(), exact, rtol=0, atol=1e-6)


def test_graph_autocast_and_no_pictures():
    network = LRRNet(4, 1)
    ir, vis = torch.rand(2, 1, 1, 9, 12)
    assert network(ir, vis).requires_grad
    expected = modules(network, ir, vis)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        ours = network(ir, vis)
    torch.testing.assert_close(ours.float(), expected, rtol=0.02, atol=0.02)
    with torch.no_grad():
        assert network(ir[:0], vis[:0]).shape == (0, 1, 9, 12)
