"""Minutes of live fusion of two streams with faults: ``make soak``.

A process serves two files on the loopback, 25 infrared and 30 visible frames a second of 320x240,
each frame with a counter in it: one in twenty is dropped, every one leaves up to 10 ms late, and
each stream is cut once for five seconds. Another process watches the page. This one fuses, reads
the counters of every pair that was fused, and prints latency, memory and mispaired frames.

The latency is from the moment at which the older frame of a pair was due at the server to the fused
picture, and to its arrival at the page's viewer as JPEG. A pair is mispaired if its frames were
taken further apart than `REACH` intervals of the slower camera, 30 ms; the stream clocks may err
by a few milliseconds, therefore pairs beyond 35 ms are counted too.
"""

import argparse
import gc
import multiprocessing as mp
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
# The packages come first: the tests have folders of their names.
sys.path.insert(0, str(Path(__file__).parents[2]))

import cv2
import numpy as np
from streams import Channel, Streams, apart, read, write_video

from fusion.images.timing import REACH
from fusion.live.fusing import LiveFusion
from fusion.live.multipart import open_multipart, pictures
from fusion.live.options import METHOD
from fusion.live.server import LiveServer
from fusion.networks.weights import load_network

SECONDS = 60  # of the files, which are repeated
CUT = 5.0


def channels(folder: Path, seconds: float) -> tuple[Channel, Channel]:
    """Both streams, each with a cut."""
    faults: dict[str, Any] = {"drops": 0.05, "jitter": 0.01}
    first, second = seconds / 3, 2 * seconds / 3
    ir = Channel(folder / "ir.avi", 25, cuts=[(first, first + CUT)], **faults)
    vis = Channel(folder / "vis.mkv", 30, cuts=[(second, second + CUT)], **faults)
    return ir, vis


def serve(folder: Path, seconds: float, tell: Any, end: Any) -> None:
    """The process of the cameras."""
    with Streams(*channels(folder, seconds)) as streams:
        tell.send((streams.address("ir"), streams.address("vis"), streams.epoch))
        end.wait()


def watch(address: str, folder: Path, seconds: float, epoch: float, tell: Any) -> None:
    """The process of the viewer: latency of every picture of the visible panel, by its counter."""
    _, vis = channels(folder, seconds)
    latencies: list[float] = []
    unread, last = 0, None
    response = open_multipart(f"{address}stream?view=visible", 30)
    while time.monotonic() - epoch < seconds:
        data, _, arrived = next(pictures(response))
        counter = read(cv2.imdecode(np.frombuffer(data, np.uint8), 1)[..., ::-1])
        if counter is None:  # "no visible picture" is shown
            unread += 1
        elif counter != last:  # a picture is repeated while there is no newer one
            latencies.append(-vis.since(counter, arrived - epoch))
        last = counter
    tell.send((latencies, unread))


def resident() -> float:
    """MiB of memory this process has."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def line(name: str, seconds: list[float]) -> str:
    """Percentiles in milliseconds."""
    ordered = sorted(seconds)
    shares = {p: ordered[min(len(ordered) - 1, int(p * len(ordered)))] for p in (0.95, 0.99)}
    return (
        f"{name}: median {1000 * statistics.median(ordered):.0f} ms, "
        f"95 % {1000 * shares[0.95]:.0f}, 99 % {1000 * shares[0.99]:.0f}, "
        f"largest {1000 * ordered[-1]:.0f}"
    )


def main() -> int:
    """Run, print, and return 1 if a pair was mispaired or memory grew."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--method", default=METHOD)
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    seconds = 60 * arguments.minutes
    network = load_network(arguments.weights, method=arguments.method)
    context = mp.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_video(folder / "ir.avi", 25, range(25 * SECONDS), color=False)
        write_video(folder / "vis.mkv", 30, range(30 * SECONDS), color=True)
        here, there = context.Pipe()
        end = context.Event()
        server = context.Process(target=serve, args=(folder, seconds, there, end), daemon=True)
        server.start()
        ir_address, vis_address, epoch = here.recv()
        live = LiveFusion(network, ir_address, vis_address, report=lambda text: print(text))
        with live, LiveServer(live, port=0) as page:
            seen, seer = context.Pipe()
            viewer = context.Process(
                target=watch, args=(page.address, folder, seconds, epoch, seer), daemon=True
            )
            viewer.start()
            failed = observe(live, channels(folder, seconds), epoch, seconds)
            page_latencies, unread = seen.recv()
        print(
            f"{line('latency to the viewer of the page', page_latencies)}; without picture {unread}"
        )
        end.set()
        server.join(10)
    return int(failed)


def observe(live: LiveFusion, both: tuple[Channel, Channel], epoch: float, seconds: float) -> bool:
    """Read every pair until the end, and print the figures."""
    ir, vis = both
    missing: Counter[str | None] = Counter()
    latencies: list[float] = []
    distances: list[float] = []
    memory: list[tuple[float, float]] = []
    unread, after, cpu = 0, 0, time.process_time()
    while (now := time.monotonic() - epoch) < seconds:
        if now > 60 * len(memory):
            memory.append((now, resident()))
        shown = live.wait(after)
        if shown is None:
            continue
        after = shown.number
        missing[shown.missing] += 1
        if shown.pair.ir is None or shown.pair.vis is None:
            continue
        counters = read(shown.pair.ir.image), read(shown.pair.vis.image)
        if counters[0] is None or counters[1] is None:
            unread += 1
            continue
        distances.append(apart(ir, counters[0], vis, counters[1]))
        done = shown.done - epoch
        latencies.append(max(-ir.since(counters[0], done), -vis.since(counters[1], done)))
    cpu = time.process_time() - cpu
    memory.append((seconds, resident()))
    status = live.status()
    limit = REACH / min(ir.fps, vis.fps)
    beyond = [sum(distance > limit + slack for distance in distances) for slack in (1e-4, 0.005)]
    settled = memory[min(1, len(memory) - 1)]
    grown = memory[-1][1] - settled[1]
    print(
        f"{seconds / 60:.1f} minutes, {live.network.__class__.__name__}: {missing[None]} pairs "
        f"({missing[None] / seconds:.1f}/s), {missing['infrared']} pictures without infrared, "
        f"{missing['visible']} without visible; {status['pairing']['unpaired']} frames without a "
        f"partner, {status['pairing']['outdated']} skipped"
    )
    connections = [camera["connections"] for camera in status["cameras"]]
    print(f"connections: infrared {connections[0]}, visible {connections[1]}")
    print(line("latency to the fused picture", latencies))
    print(
        f"mispaired: {beyond[0]} beyond {1000 * limit:.0f} ms, {beyond[1]} beyond "
        f"{1000 * limit + 5:.0f} ms; furthest {1000 * max(distances):.1f} ms, median "
        f"{1000 * statistics.median(distances):.1f} ms; unread counters {unread}"
    )
    print(
        f"memory: {settled[1]:.0f} MiB after {settled[0]:.0f} s, {memory[-1][1]:.0f} MiB at the "
        f"end ({grown:+.1f}); largest {max(size for _, size in memory):.0f}"
    )
    print(f"processor time: {cpu / seconds:.2f} cores; load {os.getloadavg()[1]:.1f}")
    return bool(beyond[1] or grown > 24 or min(connections) < 2)


if __name__ == "__main__":
    sys.exit(main())
