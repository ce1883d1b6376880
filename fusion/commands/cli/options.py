"""Options that several commands share."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fusion.base.commandline import positive_int, resolve_device

if TYPE_CHECKING:
    from fusion.networks.base import FusionNetwork


def add_workers_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--workers``."""
    parser.add_argument(
        "--workers",
        metavar="N",
        type=positive_int,
        default=1,
        help="number of processes (default: 1)",
    )


def parse_metrics(text: str | None) -> list[str] | None:
    """Metric names from ``M,M,...``, checked before a long computation; None for all.

    Raises:
        UserError: a name is unknown.
    """
    from fusion.evaluation.comparison import known_metrics

    return None if text is None else list(known_metrics(text.split(",")))


def load_chosen(
    weights: Path | None, device: str, method: str | None = None, rule: str | None = None
) -> "FusionNetwork":
    """Load the network selected by ``--weights``, ``--device``, ``--method`` and ``--rule``.

    Raises:
        UserError: the options are inconsistent, or a file cannot be loaded.
    """
    from fusion.networks.weights import load_network

    return load_network(weights, resolve_device(device), method, rule)
