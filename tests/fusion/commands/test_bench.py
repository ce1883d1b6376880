"""The benchmark: all implementations compute the same. Times are not tested."""

import json

import pytest
import torch

from fusion.base.errors import UserError
from fusion.commands import bench as module
from fusion.commands.bench import (
    PlainLRRNet,
    bench,
    convolution_flops,
    format_report,
    least_seconds,
)
from fusion.commands.cli import main
from fusion.llrr.fast import cpu
from fusion.networks.lrrnet import LRRNet


@pytest.fixture
def in_this_process(monkeypatch, capsys):
    """Runs the measurements in this process, without starting others."""
    threads = torch.get_num_threads()

    def measure(settings, environment):
        module._main(json.loads(json.dumps(settings)))
        return json.loads(capsys.readouterr().out)

    monkeypatch.setattr(module, "_in_own_process", measure)
    monkeypatch.setattr(module, "CROPS", ((8, 1),))
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("combine", ["concat", "add"])
def test_plain_structure_is_the_network(combine):
    torch.manual_seed(0)
    network = LRRNet(5, 3, combine).double()
    with torch.no_grad():
        network.visible.threshold[1] = -0.01
    ir, vis = torch.rand(2, 2, 1, 9, 14, dtype=torch.float64)
    network.fast = False
    torch.testing.assert_close(PlainLRRNet(network)(ir, vis), network(ir, vis))
    with pytest.raises(ValueError, match="LLRR"):
        PlainLRRNet(LRRNet(8, 1, extractor="conv"))


def test_all_ways_agree(in_this_process, monkeypatch):
    monkeypatch.delenv("RGBT_FAST", raising=False)
    result = bench((20, 16), rounds=1)
    ways = ["published structure", "matrix products", *(f"kernel, {n}" for n in cpu.levels())]
    for column in ("warm", "warm 2", "default", "memory", "difference"):
        assert list(result[column]) == ways
    assert max(result["difference"].values()) < 1e-6
    (training,) = result["training"]
    assert set(training["losses"]) == set(ways) - {"matrix products"}
    for loss in training["losses"].values():
        assert loss == pytest.approx(training["losses"]["published structure"], rel=1e-5)
    json.dumps(result)
    lines = format_report(result).splitlines()
    assert "minimum of 1 round" in lines[1]
    assert all(any(line.startswith(way) for line in lines) for way in ways)


def test_own_process_measures_and_answers():
    answer = module._in_own_process(
        {"what": "difference", "size": [16, 16], "rounds": 1}, {"RGBT_FAST": "0"}
    )
    assert set(answer) == {"published structure", "matrix products"}
    assert max(answer.values()) < 1e-6


def test_operations_are_those_of_the_convolutions():
    """92 160 per pixel: two branches, 256 maps, five stages of two 3x3 convolutions."""
    assert convolution_flops(LRRNet(), 1) == 92_160


def test_least_of_the_rounds_after_the_first():
    ticks = iter([0, 0, *(1, 4), *(4, 6), *(6, 8), *(8, 13)])
    runs = {"a": lambda: None, "b": lambda: None}
    assert least_seconds(runs, 2, lambda: next(ticks)) == {"a": 2, "b": 2}


def test_bad_arguments(capsys):
    with pytest.raises(UserError, match="--rounds 0"):
        bench(rounds=0)
    assert main(["bench", "--size", "8x99"]) == 2
    assert "--size 8x99: at least 16x16" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["bench", "--size", "big"])
    assert "'big' is not WIDTHxHEIGHT" in capsys.readouterr().err
