"""What computes a frame's search pass: PyTorch as it is, ONNX Runtime, or a compiled graph.

`Search` is the eager one, and what a runtime has to offer: `learn` takes the template's kernels,
a call takes a frame's prepared crops. `RUNTIMES` lists them all. Template, decision on a box and
all geometry stay with `tracker.online.rgbt_tracker`, in float32, whatever the runtime and its
precision.

Nothing here loads slowly before a search is asked for.
"""

import argparse
import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fusion.base.errors import UserError

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
    "check_runtime",
    "make_search",
]

#: What the search pass computes in.
PRECISIONS = ("float32", "bfloat16")


class Search:
    """The search pass by PyTorch, an operation after the other; any modality may be missing.

    Args:
        network: `TrackerNetwork.for_inference`; decides in float32, and computes all else too where
            the precision is float32.
        source: the network `network` was made from, for copies made otherwise.
        precision: of `PRECISIONS`. In bfloat16, weights, features and kernels have eight
            significant bits.
    """

    about = "PyTorch as it is"
    precisions: tuple[str, ...] = PRECISIONS

    @staticmethod
    def require(device: "torch.device | None") -> None:
        """Make sure that the runtime can be used on a device, or on some where None.

        Raises:
            UserError: what it needs is not there.
        """

    def __init__(self, network: "Network", source: "Network", precision: str):
        import torch

        self.network = network
        self._own_dtype = next(network.parameters()).dtype
        self.dtype = self._own_dtype if precision == "float32" else getattr(torch, precision)
        self._body = network if self.dtype == self._own_dtype else self._copy(source)
        self._kernels: dict[str, list] = {}

    def _copy(self, source: "Network") -> "Network":
        """The network in the search's own precision, its decision in float32."""
        device = next(self.network.parameters()).device
        # Winograd's transforms lose digits that bfloat16 has not, and gain nothing in other
        # runtimes, which bring convolutions of their own.
        return source.for_inference(device, winograd=False).in_precision(self.dtype)

    def learn(self, kernels: Mapping[str, list]) -> None:
        """Take the kernels of a template, as `TrackerNetwork.kernels` gives them."""
        self._kernels = {branch: _laid_out(k, self.dtype) for branch, k in kernels.items()}

    def __call__(self, inputs: Mapping[str, "Tensor"]) -> tuple[tuple[str, ...], "Response"]:
        """Search a frame.

        Args:
            inputs: `TrackerNetwork.prepare`'s, of at least one modality that has kernels.

        Returns:
            The branches that took part, and their joint response in float32.
        """
        features = self._body.features({m: x.to(self.dtype) for m, x in inputs.items()})
        response = self._body.joint_response(self._kernels, features)
        return tuple(b for b in features if b in self._kernels), response


def _laid_out(kernels: Any, dtype: "torch.dtype") -> Any:
    """Kernels as a correlation reads them, so that no frame has to rearrange them."""
    if isinstance(kernels, tuple) and hasattr(kernels, "_fields"):
        return type(kernels)(*(_laid_out(kernel, dtype) for kernel in kernels))
    if isinstance(kernels, Sequence):
        return [_laid_out(kernel, dtype) for kernel in kernels]
    return kernels.to(dtype).contiguous()


class _WholeSearch(Search):
    """A search of one fixed graph, of all branches; frames that lack a modality go the eager way.

    So do all frames before every modality was in a template.
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
            super().learn(network.kernels(network.template(blank(network.exemplar_size))))
            inputs = self._arranged(blank(network.search_size))
            example = (*flat_kernels(network, self._kernels), *inputs)
            self._run = self._make(PreparedSearchPass(body).eval(), example)

    def _make(self, module: Any, example: tuple["Tensor", ...]) -> Callable[..., Sequence]:
        """What computes ``module`` on tensors of ``example``'s shapes."""
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
    """The search pass by ONNX Runtime, on the processor; recorded in memory when it is made.

    Takes as many threads as `torch.get_num_threads` says at that time.

    Raises:
        UserError: the network cannot be recorded.
    """

    about = "ONNX Runtime, on a processor; needs pip install 'rgbt-lrrnet[export]'"
    precisions = ("float32",)  # its convolutions on a processor know no bfloat16

    @staticmethod
    def require(device: "torch.device | None") -> None:
        from fusion.base.onnx import check_packages

        if device is not None and device.type != "cpu":
            raise UserError("runtime onnx: runs on the processor alone; give --device cpu")
        check_packages("runtime onnx")

    def _make(self, module: Any, example: tuple["Tensor", ...]) -> Callable[..., Sequence]:
        import torch

        from fusion.base.onnx import open_session, record_onnx

        names = [*module.kernel_names, *module.network.input_names]
        with torch.inference_mode(False):  # tensors of inference mode cannot be recorded
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
    """The search pass by `torch.compile`, for fixed shapes; compiled when it is made.

    One graph serves all frames and template updates: kernels are inputs of it. Its threads are
    those of `torch.get_num_threads` at that time; changing them compiles anew.

    Raises:
        UserError: this machine cannot compile.
    """

    about = "torch.compile, up to minutes at the start; needs a C++ compiler"

    def _make(self, module: Any, example: tuple["Tensor", ...]) -> Callable[..., Sequence]:
        import torch

        # Frozen, a processor's convolutions get their weights in the order they read them in.
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
"""Ways to compute the search pass, by the name that ``--runtime`` and RGBT_RUNTIME give."""


def check_runtime(runtime: str, precision: str, device: "torch.device | None" = None) -> None:
    """Make sure that a runtime can be used, before anything takes long.

    Args:
        runtime: of `RUNTIMES`.
        precision: of `PRECISIONS`.
        device: where the tracker is to run, if that is known.

    Raises:
        UserError: an unknown name, a precision the runtime has not, or what it needs is missing.
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
    """The search pass of a tracker.

    Args:
        runtime, precision: as `check_runtime`.
        network, source: as `Search`.

    Raises:
        UserError: as `check_runtime`, or the runtime cannot serve this network here.
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
        help=f"what computes the search. {kinds} (default: eager)",
    )
    parser.add_argument(
        "--precision",
        metavar="NAME",
        choices=PRECISIONS,
        default="float32",
        help="of the search: float32, or bfloat16, whose figures are in docs/speed.md; boxes are "
        "computed in float32 (default: float32)",
    )
