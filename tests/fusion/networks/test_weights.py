"""Weights files: the authors' checkpoint gives their images; invalid files are refused."""

import json
import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fusion.base.checkpoints import read_tensors
from fusion.base.errors import UserError
from fusion.evaluation.metrics import evaluate
from fusion.images.pixels import PixelScaling, luminance
from fusion.images.reading import read_image, read_infrared, read_visible
from fusion.networks.lrrnet import LRRNet
from fusion.networks.weights import INCLUDED_WEIGHTS, load_network, save_network


@pytest.fixture(scope="module")
def published(shared):
    return load_network(shared / "data/weights/lrrnet_published.model")


@pytest.mark.parametrize("pair", range(1, 22))
def test_published_checkpoint_gives_the_published_pictures(shared, published, pair):
    """All 21 TNO pairs of the paper, every pixel within one grey level."""
    tno = shared / "data/tno21"
    name = f"{pair}.png"
    fused = published.fuse(read_infrared(tno / "ir" / name), read_visible(tno / "vis" / name))
    expected = read_image(tno / "lrrnet_published" / name)
    difference = np.abs(fused.astype(int) - expected)
    assert difference.max() <= 1
    assert difference.mean() < 1e-3  # rounding only: hardly any pixel differs


def test_published_checkpoint_swapped_is_another_picture(shared, published):
    """Negative control: branch 1 is the infrared's."""
    tno = shared / "data/tno21"
    fused = published.fuse(read_visible(tno / "vis/1.png"), read_infrared(tno / "ir/1.png"))
    expected = read_image(tno / "lrrnet_published/1.png")
    assert np.abs(fused.astype(int) - expected).mean() > 5


def test_published_thresholds_include_the_negative_one(published):
    threshold = published.infrared.threshold.flatten()
    assert (threshold < 0).nonzero().flatten().tolist() == [191]
    assert threshold[191].item() == pytest.approx(-0.0063, abs=1e-4)
    assert published.infrared.lam.item() == pytest.approx(0.919, abs=1e-3)
    assert published.visible.lam.item() == pytest.approx(0.341, abs=1e-3)


# --- The weights that ship ------------------------------------------------------------------------


def test_shipped_weights_are_small_and_say_their_convention():
    assert INCLUDED_WEIGHTS.stat().st_size < 500_000
    network = load_network()
    assert network.architecture == LRRNet().architecture
    assert network.scaling == PixelScaling(output="clamp", gain=1.04, rounding="round")
    assert (network.infrared.threshold >= 0).all()


def test_shipped_weights_beat_the_published_ones_on_pairs_neither_was_chosen_by(shared, published):
    """Held-out RoadScene pairs, by metrics that do not depend on an output stretch."""
    folder = shared / "data/roadscene180"
    names = sorted(path.name for path in (folder / "ir").iterdir())[-30::15]
    shipped = load_network()
    for name in names:
        ir = read_infrared(folder / "ir" / name)
        vis = luminance(read_visible(folder / "vis" / name))
        ours, theirs = (
            evaluate(network.fuse(ir, vis), ir, vis, ("ssim", "qabf", "scd", "mi"))
            for network in (shipped, published)
        )
        for key, value in ours.items():
            assert value > theirs[key], (name, key)


# --- Own files ----------------------------------------------------------------------------------


@pytest.fixture
def network():
    torch.manual_seed(0)
    return LRRNet(
        num_filters=4,
        num_blocks=2,
        combine="add",
        scaling=PixelScaling(output="clamp", gain=1.06, rounding="round"),
    )


@pytest.fixture
def saved(network, tmp_path):
    path = tmp_path / "own.safetensors"
    save_network(network, path)
    return path


def test_a_trainable_network_learns(saved):
    loaded = load_network(saved, trainable=True)
    assert loaded.training
    pair = torch.rand(2, 1, 1, 16, 16)
    loaded(*pair).mean().backward()
    assert all(parameter.grad is not None for parameter in loaded.parameters())


def test_own_file_rebuilds_the_network_alone(network, saved):
    loaded = load_network(saved)
    assert loaded.architecture == network.architecture
    assert loaded.scaling == network.scaling
    assert not loaded.training
    assert not any(p.is_meta or p.requires_grad for p in loaded.parameters())
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert not list(saved.parent.glob(".*"))  # no temporary file stays


def test_data_parallel_and_nested_checkpoints_are_unwrapped(network, tmp_path):
    path = tmp_path / "nested.pt"
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, path)
    tensors, metadata = read_tensors(path)
    assert tensors.keys() == network.state_dict().keys()
    assert metadata == {}


def change(path, tensors=None, **metadata):
    """Rewrite a safetensors file with other tensors or metadata."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        old = file.metadata()
    save_file(load_file(path) if tensors is None else tensors, path, old | metadata)


def test_missing_surplus_and_misshapen_tensors_are_named(saved):
    tensors = load_file(saved)
    del tensors["infrared.threshold"]
    tensors["stranger"] = torch.zeros(3)
    tensors["visible.encode.bias"] = torch.zeros(5)
    change(saved, tensors)
    with pytest.raises(UserError) as error:
        load_network(saved)
    message = str(error.value)
    assert "missing infrared.threshold" in message
    assert "surplus stranger" in message
    assert "visible.encode.bias [5] instead of [8]" in message


def test_published_names_are_named_as_in_the_file(shared, tmp_path):
    tensors, _ = read_tensors(shared / "data/weights/lrrnet_published.model")
    del tensors["decoder.conv_ReH.conv2d.bias"]
    tensors["get_ls1.lrrblock2.conv_Wdz.conv2d.weight"] = torch.zeros(1, 2, 3, 3)
    path = tmp_path / "broken.model"
    torch.save(tensors, path)
    with pytest.raises(UserError) as error:
        load_network(path)
    assert "missing decoder.conv_ReH.conv2d.bias" in str(error.value)
    assert "get_ls1.lrrblock2.conv_Wdz.conv2d.weight [1, 2, 3, 3]" in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
@pytest.mark.parametrize("kind", ["safetensors", "checkpoint"])
def test_truncated_files_are_refused(network, saved, tmp_path, kind, share):
    path = saved
    if kind == "checkpoint":
        path = tmp_path / "own.pt"
        torch.save(network.state_dict(), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=path.name):
        load_network(path)


class Bomb:
    """Unpickling this creates a file."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_a_pickle_that_would_run_code_is_refused(tmp_path, writer, protocol):
    path, mark = tmp_path / "evil.model", tmp_path / "mark"
    content = {"get_ls1.lamj": torch.zeros(1, 4), "x": Bomb(mark)}
    if writer == "torch":
        torch.save(content, path, pickle_protocol=protocol)
    else:
        path.write_bytes(pickle.dumps({"x": Bomb(mark)}, protocol=protocol))
    with pytest.raises(UserError, match="refused"):
        load_network(path)
    assert not mark.exists()


def test_nan_weights_are_refused(saved):
    tensors = load_file(saved)
    tensors["infrared.lam"] = torch.tensor(float("nan"))
    change(saved, tensors)
    with pytest.raises(UserError, match=r"infrared\.lam holds NaN"):
        load_network(saved)


@pytest.mark.parametrize(
    ("metadata", "complaint"),
    [
        ({"network": "resnet"}, "'resnet'"),
        ({"architecture": "{"}, "damaged metadata"),
        ({"architecture": json.dumps({"num_filters": 10**12})}, "above 4096"),
        ({"architecture": json.dumps({"depth": 3})}, "depth"),
        ({"scaling": json.dumps({"output": "sigmoid"})}, "sigmoid"),
        ({"network": ""}, "no known network"),
    ],
)
def test_unusable_metadata_is_named(saved, metadata, complaint):
    change(saved, **metadata)
    with pytest.raises(UserError, match=complaint):
        load_network(saved)


@pytest.mark.parametrize("content", [b"hello", b"PK\x03\x04 not a zip", b"\x80\x02", b"{}"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.model"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"other\.model"):
        load_network(path)


def test_paths_that_are_no_files_are_named(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        load_network(tmp_path / "nope.model")
    with pytest.raises(UserError, match="directory"):
        load_network(tmp_path)


def test_checkpoints_of_other_things_are_refused(tmp_path):
    path = tmp_path / "list.pt"
    torch.save([torch.zeros(2)], path)
    with pytest.raises(UserError, match="no named tensors"):
        load_network(path)
    torch.save({"a": 1}, path)
    with pytest.raises(UserError, match="a is not a tensor"):
        load_network(path)
    torch.save({"a": torch.zeros(2)}, path)
    with pytest.raises(UserError, match="no known network"):
        load_network(path)
