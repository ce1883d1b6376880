"""Export to ONNX, verified with ONNX Runtime."""

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

#: Largest accepted difference from PyTorch, relative to the largest value of an output.
TOLERANCE = 1e-4

# LRRNet's published soft threshold is negative in one channel and discontinuous there, so rounding
# can change a few pixels more: measured, one in ten thousand by 5e-4 of the largest value.
_JUMP_SHARE, _JUMP = 1e-3, 2e-3

#: The opset version of exported files, supported by ONNX Runtime since 1.14.
OPSET = 18

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def check_packages(what: str = "export") -> None:
    """Check that the optional packages are installed, before a long computation starts.

    Args:
        what: what requires them, for the error message.

    Raises:
        UserError: a package is missing.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise UserError(
            f"{what}: {' and '.join(missing)} not installed; pip install 'rgbt-lrrnet[export]'"
        )


def check_path(path: Path) -> Path:
    """Check that an output path ends in ``.onnx``, before a long computation starts.

    Raises:
        UserError: it has a different suffix, or is a directory.
    """
    if path.suffix.lower() != ".onnx":
        raise UserError(f"{path}: not an ONNX file name; give a name that ends in .onnx")
    if path.is_dir():
        raise UserError(f"{path}: is a directory; give a file")
    return path


def open_session(model: str | Path | bytes, threads: int | None = None) -> Any:
    """Open an `onnxruntime.InferenceSession` on the CPU.

    Args:
        model: a file, or its content.
        threads: threads per operator; None leaves the choice to ONNX Runtime.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Threads that wait would hold processors that others need, see `fusion.base.threads`.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
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
    """Write a module as an ONNX file that was verified against PyTorch, or write nothing.

    Args:
        module: takes tensors and returns one tensor or a flat sequence; in evaluation mode.
        path: the file to write.
        checks: inputs to compare on; the first is also used for the export.
        inputs, outputs: names of inputs and outputs in the file.
        metadata: written into the file.
        dynamic_axes: for each input, the axes of variable size and their names; None fixes all
            sizes.
        reference: the module to compare with; defaults to ``module``.

    Returns:
        The largest difference from PyTorch, relative to the largest value of each output.

    Raises:
        UserError: a package is missing, the network uses an operation that ONNX does not support,
            the results differ, or the file cannot be written.
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
    """Export a module to a `torch.onnx.ONNXProgram` in memory.

    Args:
        module, inputs, outputs, dynamic_axes: see `write_onnx`.
        example: inputs for the export.
        what: what the graph is for, for the error message.

    Raises:
        UserError: the network uses an operation that ONNX does not support.
    """
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # about the exporter's internals
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
        # The exporter's report is pages long; the first line of the last cause names the problem.
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
        except Exception as error:  # of ONNX Runtime's own types
            sizes = " and ".join("x".join(map(str, x.shape)) for x in example)
            raise UserError(
                f"{path}: not written, because ONNX Runtime cannot compute it for inputs of "
                f"{sizes}; use the network in PyTorch"
            ) from error
        for ours, theirs in zip(expected, found, strict=True):
            differences.append(_relative_differences(ours.numpy(), theirs))
    everywhere = np.concatenate(differences)
    largest = float(everywhere.max())
    # Negated, so that NaN is refused as well.
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
