"""``kill -9`` at seeded moments, then the same command again: nothing half-written, nothing lost.

A moment is a number of writes (openings, renamings, removals below the output) and a pause after
the last of them, so that a process dies before, between and within its writes. In the suite each
command is killed once; in ``make fuzz`` many times, also while it resumes.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from malformed import FULL, run, tree

from fusion.commands.cli import main as fusion
from fusion.images.reading import read_image, write_image
from fusion.networks.weights import load_network
from tracker.commands.cli import main as tracker
from tracker.data.annotations import read_regions
from tracker.data.sequences import load_dataset
from tracker.model.presets import build_network
from tracker.model.weights import load_tracker, save_tracker
from tracker.synthetic import random_spec, write_sequence

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")

ROUNDS = 8 if FULL else 1
EXPERIMENTS = Path(__file__).parents[2] / "experiments"

# Runs a command of ours, and kills itself a pause after the N-th write below a folder.
MORTAL = """
import os, signal, sys, threading, time

moment, pause, folder, program, *arguments = sys.argv[1:]
writes = 0


def die():
    time.sleep(float(pause))
    os.kill(os.getpid(), signal.SIGKILL)


def watch(event, details):
    global writes
    if event == "open":
        is_write = isinstance(details[2], int) and details[2] & (os.O_WRONLY | os.O_RDWR)
    else:
        is_write = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
    if is_write and str(details[0]).startswith(folder):
        writes += 1
        if writes == int(moment):
            threading.Thread(target=die).start() if float(pause) else die()


sys.addaudithook(watch)
if __name__ == "__main__":
    if program == "fusion":
        from fusion.commands.cli import main
    else:
        from tracker.commands.cli import main
    sys.exit(main(arguments))
"""


def die_at(moment, pause, folder, program, *arguments):
    """Run a command that kills itself; returns its exit code, 0 if it finished before."""
    command = [sys.executable, "-c", MORTAL, moment, pause, folder, program, *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def moments(seed, writes, longest):
    """Seeded moments: at one of the writes, half of them with a random pause."""
    rng = random.Random(seed)
    for _ in range(ROUNDS):
        yield rng.randint(1, writes), rng.choice([0, round(rng.uniform(0, longest), 4)])


def finished(folder):
    """Files under their final names."""
    return {name: data for name, data in tree(folder).items() if data and "partial" not in name}


# --- fusion fuse ----------------------------------------------------------------------------------


def test_fuse(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(8):
        for side in ("ir", "vis"):
            write_image(tmp_path / side / f"{number}.png", rng.integers(0, 256, (48, 64), np.uint8))
    command = ["fuse", tmp_path / "ir", tmp_path / "vis", "--method", "average", "--compare", "-o"]
    assert run(fusion, *command, tmp_path / "whole").code == 0
    whole = finished(tmp_path / "whole")
    assert len(whole) == 16

    out = tmp_path / "out"
    for moment, pause in moments(1, 34, 0.02):
        die_at(moment, pause, out, "fusion", *command, out, "--skip-existing")
        left = finished(out)
        assert left.items() <= whole.items()
        done = {path: path.stat().st_mtime_ns for path in out.glob("*.png") if path.name[0] != "."}
    outcome = run(fusion, *command, out, "--skip-existing")
    assert outcome.code == 0 and finished(out) == whole
    skipped = f", {len(done)} skipped" if done else ""
    assert f"{8 - len(done)} pairs fused{skipped}" in outcome.out
    assert all(path.stat().st_mtime_ns == at for path, at in done.items())


# --- tracker track --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sequence(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sequences") / "s"
    write_sequence(random_spec(3, length=12, size=(160, 120)), folder)
    return folder


def test_track(tmp_path, sequence):
    weights = tmp_path / "weights.safetensors"
    torch.manual_seed(0)
    save_tracker(build_network("compact_rgb", search_size=111, channels=8), weights)
    command = ["track", sequence, "--weights", weights, "--device", "cpu", "-o"]
    # Both in one thread: boxes depend on their number in the last digits.
    assert die_at(0, 0, tmp_path, "tracker", *command, tmp_path / "whole") == 0
    whole = finished(tmp_path / "whole")
    rows = whole["boxes.txt"].splitlines()
    assert len(rows) == 12

    out = tmp_path / "out"
    for moment, pause in moments(2, 7, 0.5):
        die_at(moment, pause, out, "tracker", *command, out)
        for name, content in finished(out).items():
            assert name == "report.json" or content == whole[name]
        if (out / "boxes.partial.txt").exists():
            left = (out / "boxes.partial.txt").read_bytes().splitlines()
            assert left == rows[: len(left)]
    assert die_at(0, 0, tmp_path, "tracker", *command, out) == 0
    again = finished(out)
    assert {name: again[name] for name in ("boxes.txt", "scores.txt")} == {
        name: whole[name] for name in ("boxes.txt", "scores.txt")
    }
    assert len(read_regions(out / "boxes.txt")) == 12
    assert not list(out.glob("*.partial.*"))


# --- tracker synthetic ----------------------------------------------------------------------------


def test_synthetic(tmp_path):
    command = ["synthetic", "--challenges", "night", "--count", "2", "--length", "2"]
    assert run(tracker, *command, tmp_path / "whole").code == 0
    whole = finished(tmp_path / "whole")
    assert len(whole) == 2 * 16 + 1

    out = tmp_path / "out"
    for moment, pause in moments(6, 60, 0.2):
        die_at(moment, pause, out, "tracker", *command, out)
        assert finished(out).items() <= whole.items()
        names = sorted({name.split("/")[0] for name in finished(out)} - {"list.txt"})
        assert not names or load_dataset(out).names == names
    assert run(tracker, *command, out).code == 0
    assert finished(out) == whole and not list(out.glob(".*"))


# --- tracker vot evaluate -------------------------------------------------------------------------


@pytest.mark.skipif(not FULL, reason="the suite has one death in test_vot.py")
def test_vot_evaluate(tmp_path):
    """The toolkit writes its files in place: truncated ones are detected and repeated."""
    from tracker.evaluation.vot.creation import take_dataset
    from tracker.evaluation.vot.template import copy_template

    rng = np.random.default_rng(0)
    for name in ("car", "dog"):
        for number in range(16):
            for side in ("visible", "infrared"):
                image = rng.integers(0, 256, (48, 64), np.uint8)
                write_image(tmp_path / "raw" / name / side / f"{number:05d}.png", image)
        for side in ("visible", "infrared"):
            (tmp_path / "raw" / name / f"{side}.txt").write_text("12,9,20,16\n" * 16)
    for name in ("whole", "killed"):
        copy_template(tmp_path / name)
        take_dataset(tmp_path / name, tmp_path / "raw")

    def results(name):
        folder = tmp_path / name / "results" / "NCC"
        return {path.name: path.read_bytes() for path in folder.rglob("*.bin")}

    command = ["vot", "evaluate", "NCC", "--workers", "2", "--workspace"]
    assert run(tracker, *command, tmp_path / "whole").code == 0
    whole = results("whole")
    assert len(whole) == 2
    rng = random.Random(3)
    for _ in range(ROUNDS):
        process = subprocess.Popen(
            [sys.executable, "-m", "tracker", *command, tmp_path / "killed"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        enough = rng.randint(0, 2)
        while process.poll() is None and len(results("killed")) < enough:
            time.sleep(0.01)
        time.sleep(rng.choice([0, rng.uniform(0, 3)]))
        process.kill()
        process.wait()
        time.sleep(2)  # workers end with their parent
    assert run(tracker, *command, tmp_path / "killed").code == 0
    assert results("killed") == whole


# --- Training -------------------------------------------------------------------------------------


def last_checkpoint(folder):
    found = sorted(folder.rglob("last.ckpt"), key=lambda path: path.stat().st_mtime)
    return found[-1:]


def check_training(folder, main, command, seed, load):
    """Killed at seeded moments or not: the same weights; every checkpoint is readable."""
    place = "--trainer.logger.save_dir"
    assert run(main, *command, place, folder / "whole").code == 0
    (expected,) = (folder / "whole").rglob("weights.safetensors")
    # Dead between its last checkpoint and its last record: nothing is left to train.
    (last,) = last_checkpoint(folder / "whole")
    assert run(main, *command, place, folder / "again", f"--ckpt_path={last}").code == 0
    (again,) = (folder / "again").rglob("weights.safetensors")
    ours, theirs = load(again).state_dict(), load(expected).state_dict()
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())

    out = folder / "out"
    program = "fusion" if main is fusion else "tracker"
    for moment, pause in moments(seed, 30, 0.3):
        resume = [f"--ckpt_path={path}" for path in last_checkpoint(out)]
        code = die_at(moment, pause, out, program, *command, place, out, *resume)
        for path in out.rglob("*.ckpt"):
            if path.name[0] != ".":
                assert "state_dict" in torch.load(path, map_location="cpu", weights_only=True)
        for path in out.rglob("*.safetensors"):
            if path.name[0] != ".":
                load(path)
        for path in out.rglob("*.png"):
            if path.name[0] != ".":
                read_image(path)
        if code == 0:
            break
    resume = [f"--ckpt_path={path}" for path in last_checkpoint(out)]
    assert run(main, *command, place, out, *resume).code == 0
    found = sorted(out.rglob("weights.safetensors"), key=lambda path: path.stat().st_mtime)
    ours, theirs = load(found[-1]).state_dict(), load(expected).state_dict()
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())


@pytest.fixture
def one_thread():
    """As the runs that die: weights depend on the number of threads in their last digits, and Adam
    makes more of those."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


CALLBACKS = [
    "--trainer.callbacks+=lightning.pytorch.callbacks.ModelCheckpoint",
    "--trainer.callbacks.every_n_train_steps=2",
    "--trainer.callbacks.save_last=true",
]
TINY = ["--trainer.max_steps=6", "--trainer.logger=CSVLogger", "--trainer.accelerator=cpu"]
TINY += ["--trainer.enable_progress_bar=false", "--data.workers=0", "--data.batch_size=2"]


@pytest.mark.filterwarnings("ignore")
def test_fusion_train(tmp_path, one_thread):
    rng = np.random.default_rng(0)
    for number in range(6):
        for side in ("ir", "vis"):
            path = tmp_path / "pairs" / side / f"{number}.png"
            write_image(path, rng.integers(0, 256, (40, 48), np.uint8))
    command = ["train", "fit", "--config", EXPERIMENTS / "fusion/saliency.yaml", *TINY]
    command += ["--data.root", tmp_path / "pairs", "--data.size=32", "--data.holdout=1"]
    command += ["--model.init_args.network.init_args.num_filters=4"]
    command += ["--trainer.callbacks=fusion.training.records.KeepRecord"]
    command += ["--trainer.callbacks.every_n_steps=2", *CALLBACKS]
    check_training(tmp_path, fusion, command, 4, load_network)


@pytest.mark.filterwarnings("ignore")
def test_tracker_train(tmp_path, one_thread):
    for seed in range(2):
        spec = random_spec(seed, length=3, size=(160, 120), split="train")
        write_sequence(spec, tmp_path / "sequences" / f"s{seed}")
    command = ["train", "fit", "--config", EXPERIMENTS / "tracker/compact_rgb.yaml", *TINY]
    command += ["--data.roots", f"{{synthetic: {tmp_path / 'sequences'}}}"]
    command += ["--data.pairs=8", "--data.val_pairs=2", "--data.holdout=0"]
    network = "--model.init_args.network.init_args"
    command += [f"{network}.search_size=111", f"{network}.channels=8"]
    command += ["--trainer.callbacks=lightning.pytorch.callbacks.EMAWeightAveraging"]
    command += [
        "--trainer.callbacks.decay=0.8",
        "--trainer.callbacks+=tracker.training.module.KeepTracker",
    ]
    command += ["--trainer.callbacks.every_n_steps=2", "--trainer.callbacks.samples=2", *CALLBACKS]
    check_training(tmp_path, tracker, command, 5, load_tracker)
