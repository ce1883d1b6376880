"""The benchmark: all sides compute the same. What each costs is for `tracker bench` to say."""

import sys

import pytest

from fusion.base.errors import UserError
from tracker.commands.bench import PUBLISHED, PlainNetwork, bench, report
from tracker.commands.cli import main
from tracker.model.network import build


@pytest.mark.parametrize("preset", ["compact", "compact_dfat"])
def test_all_sides_respond_alike(preset):
    result = bench(preset, rounds=1, threads=[1], frame_size=(160, 120), runtimes=["eager"])
    ways = result["threads"][1]
    assert list(ways) == [PUBLISHED, "eager", "eager, bfloat16"]
    assert ways["eager"]["difference"] < 1e-4 < ways["eager, bfloat16"]["difference"] < 0.1
    assert all(way["seconds"] > 0 and way["frames"] > 0 for way in ways.values())
    text = report(result)
    assert f"{preset} on {result['machine']}, cpu" in text and "1 thread\n" in text
    assert "the least of 1 round in turn" in text
    ratio = ways[PUBLISHED]["seconds"] / ways["eager"]["seconds"]
    row = next(line for line in text.splitlines() if line.startswith("eager  "))
    assert f"{ratio:.2f}" in row.split()


def test_a_runtime_that_cannot_be_used_is_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    runtimes = ["eager", "onnx"]
    result = bench("compact_dfat", rounds=1, threads=[1], frame_size=(160, 120), runtimes=runtimes)
    assert list(result["threads"][1]) == [PUBLISHED, "eager", "eager, bfloat16"]
    assert "Left out: onnx (runtime onnx: onnxruntime not installed" in report(result)


def test_what_cannot_be_compared(capsys):
    with pytest.raises(UserError, match=r"give one of compact, dfat, .*compact_dfat_llrr"):
        bench("rgb")
    with pytest.raises(ValueError, match="branches rgb and ir"):
        PlainNetwork(build("compact_rgb"))
    with pytest.raises(ValueError, match="after the neck"):
        PlainNetwork(build("compact_dfat_llrr", fusion_tap="before_neck"))
    for option in ("--threads", "--rounds"):
        with pytest.raises(SystemExit):
            main(["bench", option, "0"])
        assert capsys.readouterr().err.count("\n") == 1
