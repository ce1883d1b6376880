"""Reading and writing weights files of any network, without executing code from them."""

import json
import pickle
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from fusion.base.errors import UserError
from fusion.base.files import whole_file
from fusion.base.tensorflow import read_tensorflow

Network = TypeVar("Network", bound=nn.Module)


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file, a PyTorch or a TensorFlow checkpoint, on the CPU.

    A TensorFlow checkpoint is named by its ``.index`` file, see `fusion.base.tensorflow`.

    Checkpoints that nest their tensors under ``state_dict``, ``model``, ``network`` or ``weight``,
    or prefix all names with ``module.`` (data-parallel training), are unwrapped.

    Returns:
        The tensors by name, and the metadata (empty for a PyTorch checkpoint).

    Raises:
        UserError: the file is missing, truncated, not a weights file, contains something other than
            tensors, or a tensor contains NaN or infinity.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if not start:
        raise UserError(f"{path}: the file is empty; download it again")
    metadata: dict[str, str] = {}
    # A safetensors file starts with the length of its header, in eight bytes, and the header's "{".
    if path.suffix == ".safetensors" or start[8:9] == b"{":
        tensors, metadata = _read_safetensors(path)
    elif path.suffix == ".index":
        tensors = read_tensorflow(path)
    elif re.fullmatch(r"\.data-\d{5}-of-\d{5}", path.suffix):
        raise UserError(f"{path}: part of a TensorFlow checkpoint; give the .index file beside it")
    else:
        tensors = _read_checkpoint(path)
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


def _allow_numpy_numbers() -> AbstractContextManager:
    """Let the restricted unpickler read NumPy's numbers, which trainings keep as learning rates or
    best scores. They are made of a type and bytes; nothing of a file's choosing runs."""
    if not hasattr(torch.serialization, "safe_globals"):  # before PyTorch 2.5
        return nullcontext()
    make = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(kind)) for kind in "?bBhHiIlLqQefd"}
    # The module that makes them was renamed in NumPy 2; files have either name.
    names = [f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")]
    return torch.serialization.safe_globals([np.dtype, *kinds, *((make, name) for name in names)])


def _read_checkpoint(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            # Warnings about pickle protocols that the restricted unpickler does not support;
            # it refuses those itself.
            warnings.simplefilter("ignore", UserWarning)
            with _allow_numpy_numbers():
                content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # The restricted unpickler stops at the first object that is not a tensor, and names it.
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"it contains {found[1]}" if found else "it is not a plain file of tensors"
        raise UserError(
            f"{path}: refused, {what}, which could run code; save the tensors alone"
        ) from error
    except Exception as error:  # of any kind: the unpickler runs on arbitrary file contents
        raise UserError(f"{path}: not a weights file, or truncated; download it again") from error
    if isinstance(content, Mapping) and "pytorch-lightning_version" in content:
        raise UserError(
            f"{path}: a training checkpoint, for resuming; give the weights.safetensors of its run"
        )
    for key in ("state_dict", "model", "network", "weight"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise UserError(f"{path}: contains no named tensors; give a checkpoint's state dict")
    for name, value in content.items():
        if not isinstance(value, Tensor):
            raise UserError(f"{path}: {name} is not a tensor; give a checkpoint's state dict")
    if all(name.startswith("module.") for name in content):
        content = {name.removeprefix("module."): tensor for name, tensor in content.items()}
    return dict(content)


def require_match(
    path: str | Path,
    tensors: Mapping[str, Tensor],
    network: nn.Module,
    name_in_file: Callable[[str], str] = str,
) -> dict[str, Tensor]:
    """Check the names and shapes of a file's tensors against a network's state dict.

    Args:
        path: the file, for the error message.
        tensors: the tensors by their names in the file.
        network: the network to load them into; may be on the meta device.
        name_in_file: maps a name of the network's state dict to the name in the file, for files
            with different names.

    Returns:
        The tensors by the network's names, as `torch.nn.Module.load_state_dict` expects.

    Raises:
        UserError: lists missing tensors, unexpected ones, and those with a different shape.
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
    """Write a network's state dict and metadata as safetensors, completely or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    with whole_file(Path(path)) as temporary:
        temporary.write_bytes(to_bytes(tensors, metadata))


def read_architecture(path: str | Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Read the constructor arguments from the metadata of a file saved by this package.

    Args:
        path: the file, for the error message.
        metadata: the metadata returned by `read_tensors`.

    Raises:
        UserError: they are missing, damaged, or describe an unreasonably large network.
    """
    try:
        arguments = json.loads(metadata["architecture"])
        if not isinstance(arguments, dict):
            raise ValueError("the architecture is not a mapping")
        # Even on the meta device, layers are created one by one.
        if any(value > 4096 for value in _whole_numbers(arguments)):
            raise ValueError("a number above 4096")
    except (KeyError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged metadata ({error}); download it again") from error
    return arguments


def _whole_numbers(arguments: Any) -> Iterator[int]:
    """All integers in a structure of JSON values."""
    if isinstance(arguments, int):
        yield arguments
    elif isinstance(arguments, list | dict):
        for value in arguments.values() if isinstance(arguments, dict) else arguments:
            yield from _whole_numbers(value)


def build_on_meta(path: str | Path, build: Callable[..., Network], arguments: Mapping) -> Network:
    """Build a network on the meta device, so that a file's metadata cannot exhaust memory.

    Args:
        path: the file that contains ``arguments``, for the error message.
        build: the network's class.
        arguments: the constructor's arguments.

    Raises:
        UserError: the arguments are invalid.
    """
    try:
        with torch.device("meta"):
            return build(**arguments)
    except UserError as error:  # from a registry
        raise UserError(
            f"{path}: {error}. A part of your own is known once its module is imported: "
            "--import MODULE"
        ) from error
    except Exception as error:  # of any kind: the arguments are arbitrary
        raise UserError(f"{path}: unusable architecture in the metadata ({error})") from error


def fill(network: nn.Module, tensors: Mapping[str, Tensor], trainable: bool = False) -> None:
    """Load tensors into a meta network, floating-point ones as float32.

    Args:
        network: a network from `build_on_meta`; modified in place.
        tensors: the tensors returned by `require_match`.
        trainable: training mode with gradients; else evaluation mode with ``requires_grad=False``.
    """
    network.load_state_dict(
        {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}, assign=True
    )
    network.requires_grad_(trainable).train(trainable)
