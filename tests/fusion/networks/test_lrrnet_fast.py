"""lrrnet_fast: its included weights imitate LRRNet's; the kernel computes its size too."""

import copy

import numpy as np
import pytest
import torch

from fusion.evaluation.metrics import evaluate
from fusion.images.pixels import PixelScaling
from fusion.images.reading import read_infrared, read_visible
from fusion.llrr.fast import cpu
from fusion.networks import LRRNetFast
from fusion.networks.weights import included_weights, load_network


@pytest.fixture(scope="module")
def network():
    return load_network(method="lrrnet_fast")


def test_included_weights_are_small_and_say_their_convention(network):
    assert type(network) is LRRNetFast
    assert network.architecture == LRRNetFast().architecture
    assert network.scaling == PixelScaling(output="clamp", rounding="round")
    assert included_weights("lrrnet_fast").stat().st_size < 40_000
    assert sum(p.numel() for p in network.parameters()) < 5_000
    assert load_network(included_weights("lrrnet_fast")).steady  # found without the method's name


@pytest.mark.parametrize("level", [*cpu.levels(), "0"])
@pytest.mark.parametrize("size", [(1, 1, 2, 2), (2, 1, 37, 53), (1, 1, 15, 641), (1, 1, 120, 161)])
def test_every_implementation_computes_the_modules_result(network, level, size, monkeypatch):
    monkeypatch.setenv("RGBT_FAST", level)
    ir, vis = torch.rand(2, *size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours = network(ir, vis)
    plain = copy.deepcopy(network).double()
    plain.fast = False
    # With gradients enabled, every convolution is computed by its own module.
    exact = plain(ir.double(), vis.double())
    torch.testing.assert_close(ours.double(), exact, rtol=0, atol=2e-6)


def test_metrics_are_within_5_percent_of_the_large_network(shared, network):
    """On a third of the 12 TNO pairs, none of which was trained on."""
    tno, large = shared / "data/tno12", load_network()
    values = []
    for number in (1, 4, 7, 10):
        pair = read_infrared(tno / f"ir/{number}.png"), read_visible(tno / f"vis/{number}.png")
        values.append(
            [
                [*evaluate(each.fuse(*pair, color=False), *pair, METRICS).values()]
                for each in (network, large)
            ]
        )
    ours, theirs = np.mean(values, axis=0)
    assert (ours >= 0.95 * theirs).all(), dict(zip(METRICS, ours / theirs, strict=True))


METRICS = ("ssim", "vif", "qabf", "scd", "mi")
