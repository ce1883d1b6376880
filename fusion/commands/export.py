"""Networks as ONNX files, for programs that have neither this package nor PyTorch.

A file is checked before it is left: ONNX Runtime computes it, PyTorch the network, on several
sizes, and a file that differs is not written. Its metadata holds the pixel convention, so that the
file alone can be used.
"""

from pathlib import Path

import torch

from fusion.base.onnx import write_onnx
from fusion.networks.base import FusionNetwork
from fusion.networks.weights import description

__all__ = ["export_network"]


# --- Fusion networks ------------------------------------------------------------------------------


def export_network(network: FusionNetwork, path: str | Path) -> float:
    """Write a fusion network as an ONNX file of any batch, height and width.

    The file's inputs are "ir" and "vis", ``(batch, 1, height, width)``, float32, and its output is
    "fused", likewise: what `FusionNetwork.forward` takes and gives. Its metadata holds "network",
    "architecture", "scaling" (a `fusion.images.pixels.PixelScaling`), "min_side" and "usage", how
    pixels
    become inputs and outputs pixels, in words.

    Args:
        network: with weights; put into evaluation mode, on the CPU.
        path: named ``.onnx``.

    Returns:
        As `write_onnx`.

    Raises:
        UserError: as `write_onnx`.
        ValueError: the network is not among `fusion.networks.weights.NETWORKS`.
    """
    metadata = description(network)
    network = network.eval().cpu()
    least = network.min_side
    # The recorded size has no side that is also another one's, or the smallest, so that none of
    # them is taken for a constant.
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
    epsilon = scaling.EPSILON
    before = {
        "min-max": f"(p - min p) / (max p - min p + {epsilon}) of each picture",
        "unit": "p / 255",
    }[scaling.input]
    after = {
        "min-max": f"(y - min y) / (max y - min y + {epsilon})",
        "clamp": f"y * {scaling.gain:g} clipped to 0..1",
    }[scaling.output]
    rounding = {"truncate": "truncated", "round": "rounded"}[scaling.rounding]
    return (
        "ir and vis: float32 (batch, 1, height, width), grey pixels p in 0..255 as "
        f"{before}; sides of at least {network.min_side}. fused: y of the same shape; grey pixels "
        f"are 255 * ({after}), {rounding} to whole numbers. A batch is scaled picture by picture."
    )
