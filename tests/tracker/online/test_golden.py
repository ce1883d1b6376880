"""The published DFAT tracker, reproduced: recorded outputs on deterministic weights and frames."""

import json
import runpy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tracker.model.weights import load_tracker, save_tracker
from tracker.online.rgbt_tracker import RGBTTracker


@pytest.fixture(scope="module")
def golden(shared, tmp_path_factory):
    """Recorded outputs, frames, and the network as the public loader makes it."""
    folder = shared / "golden" / "dfat"
    inputs = runpy.run_path(str(folder / "inputs.py"))
    manifest = json.loads((folder / "manifest.json").read_text())
    weights = {
        name: torch.from_numpy(np.asarray(array))
        for name, array in inputs["weights"](manifest).items()
    }
    path = tmp_path_factory.mktemp("golden") / "dfat.pth"
    torch.save(weights, path)
    network = load_tracker(path)
    path.unlink()
    frames = [(bgr[..., ::-1], ir, box) for bgr, ir, box in inputs["frames"]()]
    return SimpleNamespace(outputs=np.load(folder / "outputs.npz"), frames=frames, network=network)


def test_rpn_outputs(golden, monkeypatch):
    tracker = RGBTTracker(golden.network)
    responses = []
    decide = tracker.network.decide
    monkeypatch.setattr(
        tracker.network,
        "decide",
        lambda named, *rest: responses.append(decide(named, *rest)) or responses[-1],
    )
    (rgb, ir, box), *rest = golden.frames[:3]
    tracker.init(rgb, ir, box)
    for rgb, ir, _ in rest:
        tracker.track(rgb, ir)
    for number, response in enumerate(responses, start=1):
        for name, output in response._asdict().items():
            expected = golden.outputs[f"{name}_{number}"]
            difference = np.abs(output[0].numpy() - expected).max()
            assert difference <= 1e-4 * np.abs(expected).max(), (name, number)


def test_boxes_and_scores_from_an_own_file(golden, tmp_path):
    # The network goes through our own format on the way, and the infrared comes as one channel.
    path = tmp_path / "dfat.safetensors"
    save_tracker(golden.network, path)
    tracker = RGBTTracker(load_tracker(path))
    path.unlink()
    (rgb, ir, box), *rest = golden.frames
    tracker.init(rgb, ir[..., 0], box)
    tracked = [tracker.track(rgb, ir[..., 0]) for rgb, ir, _ in rest]
    boxes, scores = zip(*tracked, strict=True)
    np.testing.assert_allclose(boxes, golden.outputs["boxes"][1:], rtol=0, atol=0.02)
    np.testing.assert_allclose(scores, golden.outputs["scores"][1:], rtol=0, atol=1e-4)
