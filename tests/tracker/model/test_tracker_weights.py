"""Weights files of trackers: own, published and ImageNet ones, whole and damaged."""

import json
import os
import pickle
import re

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fusion.base.errors import UserError
from tracker.model.network import PRESETS
from tracker.model.presets import build_network
from tracker.model.settings import OnlineSettings
from tracker.model.weights import load_imagenet, load_published, load_tracker, save_tracker
from tracker.online.rgbt_tracker import RGBTTracker

COMPACT = [name for name in PRESETS if name.startswith("compact")]


def refusal(load, *arguments, **options) -> str:
    """The line with which a call is refused."""
    with pytest.raises(UserError) as caught:
        load(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- Own files ------------------------------------------------------------------------------------


@pytest.fixture
def own_file(tmp_path):
    torch.manual_seed(0)
    network = build_network(
        "compact_dfat_llrr", branch_weights=[1, 2, 3], fusion_args={"num_blocks": 1}
    )
    network.online = {"window": 0.3, "update_interval": 5}
    path = tmp_path / "own.safetensors"
    save_tracker(network, path)
    return network, path


def test_the_file_alone_rebuilds_the_network(own_file):
    network, path = own_file
    loaded = load_tracker(path)
    assert loaded.architecture == network.architecture
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    trainable = load_tracker(path, trainable=True)
    assert trainable.training
    assert all(parameter.requires_grad for parameter in trainable.parameters())
    # What was chosen for the weights is what the tracker uses; the rest is as published.
    settings = RGBTTracker(loaded).settings
    assert settings == OnlineSettings(window=0.3, update_interval=5)
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    with safe_open(path, framework="pt") as file:
        described = json.loads(file.metadata()["architecture"])
    assert described["pixels"] == "standardized" and described["exemplar_size"] == 63


def test_a_truncated_file(own_file):
    _, path = own_file
    path.write_bytes(path.read_bytes()[:-1000])
    assert refusal(load_tracker, path).startswith(f"{path}: truncated or damaged")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "{"}, "damaged metadata"),
        ({"architecture": '{"channels": 1000000}'}, "a number above 4096"),
        ({"architecture": '{"layers": 3}'}, "own.safetensors.*layers"),
        ({"architecture": '{"backbone": "vgg"}'}, "unknown backbone 'vgg'.*--import"),
        ({"architecture": '{"channels": "many"}'}, "unusable architecture"),
        ({"architecture": "{}"}, "does not fit TrackerNetwork: missing"),
        ({"online": '{"momentum": 1}'}, "damaged metadata.*momentum"),
        ({"online": '{"window": "wide"}'}, "damaged metadata.*window is wide"),
        ({"online": '{"window": NaN}'}, "damaged metadata.*window is nan"),
        ({"online": "[1]"}, "damaged metadata"),
        ({"network": "lrrnet"}, "no tracker's weights"),
    ],
)
def test_damaged_metadata(own_file, change, message):
    _, path = own_file
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file(load_file(path), path, metadata | change)
    assert re.search(message, refusal(load_tracker, path))


# --- Published checkpoints ------------------------------------------------------------------------


@pytest.fixture
def published(shared):
    """A checkpoint of the published layout; each tensor one repeated number, to keep it small."""
    manifest = json.loads((shared / "golden" / "dfat" / "manifest.json").read_text())
    return {
        name: torch.tensor(
            0 if name.endswith("tracked") else 1 + index / 1000,
            dtype=torch.int64 if name.endswith("tracked") else torch.float32,
        ).expand(shape)
        for index, (name, shape) in enumerate(manifest.items())
    }


def save(tensors, path):
    torch.save(tensors, path)
    return path


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tensors: tensors,
        lambda tensors: {"epoch": 20, "state_dict": tensors},
        lambda tensors: {f"module.{name}": tensor for name, tensor in tensors.items()},
        lambda tensors: {n: t for n, t in tensors.items() if not n.endswith("tracked")},
        lambda tensors: {
            n: t for n, t in tensors.items() if not n.startswith("mask") and "loc_scale" not in n
        },
    ],
    ids=["plain", "nested", "data-parallel", "without-counters", "without-masks"],
)
def test_published_names(tmp_path, published, wrap):
    path = save(wrap(published), tmp_path / "dfat.pth")
    state = load_tracker(path).state_dict()
    for theirs, ours in {
        "backbone.conv1.weight": "backbones.shared.conv1.weight",
        "backbone.layer4.0.downsample.1.running_var": (
            "backbones.shared.layer4.0.downsample.1.running_var"
        ),
        "neck.downsample2.downsample.0.weight": "necks.shared.levels.0.0.weight",
        "neck.downsample4.downsample.1.bias": "necks.shared.levels.2.1.bias",
        "rpn_head.rpn3.loc.head.3.weight": "heads.shared.rpns.1.loc.head.3.weight",
        "rpn_head.cls_weight": "heads.shared.cls_weight",
    }.items():
        assert torch.equal(state[ours], published[theirs]), theirs


def test_published_into_one_modality(tmp_path, published):
    path = save(published, tmp_path / "siamrpn.pth")
    assert load_tracker(path, preset="ir").branches == ("ir",)
    line = refusal(load_tracker, path, preset="dfat_llrr")
    assert "fills dfat, rgb, ir, not dfat_llrr" in line


def test_misfits_are_named(tmp_path, published):
    path = tmp_path / "dfat.pth"
    lacking = {n: t for n, t in published.items() if n != "rpn_head.rpn4.cls.head.3.bias"}
    line = refusal(load_tracker, save(lacking, path))
    assert line.startswith(f"{path}: ") and "missing heads.shared.rpns.2.cls.head.3.bias" in line
    line = refusal(load_tracker, save(published | {"quality.weight": torch.ones(1)}, path))
    assert "surplus quality.weight" in line
    misshapen = {"rpn_head.rpn2.cls.head.3.weight": torch.ones(6, 256, 1, 1)}
    line = refusal(load_tracker, save(published | misshapen, path))
    assert re.search(r"heads.shared.rpns.0.cls.head.3.weight \[6, .* instead of \[10, ", line)


def test_other_files_are_refused(tmp_path, published):
    path = save(published, tmp_path / "dfat.pth")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "truncated" in refusal(load_tracker, path)
    save({"features.0.weight": torch.ones(3)}, path)
    assert "no tracker's weights (first tensor: features.0.weight)" in refusal(load_tracker, path)
    assert "cannot be read" in refusal(load_tracker, tmp_path / "nowhere.pth")


class Payload:
    """Pickled, a command that runs where it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_code_in_a_checkpoint_never_runs(tmp_path, published):
    marker, path = tmp_path / "ran", tmp_path / "evil.pth"
    torch.save({"state_dict": published, "extra": Payload(marker)}, path)
    assert "could run code" in refusal(load_tracker, path)
    path.write_bytes(pickle.dumps(Payload(marker)))
    refusal(load_tracker, path)
    refusal(load_imagenet, build_resnet(), path)
    assert not marker.exists()


def build_resnet(**changes):
    """A full-size network without memory, for what is refused before it is filled."""
    with torch.device("meta"):
        return build_network("dfat", **changes)


def test_a_fused_network_starts_from_a_published_one(tmp_path, published):
    path = save(published, tmp_path / "dfat.pth")
    torch.manual_seed(0)
    network = build_network("dfat_rfn", shared_backbone=False)
    fused = {
        name: tensor.clone()
        for name, tensor in network.state_dict().items()
        if name.startswith(("fusions.", "heads.fused."))
    }
    load_published(network, path)
    state = network.state_dict()
    for part in ("rgb", "ir"):
        for ours, theirs in {
            f"backbones.{part}.layer3.5.conv2.weight": "backbone.layer3.5.conv2.weight",
            f"necks.{part}.levels.1.0.weight": "neck.downsample3.downsample.0.weight",
            f"heads.{part}.loc_weight": "rpn_head.loc_weight",
        }.items():
            assert torch.equal(state[ours], published[theirs])
    assert fused and all(torch.equal(state[name], tensor) for name, tensor in fused.items())


# --- ImageNet (what it computes is in test_backbone) ----------------------------------------------


def test_imagenet_files_that_do_not_fit(tmp_path):
    network = build_resnet()
    path = save({"conv1.weight": torch.ones(64, 3, 7, 7)}, tmp_path / "resnet.pth")
    assert "not torchvision's ResNet-50" in refusal(load_imagenet, network, path)
    save({"conv1.weight": torch.ones(64, 3, 7, 7), "bn1.running_mean": torch.ones(64)}, path)
    assert "does not fit AtrousResNet50: missing bn1.weight" in refusal(
        load_imagenet, network, path
    )
    with pytest.raises(ValueError, match="resnet50 on bgr255 pixels alone"):
        load_imagenet(build_network("compact_dfat"), path)


def test_imagenet_cannot_be_downloaded(monkeypatch):
    from torchvision.models import ResNet50_Weights

    def unreachable(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(type(ResNet50_Weights.IMAGENET1K_V1), "get_state_dict", unreachable)
    line = refusal(load_imagenet, build_resnet())
    assert "resnet50" in line and "no route to host" in line and "give the file" in line
