"""Weights files of trackers: own safetensors, published DFAT and PySOT checkpoints, ImageNet.

Files of this package contain architecture and preprocessing in their metadata, so that the network
can be rebuilt from the file alone. The tensors of published checkpoints are read by PyTorch's
restricted unpickler and renamed; a file that would execute code is refused.
"""

import copy
import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from fusion.base.checkpoints import (
    build_on_meta,
    fill,
    read_architecture,
    read_tensors,
    require_match,
    write_tensors,
)
from fusion.base.errors import UserError
from fusion.images.pixels import IMAGENET_DEVIATION, IMAGENET_MEAN
from tracker.model.joint import JOINT_PRESETS, JointTracker
from tracker.model.nanotrack import NANOTRACK_ONLINE, is_nanotrack, rename_nanotrack
from tracker.model.network import PRESETS, TrackerNetwork
from tracker.model.pretrained import DFAT_PRESETS, INCLUDED_WEIGHTS, NANOTRACK_PRESETS
from tracker.model.registry import BACKBONES, NETWORKS
from tracker.model.settings import check_online

FORMAT = "rgbt-tracker"

Network: TypeAlias = TrackerNetwork | JointTracker
"""Any network of this package that follows a target."""


def save_tracker(network: Network, path: str | Path) -> None:
    """Write a network's weights, architecture, preprocessing and online settings as safetensors.

    Args:
        network: a network whose class is in `tracker.model.registry.NETWORKS`.

    Raises:
        UserError: the network's class is not registered, or the file cannot be written.
    """
    metadata = {
        "network": FORMAT,
        "family": NETWORKS.stored_name(type(network)),
        "architecture": json.dumps(network.architecture),
        "online": json.dumps(network.online),
    }
    write_tensors(path, network, metadata)


def load_tracker(
    path: str | Path | None = None,
    *,
    preset: str = "dfat",
    device: torch.device | str = "cpu",
    trainable: bool = False,
) -> Network:
    """Load a tracker's network from its weights file.

    Args:
        path: a safetensors file of this package; a published DFAT or PySOT (SiamRPN++ on ResNet-50)
            checkpoint; or NanoTrack v3's. None loads the included tracker.
        preset: the network of a published checkpoint: "dfat", "rgb" or "ir"; for NanoTrack
            "nanotrack" (both modalities, joined; the default there), "nanotrack_mean",
            "nanotrack_rgb" or "nanotrack_ir". Files of this package contain their architecture.
        device: the device of the network.
        trainable: training mode with gradients; else evaluation mode with ``requires_grad=False``.

    Raises:
        UserError: the file is missing, truncated, contains code, or its tensors do not match; the
            message names the file and the tensors.
    """
    path = INCLUDED_WEIGHTS if path is None else path
    tensors, metadata = read_tensors(path)
    network: Any
    if metadata.get("network") == FORMAT:
        family = metadata.get("family", "siamese")  # files before 2026-12 have none
        arguments = _current(read_architecture(path, metadata))
        network = build_on_meta(path, partial(NETWORKS.create, family), arguments)
        network.online = _online(path, metadata)
    elif is_nanotrack(tensors):
        name = preset if preset in NANOTRACK_PRESETS else NANOTRACK_PRESETS[0]
        network = build_on_meta(path, JointTracker, JOINT_PRESETS[name])
        network.online = dict(NANOTRACK_ONLINE)
        if len(network.modalities) > 1 and network.join != "pixels":
            network.online["border"] = "replicate"
        gates = {n: torch.zeros(t.shape) for n, t in network.state_dict().items() if ".joins." in n}
        tensors = rename_nanotrack(tensors) | gates
    elif preset in DFAT_PRESETS:
        network = build_on_meta(path, TrackerNetwork, PRESETS[preset])
        tensors = _renamed(path, tensors, network)
    else:
        raise UserError(
            f"{path}: a published checkpoint fills {', '.join(DFAT_PRESETS)}, not {preset}; "
            "name one of these"
        )
    fill(network, require_match(path, tensors, network), trainable)
    return network.to(device)


@torch.no_grad()
def blend_trackers(networks: Sequence[Network], shares: Sequence[float]) -> Network:
    """The weighted mean of the weights of networks with one architecture, such as those of several
    stages or seeds of a training. It often tracks better than each of them.

    Args:
        networks: not changed; the first gives the online settings.
        shares: one for each network, not negative; their sum counts as 1.

    Raises:
        ValueError: the architectures differ, or the shares do not fit.
    """
    if len(shares) != len(networks) or min(shares) < 0 or sum(shares) <= 0:
        raise ValueError(f"{len(networks)} networks need as many shares, got {list(shares)}")
    if any(n.architecture != networks[0].architecture for n in networks):
        raise ValueError("networks of different architectures cannot be blended")
    blended = copy.deepcopy(networks[0])
    states = [network.state_dict() for network in networks]
    for name, tensor in blended.state_dict().items():
        if tensor.is_floating_point():
            parts = (share * state[name] for share, state in zip(shares, states, strict=True))
            tensor.copy_(sum(parts) / sum(shares))
    return blended


def load_published(network: TrackerNetwork, path: str | Path) -> None:
    """Initialise a network for training from a published DFAT or PySOT checkpoint.

    Backbone, neck and RPN of every modality are loaded. A fused branch and gates, which published
    checkpoints do not have, remain unchanged.

    Args:
        network: a network with ResNet-50 and the published sizes.
        path: the checkpoint.

    Raises:
        UserError: see `load_tracker`.
    """
    modal = network.architecture | {"fusion": None, "gate": False, "branch_weights": None}
    reference = build_on_meta(path, TrackerNetwork, modal)
    tensors = _renamed(path, read_tensors(path)[0], reference)
    require_match(path, tensors, reference)
    network.load_state_dict(tensors, strict=False)


def _current(arguments: dict[str, Any]) -> dict[str, Any]:
    """Convert the arguments of an older file to those of `TrackerNetwork` today.

    Until 2026-12, the size of the LLRR stacks was given by two arguments of the network.
    """
    old = {"fusion_filters": "num_filters", "fusion_blocks": "num_blocks"}
    stacks = {new: arguments[name] for name, new in old.items() if name in arguments}
    current = {name: value for name, value in arguments.items() if name not in old}
    if stacks and current.get("fusion") == "llrr":
        current["fusion_args"] = stacks
    return current


def _online(path: str | Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Online settings from an own file's metadata; none in a file without any."""
    try:
        settings = json.loads(metadata.get("online", "{}"))
        check_online(settings)
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path}: damaged metadata ({error}); download it again") from error
    return settings


# --- Published names ----------------------------------------------------------------------------

# Tensors that do not affect boxes: mask heads, and a scale of DFAT's that its RPN does not apply.
_UNUSED = ("mask_head.", "refine_head.", "rpn_head.loc_scale")

# Published name patterns to ours; "{part}" is the part of the network that the tensor belongs to.
# Their levels are numbered from 2, after the stages of ResNet.
_NAMES = (
    (r"backbone\.(.+)", r"backbones.{part}.\1"),
    (r"neck\.downsample([234])\.downsample\.(.+)", r"necks.{part}.levels.<\1>.\2"),
    (r"rpn_head\.rpn([234])\.(.+)", r"heads.{part}.rpns.<\1>.\2"),
    (r"rpn_head\.(cls_weight|loc_weight)", r"heads.{part}.\1"),
)


def _renamed(
    path: str | Path, tensors: Mapping[str, Tensor], network: TrackerNetwork
) -> dict[str, Tensor]:
    """Rename a published checkpoint's tensors to our names, for every part of the network.

    Names that match no pattern are kept, so that they are reported as unexpected.
    """
    if not any(name.startswith(("backbone.", "rpn_head.")) for name in tensors):
        raise UserError(
            f"{path}: no tracker's weights (first tensor: {next(iter(tensors), 'none')}); give a "
            "file saved by this package, or a published DFAT or PySOT checkpoint"
        )
    renamed = {}
    for name, tensor in tensors.items():
        if name.startswith(_UNUSED):
            continue
        ours = name
        for pattern, replacement in _NAMES:
            if re.fullmatch(pattern, name):
                ours = re.sub(pattern, replacement, name)
                ours = re.sub("<(.)>", lambda level: str(int(level[1]) - 2), ours)
        for part in network.backbones:
            renamed[ours.replace("{part}", part)] = tensor
    # Counters of running statistics were added in PyTorch 0.4.1; older files have none.
    for name, tensor in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            renamed.setdefault(name, torch.zeros(tensor.shape, dtype=tensor.dtype))
    return renamed


# --- ImageNet -----------------------------------------------------------------------------------


def load_imagenet(network: TrackerNetwork, path: str | Path | None = None) -> None:
    """Initialise a network's backbones from torchvision's ResNet-50, trained on ImageNet.

    Where the dilated layout has a 3x3 shortcut and ImageNet's network a 1x1 one, the 1x1 kernel
    becomes the centre of the 3x3 kernel. ImageNet's pixels are RGB in 0..1, normalised per channel;
    ours are raw BGR. The first convolution and normalisation are adjusted for the difference, which
    is exact because that convolution has no padding.

    Args:
        network: a network whose `Backbone.imagenet` names suitable weights, without separate stems,
            on raw pixels ("bgr255").
        path: a state dict of ``torchvision.models.resnet50``, as safetensors or a checkpoint; None
            downloads it.

    Raises:
        ValueError: the network has a different backbone or pixel convention.
        UserError: the file is unusable, or cannot be downloaded.
    """
    names = {backbone.imagenet for backbone in network.backbones.values()}
    if names == {None} or network.pixels != "bgr255" or network.stems:
        able = [name for name, kind in BACKBONES.items() if kind.imagenet is not None]
        raise ValueError(
            f"ImageNet weights fit the backbones {', '.join(able)} on bgr255 pixels alone; the "
            f"network has {network.architecture['backbone']} on {network.pixels} pixels"
        )
    source: str | Path
    if path is None:
        name = next(name for name in names if name is not None)
        source, tensors = name, _downloaded(name)
    else:
        source, (tensors, _) = path, read_tensors(path)
    tensors = {name: t for name, t in tensors.items() if not name.startswith("fc.")}
    tensors = _to_raw_bgr(source, tensors)
    for backbone in network.backbones.values():
        expected = backbone.state_dict()
        fitted = {
            name: _centred(tensor, expected[name]) if name in expected else tensor
            for name, tensor in tensors.items()
        }
        require_match(source, fitted, backbone)
        backbone.load_state_dict(fitted)


def _downloaded(name: str) -> dict[str, Tensor]:
    from torchvision.models import get_weight

    weights = get_weight(name)
    try:
        return weights.get_state_dict(check_hash=True, weights_only=True)
    except OSError as error:
        raise UserError(
            f"{weights.url}: cannot be downloaded ({error}); download it elsewhere and give the "
            "file (--model.init_args.start FILE)"
        ) from error


def _centred(tensor: Tensor, expected: Tensor) -> Tensor:
    """Pad a 1x1 kernel to the centre of a 3x3 one, if that shape is expected."""
    if tensor.shape[2:] == (1, 1) and expected.shape[2:] == (3, 3):
        return torch.nn.functional.pad(tensor, (1, 1, 1, 1))
    return tensor


def _to_raw_bgr(path: str | Path, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Convert the first layer from standardised RGB to raw BGR in 0..255.

    With ``x = (p / 255 - m) / d``, a convolution of x with w is a convolution of p with
    ``w / (255 d)``, minus ``sum(w m / d)``, which is absorbed by the running mean of the following
    normalisation.
    """
    try:
        weight, mean = tensors["conv1.weight"], tensors["bn1.running_mean"]
        deviation = weight.new_tensor(IMAGENET_DEVIATION).view(1, 3, 1, 1)
        offset = (weight * weight.new_tensor(IMAGENET_MEAN).view(1, 3, 1, 1) / deviation).sum(
            (1, 2, 3)
        )
        raw = {
            "conv1.weight": (weight / (255 * deviation)).flip(1),
            "bn1.running_mean": mean + offset,
        }
    except (KeyError, RuntimeError) as error:
        raise UserError(
            f"{path}: not torchvision's ResNet-50 (conv1.weight or bn1.running_mean is missing or "
            "of another shape); give its state dict"
        ) from error
    return tensors | raw
