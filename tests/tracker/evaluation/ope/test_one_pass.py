import functools
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from fusion.base.errors import UserError
from fusion.base.threads import limited_threads
from tracker.data.sequences import load_dataset
from tracker.evaluation.ope.run import result_path, run_dataset


class Drifter:
    """Moves one pixel per frame; waits or exits in sequences marked by their first box."""

    def __init__(self, note=None):
        self.note = note
        if note is not None:
            (note / f"made-{os.getpid()}").touch()

    def init(self, rgb, ir, box):
        if box[2] == 13:
            os._exit(3)  # as the kernel ends a process that has no memory left
        if self.note is not None:
            time.sleep(0.3)  # long enough for the other worker to get a sequence
        self.box = box

    def track(self, rgb, ir):
        self.box = (self.box[0] + 1, *self.box[1:])
        return self.box, 1.0


@pytest.fixture
def dataset(make_scene, tmp_path):
    """Four sequences of RGBT234, one without a box in its first frame."""
    scene = make_scene(length=4)
    for name in ("one", "two", "three", "four"):
        folder = tmp_path / "RGBT234" / name
        _, thermal = scene.write_folders(folder)
        thermal.rename(folder / "infrared")
        rows = "".join(",".join(map(str, box)) + "\n" for box in scene.boxes)
        (folder / "visible.txt").write_text(rows)
        (folder / "infrared.txt").write_text(rows)
    for modality in ("visible", "infrared"):
        path = tmp_path / "RGBT234" / "three" / f"{modality}.txt"
        path.write_text("0,0,0,0\n" + path.read_text().split("\n", 1)[1])
    return load_dataset(tmp_path / "RGBT234", "rgbt234")


def contents(folder):
    return {path.name: path.read_text() for path in sorted(folder.glob("*.txt"))}


def test_results_are_written_whole_and_kept(dataset, tmp_path):
    failures = run_dataset(Drifter, dataset, tmp_path / "out")
    assert len(failures) == 1 and failures[0].startswith("three: no box in the first frame")
    first = contents(tmp_path / "out")
    assert sorted(first) == ["four.txt", "one.txt", "two.txt"]
    for name in ("four", "one", "two"):
        assert np.loadtxt(tmp_path / "out" / f"{name}_time.value").shape == (4,)
    boxes = np.loadtxt(tmp_path / "out" / "one.txt", delimiter=",")
    np.testing.assert_array_equal(boxes[0], dataset["one"].first_box())
    np.testing.assert_array_equal(np.diff(boxes[:, 0]), 1)
    # What is there is kept, what is missing is made.
    (tmp_path / "out" / "two.txt").write_text("mine\n")
    (tmp_path / "out" / "four.txt").unlink()
    run_dataset(Drifter, dataset, tmp_path / "out", names=["one", "two", "four"])
    assert contents(tmp_path / "out") == first | {"two.txt": "mine\n"}


class Counter:
    """Its boxes are as wide as PyTorch has threads."""

    def init(self, rgb, ir, box):
        self.box = (*box[:2], torch.get_num_threads(), box[3])

    def track(self, rgb, ir):
        return self.box, 1.0


@pytest.mark.parametrize(
    ("environment", "threads", "expected"), [(None, None, 1), ("2", None, 2), ("1", 3, 3)]
)
def test_threads_do_not_depend_on_workers(
    dataset, tmp_path, monkeypatch, environment, threads, expected
):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if environment:
        monkeypatch.setenv("OMP_NUM_THREADS", environment)
    with limited_threads(5):
        for workers in (1, 2):
            folder = tmp_path / str(workers)
            run_dataset(Counter, dataset, folder, ["one", "two"], workers, threads)
            for name in ("one", "two"):
                boxes = np.loadtxt(folder / f"{name}.txt", delimiter=",")
                assert boxes[1:, 2].tolist() == [expected] * 3
        assert torch.get_num_threads() == 5


def test_workers_give_the_same_results(dataset, tmp_path):
    alone = run_dataset(Drifter, dataset, tmp_path / "alone")
    make = functools.partial(Drifter, tmp_path)
    together = run_dataset(make, dataset, tmp_path / "together", workers=2)
    assert alone == together
    assert contents(tmp_path / "alone") == contents(tmp_path / "together")
    assert len(list(tmp_path.glob("made-*"))) == 3  # two workers, and this process for its errors


def test_a_worker_that_dies_is_reported(dataset, tmp_path):
    for modality in ("visible", "infrared"):
        (dataset.root / "two" / f"{modality}.txt").write_text("5,5,13,9\n" * 4)
    with pytest.raises(UserError, match=r"ended unexpectedly .* start again"):
        run_dataset(Drifter, dataset, tmp_path / "out", names=["two", "four"], workers=2)


KILLED = """
import functools, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_one_pass import Drifter, run_dataset
from tracker.data.sequences import load_dataset
if __name__ == "__main__":
    make = functools.partial(Drifter, Path({folder!r}))
    run_dataset(make, load_dataset({root!r}), {folder!r} + "/out", workers=2)
"""


@pytest.mark.skipif(not hasattr(os, "kill"), reason="needs POSIX processes")
def test_workers_end_with_a_killed_parent(dataset, tmp_path):
    script = tmp_path / "run.py"
    tests = str(Path(__file__).parent)
    script.write_text(KILLED.format(tests=tests, folder=str(tmp_path), root=str(dataset.root)))
    parent = subprocess.Popen([sys.executable, str(script)])

    def workers():
        found = {int(path.name.split("-")[1]) for path in tmp_path.glob("made-*")}
        return found - {parent.pid}

    def wait(until):
        limit = time.monotonic() + 30
        while not until() and time.monotonic() < limit:
            time.sleep(0.05)
        return until()

    assert wait(lambda: len(workers()) == 2)
    parent.kill()
    parent.wait()
    assert wait(lambda: not any(is_running(pid) for pid in workers()))


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Nobody may be there to collect an orphan that ended.
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def test_an_interrupted_sequence_leaves_no_file(dataset, tmp_path):
    class Interrupted(Drifter):
        def track(self, rgb, ir):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_dataset(Interrupted, dataset, tmp_path / "out")
    assert contents(tmp_path / "out") == {}


def test_faults_come_before_the_work(dataset, tmp_path):
    with pytest.raises(UserError, match="no sequence five"):
        run_dataset(Drifter, dataset, tmp_path, names=["five"])
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot create this folder"):
        run_dataset(Drifter, dataset, tmp_path / "file" / "out")
    assert result_path(tmp_path, "test/one").name == "test-one.txt"
