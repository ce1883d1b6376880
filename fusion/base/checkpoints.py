"""Reading and writing weights files of any network, without running code from them."""

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

__all__ = [
    "build_on_meta",
    "fill",
    "read_architecture",
    "read_tensors",
    "require_match",
    "write_tensors",
]

Network = TypeVar("Network", bound=nn.Module)


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
            # About pickle protocols the restricted unpickler may not know; it refuses those itself.
            warnings.simplefilter("ignore", UserWarning)
            with _allow_numpy_numbers():
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
        if not isinstance(arguments, dict):
            raise ValueError("the architecture is no mapping")
        # Layers are made one by one even without memory.
        if any(value > 4096 for value in _whole_numbers(arguments)):
            raise ValueError("a number above 4096")
    except (KeyError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged metadata ({error}); download it again") from error
    return arguments


def _whole_numbers(arguments: Any) -> Iterator[int]:
    """All of them in a structure of JSON's."""
    if isinstance(arguments, int):
        yield arguments
    elif isinstance(arguments, list | dict):
        for value in arguments.values() if isinstance(arguments, dict) else arguments:
            yield from _whole_numbers(value)


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
    except UserError as error:  # of a registry
        raise UserError(
            f"{path}: {error}. A part of your own is known once its module is imported: "
            "--import MODULE"
        ) from error
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
