"""The exported files, run by ONNX Runtime alone, against the tracker's network."""

import json
import sys

import numpy as np
import pytest
import torch

from fusion.base.onnx import open_session
from tracker.commands.cli import main
from tracker.commands.export import FILES
from tracker.model.anchors import anchor_grid
from tracker.model.presets import build_network
from tracker.model.settings import OnlineSettings
from tracker.model.weights import load_tracker, save_tracker


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A network with everything to export: fused branch, gates, raw pixels and their shift."""
    torch.manual_seed(0)
    network = build_network(
        "compact_dfat_llrr", pixels="bgr255", fusion_args={"num_filters": 4, "num_blocks": 1}
    )
    network.online = {"window": 0.3}
    path = tmp_path_factory.mktemp("weights") / "compact.safetensors"
    save_tracker(network, path)
    return path


@pytest.fixture(scope="module")
def sessions(weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    assert main(["export", "--weights", str(weights), "-o", str(folder)]) == 0
    assert {path.name for path in folder.iterdir()} == set(FILES)
    return [open_session(folder / name) for name in FILES]


def run(session, feed):
    names = [each.name for each in session.get_outputs()]
    wanted = {each.name: feed[each.name] for each in session.get_inputs()}
    return dict(zip(names, session.run(None, wanted), strict=True))


def crops(rng, size):
    rgb = rng.integers(0, 256, (1, 3, size, size)).astype(np.float32)
    ir = rng.integers(0, 256, (1, 1, size, size)).astype(np.float32)
    return {"rgb": rgb, "ir": ir}


def test_the_files_respond_as_the_network(weights, sessions, rng):
    network = load_tracker(weights)
    exemplar, search = crops(rng, network.exemplar_size), crops(rng, network.search_size)

    def feed(images):
        return images | {"ir": images["ir"].repeat(3, axis=1)}

    template, kernels, respond = sessions
    found = run(respond, feed(search) | run(kernels, run(template, feed(exemplar))))
    with torch.inference_mode():
        tensors = [{m: torch.from_numpy(x) for m, x in c.items()} for c in (exemplar, search)]
        expected = network.decide(network(*tensors))
    for name in ("cls", "loc"):
        values = getattr(expected, name).numpy()
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-4 * np.abs(values).max())


def test_the_metadata_is_enough_for_the_loop(weights, sessions):
    network = load_tracker(weights)
    for session in sessions:
        metadata = session.get_modelmeta().custom_metadata_map
        assert json.loads(metadata["architecture"]) == network.architecture
        assert OnlineSettings(**json.loads(metadata["online"])) == OnlineSettings(window=0.3)
        assert "BGR" in metadata["usage"] and "mean of the RGB" in metadata["usage"]
    anchors = json.loads(metadata["anchors"])
    grid = anchor_grid(anchors["cells"], anchors["stride"], network.architecture["anchor_scale"])
    np.testing.assert_array_equal(grid[2:, :, 0, 0].T, anchors["width_height"])
    size = anchors["cells"]
    assert [each.shape for each in sessions[2].get_outputs()] == [
        [1, 10, size, size],
        [1, 20, size, size],
    ]


def test_what_cannot_be_exported(weights, tmp_path, capsys, monkeypatch):
    def refusal(*arguments):
        assert main(["export", *map(str, arguments)]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and err.startswith("tracker: ")
        return err

    (tmp_path / "taken").write_text("")
    assert "is a file; give a folder" in refusal("--weights", weights, "-o", tmp_path / "taken")
    missing = tmp_path / "none.safetensors"
    assert "cannot be read" in refusal("--weights", missing, "-o", tmp_path / "out")
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert "onnx and onnxscript not installed" in refusal("-o", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
