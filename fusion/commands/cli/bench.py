"""``fusion bench``: its options and its output."""

import argparse

from fusion.base.commandline import Commands, add_number_option

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
    parser.add_argument(
        "--size",
        metavar="WxH",
        type=_size,
        default=(640, 512),
        help="size of the images in pixels (default: 640x512)",
    )
    add_number_option(parser, "--rounds", "number of rounds; the minimum counts", default=3)
    parser.add_argument(
        "--train",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also measure training steps",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="also write all figures; - for stdout, without the tables"
    )


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, such as 640x512")
    return int(width), int(height)


def _bench(arguments: argparse.Namespace) -> int:
    from fusion.base.tables import write_json
    from fusion.commands.bench import bench, format_report

    result = bench(arguments.size, arguments.rounds, arguments.train)
    if arguments.json != "-":
        print(format_report(result))
    if arguments.json:
        write_json(arguments.json, result)
    return 0
