"""Outputs that cannot be written: one line, exit code 2, nothing half-written.

Root ignores permissions, so an unwritable place is simulated by a file where a folder
should be, a path below /proc, a device, and a disk that is full: the limit on the size of a file
(``EFBIG``), a tiny tmpfs where mounting is allowed, and /dev/full (``ENOSPC``).
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from malformed import FULL, assert_refused, run, tree

from fusion.base.errors import UserError
from fusion.base.files import whole_file
from fusion.commands.cli import main as fusion
from fusion.images.reading import write_image
from fusion.images.video import VideoWriter
from fusion.networks.lrrnet import LRRNet
from fusion.networks.weights import save_network
from tracker.commands.cli import main as tracker
from tracker.model.presets import build_network
from tracker.model.weights import save_tracker

resource = pytest.importorskip("resource")
EXPERIMENTS = Path(__file__).parents[2] / "experiments"
BOX = ("--box", "20,15,16,12")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Pairs of pictures, videos, annotations with results, and weights."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 2, 48, 64), np.uint8)
    for number, pair in enumerate(images):
        for side, image in zip(("ir", "vis"), pair, strict=True):
            write_image(folder / side / f"{number}.png", image)
    for column, side in enumerate(("ir", "vis")):
        with VideoWriter(folder / f"{side}.mp4", 20) as video:
            for pair in images:
                video.write(pair[column])
    (folder / "annotations/s").mkdir(parents=True)
    (folder / "results").mkdir()
    for path in (folder / "annotations/s/init.txt", folder / "results/s.txt"):
        path.write_text("4,5,16,12\n" * 6)
    torch.manual_seed(0)
    save_network(LRRNet(num_filters=2, num_blocks=1), folder / "fusion.safetensors")
    small = {"search_size": 111, "channels": 8}
    save_tracker(build_network("compact_rgb", **small), folder / "tracker.safetensors")
    return folder


def fuse(inputs, kind, out):
    method = ("--method", "average")
    if kind == "picture":
        return fusion, [
            "fuse",
            inputs / "ir/0.png",
            inputs / "vis/0.png",
            "-o",
            out / "a.png",
            *method,
        ]
    if kind == "video":
        return fusion, ["fuse", inputs / "ir.mp4", inputs / "vis.mp4", "-o", out / "a.mp4", *method]
    return fusion, ["fuse", inputs / "ir", inputs / "vis", "-o", out, *method]


def train(inputs, out):
    # Options beside a configuration count where they come after it.
    command = ["train", "fit", "--config", EXPERIMENTS / "fusion/saliency.yaml"]
    command += ["--data.root", inputs, "--data.size=32", "--data.holdout=1", "--data.workers=0"]
    command += ["--data.batch_size=2", "--model.init_args.network.init_args.num_filters=4"]
    command += ["--trainer.max_steps=2", "--trainer.accelerator=cpu"]
    command += ["--trainer.enable_progress_bar=false"]
    command += ["--trainer.logger=CSVLogger", "--trainer.logger.save_dir", out]
    return fusion, command


COMMANDS = {
    "fuse picture": lambda inputs, out: fuse(inputs, "picture", out),
    "fuse folder": lambda inputs, out: fuse(inputs, "folder", out),
    "fuse video": lambda inputs, out: fuse(inputs, "video", out),
    "fusion evaluate": lambda inputs, out: (
        fusion,
        ["evaluate", "--ir", inputs / "ir", "--vis", inputs / "vis", "--fused", inputs / "vis",
         "--metrics", "en,sd_sqrt_n", "-o", out],
    ),
    "track": lambda inputs, out: (
        tracker,
        ["track", inputs / "vis", inputs / "ir", *BOX, "-o", out, "--weights",
         inputs / "tracker.safetensors"],
    ),
    "tracker evaluate": lambda inputs, out: (
        tracker,
        ["evaluate", "--dataset", "lasher", "--annotations", inputs / "annotations", "--results",
         inputs / "results", "-o", out],
    ),
    "synthetic": lambda inputs, out: (
        tracker, ["synthetic", out, "--count", "1", "--length", "2"],
    ),
    "train": lambda inputs, out: train(inputs, out),
    "fusion export": lambda inputs, out: (
        fusion, ["export", "--weights", inputs / "fusion.safetensors", "-o", out / "a.onnx"],
    ),
    "tracker export": lambda inputs, out: (
        tracker, ["export", "--weights", inputs / "tracker.safetensors", "-o", out],
    ),
}  # fmt: skip
SLOW = ("fusion export", "tracker export")
PLACES = ["below a file", "below /proc"]


def last_line(outcome):
    """The last line; Lightning prints other lines before it."""
    assert outcome.code == 2, outcome
    assert "Traceback" not in outcome.err, outcome
    return outcome.err.splitlines()[-1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", COMMANDS)
def test_places_that_are_none(inputs, tmp_path, name, place):
    if name in SLOW and not FULL:
        pytest.skip("in make fuzz")
    if name in SLOW:
        pytest.importorskip("onnxruntime")
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "file/out" if place == "below a file" else Path("/proc/rgbt/out")
    before = tree(tmp_path)
    main, command = COMMANDS[name](inputs, out)
    line = last_line(run(main, *command))
    assert line.startswith(("fusion", "tracker")) and ("file" in line or "/proc" in line), line
    assert tree(tmp_path) == before


@contextlib.contextmanager
def largest_file(size):
    """Limit the size of files: writing more fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# Sizes that each command exceeds.
FULL_AT = {
    "fuse picture": 700,
    "fuse folder": 700,
    "fuse video": 700,
    "fusion evaluate": 40,
    "track": 30,
    "tracker evaluate": 4000,
    "synthetic": 700,
    "train": 3000,
    "fusion export": 2000,
    "tracker export": 2000,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_disk_that_fills(inputs, tmp_path, name):
    if name in SLOW and not FULL:
        pytest.skip("in make fuzz")
    if name in SLOW:
        pytest.importorskip("onnxruntime")
    main, command = COMMANDS[name](inputs, tmp_path / "out")
    with largest_file(FULL_AT[name]):
        outcome = run(main, *command)
    last_line(outcome)
    left = [path for path in tree(tmp_path) if (tmp_path / path).is_file()]
    # Frames tracked before are kept, under names that say so; logs of a training grow by the line.
    allowed = {"track": "partial", "train": ("metrics.csv", "hparams.yaml", "config.yaml")}
    endings = allowed.get(name, ())
    assert all(endings and any(end in path for end in np.atleast_1d(endings)) for path in left), (
        left
    )


def test_a_disk_of_its_own_that_is_full(inputs, tmp_path):
    """ENOSPC from a real file system."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "none", disk], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        for name in ("fuse folder", "track", "tracker evaluate", "synthetic"):
            main, command = COMMANDS[name](inputs, disk / name.replace(" ", ""))
            (disk / "filler").write_bytes(b"x" * 8192)
            assert "No space left" in run(main, *command).err
            left = [path for path in disk.rglob("*") if path.is_file() and path.name != "filler"]
            for path in left:  # whole, or named for what it is
                assert "partial" in path.name or path.stat().st_size > 1000, path
                path.unlink()
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("command", [["methods"], ["evaluate", "--json", "-"]])
def test_standard_output_on_a_full_disk(inputs, command):
    if command[0] == "evaluate":
        command = [*command, "--metrics", "en", "--ir", inputs / "ir", "--vis", inputs / "vis"]
        command += ["--fused", inputs / "vis"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fusion", *map(str, command)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done
    assert "No space left" in done.stderr


def test_a_reader_that_has_enough():
    """As ``| head -1``: no traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "fusion", "methods"], stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    assert done.returncode == 141 and done.stderr == b""


@pytest.mark.parametrize("kind", ["device", "folder", "pipe"])
def test_what_is_no_plain_file_is_not_replaced(inputs, tmp_path, kind):
    """Renaming over /dev/null would leave a file in its place."""
    target = tmp_path / "target.json"
    if kind == "device":
        target = Path(os.devnull)
    elif kind == "pipe":
        os.mkfifo(target)
    else:
        target.mkdir()
    kind_before = target.stat().st_mode
    with pytest.raises(UserError, match="cannot be written"), whole_file(target) as temporary:
        temporary.write_text("x")
    command = [
        "evaluate",
        "--ir",
        inputs / "ir",
        "--vis",
        inputs / "vis",
        "--fused",
        inputs / "vis",
    ]
    outcome = run(fusion, *command, "--metrics", "en", "--json", target)
    assert outcome.code == 2 and outcome.err.count("\n") == 1
    assert target.stat().st_mode == kind_before


def test_a_video_that_did_not_arrive_is_no_success(inputs, tmp_path):
    """OpenCV continues without an error if writing fails."""
    main, command = fuse(inputs, "video", tmp_path)
    with largest_file(700):
        assert_refused(run(main, *command), "a.mp4")
    assert tree(tmp_path) == {}
