"""Costs: parameters, FLOPs and CPU time of the networks, CPU time of the metrics.

FLOPs are counted by `torch.utils.flop_counter`: matrix products and convolutions, with a
multiply-add as two operations; additions, activations and resizing are not counted. They refer to
the network's own layers, not to a faster kernel. Times are CPU seconds of one thread, the minimum
over rounds.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from fusion.base.errors import UserError


def _chosen(kind: str, only: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    from fusion.base.registry import unknown

    for name in only or ():
        if name not in known:
            raise UserError(f"--only: {unknown(kind, name, known)}")
    return list(only or known)


# --- Networks -------------------------------------------------------------------------------------


def network_costs(
    size: tuple[int, int] = (640, 512), rounds: int = 3, only: Sequence[str] | None = None
) -> dict[str, Any]:
    """Parameters, FLOPs and CPU seconds of networks for one pair of images.

    Weights are random: none of the three depends on them. PyTorch is set to one thread.

    Args:
        size: width and height.
        rounds: number of rounds, of which the minimum counts.
        only: some of the names in `fusion.networks.weights.NETWORKS`; None for all.

    Returns:
        "machine", "size", "rounds", and "networks": for each name "parameters", "flops", "seconds".

    Raises:
        UserError: a name is unknown.
    """
    import torch

    from fusion.commands.bench import least_seconds, machine
    from fusion.networks.weights import NETWORKS

    torch.set_num_threads(1)
    width, height = size
    networks = {}
    for name in _chosen("network", only, list(NETWORKS)):
        network = NETWORKS[name]().eval()
        pair = torch.rand(2, 1, 1, height, width, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            seconds = least_seconds({name: partial(network, *pair)}, rounds)[name]
        networks[name] = {
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "flops": count_flops(network, size),
            "seconds": seconds,
        }
    return {"machine": machine(), "size": list(size), "rounds": rounds, "networks": networks}


def count_flops(network: Any, size: tuple[int, int]) -> int:
    """Floating-point operations of a network for one pair of ``(width, height)`` pixels.

    A copy of the network computes the pair once, layer by layer, so that the counter sees it.
    """
    import copy

    import torch
    from torch.utils.flop_counter import FlopCounterMode

    network = copy.deepcopy(network).requires_grad_(False)
    if hasattr(network, "fast"):
        network.fast = False
    width, height = size
    pair = torch.zeros(2, 1, 1, height, width)
    counter = FlopCounterMode(display=False)
    # Without gradients, LRRNet uses its fast implementations. With gradients enabled but not
    # required by any tensor, it runs layer by layer and stores nothing for them either.
    with counter, torch.enable_grad():
        network(pair[0], pair[1])
    return counter.get_total_flops()


# --- Metrics --------------------------------------------------------------------------------------


def metric_costs(
    size: tuple[int, int] = (640, 512), rounds: int = 3, only: Sequence[str] | None = None
) -> dict[str, Any]:
    """CPU seconds of every metric of conventions for a generated grey pair.

    OpenCV is set to one thread while it runs.

    Args:
        size: width and height.
        rounds: number of rounds, of which the minimum counts.
        only: some of the conventions; None for all.

    Returns:
        "machine", "size", "rounds", and "conventions": for each name "together", seconds of all
        its metrics in one call, and "metrics", seconds of each.

    Raises:
        UserError: a name is unknown.
    """
    import cv2

    from fusion.commands.bench import least_seconds, machine
    from fusion.commands.scene import street_pair
    from fusion.evaluation.metrics import create_all, evaluate_levels, list_conventions
    from fusion.images.pixels import luminance

    ir, visible = street_pair(*size, seed=0)
    vis = luminance(visible)
    fused = cv2.addWeighted(ir, 0.5, vis, 0.5, 0)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    conventions = {}
    try:
        for name in _chosen("convention", only, list_conventions()):
            metrics = create_all(None, name)
            together = partial(evaluate_levels, metrics, fused, ir, vis)
            alone = {m.name: partial(m.of_levels, fused, ir, vis) for m in metrics}
            conventions[name] = {
                "together": least_seconds({name: together}, rounds)[name],
                "metrics": least_seconds(alone, rounds),
            }
    finally:
        cv2.setNumThreads(threads)
    return {"machine": machine(), "size": list(size), "rounds": rounds, "conventions": conventions}


# --- To read --------------------------------------------------------------------------------------


def format_report(result: dict[str, Any]) -> str:
    """The result of `network_costs` or `metric_costs` as a table."""
    from fusion.base.tables import counted, format_table

    width, height = result["size"]
    head = f"{result['machine']}; {width}x{height}, one thread, least of "
    head += counted(result["rounds"], "round")
    if "networks" in result:
        rows = [
            [name, f"{row['parameters']:,}", f"{row['flops'] / 1e9:.2f}", f"{row['seconds']:.3f}"]
            for name, row in result["networks"].items()
        ]
        return f"{head}\n\n" + format_table(
            ["network", "parameters", "GFLOPs", "CPU seconds"], rows
        )
    rows = []
    for name, row in result["conventions"].items():
        slowest = sorted(row["metrics"].items(), key=lambda item: -item[1])[:4]
        shown = ", ".join(f"{metric} {seconds * 1e3:.1f}" for metric, seconds in slowest)
        rows.append([name, len(row["metrics"]), f"{row['together'] * 1e3:.1f}", shown])
    width = max(len(row[3]) for row in rows)
    rows = [[*row[:3], f"{row[3]:<{width}}"] for row in rows]
    return f"{head}\n\n" + format_table(
        ["convention", "metrics", "all, ms", f"{'the slowest, ms each':<{width}}"], rows
    )
