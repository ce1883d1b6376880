"""Weights files: own safetensors, and the published checkpoints through a name map.

An own file holds its network's name, architecture and pixel convention in the metadata, so that the
file alone rebuilds the network. A published one is read by PyTorch's restricted unpickler, which
accepts tensors and plain containers; a file that would run code is refused.
"""

import dataclasses
import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from fusion.errors import UserError
from fusion.files import whole_file
from fusion.images import PixelScaling
from fusion.lrrnet import LRRNet
from fusion.network import FusionNetwork

__all__ = ["load_network", "read_tensors", "require_match", "save_network"]

#: Networks by the name their weights files carry.
NETWORKS: dict[str, type[FusionNetwork]] = {"lrrnet": LRRNet}

# --- Any weights file ---------------------------------------------------------------------------


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file or a PyTorch checkpoint, on the CPU.

    A checkpoint that nests its tensors under ``state_dict``, ``model`` or ``network``, or prefixes
    all names with ``module.`` (data-parallel training), is unwrapped.

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
    is_safetensors = len(start) == 9 and start[8:9] == b"{" and start[:2] != b"PK"
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
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # The restricted unpickler stops at the first object that is no tensor, and names it.
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        if found:
            raise UserError(
                f"{path}: refused, it holds {found[1]}, which could run code; save tensors alone"
            ) from error
        raise UserError(f"{path}: no weights file, or a damaged one; download it again") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: truncated or damaged checkpoint; download it again") from error
    for key in ("state_dict", "model", "network"):
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


def require_match(path: str | Path, tensors: Mapping[str, Tensor], network: nn.Module) -> None:
    """Check names and shapes of ``tensors`` against a network's state.

    Raises:
        UserError: names the missing, the surplus and the misshapen ones.
    """
    expected = network.state_dict()
    complaints = [
        f"{what} {_some(names)}"
        for what, names in (
            ("missing", [name for name in expected if name not in tensors]),
            ("surplus", [name for name in tensors if name not in expected]),
            (
                "of another shape",
                [
                    f"{name} {list(tensors[name].shape)} instead of {list(tensor.shape)}"
                    for name, tensor in expected.items()
                    if name in tensors and tensors[name].shape != tensor.shape
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


def _some(names: list[str], limit: int = 4) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


# --- Fusion networks ----------------------------------------------------------------------------


def save_network(network: FusionNetwork, path: str | Path) -> None:
    """Write a network's weights, architecture and pixel convention as safetensors.

    Raises:
        UserError: the place cannot be written.
    """
    names = [name for name, kind in NETWORKS.items() if type(network) is kind]
    if not names:
        raise ValueError(f"{type(network).__name__} is not among NETWORKS")
    metadata = {
        "network": names[0],
        "architecture": json.dumps(network.architecture),
        "scaling": json.dumps(dataclasses.asdict(network.scaling)),
    }
    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    with whole_file(Path(path)) as temporary:
        save_file(tensors, temporary, metadata)


def load_network(path: str | Path, device: torch.device | str = "cpu") -> FusionNetwork:
    """Rebuild a fusion network from its weights file, in evaluation mode.

    Args:
        path: an own safetensors file, or the published LRRNet checkpoint.
        device: where the network is put.

    Raises:
        UserError: as `read_tensors` and `require_match`, or the file is of no known network.
    """
    tensors, metadata = read_tensors(path)
    if metadata.get("network"):
        build, arguments = _described(path, metadata)
    elif "get_ls1.lamj" in tensors or "decoder.conv_ReL.conv2d.weight" in tensors:
        build, arguments, tensors = _published_lrrnet(path, tensors)
    else:
        raise UserError(
            f"{path}: of no known network (first tensor: {next(iter(tensors), 'none')}); give "
            "a file saved by this package or the published LRRNet checkpoint"
        )
    try:
        # Without memory first: a file's metadata must not decide how much is taken.
        with torch.device("meta"):
            network = build(**arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: unusable architecture in the metadata ({error})") from error
    require_match(path, tensors, network)
    network.load_state_dict(
        {name: tensor.to(torch.float32) for name, tensor in tensors.items()}, assign=True
    )
    return network.requires_grad_(False).eval().to(device)


def _described(path: str | Path, metadata: dict[str, str]) -> tuple[type[FusionNetwork], dict]:
    """Class and constructor's arguments from an own file's metadata."""
    name = metadata["network"]
    if name not in NETWORKS:
        raise UserError(f"{path}: of unknown network {name!r}; known are {', '.join(NETWORKS)}")
    try:
        architecture = json.loads(metadata["architecture"])
        scaling = PixelScaling(**json.loads(metadata["scaling"]))
        # Layers are made one by one even without memory.
        if any(isinstance(value, int) and value > 4096 for value in architecture.values()):
            raise ValueError("a number above 4096")
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: damaged metadata ({error}); download it again") from error
    return NETWORKS[name], architecture | {"scaling": scaling}


# Published LRRNet names to ours. Branch 1 takes the infrared. Of the four reductions, Z stands for
# low-rank and U for sparse, x and y for branch 1 and 2.
_PUBLISHED_LRRNET = {
    "get_ls1": "infrared",
    "get_ls2": "visible",
    "conv_W00.conv2d": "encode",
    "lamj": "threshold",
    "lamz": "lam",
    "conv_Wdz.conv2d": "synthesis",
    "conv_Wdtz.conv2d": "analysis",
    "conv_ReZx.conv2d": "low_rank_ir",
    "conv_ReUx.conv2d": "sparse_ir",
    "conv_ReZy.conv2d": "low_rank_vis",
    "conv_ReUy.conv2d": "sparse_vis",
    "conv_ReL.conv2d": "low_rank",
    "conv_ReH.conv2d": "sparse",
}


def _published_lrrnet(
    path: str | Path, tensors: Mapping[str, Tensor]
) -> tuple[type[LRRNet], dict, dict[str, Tensor]]:
    """Class, constructor's arguments and renamed tensors of the authors' checkpoint."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        ours = re.sub(r"\blrrblock(\d+)\b", r"blocks.\1", name)
        for theirs, replacement in _PUBLISHED_LRRNET.items():
            ours = re.sub(rf"\b{re.escape(theirs)}\b", replacement, ours)
        if ours.endswith(".threshold"):
            tensor = tensor.reshape(-1, 1, 1)
        elif ours.endswith(".lam") and tensor.numel() == 1:
            tensor = tensor.reshape(())
        renamed[ours] = tensor
    threshold = renamed.get("infrared.threshold")
    if threshold is None or threshold.numel() % 2:
        raise UserError(f"{path}: get_ls1.lamj, one threshold a channel, is missing or odd")
    blocks = {int(i) for i in re.findall(r"\.blocks\.(\d+)\.", " ".join(renamed))}
    arguments = {"num_filters": threshold.numel() // 2, "num_blocks": len(blocks)}
    return LRRNet, arguments, renamed
