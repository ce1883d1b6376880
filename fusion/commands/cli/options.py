"""Options that several commands share."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion.base.commandline import add_number_option, resolve_device
from fusion.base.errors import UserError

if TYPE_CHECKING:
    from fusion.networks.base import FusionNetwork


def add_workers_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--workers``."""
    add_number_option(parser, "--workers", "number of processes", default=1)


def add_convention_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--convention`` and ``--metrics``."""
    parser.add_argument(
        "--convention",
        metavar="NAME",
        default="lrrnet",
        help="whose definitions of the metrics, such as cddfuse, ivif_zoo, tang, vifb, color "
        "(default: lrrnet; see 'fusion metrics')",
    )
    parser.add_argument(
        "--metrics",
        metavar="M,M,...",
        help="some of the convention's metrics, by the names 'fusion metrics' lists (default: all)",
    )


def add_measuring_options(parser: argparse.ArgumentParser, least_side: int) -> None:
    """Add ``--size``, ``--rounds`` and ``--json``, for `show_measured`."""

    def size(text: str) -> tuple[int, int]:
        sides = text.split("x")
        if len(sides) != 2 or not all(x.isdigit() and int(x) >= least_side for x in sides):
            raise argparse.ArgumentTypeError(
                f"{text!r} is not WIDTHxHEIGHT of {least_side} or more, such as 640x512"
            )
        return int(sides[0]), int(sides[1])

    parser.add_argument(
        "--size",
        metavar="WxH",
        type=size,
        default=(640, 512),
        help="size of the images in pixels (default: 640x512)",
    )
    add_number_option(parser, "--rounds", "number of rounds; the minimum counts", default=3)
    parser.add_argument(
        "--json", metavar="FILE", help="also write all figures; - for stdout, without the tables"
    )


def show_measured(result: dict[str, Any], report: str, json: str | None) -> None:
    """Print the report, and write the figures as selected by ``--json``."""
    from fusion.base.tables import write_json

    if json != "-":
        print(report)
    if json:
        write_json(json, result)


def parse_metrics(arguments: argparse.Namespace) -> list[str] | None:
    """Names from ``--metrics``, checked with ``--convention`` before long work starts.

    Raises:
        UserError: a name is unknown.
    """
    from fusion.evaluation.metrics import create_all

    names = arguments.metrics and arguments.metrics.split(",")
    try:
        return [metric.name for metric in create_all(names, arguments.convention)]
    except UserError as error:
        option = "--convention" if "convention" in str(error).split()[1] else "--metrics"
        raise UserError(f"{option}: {error}") from error


def load_chosen(
    weights: Path | None, device: str, method: str | None = None, rule: str | None = None
) -> "FusionNetwork":
    """Load the network selected by ``--weights``, ``--device``, ``--method`` and ``--rule``.

    Raises:
        UserError: the options are inconsistent, or a file cannot be loaded.
    """
    from fusion.networks.weights import load_network

    return load_network(weights, method=method, rule=rule, device=resolve_device(device))


def name_with_weights(network: "FusionNetwork", weights: Path | None) -> str:
    """What `load_chosen` loaded, for messages: the method's name and where its weights are from."""
    from fusion.networks.registry import CLASSICAL, NETWORKS

    name = NETWORKS.name_of(type(network))
    if name is None:
        return f"{CLASSICAL.name_of(type(network))}"
    return f"{name} ({weights or 'included weights'})"
