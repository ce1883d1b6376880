"""Memory stays flat over many frames; ten thousand in ``make fuzz``, fewer in the suite."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from malformed import FULL, figures, run

from fusion.commands.cli import main as fusion
from fusion.commands.pipeline import overlapped
from fusion.images.video import VideoWriter
from fusion.networks.lrrnet import LRRNet
from fusion.networks.weights import save_network
from tracker.model.presets import build_network
from tracker.online.rgbt_tracker import RGBTTracker

STATUS = Path("/proc/self/statm")
pytestmark = pytest.mark.skipif(not STATUS.exists(), reason="no /proc on this system")

FRAMES = 10_000 if FULL else 400
ALLOWED = 24.0
"""MiB that memory may grow by after the first tenth: what allocators and caches take to settle.
A frame of 160x120 that is kept weighs 75 KiB, and 400 of them 29 MiB."""


def resident() -> float:
    """MiB of memory this process has."""
    gc.collect()
    return int(STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Growth:
    """Memory from a tenth of the frames on."""

    def __init__(self, name):
        self.name, self.first, self.count = name, None, 0

    def __call__(self):
        self.count += 1
        if self.count == FRAMES // 10:
            self.first = resident()

    def check(self):
        grown = resident() - self.first
        figures.append(
            f"{self.name}: {self.count} frames, "
            f"{self.first:.1f} MiB after a tenth, {grown:+.1f} MiB at the end"
        )
        assert self.count >= FRAMES and grown < ALLOWED


def test_tracker():
    """With template updates, and cameras that fail in turn."""
    torch.manual_seed(0)
    small = {"search_size": 63, "exemplar_size": 31, "channels": 8, "template_cells": 3}
    tracker = RGBTTracker(build_network("compact_dfat", **small).eval())
    rng = np.random.default_rng(0)
    growth = Growth("tracker")

    def frame(index):
        rgb = rng.integers(0, 256, (120, 160, 3), np.uint8)
        ir = rng.integers(0, 256, (120, 160), np.uint8)
        return None if index % 7 == 3 else rgb, None if index % 5 == 4 else ir

    tracker.init(*frame(0), (60, 50, 30, 20))
    for index in range(1, FRAMES + 1):
        tracker.track(*frame(index))
        growth()
    growth.check()


def test_fusion_stream():
    """Reading, fusing and writing at once, as folders and videos are."""
    torch.manual_seed(0)
    network = LRRNet(num_filters=2, num_blocks=1).eval()
    growth = Growth("fusion stream")

    def read(seed):
        rng = np.random.default_rng(seed)
        return rng.integers(0, 256, (120, 160), np.uint8), rng.integers(
            0, 256, (120, 160, 3), np.uint8
        )

    sums = []
    for _, error in overlapped(
        range(FRAMES),
        read,
        lambda _, pair: network.fuse(*pair),
        lambda _, picture: sums.append(int(picture.mean())),
    ):
        assert error is None
        growth()
    assert len(sums) == FRAMES
    growth.check()


def test_fusion_of_a_video(tmp_path):
    """The command itself, from file to file."""
    rng = np.random.default_rng(0)
    growth = Growth("fusion fuse")
    save_network(LRRNet(num_filters=2, num_blocks=1), tmp_path / "w.safetensors")
    for side in ("ir", "vis"):
        with VideoWriter(tmp_path / f"{side}.avi", 25) as video:
            images = rng.integers(0, 256, (10, 48, 64), np.uint8)
            for index in range(FRAMES):
                video.write(images[index % 10])
    command = ["fuse", tmp_path / "ir.avi", tmp_path / "vis.avi", "-o", tmp_path / "out.avi"]
    original = VideoWriter.write
    try:
        VideoWriter.write = lambda self, frame: (original(self, frame), growth())[0]
        assert run(fusion, *command, "--weights", tmp_path / "w.safetensors").code == 0
    finally:
        VideoWriter.write = original
    growth.check()
