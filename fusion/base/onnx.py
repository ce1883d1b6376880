"""Export to ONNX, checked against ONNX Runtime."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fusion.base.errors import UserError
from fusion.base.files import whole_file

__all__ = ["TOLERANCE", "check_packages", "check_path", "open_session", "record_onnx", "write_onnx"]

#: Largest difference from PyTorch, relative to the largest value of an output.
TOLERANCE = 1e-4

# LRRNet's published soft threshold is negative in one channel and jumps there, so that rounding may
# move a few pixels further: measured, one in ten thousand by 5e-4 of the largest value.
_JUMP_SHARE, _JUMP = 1e-3, 2e-3

#: The operators a file is written with; ONNX Runtime knows them since 1.14.
OPSET = 18

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def check_packages(what: str = "export") -> None:
    """Make sure that the optional packages are there, before anything takes long.

    Args:
        what: needs them, for the error.

    Raises:
        UserError: one is missing.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise UserError(
            f"{what}: {' and '.join(missing)} not installed; pip install 'rgbt-lrrnet[export]'"
        )


def check_path(path: Path) -> Path:
    """An output's path, refused where it is no ``.onnx`` file's, before anything takes long.

    Raises:
        UserError: it has another suffix, or is a directory.
    """
    if path.suffix.lower() != ".onnx":
        raise UserError(f"{path}: not named as an ONNX file; give a name that ends in .onnx")
    if path.is_dir():
        raise UserError(f"{path}: is a directory; give a file")
    return path


def open_session(model: str | Path | bytes, threads: int | None = None) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU.

    Args:
        model: a file, or its content.
        threads: of an operator; ONNX Runtime's choice where None.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    model = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def write_onnx(
    module: nn.Module,
    path: str | Path,
    checks: Sequence[tuple[Tensor, ...]],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    metadata: Mapping[str, str],
    dynamic_axes: Sequence[Mapping[int, str]] | None = None,
    reference: nn.Module | None = None,
) -> float:
    """Write a module as an ONNX file that was seen to compute the same; whole or not at all.

    Args:
        module: takes tensors and returns one or a flat sequence of them; in evaluation mode.
        path: to write.
        checks: inputs to compare on; the first is what the module is recorded with.
        inputs, outputs: names in the file.
        metadata: written into the file.
        dynamic_axes: for each input, axes of any size and their names; all sizes fixed where None.
        reference: computes what the file is compared with; the module itself where None.

    Returns:
        The largest difference from PyTorch, relative to the largest value of each output.

    Raises:
        UserError: a package is missing, the network does what ONNX cannot express, the file
            differs, or the place cannot be written.
    """
    check_packages()
    path = check_path(Path(path))
    program = record_onnx(
        module,
        checks[0],
        what=str(path),
        inputs=inputs,
        outputs=outputs,
        dynamic_axes=dynamic_axes,
    )
    program.model.metadata_props.update(metadata)
    with whole_file(path) as temporary:
        program.save(temporary)
        return _largest_difference(reference or module, temporary, path, checks)


def record_onnx(
    module: nn.Module,
    example: tuple[Tensor, ...],
    *,
    what: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic_axes: Sequence[Mapping[int, str]] | None = None,
) -> Any:
    """Record a module as a `torch.onnx.ONNXProgram`, in memory.

    Args:
        module, inputs, outputs, dynamic_axes: as `write_onnx`.
        example: inputs to record with.
        what: the graph is for, for the error.

    Raises:
        UserError: the network does what ONNX cannot express.
    """
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # about the exporter's own inner workings
            return torch.onnx.export(
                module,
                example,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=None if dynamic_axes is None else tuple(map(dict, dynamic_axes)),
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        cause = error.__cause__ or error
        # The exporter's account is pages long; the last cause says in its first line what it is.
        lines = (line for line in str(cause).splitlines() if line.strip())
        reason = next(lines, "no reason given")
        raise UserError(
            f"{what}: this network cannot be exported ({type(cause).__name__}: {reason.strip()}); "
            "use it in PyTorch"
        ) from error


def _largest_difference(
    reference: nn.Module, file: Path, path: Path, checks: Iterable[tuple[Tensor, ...]]
) -> float:
    session = open_session(file)
    names = [each.name for each in session.get_inputs()]
    differences = []
    for example in checks:
        with torch.inference_mode():
            expected = reference(*example)
        expected = [expected] if isinstance(expected, Tensor) else list(expected)
        inputs = {name: x.numpy() for name, x in zip(names, example, strict=True)}
        try:
            found = session.run(None, inputs)
        except Exception as error:  # of ONNX Runtime's own kinds
            sizes = " and ".join("x".join(map(str, x.shape)) for x in example)
            raise UserError(
                f"{path}: not written, because ONNX Runtime cannot compute it for inputs of "
                f"{sizes}; use the network in PyTorch"
            ) from error
        for ours, theirs in zip(expected, found, strict=True):
            differences.append(_relative_differences(ours.numpy(), theirs))
    everywhere = np.concatenate(differences)
    largest = float(everywhere.max())
    # Negated, so that NaN is refused too.
    if not (largest <= _JUMP and np.mean(everywhere > TOLERANCE) <= _JUMP_SHARE):
        raise UserError(
            f"{path}: not written, because ONNX Runtime differs from PyTorch by {largest:.1e} of "
            "the largest value; try other versions of onnxruntime, onnxscript and torch"
        )
    return largest


def _relative_differences(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    if expected.shape != found.shape:
        return np.array([np.inf])
    scale = max(float(np.abs(expected).max()), np.finfo(np.float32).tiny)
    return np.abs(expected - found).ravel() / scale
