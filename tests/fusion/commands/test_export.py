"""ONNX files: ONNX Runtime's output equals PyTorch's."""

import json
import sys

import numpy as np
import pytest
import torch
from torch import nn

from fusion.base.errors import UserError
from fusion.base.onnx import check_packages, open_session, write_onnx
from fusion.commands.cli import main
from fusion.commands.export import _usage, export_network
from fusion.images.pixels import PixelScaling
from fusion.networks.lrrnet import LRRNet
from fusion.networks.registry import NETWORKS
from fusion.networks.weights import load_network, save_network


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A small LRRNet with a negative threshold, like the published one."""
    torch.manual_seed(0)
    network = LRRNet(num_filters=4, num_blocks=1)
    with torch.no_grad():
        network.infrared.threshold.mul_(0.1)[2] = -0.05
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_network(network, path)
    return path, load_network(path)


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    assert main(["export", "--weights", str(network[0]), "-o", str(path)]) == 0
    return path


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (1, 1, 2, 17), (2, 1, 41, 24), (1, 1, 120, 161)])
def test_any_size_is_fused_as_by_pytorch(network, exported, shape):
    ir, vis = torch.rand(2, *shape)
    (fused,) = open_session(exported).run(None, {"ir": ir.numpy(), "vis": vis.numpy()})
    with torch.inference_mode():
        expected = network[1](ir, vis).numpy()
    np.testing.assert_allclose(fused, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_negative_threshold_moves_values_away_from_zero(network, exported):
    """Treated as positive, or as zero, the threshold would give a different image."""
    ir, vis = torch.rand(2, 1, 1, 40, 40)
    (fused,) = open_session(exported).run(None, {"ir": ir.numpy(), "vis": vis.numpy()})
    other = load_network(network[0])
    with torch.inference_mode():
        other.infrared.threshold.clamp_(min=0)
        assert np.abs(other(ir, vis).numpy() - fused).max() > 1e-3 * np.abs(fused).max()


def test_the_file_alone_says_how_it_is_used(network, exported):
    metadata = open_session(exported).get_modelmeta().custom_metadata_map
    assert metadata["network"] == "lrrnet" and metadata["min_side"] == "2"
    assert json.loads(metadata["architecture"]) == network[1].architecture
    assert PixelScaling(**json.loads(metadata["scaling"])) == network[1].scaling
    assert "(p - min p) / (max p - min p + 1e-05)" in metadata["usage"]


def test_the_convention_in_words():
    unit = PixelScaling(input="unit", output="clamp", gain=2.0, rounding="round")
    words = _usage(LRRNet(num_filters=2, num_blocks=0, scaling=unit))
    assert "as p / 255;" in words and "255 * (y * 2 clipped to 0..1), rounded" in words


def test_a_file_that_differs_is_not_left(tmp_path):
    class Wrong(nn.Module):
        def forward(self, x):
            return x * 1.001

    checks = [(torch.rand(1, 3, generator=torch.Generator().manual_seed(0)),)]
    arguments = {"inputs": ["x"], "outputs": ["y"], "metadata": {}}
    with pytest.raises(UserError, match=r"not written, because .* differs"):
        write_onnx(Wrong(), tmp_path / "a.onnx", checks, reference=nn.Identity(), **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["ddcgan", "ifcnn", "sdnet", "u2fusion"])
def test_other_methods_are_exported(name, tmp_path):
    """`export_network` itself compares the file with PyTorch on three sizes."""
    torch.manual_seed(0)
    network = NETWORKS[name]().requires_grad_(False)
    assert export_network(network, tmp_path / "a.onnx") < 1e-5


def test_a_file_that_cannot_be_computed_is_not_left(tmp_path):
    checks = [(torch.rand(1, 3),), (torch.rand(1, 4),)]  # no size is declared as variable
    arguments = {"inputs": ["x"], "outputs": ["y"], "metadata": {}}
    with pytest.raises(UserError, match=r"a\.onnx: not written, .* for inputs of 1x4;"):
        write_onnx(nn.ReLU(), tmp_path / "a.onnx", checks, **arguments)
    assert not list(tmp_path.iterdir())


# --- Bad input ------------------------------------------------------------------------------------


def refusal(capsys, *arguments):
    assert main(["export", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("fusion: ")
    return err


def test_bad_paths_are_refused_at_once(network, tmp_path, capsys):
    (tmp_path / "folder.onnx").mkdir()
    assert "ends in .onnx" in refusal(capsys, "-o", tmp_path / "network.pt")
    assert "is a directory" in refusal(capsys, "-o", tmp_path / "folder.onnx")
    assert "cannot be read" in refusal(
        capsys, "--weights", tmp_path / "none.safetensors", "-o", tmp_path / "a.onnx"
    )
    assert "nothing to export" in refusal(capsys, "--method", "average", "-o", tmp_path / "a.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.onnx"]


def test_a_missing_package_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    err = refusal(capsys, "-o", tmp_path / "a.onnx")
    assert "onnxruntime not installed; pip install 'rgbt-lrrnet[export]'" in err
    monkeypatch.undo()
    check_packages()
