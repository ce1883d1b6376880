"""A small dataset, workspaces of it, and a tracker that fails on demand."""

import configparser

import numpy as np
import pytest

from fusion.images.reading import write_image
from tracker.evaluation.vot.creation import take_dataset
from tracker.evaluation.vot.template import copy_template

# A correlation tracker whose start, or every frame, does what PROBE says.
PROBE = """
import os, signal, sys, time
import rgbt_trax
from tracker.evaluation.baselines.correlation import CorrelationTracker

mode = os.environ["PROBE"]
with open(os.environ["PROBE_LOG"], "a") as log:
    log.write(f"{os.getpid()}\\n")
if mode == "hang at start":
    time.sleep(600)
if mode == "exit at start":
    sys.exit("no such camera")


class Probe(CorrelationTracker):
    def track(self, rgb, ir):
        if mode == "crash":
            raise RuntimeError("lost my mind")
        if mode == "kill parent":
            os.kill(os.getppid(), signal.SIGKILL)
        if mode == "hang":
            time.sleep(600)
        if mode == "slow":
            time.sleep(0.05)
        return super().track(rgb, ir)


rgbt_trax.serve(Probe(), "probe")
"""


@pytest.fixture
def raw_dataset(tmp_path, make_scene):
    """Two sequences in RGBT234's layout, 28 frames each, with exact boxes."""
    root = tmp_path / "raw"
    for seed, name in enumerate(("car", "dog")):
        scene = make_scene(length=28, size=(144, 96), seed=seed)
        for folder, frames in (("visible", scene.rgb), ("infrared", scene.ir)):
            for number, frame in enumerate(frames):
                write_image(root / name / folder / f"{number:05d}.png", frame)
        for annotation in ("visible.txt", "infrared.txt"):
            np.savetxt(root / name / annotation, scene.boxes, "%g", ",")
    return root


@pytest.fixture
def make_workspace(tmp_path, raw_dataset):
    """Makes a workspace of the dataset; entries "probe ..." in it have the modes above."""

    def make(name="workspace"):
        workspace = tmp_path / name
        copy_template(workspace)
        take_dataset(workspace, raw_dataset)
        (workspace / "probe.py").write_text(PROBE)
        registry = configparser.ConfigParser()
        registry.read(workspace / "trackers.ini")
        modes = ("well", "slow", "crash", "kill parent", "hang", "hang at start", "exit at start")
        for mode in modes:
            registry[f"probe-{mode.replace(' ', '-')}"] = {
                "protocol": "traxpython",
                "command": "probe",
                "paths": ".",
                "timeout": "1",
                "env_probe": mode,
                "env_probe_log": str(workspace / "starts.txt"),
            }
        with (workspace / "trackers.ini").open("w") as file:
            registry.write(file)
        return workspace

    return make


@pytest.fixture
def workspace(make_workspace):
    return make_workspace()
