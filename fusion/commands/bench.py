"""Benchmark of LRRNet: the implementations of this package against the published structure.

The published structure convolves all maps of a stage at once, pads them separately, repeats the
thresholds to the size of the maps, and computes the soft threshold in single steps. `PlainLRRNet`
implements it with the same parameters. All implementations give the same image up to rounding,
which is verified.

Times are CPU seconds of the process, the minimum over rounds in which the implementations
alternate: other programs then affect all of them alike, and the minimum hardly at all. Memory is
the peak of a separate process above what it used before.

Two allocators are measured. By default, the C library returns large arrays to the system
immediately, and the plain structure spends much of its time on getting them back; this is what
users experience. A warm allocator keeps them; this is the fair comparison of the arithmetic.
"""

import json
import math
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.base.errors import UserError
from fusion.base.tables import counted, format_table
from fusion.llrr.fast import cpu
from fusion.networks.lrrnet import LRRNet

__all__ = ["PlainLRRNet", "bench", "format_report", "least_seconds"]

# glibc's settings for an allocator that does not return memory.
WARM = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "MALLOC_TOP_PAD_": str(1 << 28),
}
PLAIN = "published structure"
MATRIX = "matrix products"
#: Side and number of the crops of a training step.
CROPS = ((64, 4), (128, 1))


class PlainLRRNet(nn.Module):
    """The published computation with a network's parameters.

    Args:
        network: a network with the LLRR extractor.
    """

    def __init__(self, network: LRRNet):
        super().__init__()
        if network.architecture["extractor"] != "llrr":
            raise ValueError("the published structure has the LLRR extractor")
        self.network = network

    @staticmethod
    def _convolve(conv: nn.Conv2d, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), conv.weight, conv.bias)

    @staticmethod
    def _shrink(x: Tensor, threshold: Tensor) -> Tensor:
        repeated = threshold.unsqueeze(0).repeat(x.shape[0], 1, x.shape[2], x.shape[3])
        return torch.sign(x) * F.relu(torch.abs(x) - repeated)

    def _decompose(self, stack: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self._shrink(self._convolve(stack.encode, x), stack.threshold)
        for block in stack.blocks:
            residual = x - self._convolve(block.synthesis, z)
            change = self._convolve(block.analysis, residual)
            z = self._shrink(change + stack.lam * z, stack.threshold)
        half = z.shape[1] // 2
        return z[:, :half], z[:, half:]

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """See `fusion.networks.lrrnet.LRRNet.forward`."""
        decoder = self.network.decoder
        low_ir, sparse_ir = self._decompose(self.network.infrared, ir)
        low_vis, sparse_vis = self._decompose(self.network.visible, vis)
        maps = (
            (decoder.low_rank, decoder.low_rank_ir, low_ir, decoder.low_rank_vis, low_vis),
            (decoder.sparse, decoder.sparse_ir, sparse_ir, decoder.sparse_vis, sparse_vis),
        )
        parts = []
        for join, reduce_ir, z_ir, reduce_vis, z_vis in maps:
            pair = [self._convolve(reduce_ir, z_ir), self._convolve(reduce_vis, z_vis)]
            joined = torch.cat(pair, 1) if decoder.combine == "concat" else pair[0] + pair[1]
            parts.append(self._convolve(join, joined))
        return parts[0] + parts[1]


def convolution_flops(network: LRRNet, pixels: int) -> float:
    """Floating-point operations of both branches' convolutions; a multiply-add counts as two."""
    coefficients = 2 * network.architecture["num_filters"]
    stages = network.architecture["num_blocks"] + 1
    return 2 * 2 * 9 * 2 * stages * coefficients * pixels


def least_seconds(
    contestants: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Minimum time of each contestant over alternating rounds, after one uncounted round."""
    least = dict.fromkeys(contestants, float("inf"))
    for counts in [False] + rounds * [True]:
        for name, run in contestants.items():
            begin = clock()
            run()
            if counts:
                least[name] = min(least[name], clock() - begin)
    return least


def bench(size: tuple[int, int] = (640, 512), rounds: int = 3, train: bool = True) -> dict:
    """Measure all implementations of LRRNet that are available on this machine's CPU.

    Args:
        size: width and height of the images, at least 16 each.
        rounds: number of rounds, of which the minimum counts; one uncounted round precedes them.
        train: also measure training steps.

    Returns:
        "machine", "level" (of the kernel, or None), "size", "rounds", and, by implementation:
        "warm" and "default", CPU seconds with one thread and each allocator ("warm 2": with two
        threads); "memory", MiB (None if the system does not report it); "difference", the largest
        from the published structure in float64; "flops", the measured peak of multiply-adds of one
        core in operations per second, by kernel level; "training", seconds per step and losses.

    Raises:
        UserError: an argument is out of range.
    """
    if min(size) < 16:
        raise UserError(f"--size {size[0]}x{size[1]}: at least 16x16 is needed")
    if rounds < 1:
        raise UserError(f"--rounds {rounds}: at least 1 is needed")

    def ask(what: str, warm: bool, **arguments: Any) -> dict:
        settings = {"what": what, "size": size, "rounds": rounds, **arguments}
        return _in_own_process(settings, WARM if warm else {})

    ways = _ways()
    memory = {name: ask("memory", warm=False, way=name)["memory"] for name in ways}
    return {
        "machine": machine(),
        "level": cpu.default_level(),
        "size": list(size),
        "rounds": rounds,
        "warm": ask("time", warm=True, threads=1),
        "warm 2": ask("time", warm=True, threads=2),
        "default": ask("time", warm=False, threads=1),
        "memory": memory,
        "difference": ask("difference", warm=True),
        "flops": {level: cpu.peak_flops(level) for level in cpu.levels()},
        "training": [
            {"side": side, "batch": batch, **ask("train", warm=True, side=side, batch=batch)}
            for side, batch in (CROPS if train else ())
        ],
    }


def machine() -> str:
    """The processor's name and the number of cores available to this process."""
    name = platform.processor() or platform.machine()
    if sys.platform == "linux":
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
        name = found[1] if found else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} core{'' if cores == 1 else 's'}"


def _in_own_process(settings: dict, environment: dict[str, str]) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "fusion.commands.bench", json.dumps(settings)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    return json.loads(done.stdout)


# --- In a separate process ------------------------------------------------------------------------


def _ways() -> dict[str, str | None]:
    """Implementations by name, with the value of RGBT_FAST for each; None for the plain one."""
    if os.environ.get("RGBT_FAST") == "0":
        return {PLAIN: None, MATRIX: "0"}
    return {PLAIN: None, MATRIX: "0"} | {f"kernel, {level}": level for level in cpu.levels()}


@contextmanager
def _using(level: str) -> Iterator[None]:
    before = os.environ.get("RGBT_FAST")
    os.environ["RGBT_FAST"] = level
    try:
        yield
    finally:
        del os.environ["RGBT_FAST"]
        if before is not None:
            os.environ["RGBT_FAST"] = before


def _runs(network: LRRNet, way: str) -> Callable[[Tensor, Tensor], Tensor]:
    level = _ways()[way]
    if level is None:
        return PlainLRRNet(network)

    def run(ir: Tensor, vis: Tensor) -> Tensor:
        with _using(level):
            return network(ir, vis)

    return run


def _pictures(batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    ir, vis = torch.rand(2, batch, 1, height, width, generator=generator)
    return ir, vis


@torch.inference_mode()
def _measure_time(network: LRRNet, size: tuple[int, int], rounds: int, threads: int) -> dict:
    torch.set_num_threads(threads)
    ir, vis = _pictures(1, size[1], size[0])
    runs = {way: _runs(network, way) for way in _ways()}
    return least_seconds({way: partial(run, ir, vis) for way, run in runs.items()}, rounds)


@torch.inference_mode()
def _measure_memory(network: LRRNet, size: tuple[int, int], rounds: int, way: str) -> dict:
    if sys.platform != "linux":
        return {"memory": None}
    torch.set_num_threads(1)

    def status(key: str) -> float:  # MiB
        text = Path("/proc/self/status").read_text()
        found = re.search(rf"{key}:\s*(\d+) kB", text)
        return int(found[1]) / 1024 if found else math.nan

    run = _runs(network, way)
    run(*_pictures(1, 16, 16))  # libraries allocate their own memory on first use
    ir, vis = _pictures(1, size[1], size[0])
    before = status("VmRSS")
    run(ir, vis)
    return {"memory": status("VmHWM") - before}


@torch.inference_mode()
def _measure_difference(network: LRRNet, size: tuple[int, int], rounds: int) -> dict:
    ir, vis = _pictures(1, size[1], size[0])
    outputs = {way: _runs(network, way)(ir, vis) for way in _ways()}
    with _using("0"):
        exact = network.double()(ir.double(), vis.double())
    return {way: float((output - exact).abs().max()) for way, output in outputs.items()}


def _measure_train(
    network: LRRNet, size: tuple[int, int], rounds: int, side: int, batch: int
) -> dict:
    torch.set_num_threads(1)
    ir, vis = _pictures(batch, side, side)
    network.requires_grad_(True)
    losses = {}

    def step(way: str, run: Callable[[Tensor, Tensor], Tensor]) -> None:
        network.zero_grad()
        loss = (run(ir, vis) - torch.maximum(ir, vis)).square().mean()
        loss.backward()
        losses[way] = loss.item()

    # Matrix products do not support gradients: training would use the modules one by one instead.
    steps = {way: partial(step, way, _runs(network, way)) for way in _ways() if way != MATRIX}
    return {"seconds": least_seconds(steps, rounds), "losses": losses}


def _main(settings: dict) -> None:
    from fusion.networks.weights import load_network

    measures: dict[str, Callable[..., dict]] = {
        "time": _measure_time,
        "memory": _measure_memory,
        "difference": _measure_difference,
        "train": _measure_train,
    }
    measure = measures[settings.pop("what")]
    print(json.dumps(measure(load_network(), **settings)))


# --- Report ---------------------------------------------------------------------------------------


def format_report(result: dict) -> str:
    """`bench`'s result as readable tables."""
    width, height = result["size"]
    rounds = counted(result["rounds"], "round")
    flops = convolution_flops(LRRNet(), width * height)
    lines = [
        f"LRRNet on {result['machine']}",
        f"{width}x{height}: CPU seconds, minimum of {rounds}; "
        "x: times less than the published structure's",
        "",
    ]
    header = ["", "1 thread", "x", "2 threads", "x", "cold allocator", "x"]
    header += ["MiB", "x", "difference", "of peak"]
    rows = []
    for way in result["warm"]:
        row = [way]
        for column in ("warm", "warm 2", "default"):
            row += [result[column][way], _times(result[column], way)]
        memory = result["memory"]
        row += [memory[way] and f"{memory[way]:.0f}", memory[way] and _times(memory, way)]
        peak = result["flops"].get(_level_of(way, result))
        row += [f"{result['difference'][way]:.0e}"]
        row += [f"{flops / result['warm'][way] / peak:.0%}" if peak else None]
        rows.append(row)
    lines.append(format_table(header, rows))
    for crops in result["training"]:
        seconds, losses = crops["seconds"], crops["losses"]
        batch = f"{crops['batch']} crop{'' if crops['batch'] == 1 else 's'}"
        lines += ["", f"A training step on {batch} of side {crops['side']}", ""]
        rows = [[way, seconds[way], _times(seconds, way), f"{losses[way]:.7f}"] for way in seconds]
        lines.append(format_table(["", "1 thread", "x", "loss"], rows))
    lines += [
        "",
        "Cold allocator: the C library's default, with one thread; otherwise it keeps its memory.",
        "Difference: from float64, at most. Of peak: share of one core's measured multiply-adds.",
    ]
    return "\n".join(lines)


def _times(of: Mapping[str, float], way: str) -> str:
    return f"{of[PLAIN] / of[way]:.1f}"


def _level_of(way: str, result: dict) -> str:
    """The level whose peak an implementation is compared with: the kernel's own, or the best."""
    own = way.removeprefix("kernel, ")
    return own if own in result["flops"] else next(iter(result["flops"]), "")


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
