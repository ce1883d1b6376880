"""``fusion bench``: its options and its output."""

import argparse

from fusion.base.commandline import Commands
from fusion.base.tables import show_or_write
from fusion.commands.cli.options import add_measuring_options

BENCH_EXAMPLES = """\
examples:
  fusion bench
  fusion bench --size 256x256 --rounds 5 --no-train --json bench.json
"""


def add_bench(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "bench",
        help="compare LRRNet's speed and memory with the published code's structure",
        description="Measure LRRNet's time, memory and error on the CPU, alternating with the "
        "structure of\nthe published code; takes minutes and, for that structure, gigabytes.",
        epilog=BENCH_EXAMPLES,
    )
    parser.set_defaults(command=_bench)
    add_measuring_options(parser, least_side=1)
    parser.add_argument(
        "--train",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also measure training steps",
    )


def _bench(arguments: argparse.Namespace) -> int:
    from fusion.commands.bench import bench, format_report

    result = bench(arguments.size, arguments.rounds, arguments.train)
    show_or_write(result, format_report(result), arguments.json)
    return 0
