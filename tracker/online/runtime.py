"""Runtimes for the search pass of a frame: PyTorch, ONNX Runtime, or a compiled graph.

`Search` is the eager runtime and defines the interface: `learn` takes the template's kernels, a
call takes the prepared crops of a frame. `RUNTIMES` lists all runtimes. Templates, the decision on
a box and all geometry remain in `tracker.online.rgbt_tracker`, in float32, for every runtime and
precision.

This module imports slow libraries only when a search is created.
"""

import argparse
import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fusion.base.commandline import positive_int
from fusion.base.errors import UserError
from fusion.base.threads import requested_threads

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from tracker.model.head import Response
    from tracker.model.weights import Network

__all__ = [
    "PRECISIONS",
    "RUNTIMES",
    "Search",
    "add_runtime_options",
    "add_threads_option",
    "check_runtime",
    "default_threads",
    "make_search",
]

#: Precisions of the search pass.
PRECISIONS = ("float32", "bfloat16")


#: Networks of fewer parameters are computed in one thread, see `default_threads`.
SHARED_PARAMETERS = 10_000_000


def default_threads(network: "Network") -> int:
    """The default number of threads of a tracker.

    It is PyTorch's number for large networks, such as those on ResNet-50, and if OMP_NUM_THREADS
    is set. Otherwise it is 1: the convolutions of a small network take a tenth of a millisecond,
    and between them threads wait for each other, which takes long beside another busy process.
    docs/speed.md has the measured rates.
    """
    import torch

    is_large = sum(p.numel() for p in network.parameters()) >= SHARED_PARAMETERS
    return torch.get_num_threads() if is_large or requested_threads() else 1


class Search:
    """The search pass in PyTorch, operation by operation; any modality may be missing.

    Args:
        network: a network from `TrackerNetwork.for_inference`; it computes the decision in float32,
            and everything else if the precision is float32.
        source: the network from which `network` was created, for copies in other formats.
        precision: one of `PRECISIONS`. In bfloat16, weights, features and kernels have eight
            significant bits.
    """

    about = "PyTorch as it is"
    precisions: tuple[str, ...] = PRECISIONS

    @staticmethod
    def require(device: "torch.device | None") -> None:
        """Check that the runtime can be used on a device, or on any device if None.

        Raises:
            UserError: a requirement is missing.
        """

    def __init__(self, network: "Network", source: "Network", precision: str):
        import torch

        self.network: Any = network
        self._own_dtype = next(network.parameters()).dtype
        self.dtype = self._own_dtype if precision == "float32" else getattr(torch, precision)
        self._body: Any = network if self.dtype == self._own_dtype else self._copy(source)
        self._kernels: dict[str, list] = {}

    def _copy(self, source: "Network") -> "Network":
        """The network in the search's own precision, its decision in float32."""
        device = next(self.network.parameters()).device
        # Winograd's transforms lose more digits than bfloat16 can spare, and gain nothing in other
        # runtimes, which use their own convolutions.
        return source.for_inference(device, winograd=False).in_precision(self.dtype)

    def learn(self, kernels: Mapping[str, list]) -> None:
        """Set the kernels of a template, as returned by `TrackerNetwork.kernels`."""
        self._kernels = {branch: _laid_out(k, self.dtype) for branch, k in kernels.items()}

    def __call__(self, inputs: Mapping[str, "Tensor"]) -> tuple[tuple[str, ...], "Response"]:
        """Search a frame.

        Args:
            inputs: the result of `TrackerNetwork.prepare` for at least one modality with kernels.

        Returns:
            The branches that contributed, and their joint response in float32.
        """
        features = self._body.features({m: x.to(self.dtype) for m, x in inputs.items()})
        response = self._body.joint_response(self._kernels, features)
        return tuple(b for b in features if b in self._kernels), response


def _laid_out(kernels: Any, dtype: "torch.dtype") -> Any:
    """Kernels in the memory layout of the correlation, so that no frame has to rearrange them."""
    if isinstance(kernels, tuple) and hasattr(kernels, "_fields"):
        return type(kernels)(*(_laid_out(kernel, dtype) for kernel in kernels))
    if isinstance(kernels, Sequence):
        return [_laid_out(kernel, dtype) for kernel in kernels]
    return kernels.to(dtype).contiguous()


class _WholeSearch(Search):
    """A search as one fixed graph of all branches. Frames that lack a modality, and frames before
    every modality has been part of a template, use the eager search.
    """

    def __init__(self, network: "Network", source: "Network", precision: str):
        import torch

        from tracker.model.head import Response
        from tracker.online.passes import PreparedSearchPass, flat_kernels

        super().__init__(network, source, precision)
        self._flatten, self._response = flat_kernels, Response
        self._flat: list[Tensor] | None = None
        body = self._body if self._body is not network else self._copy(source)
        device = next(network.parameters()).device

        def blank(size: int) -> "dict[str, Tensor]":
            crop = torch.zeros(1, 3, size, size, device=device)
            return network.prepare(dict.fromkeys(network.modalities, crop))

        with torch.inference_mode():  # as in every frame
            template = self.network.template(blank(network.exemplar_size))
            super().learn(self.network.kernels(template))
            inputs = self._arranged(blank(network.search_size))
            example = (*flat_kernels(network, self._kernels), *inputs)
            self._run = self._make(PreparedSearchPass(body).eval(), example)

    def _make(self, module: Any, example: tuple["Tensor", ...]) -> Callable[..., Sequence]:
        """A function that computes ``module`` on tensors with the shapes of ``example``."""
        raise NotImplementedError

    def _arranged(self, inputs: Mapping[str, "Tensor"]) -> list["Tensor"]:
        return [inputs[m].to(self.dtype).contiguous() for m in self.network.input_names]

    def learn(self, kernels: Mapping[str, list]) -> None:
        super().learn(kernels)
        complete = set(kernels) == set(self.network.branches)
        self._flat = self._flatten(self.network, self._kernels) if complete else None

    def __call__(self, inputs: Mapping[str, "Tensor"]) -> tuple[tuple[str, ...], "Response"]:
        if self._flat is None or len(inputs) < len(self.network.input_names):
            return super().__call__(inputs)
        outputs = self._run(*self._flat, *self._arranged(inputs))
        return self.network.branches, self._response(*outputs)


class OnnxSearch(_WholeSearch):
    """The search pass in ONNX Runtime, on the CPU; exported in memory at construction.

    Uses as many threads as `torch.get_num_threads` returns at that time.

    Raises:
        UserError: the network cannot be exported.
    """

    about = "ONNX Runtime, on the CPU; requires pip install 'rgbt-lrrnet[export]'"
    precisions = ("float32",)  # its convolutions on the CPU do not support bfloat16

    @staticmethod
    def require(device: "torch.device | None") -> None:
        from fusion.base.onnx import check_packages

        if device is not None and device.type != "cpu":
            raise UserError("runtime onnx: runs on the CPU only; give --device cpu")
        check_packages("runtime onnx")

    def _make(self, module: Any, example: tuple["Tensor", ...]) -> Callable[..., Sequence]:
        import torch

        from fusion.base.onnx import open_session, record_onnx

        names = [*module.kernel_names, *module.network.input_names]
        with torch.inference_mode(False):  # tensors of inference mode cannot be exported
            module = copy.deepcopy(module)
            plain = tuple(tensor.clone() for tensor in example)
            program = record_onnx(
                module, plain, what="runtime onnx", inputs=names, outputs=["cls", "loc"]
            )
        content = program.model_proto.SerializeToString()
        session = open_session(content, threads=torch.get_num_threads())

        def run(*tensors: "Tensor") -> list["Tensor"]:
            feed = {name: x.numpy() for name, x in zip(names, tensors, strict=True)}
            return [torch.from_numpy(array) for array in session.run(None, feed)]

        return run


class CompiledSearch(_WholeSearch):
    """The search pass by `torch.compile`, for fixed shapes; compiled at construction.

    One graph serves all frames and template updates, because kernels are its inputs. It uses as
    many threads as `torch.get_num_threads` returns at that time; changing them compiles again.

    Raises:
        UserError: compilation is not possible on this machine.
    """

    about = "torch.compile, up to minutes at the start; requires a C++ compiler"

    def _make(self, module: Any, example: tuple["Tensor", ...]) -> Callable[..., Sequence]:
        import torch

        # With frozen weights, Inductor stores them in the order in which the CPU reads them.
        options: dict[str, Any] = {"freezing": True} if example[0].device.type == "cpu" else {}
        run = torch.compile(module, fullgraph=True, dynamic=False, options=options)
        try:
            run(*example)
        except RuntimeError as error:
            reason = next((line for line in str(error).splitlines() if line.strip()), "no reason")
            raise UserError(
                f"runtime compile: PyTorch cannot compile here ({type(error).__name__}: {reason}); "
                "give runtime eager or onnx"
            ) from error
        return run


RUNTIMES: dict[str, type[Search]] = {
    "eager": Search,
    "onnx": OnnxSearch,
    "compile": CompiledSearch,
}
"""Runtimes of the search pass by name, for ``--runtime`` and RGBT_RUNTIME."""


def check_runtime(runtime: str, precision: str, device: "torch.device | None" = None) -> None:
    """Check that a runtime can be used, before a long computation starts.

    Args:
        runtime: a name in `RUNTIMES`.
        precision: a name in `PRECISIONS`.
        device: the device of the tracker, if known.

    Raises:
        UserError: a name is unknown, the runtime lacks the precision, or a requirement is missing.
    """
    if runtime not in RUNTIMES:
        raise UserError(f"runtime {runtime}: unknown; give one of {', '.join(RUNTIMES)}")
    if precision not in PRECISIONS:
        raise UserError(f"precision {precision}: unknown; give one of {', '.join(PRECISIONS)}")
    if precision not in RUNTIMES[runtime].precisions:
        able = [name for name, kind in RUNTIMES.items() if precision in kind.precisions]
        raise UserError(
            f"precision {precision}: not with runtime {runtime}; give runtime {' or '.join(able)}"
        )
    RUNTIMES[runtime].require(device)


def make_search(runtime: str, precision: str, network: "Network", source: "Network") -> Search:
    """Create the search pass of a tracker.

    Args:
        runtime, precision: see `check_runtime`.
        network, source: see `Search`.

    Raises:
        UserError: see `check_runtime`, or the runtime cannot run this network here.
    """
    check_runtime(runtime, precision, next(network.parameters()).device)
    return RUNTIMES[runtime](network, source, precision)


def add_runtime_options(parser: argparse._ActionsContainer) -> None:
    """Add ``--runtime`` and ``--precision``, for `make_search`."""
    kinds = "; ".join(f"{name}: {kind.about}" for name, kind in RUNTIMES.items())
    parser.add_argument(
        "--runtime",
        metavar="NAME",
        choices=RUNTIMES,
        default="eager",
        help=f"how the search pass is computed. {kinds} (default: eager)",
    )
    parser.add_argument(
        "--precision",
        metavar="NAME",
        choices=PRECISIONS,
        default="float32",
        help="precision of the search pass: float32, or bfloat16 (see docs/speed.md for its speed "
        "and accuracy); boxes are always computed in float32 (default: float32)",
    )


def add_threads_option(parser: argparse._ActionsContainer) -> None:
    """Add ``--threads``, for `tracker.online.rgbt_tracker.RGBTTracker`."""
    parser.add_argument(
        "--threads",
        metavar="N",
        type=positive_int,
        help="number of PyTorch threads on a processor (default: OMP_NUM_THREADS where it is set; "
        "else all for large networks, such as dfat, and 1 for others)",
    )
