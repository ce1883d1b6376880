"""The benchmark: all variants compute the same. Times are not tested."""

import io
import json
import sys
from contextlib import contextmanager

import pytest

from fusion.base.errors import UserError
from tracker.commands.bench import PUBLISHED, UNFOLDED, PlainNetwork, bench, format_report
from tracker.commands.cli import main
from tracker.commands.load import WAYS, bench_beside_load, report_beside_load, serve
from tracker.model.presets import build_network


@pytest.mark.parametrize(
    ("preset", "first", "others"),
    [
        ("small", UNFOLDED, ["NanoTrack v3 on RGB, eager"]),
        ("compact_dfat", PUBLISHED, []),
    ],
)
def test_all_sides_respond_alike(preset, first, others):
    result = bench(preset, rounds=1, threads=[1], frame_size=(160, 120), runtimes=["eager"])
    ways = result["threads"][1]
    assert list(ways) == [first, "eager", "eager, bfloat16", *others]
    assert ways["eager"]["difference"] < 1e-4 < ways["eager, bfloat16"]["difference"] < 0.1
    assert all(way["seconds"] > 0 and way["frames"] > 0 for way in ways.values())
    text = format_report(result)
    assert f"{preset} on {result['machine']}, cpu" in text and "1 thread\n" in text
    assert "minimum of 1 round" in text
    ratio = ways[first]["seconds"] / ways["eager"]["seconds"]
    row = next(line for line in text.splitlines() if line.startswith("eager  "))
    assert f"{ratio:.2f}" in row.split()


def test_a_runtime_that_cannot_be_used_is_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    runtimes = ["eager", "onnx"]
    result = bench("compact_dfat", rounds=1, threads=[1], frame_size=(160, 120), runtimes=runtimes)
    assert list(result["threads"][1]) == [PUBLISHED, "eager", "eager, bfloat16"]
    assert "Left out: onnx (runtime onnx: onnxruntime not installed" in format_report(result)


def test_every_way_is_measured_beside_a_busy_process(monkeypatch):
    """Rates are for the command to say; here, that each way was asked alone and beside."""
    asked, busy = [], []

    @contextmanager
    def program(first, preset, runtime, threads, seconds):
        yield preset, runtime, first, threads

    @contextmanager
    def process():
        busy.append(True)
        yield
        busy.pop()

    def ask(program):
        asked.append((*program, bool(busy)))
        return {"rate": 10.0 if busy else 20.0, "threads": program[-1] or 1}

    for name, replacement in (("_program", program), ("_busy_process", process), ("_ask", ask)):
        monkeypatch.setattr(f"tracker.commands.load.{name}", replacement)
    result = bench_beside_load(rounds=3, runtimes=["eager"])
    ways = result["runtimes"]["eager"]
    assert list(ways) == list(WAYS)
    for first, threads in WAYS.values():
        assert asked.count(("small", "eager", first, threads, True)) == 3
        assert asked.count(("small", "eager", first, threads, False)) == 4  # one is not counted
    assert all((way["alone"], way["beside"]) == (20, 10) for way in ways.values())
    assert "after import torch" in report_beside_load(result)


def test_the_measuring_process_answers_each_question():
    answers = io.StringIO()
    serve("small", "eager", 1, 0.0, io.StringIO("\n\n"), answers)
    lines = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert len(lines) == 2
    assert all(line["rate"] > 0 and line["threads"] == 1 for line in lines)


def test_what_cannot_be_compared(capsys):
    with pytest.raises(UserError, match=r"give one of dfat, .*compact_dfat_llrr"):
        bench("rgb")
    with pytest.raises(ValueError, match="branches rgb and ir"):
        PlainNetwork(build_network("compact_rgb"))
    with pytest.raises(ValueError, match="after the neck"):
        PlainNetwork(build_network("compact_dfat_llrr", fusion_tap="before_neck"))
    for option in ("--threads", "--rounds"):
        with pytest.raises(SystemExit):
            main(["bench", option, "0"])
        assert capsys.readouterr().err.count("\n") == 1
