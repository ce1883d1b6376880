"""Options that several commands share, and what they stand for."""

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
        help="processes that share the pictures (default: 1)",
    )


def parse_metrics(text: str | None) -> list[str] | None:
    """Names from ``M,M,...``, checked before anything is done; None for all.

    Raises:
        UserError: one is unknown.
    """
    from fusion.evaluation.comparison import known_metrics

    return None if text is None else list(known_metrics(text.split(",")))


def load_chosen(
    weights: Path | None, device: str, method: str | None = None, rule: str | None = None
) -> "FusionNetwork":
    """The network that ``--weights``, ``--device``, ``--method`` and ``--rule`` ask for.

    Raises:
        UserError: they do not fit, or a file cannot be loaded.
    """
    from fusion.networks.weights import load_network

    return load_network(weights, resolve_device(device), method, rule)
