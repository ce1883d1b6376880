"""Frames per second alone and beside another busy process.

Beside another process, threads that wait for each other lose far more than the processor time that
it takes. Each variant runs in a separate process, as a user's program would start it, and the
variants alternate, so that other load on the machine affects all of them alike.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, Any

import numpy as np
import torch

from fusion.base.errors import UserError
from fusion.base.tables import counted, format_table
from fusion.commands.bench import machine
from tracker.model.presets import ALL_PRESETS, build_network
from tracker.model.pretrained import INCLUDED_TRACKER
from tracker.model.weights import load_tracker
from tracker.online.rgbt_tracker import RGBTTracker
from tracker.online.runtime import check_runtime

#: Variants: what a program runs first, and its number of threads.
WAYS: dict[str, tuple[str, int | None]] = {
    "one thread": ("import tracker", 1),
    "default": ("import tracker", None),
    "default, after import torch": ("import torch", None),
    "all threads": ("import tracker", 0),
    "all threads, after import torch": ("import torch", 0),
}


def bench_beside_load(
    preset: str = INCLUDED_TRACKER,
    *,
    rounds: int = 5,
    runtimes: Sequence[str] = ("eager", "onnx"),
    seconds: float = 1.0,
) -> dict:
    """Measure `RGBTTracker` on the CPU, alone and beside a process that is always busy.

    Args:
        preset: see `tracker.commands.bench.bench`.
        rounds: number of rounds, of which the median counts; in each, every variant runs alone and
            then beside the load.
        runtimes: names in `tracker.online.runtime.RUNTIMES`.
        seconds: duration of each measurement.

    Returns:
        "machine", "preset", "rounds", "left_out" (runtimes that cannot be used here, with the
        reason) and "runtimes": by runtime and variant the "threads", and frames per second "alone"
        and "beside".

    Raises:
        UserError: the preset is unknown.
    """
    if preset not in ALL_PRESETS:
        raise UserError(f"--preset {preset}: unknown; give one of {', '.join(ALL_PRESETS)}")
    measured, left_out = {}, {}
    for runtime in runtimes:
        try:
            check_runtime(runtime, "float32", torch.device("cpu"))
        except UserError as error:
            left_out[runtime] = str(error)
        else:
            measured[runtime] = _measure(preset, runtime, rounds, seconds)
    return {
        "machine": machine(),
        "preset": preset,
        "rounds": rounds,
        "runtimes": measured,
        "left_out": left_out,
    }


def _measure(preset: str, runtime: str, rounds: int, seconds: float) -> dict[str, dict]:
    rates: dict[str, dict[str, list[float]]] = {way: {"alone": [], "beside": []} for way in WAYS}
    with ExitStack() as stack:
        programs = {
            way: stack.enter_context(_program(first, preset, runtime, threads, seconds))
            for way, (first, threads) in WAYS.items()
        }
        used = {way: _ask(program) for way, program in programs.items()}  # once uncounted
        for _ in range(rounds):
            for way, program in programs.items():
                rates[way]["alone"].append(_ask(program)["rate"])
            with _busy_process():
                for way, program in programs.items():
                    rates[way]["beside"].append(_ask(program)["rate"])
    return {
        way: {
            "threads": used[way]["threads"],
            **{where: statistics.median(values) for where, values in of_way.items()},
        }
        for way, of_way in rates.items()
    }


@contextmanager
def _program(
    first: str, preset: str, runtime: str, threads: int | None, seconds: float
) -> Iterator[subprocess.Popen]:
    """Start a process that measures on request."""
    code = f"{first}\nfrom tracker.commands.load import serve\n"
    code += f"serve({preset!r}, {runtime!r}, {threads!r}, {seconds!r})\n"
    # This process has set a policy, which a program that imports torch first would not have.
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes) as program:
        try:
            yield program
        finally:
            program.kill()


def _ask(program: subprocess.Popen) -> dict:
    assert program.stdin is not None and program.stdout is not None
    print(file=program.stdin, flush=True)
    answer = program.stdout.readline()
    if not answer:
        raise RuntimeError("a measuring process ended; its message is above")
    return json.loads(answer)


@contextmanager
def _busy_process() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            time.sleep(0.2)  # it has to start first
            yield
        finally:
            busy.kill()


def serve(
    preset: str,
    runtime: str,
    threads: int | None,
    seconds: float,
    questions: IO[str] = sys.stdin,
    answers: IO[str] = sys.stdout,
) -> None:
    """Measure frames per second for each line of input; the program of a measuring process.

    Args:
        preset, runtime, seconds: see `bench_beside_load`.
        threads: see `RGBTTracker`; 0 for all of PyTorch's.
        questions, answers: read and written by lines.
    """
    threads = torch.get_num_threads() if threads == 0 else threads
    torch.manual_seed(0)
    network = (load_tracker() if preset == INCLUDED_TRACKER else build_network(preset)).eval()
    tracker = RGBTTracker(network, runtime=runtime, threads=threads)
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (512, 640, 3), np.uint8)
    ir = rng.integers(0, 256, (512, 640), np.uint8)
    tracker.init(rgb, ir, (280, 226, 80, 60))
    for _ in questions:
        count, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds or not count:
            tracker.track(rgb, ir)
            count += 1
        print(json.dumps({"rate": count / elapsed, "threads": tracker.threads}), file=answers)
        answers.flush()


def report_beside_load(result: dict) -> str:
    """`bench_beside_load`'s result as readable tables."""
    rounds = counted(result["rounds"], "round")
    lines = [f"{result['preset']} on {result['machine']}, cpu: frames/s, median of {rounds}"]
    header = ["", "threads", "alone", "beside a busy process", "of one thread"]
    for runtime, ways in result["runtimes"].items():
        one = ways["one thread"]["beside"]
        rows = [
            [
                way,
                str(of_way["threads"]),
                f"{of_way['alone']:.1f}",
                f"{of_way['beside']:.1f}",
                f"{of_way['beside'] / one:.2f}",
            ]
            for way, of_way in ways.items()
        ]
        lines += ["", runtime, "", format_table(header, rows)]
    lines += ["", "Of one thread: the rate beside the busy process, of one thread's there."]
    lines += [f"Left out: {name} ({reason})." for name, reason in result["left_out"].items()]
    return "\n".join(lines)
