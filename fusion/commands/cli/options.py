"""Options that several commands share."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fusion.base.commandline import (
    add_device_option,
    add_json_option,
    add_number_option,
    input_path,
    resolve_device,
)
from fusion.base.errors import UserError

if TYPE_CHECKING:
    from fusion.networks.base import FusionNetwork


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Add the arguments IR and VIS: two pictures, folders or videos."""
    for name, what in (("ir", "infrared"), ("vis", "visible")):
        parser.add_argument(
            name, metavar=name.upper(), type=input_path, help=f"{what} picture, folder or video"
        )


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
    """Add ``--size``, ``--rounds`` and ``--json``."""

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
    add_json_option(parser)


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


def add_method_options(parser: argparse.ArgumentParser, default: str) -> None:
    """Add ``--method``, ``--weights``, ``--rule``, ``--device``, ``--color`` and ``--steady``.

    Args:
        default: the method without any of the first two.
    """
    from fusion.networks.registry import CLASSICAL, NETWORKS

    parser.add_argument(
        "--weights",
        metavar="W",
        type=Path,
        help="a .safetensors file saved by this package, the authors' checkpoint, or a folder with "
        "their files if there are several (default: those that are included)",
    )
    parser.add_argument(
        "--method",
        metavar="NAME",
        help=f"the network: {', '.join((*NETWORKS, *CLASSICAL))} (see 'fusion methods'); detected "
        "from a weights file, required for a folder of files and for methods without weights "
        f"(default: {default})",
    )
    parser.add_argument(
        "--rule",
        metavar="RULE",
        help="how a method with fusion rules fuses features, such as sum, average, l1 (see 'fusion "
        "methods'; default: the published one)",
    )
    add_device_option(parser)
    parser.add_argument(
        "--color",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep the colour of the visible image; --no-color gives the paper's greyscale",
    )
    parser.add_argument(
        "--steady",
        action=argparse.BooleanOptionalAction,
        help="for videos: let the range of levels change slowly, and average pixels that do not "
        "move (default: with lrrnet_fast)",
    )


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
