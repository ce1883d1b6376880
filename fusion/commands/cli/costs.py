"""``fusion costs``: its options and its output."""

import argparse

from fusion.base.commandline import Commands
from fusion.base.tables import show_or_write
from fusion.commands.cli.options import add_measuring_options

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
    add_measuring_options(parser, least_side=64)


def _costs(arguments: argparse.Namespace) -> int:
    from fusion.commands.costs import format_report, metric_costs, network_costs

    measure = network_costs if arguments.what == "networks" else metric_costs
    result = measure(arguments.size, arguments.rounds, arguments.only)
    show_or_write(result, format_report(result), arguments.json)
    return 0
