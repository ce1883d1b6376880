"""Weights files: the package's own safetensors, and published checkpoints through a name map.

A file of this package contains the network's name, architecture and pixel convention in its
metadata, so that the network can be rebuilt from the file alone. Published checkpoints (or a
folder, if a network is published as several files) are read by PyTorch's restricted unpickler,
which accepts tensors and plain containers and refuses files that would execute code.
"""

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

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
from fusion.base.registry import unknown
from fusion.images.pixels import PixelScaling
from fusion.networks.base import FusionNetwork
from fusion.networks.lrrnet import LRRNet
from fusion.networks.registry import CLASSICAL, NETWORKS

__all__ = [
    "INCLUDED_WEIGHTS",
    "description",
    "included_weights",
    "load_named",
    "load_network",
    "save_network",
]

_INCLUDED = Path(__file__).with_name("pretrained")

#: LRRNet's weights as trained by this package; see experiments/README.md.
INCLUDED_WEIGHTS = _INCLUDED / "lrrnet.safetensors"

#: Suffixes of weights files; other files in a folder are ignored.
WEIGHTS_SUFFIXES = frozenset({".safetensors", ".pt", ".pth", ".pkl", ".model", ".ckpt", ".index"})


def included_weights(method: str) -> Path | None:
    """The weights of a method that this package trained and includes, or None."""
    path = _INCLUDED / f"{method}.safetensors"
    return path if path.is_file() else None


def save_network(network: FusionNetwork, path: str | Path) -> None:
    """Write a network's weights, architecture and pixel convention as safetensors.

    Raises:
        UserError: the file cannot be written.
    """
    write_tensors(path, network, description(network))


def description(network: FusionNetwork) -> dict[str, str]:
    """The metadata of a network's weights file: "network", "architecture" and "scaling".

    Raises:
        UserError: the network's class is not registered.
    """
    return {
        "network": NETWORKS.stored_name(type(network)),
        "architecture": json.dumps(network.architecture),
        "scaling": json.dumps(dataclasses.asdict(network.scaling)),
    }


def load_network(
    path: str | Path | None = None,
    *,
    method: str | None = None,
    rule: str | None = None,
    device: torch.device | str = "cpu",
    trainable: bool = False,
) -> FusionNetwork:
    """Load a fusion network from its weights.

    Args:
        path: a safetensors file of this package; a published checkpoint of LRRNet or of a method
            whose class defines ``published``; or a folder with all published files of such a
            method, which then has to be named by ``method``. None loads the included weights of
            the method, or of LRRNet.
        method: a name from `NETWORKS`, which the weights must belong to; None detects it from the
            file. Or a method from `fusion.networks.classical`, which has no weights.
        rule: one of the network's ``rules`` for fusing features; defaults to the rule stored with
            the weights, or the published one. The pixel convention follows the rule.
        device: the device of the network.
        trainable: training mode with gradients; else evaluation mode with ``requires_grad=False``.

    Raises:
        UserError: see `read_tensors` and `require_match`; the weights belong to an unknown network
            or to a different method; a folder lacks a file; or the network does not have the rule.
    """
    if method is not None and method in CLASSICAL:
        if path is not None or rule is not None:
            raise UserError(f"{method}: has no parameters, so it takes no weights and has no rules")
        return CLASSICAL[method]().eval()
    if method is not None and method not in NETWORKS:
        raise UserError(unknown("method", method, (*NETWORKS, *CLASSICAL)))
    if path is None:
        path = INCLUDED_WEIGHTS if method is None else included_weights(method)
        if path is None:
            raise UserError(
                f"{method}: no weights are included for this method; give --weights, published "
                "ones or those of fusion train"
            )
    metadata: dict[str, str]
    if Path(path).is_dir():
        tensors, metadata = _read_folder(Path(path), method), {}
    else:
        tensors, metadata = read_tensors(path)
    found = metadata.get("network") or _published_method(path, tensors)
    if found not in NETWORKS:
        raise UserError(
            f"{path}: {unknown('fusion network', found, NETWORKS)}. A network of your own is known "
            "once its module is imported: --import MODULE"
        )
    if method not in (None, found):
        raise UserError(
            f"{path}: has weights of {found}, not of {method}; give {method}'s own, or another "
            "method"
        )
    build = NETWORKS[found]
    name_in_file: Callable[[str], str] = str
    if metadata.get("network"):
        arguments = _described(path, metadata)
    elif build is LRRNet:
        name_in_file = _published_lrrnet_name
        arguments, tensors = _published_lrrnet(path, tensors)
    else:
        assert build.published is not None  # it was found by this
        name_in_file = build.published.name_in_file
        arguments, tensors = {}, build.published.prepare(tensors)
    if rule is not None:
        if rule not in build.rules:
            offered = f"its rules are {', '.join(build.rules)}" if build.rules else "it has none"
            raise UserError(f"{found}: no fusion rule {rule!r}; {offered}")
        if "scaling" in arguments:
            arguments["scaling"] = _scaling_by(rule, path, build, arguments)
        arguments["rule"] = rule
    network = build_on_meta(path, build, arguments)
    fill(network, require_match(path, tensors, network, name_in_file), trainable)
    return network.to(device)


def load_named(source: str, device: torch.device | str = "cpu") -> FusionNetwork:
    """Load the network of a weights file, or a method by its name, in evaluation mode.

    Raises:
        UserError: as `load_network`; a name that is neither a file nor a method is unknown.
    """
    path = Path(source) if Path(source).is_file() else None
    return load_network(path, method=None if path else source, device=device)


def _scaling_by(
    rule: str, path: str | Path, build: type[FusionNetwork], arguments: dict
) -> PixelScaling:
    """The pixel convention under another rule than the stored one's.

    What the stored convention shares with the default of its own rule follows the default of the
    new one; what training set otherwise stays.
    """
    plain = {name: value for name, value in arguments.items() if name != "scaling"}
    before = dataclasses.asdict(build_on_meta(path, build, plain).scaling)
    after = dataclasses.asdict(build_on_meta(path, build, plain | {"rule": rule}).scaling)
    stored = dataclasses.asdict(arguments["scaling"])
    return PixelScaling(
        **{name: after[name] if stored[name] == before[name] else stored[name] for name in stored}
    )


def _published_method(path: str | Path, tensors: Mapping[str, Tensor]) -> str:
    """Name of the method whose published tensors these are."""
    if _PUBLISHED_LRRNET_MARKER in tensors:
        return "lrrnet"
    for name, network in NETWORKS.items():
        if network.published is None:
            continue
        there = [marker in tensors for marker in network.published.markers]
        if all(there):
            return name
        if any(there):
            raise UserError(
                f"{path}: one of the {len(there)} published files of {network.__name__}; "
                f"give the folder that contains all of them, and {name} as the method"
            )
    raise UserError(
        f"{path}: of no known network (first tensor: {next(iter(tensors), 'none')}); give "
        "a file saved by this package or a published checkpoint of LRRNet, "
        + ", ".join(n.__name__ for n in NETWORKS.values() if n.published)
    )


def _read_folder(folder: Path, method: str | None) -> dict[str, Tensor]:
    """Tensors of all published files of a method, from a folder that may contain other files."""
    if method is None:
        inside = folder / "weights.safetensors"  # of a training run
        fix = f"give {inside}" if inside.is_file() else "name the method whose files to read"
        raise UserError(f"{folder}: is a directory; {fix}")
    network = NETWORKS[method]
    published = network.published
    if published is None:
        raise UserError(f"{folder}: is a directory; {method} takes a single file")
    sources: dict[str, Path] = {}
    tensors: dict[str, Tensor] = {}
    unread: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in WEIGHTS_SUFFIXES:
            continue
        try:
            content, _ = read_tensors(path)
        except UserError as error:
            unread.append(str(error))  # may be another method's; reported if a file is missing
            continue
        for marker in published.markers:
            if marker not in content:
                continue
            if marker in sources:
                raise UserError(
                    f"{folder}: {sources[marker].name} and {path.name} contain the same part of "
                    f"{network.__name__}; keep one of them"
                )
            sources[marker] = path
            tensors |= content
    missing = [marker for marker in published.markers if marker not in sources]
    if missing:
        raise UserError(
            f"{folder}: lacks {len(missing)} of the {len(published.markers)} published files of "
            f"{network.__name__} (the one with {missing[0]})"
            + (f"; unreadable: {unread[0]}" if unread else "; add it")
        )
    return tensors


def _described(path: str | Path, metadata: dict[str, str]) -> dict:
    """Constructor arguments, including the pixel convention, from the metadata of a file."""
    architecture = read_architecture(path, metadata)
    try:
        scaling = PixelScaling(**json.loads(metadata["scaling"]))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: damaged metadata ({error}); download it again") from error
    return architecture | {"scaling": scaling}


_PUBLISHED_LRRNET_MARKER = "get_ls1.lamj"

# Our names to the published ones. The authors' branch 1 processes the infrared image. Of their four
# reductions, Z denotes low-rank and U sparse; x and y denote branch 1 and 2.
_PUBLISHED_LRRNET = {
    "infrared": "get_ls1",
    "visible": "get_ls2",
    "encode": "conv_W00.conv2d",
    "threshold": "lamj",
    "lam": "lamz",
    "synthesis": "conv_Wdz.conv2d",
    "analysis": "conv_Wdtz.conv2d",
    "low_rank_ir": "conv_ReZx.conv2d",
    "sparse_ir": "conv_ReUx.conv2d",
    "low_rank_vis": "conv_ReZy.conv2d",
    "sparse_vis": "conv_ReUy.conv2d",
    "low_rank": "conv_ReL.conv2d",
    "sparse": "conv_ReH.conv2d",
}


def _published_lrrnet_name(name: str) -> str:
    name = re.sub(r"\bblocks\.(\d+)", r"lrrblock\1", name)
    return ".".join(_PUBLISHED_LRRNET.get(part, part) for part in name.split("."))


def _published_lrrnet(
    path: str | Path, tensors: Mapping[str, Tensor]
) -> tuple[dict, dict[str, Tensor]]:
    """Constructor arguments and, in our shapes, the tensors of the authors' checkpoint."""
    num_coefficients = tensors[_PUBLISHED_LRRNET_MARKER].numel()
    if num_coefficients % 2:
        raise UserError(f"{path}: get_ls1.lamj has {num_coefficients} thresholds, an odd number")
    blocks = set(re.findall(r"\blrrblock\d+\b", " ".join(tensors)))
    reshaped = {
        name: tensor.reshape(-1, 1, 1)
        if name.endswith("lamj")
        else tensor.reshape(())
        if name.endswith("lamz") and tensor.numel() == 1
        else tensor
        for name, tensor in tensors.items()
    }
    return {"num_filters": num_coefficients // 2, "num_blocks": len(blocks)}, reshaped
