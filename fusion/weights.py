"""Weights files: own safetensors, and the published checkpoints through a name map.

An own file holds its network's name, architecture and pixel convention in the metadata, so that the
file alone rebuilds the network. A published one, or a folder where a network is published as
several, is read by PyTorch's restricted unpickler, which accepts tensors and plain containers; a
file that would run code is refused.
"""

import dataclasses
import json
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from fusion.errors import UserError
from fusion.files import whole_file
from fusion.images import PixelScaling
from fusion.lrrnet import LRRNet
from fusion.methods import (
    AUIF,
    IFCNN,
    PMGI,
    DDcGAN,
    DenseFuse,
    DIDFuse,
    FusionGAN,
    Res2Fusion,
    RFNNest,
    SDNet,
    SwinFusion,
    U2Fusion,
)
from fusion.methods.classical import CLASSICAL
from fusion.network import FusionNetwork

__all__ = [
    "NETWORKS",
    "SHIPPED",
    "build_on_meta",
    "description",
    "fill",
    "load_network",
    "read_architecture",
    "read_tensors",
    "require_match",
    "save_network",
    "write_tensors",
]

#: LRRNet as this package trained it; experiments/README.md says how.
SHIPPED = Path(__file__).with_name("pretrained") / "lrrnet.safetensors"

#: Networks by the name their weights files carry, which is the name of the method.
NETWORKS: dict[str, type[FusionNetwork]] = {
    "lrrnet": LRRNet,
    "didfuse": DIDFuse,
    "auif": AUIF,
    "densefuse": DenseFuse,
    "rfn-nest": RFNNest,
    "ifcnn": IFCNN,
    "res2fusion": Res2Fusion,
    "swinfusion": SwinFusion,
    "u2fusion": U2Fusion,
    "fusiongan": FusionGAN,
    "ddcgan": DDcGAN,
    "pmgi": PMGI,
    "sdnet": SDNet,
}

#: How weights files are named; others in a folder are passed over.
WEIGHTS_SUFFIXES = frozenset({".safetensors", ".pt", ".pth", ".pkl", ".model", ".ckpt"})

Network = TypeVar("Network", bound=nn.Module)

# --- Any weights file ---------------------------------------------------------------------------


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file or a PyTorch checkpoint, on the CPU.

    A checkpoint that nests its tensors under ``state_dict``, ``model``, ``network`` or ``weight``,
    or prefixes all names with ``module.`` (data-parallel training), is unwrapped.

    Returns:
        The tensors by name, and the metadata (empty for a PyTorch checkpoint).

    Raises:
        UserError: the file is missing, truncated, no weights file, holds something other than
            tensors, or a tensor holds NaN or infinity.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if not start:
        raise UserError(f"{path}: the file is empty; download it again")
    # A safetensors file begins with the length of its header, in eight bytes, and the header's "{".
    is_safetensors = path.suffix == ".safetensors" or start[8:9] == b"{"
    tensors, metadata = _read_safetensors(path) if is_safetensors else (_read_checkpoint(path), {})
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise UserError(f"{path}: {name} holds NaN or infinity; these weights are unusable")
    return tensors, metadata


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except SafetensorError as error:
        raise UserError(f"{path}: truncated or damaged safetensors file ({error})") from error


def _read_checkpoint(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            # About pickle protocols the restricted unpickler may not know; it refuses those itself.
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # The restricted unpickler stops at the first object that is no tensor, and names it.
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"it holds {found[1]}" if found else "it is no plain file of tensors"
        raise UserError(
            f"{path}: refused, {what}, which could run code; save the tensors alone"
        ) from error
    except Exception as error:  # of every kind: the unpickler runs on whatever the file holds
        raise UserError(
            f"{path}: no weights file, or a truncated one; download it again"
        ) from error
    if isinstance(content, Mapping) and "pytorch-lightning_version" in content:
        raise UserError(
            f"{path}: a training's checkpoint, to go on from; give the weights.safetensors of its "
            "run"
        )
    for key in ("state_dict", "model", "network", "weight"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise UserError(f"{path}: holds no named tensors; give a checkpoint's state dict")
    for name, value in content.items():
        if not isinstance(value, Tensor):
            raise UserError(f"{path}: {name} is no tensor; give a checkpoint's state dict")
    if all(name.startswith("module.") for name in content):
        content = {name.removeprefix("module."): tensor for name, tensor in content.items()}
    return dict(content)


def require_match(
    path: str | Path,
    tensors: Mapping[str, Tensor],
    network: nn.Module,
    name_in_file: Callable[[str], str] = str,
) -> dict[str, Tensor]:
    """Check the names and shapes of a file's tensors against a network's state.

    Args:
        path: the file, for the error.
        tensors: by their names in the file.
        network: what they are for; may be on the meta device.
        name_in_file: from a name of the network's state to the file's name for it, where the file
            has names of its own.

    Returns:
        The tensors by the network's names, for `torch.nn.Module.load_state_dict`.

    Raises:
        UserError: names the missing, the surplus and the misshapen tensors, as the file does.
    """
    ours = {name_in_file(name): name for name in network.state_dict()}
    shapes = {name_in_file(name): t.shape for name, t in network.state_dict().items()}
    complaints = [
        f"{what} {_some(names)}"
        for what, names in (
            ("missing", [name for name in shapes if name not in tensors]),
            ("surplus", [name for name in tensors if name not in shapes]),
            (
                "of another shape",
                [
                    f"{name} {list(tensors[name].shape)} instead of {list(shape)}"
                    for name, shape in shapes.items()
                    if name in tensors and tensors[name].shape != shape
                ],
            ),
        )
        if names
    ]
    if complaints:
        raise UserError(
            f"{path}: does not fit {type(network).__name__}: {'; '.join(complaints)}; "
            "give the weights of this architecture"
        )
    return {ours[name]: tensor for name, tensor in tensors.items()}


def _some(names: list[str], limit: int = 4) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def write_tensors(path: str | Path, network: nn.Module, metadata: dict[str, str]) -> None:
    """Write a network's state and metadata as safetensors, whole or not at all.

    Raises:
        UserError: the place cannot be written.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    with whole_file(Path(path)) as temporary:
        temporary.write_bytes(to_bytes(tensors, metadata))


def read_architecture(path: str | Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """The constructor's arguments that an own file's metadata holds.

    Args:
        path: the file, for the error.
        metadata: of `read_tensors`.

    Raises:
        UserError: they are missing or damaged, or would make a network beyond reason.
    """
    try:
        arguments = json.loads(metadata["architecture"])
        # Layers are made one by one even without memory.
        if any(isinstance(value, int) and value > 4096 for value in arguments.values()):
            raise ValueError("a number above 4096")
    except (KeyError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: damaged metadata ({error}); download it again") from error
    return arguments


def build_on_meta(path: str | Path, build: Callable[..., Network], arguments: Mapping) -> Network:
    """A network without memory: a file's metadata must not decide how much is taken.

    Args:
        path: the file that ``arguments`` are from, for the error.
        build: the network's class.
        arguments: of its constructor.

    Raises:
        UserError: the arguments make no network.
    """
    try:
        with torch.device("meta"):
            return build(**arguments)
    except Exception as error:  # of every kind: the arguments may be anything
        raise UserError(f"{path}: unusable architecture in the metadata ({error})") from error


def fill(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a network of `build_on_meta` its tensors, floating ones as float32, to run: in
    evaluation mode, without gradients.

    Args:
        network: changed in place.
        tensors: of `require_match`.
    """
    network.load_state_dict(
        {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}, assign=True
    )
    network.requires_grad_(False).eval()


# --- Fusion networks ----------------------------------------------------------------------------


def save_network(network: FusionNetwork, path: str | Path) -> None:
    """Write a network's weights, architecture and pixel convention as safetensors.

    Raises:
        UserError: the place cannot be written.
    """
    write_tensors(path, network, description(network))


def description(network: FusionNetwork) -> dict[str, str]:
    """What a file says of the network it holds: "network", "architecture" and "scaling".

    Raises:
        ValueError: it is not among `NETWORKS`.
    """
    names = [name for name, kind in NETWORKS.items() if type(network) is kind]
    if not names:
        raise ValueError(f"{type(network).__name__} is not among NETWORKS")
    return {
        "network": names[0],
        "architecture": json.dumps(network.architecture),
        "scaling": json.dumps(dataclasses.asdict(network.scaling)),
    }


def load_network(
    path: str | Path | None = None,
    device: torch.device | str = "cpu",
    method: str | None = None,
    rule: str | None = None,
) -> FusionNetwork:
    """Rebuild a fusion network from its weights, in evaluation mode.

    Args:
        path: an own safetensors file, or a published checkpoint of LRRNet or of a method whose
            class says how it is ``published``; a folder that holds all published files of such a
            method, which must then be named; the LRRNet that ships with this package where None.
        device: where the network is put.
        method: name among `NETWORKS`, which the weights must be of; found out from the file where
            None. Or one of `fusion.methods.classical`, which has no weights.
        rule: one of the network's ``rules``, to fuse by; the weights' own, or the published one,
            where None.

    Raises:
        UserError: as `read_tensors` and `require_match`; the weights are of no known network or of
            another method; a folder lacks a file; or the network has no such rule.
    """
    if method in CLASSICAL:
        if path is not None or rule is not None:
            raise UserError(f"{method}: learned nothing, so it takes no weights and has no rules")
        return CLASSICAL[method]().eval()
    if method is not None and method not in NETWORKS:
        raise UserError(f"no method {method!r}; known are {', '.join((*NETWORKS, *CLASSICAL))}")
    if path is None:
        if method not in (None, "lrrnet"):
            raise UserError(
                f"{method}: no weights ship for this method; give --weights, published ones or "
                "what fusion train left"
            )
        path = SHIPPED
    metadata: dict[str, str]
    if Path(path).is_dir():
        tensors, metadata = _read_folder(Path(path), method), {}
    else:
        tensors, metadata = read_tensors(path)
    found = metadata.get("network") or _published_method(path, tensors)
    if found not in NETWORKS:
        raise UserError(f"{path}: of unknown network {found!r}; known are {', '.join(NETWORKS)}")
    if method not in (None, found):
        raise UserError(
            f"{path}: holds weights of {found}, not of {method}; give {method}'s own, or another "
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
        assert build.published is not None  # by which it was found
        name_in_file = build.published.name_in_file
        arguments, tensors = {}, build.published.prepare(tensors)
    if rule is not None:
        if rule not in build.rules:
            offered = f"its rules are {', '.join(build.rules)}" if build.rules else "it has none"
            raise UserError(f"{found}: no fusion rule {rule!r}; {offered}")
        arguments["rule"] = rule
    network = build_on_meta(path, build, arguments)
    fill(network, require_match(path, tensors, network, name_in_file))
    return network.to(device)


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
                f"{path}: one of the {len(there)} files {network.__name__} is published as; "
                f"give the folder that holds all, and {name} for the method"
            )
    raise UserError(
        f"{path}: of no known network (first tensor: {next(iter(tensors), 'none')}); give "
        "a file saved by this package or a published checkpoint of LRRNet, "
        + ", ".join(n.__name__ for n in NETWORKS.values() if n.published)
    )


def _read_folder(folder: Path, method: str | None) -> dict[str, Tensor]:
    """Tensors of all published files of a method in a folder that may hold others' too."""
    if method is None:
        inside = folder / "weights.safetensors"  # of a training's run
        mend = f"give {inside}" if inside.is_file() else "name the method whose files to take of it"
        raise UserError(f"{folder}: is a directory; {mend}")
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
            unread.append(str(error))  # another's, perhaps: of interest where something is missing
            continue
        for marker in published.markers:
            if marker not in content:
                continue
            if marker in sources:
                raise UserError(
                    f"{folder}: {sources[marker].name} and {path.name} hold the same part of "
                    f"{network.__name__}; leave one there"
                )
            sources[marker] = path
            tensors |= content
    missing = [marker for marker in published.markers if marker not in sources]
    if missing:
        raise UserError(
            f"{folder}: lacks {len(missing)} of the {len(published.markers)} files "
            f"{network.__name__} is published as (the one with {missing[0]})"
            + (f"; unreadable: {unread[0]}" if unread else "; add it")
        )
    return tensors


def _described(path: str | Path, metadata: dict[str, str]) -> dict:
    """Constructor's arguments from an own file's metadata, with the pixel convention."""
    architecture = read_architecture(path, metadata)
    try:
        scaling = PixelScaling(**json.loads(metadata["scaling"]))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: damaged metadata ({error}); download it again") from error
    return architecture | {"scaling": scaling}


_PUBLISHED_LRRNET_MARKER = "get_ls1.lamj"

# Our names to the published ones. The authors' branch 1 takes the infrared. Of their four
# reductions, Z stands for low-rank and U for sparse, x and y for branch 1 and 2.
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
    """Constructor's arguments and, in our shapes, the tensors of the authors' checkpoint."""
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
