"""``fusion costs``: its options and its output."""

import argparse

from fusion.base.commandline import Commands, add_number_option

COSTS_EXAMPLES = """\
examples:
  fusion costs networks
  fusion costs networks --size 256x256 --rounds 1 --only lrrnet didfuse
  fusion costs metrics --json metrics.json
"""


def add_costs(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "costs",
        help="measure what networks and metrics cost",
        description="Parameters, FLOPs and CPU time of every network, or CPU time of every metric, "
        "on one\nthread.",
        epilog=COSTS_EXAMPLES,
    )
    parser.set_defaults(command=_costs)
    parser.add_argument("what", choices=("networks", "metrics"), help="what to measure")
    parser.add_argument(
        "--only", metavar="NAME", nargs="+", help="some networks, or conventions (default: all)"
    )
    parser.add_argument(
        "--size",
        metavar="WxH",
        type=_size,
        default=(640, 512),
        help="size of the images in pixels (default: 640x512)",
    )
    add_number_option(parser, "--rounds", "measure so often; the least counts", default=3)
    parser.add_argument(
        "--json", metavar="FILE", help="also write all figures; - for stdout, without the table"
    )


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and min(int(width), int(height)) >= 64):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT of 64 and more")
    return int(width), int(height)


def _costs(arguments: argparse.Namespace) -> int:
    from fusion.base.tables import write_json
    from fusion.commands.costs import format_report, metric_costs, network_costs

    measure = network_costs if arguments.what == "networks" else metric_costs
    result = measure(arguments.size, arguments.rounds, arguments.only)
    if arguments.json != "-":
        print(format_report(result))
    if arguments.json:
        write_json(arguments.json, result)
    return 0
