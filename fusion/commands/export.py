"""Export of networks to ONNX files, for programs without this package and PyTorch.

A file is verified before it is kept: its results by ONNX Runtime are compared with the network's by
PyTorch on several sizes, and a file that differs is not written. Its metadata contains the pixel
convention, so that the file is sufficient on its own.
"""

from pathlib import Path

import torch

from fusion.base.onnx import write_onnx
from fusion.networks.base import FusionNetwork
from fusion.networks.weights import description

# --- Fusion networks ------------------------------------------------------------------------------


def export_network(network: FusionNetwork, path: str | Path) -> float:
    """Write a fusion network as an ONNX file with variable batch size, height and width.

    The inputs of the file are "ir" and "vis", its output is "fused", each float32
    ``(batch, 1, height, width)``: the arguments and the result of `FusionNetwork.forward`. Its
    metadata contains "network", "architecture", "scaling" (a `fusion.images.pixels.PixelScaling`),
    "min_side" and "usage", a description of how to convert pixels to inputs and outputs to pixels.

    Args:
        network: a network with weights; set to evaluation mode and moved to the CPU.
        path: output file, ending in ``.onnx``.

    Returns:
        See `write_onnx`.

    Raises:
        UserError: see `write_onnx`; or the network's class is not registered.
    """
    metadata = description(network)
    network = network.eval().cpu()
    least = network.min_side
    # No side of the recorded size equals another side or the smallest one, so that none of them is
    # mistaken for a constant.
    sizes = [(2, 2 * least + 31, 2 * least + 44), (1, least, least), (3, least + 61, least)]
    generator = torch.Generator().manual_seed(0)
    checks = [
        tuple(torch.rand(2, batch, 1, height, width, generator=generator))
        for batch, height, width in sizes
    ]
    axes = {0: "batch", 2: "height", 3: "width"}
    metadata |= {"min_side": str(least), "usage": _usage(network)}
    return write_onnx(
        network,
        path,
        checks,
        inputs=("ir", "vis"),
        outputs=("fused",),
        metadata=metadata,
        dynamic_axes=(axes, axes),
    )


def _usage(network: FusionNetwork) -> str:
    scaling = network.scaling
    before = {
        "min-max": f"(p - min p) / (max p - min p + {scaling.EPSILON}) of each image",
        "unit": "p / 255",
    }[scaling.input]
    after = {
        "min-max": f"(y - min y) / (max y - min y + {scaling.epsilon})",
        "clamp": f"y * {scaling.gain:g} clipped to 0..1",
    }[scaling.output]
    rounding = {"truncate": "truncated", "round": "rounded"}[scaling.rounding]
    return (
        "ir and vis: float32 (batch, 1, height, width), greyscale pixels p in 0..255 as "
        f"{before}; sides of at least {network.min_side}. fused: y of the same shape; greyscale "
        f"pixels are 255 * ({after}), {rounding} to integers. A batch is scaled image by image."
    )
