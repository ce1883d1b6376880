"""``tracker bench``: its options and its output."""

import argparse
import json

from fusion.base.commandline import Commands, add_device_option, positive_int, resolve_device
from tracker.model.pretrained import SHIPPED
from tracker.online.runtime import RUNTIMES

BENCH_EXAMPLES = """\
All compute the same network on the same random frames: only the way the work is arranged differs,
and its precision where it says so. "compact" is the tracker that ships; other presets run with
untrained weights. Runtimes that are not installed are left out. A round of compact takes a second
and one of dfat some ten; compiling takes up to minutes.

examples:
  tracker bench
  tracker bench --preset dfat --rounds 3
  tracker bench --preset compact_dfat --runtimes eager onnx --rounds 20 --threads 2 --json
"""


def add_bench(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "bench",
        help="measure a frame's cost against the published code's structure",
        description="Measure what a frame costs, in turn with the structure of the published code.",
        epilog=BENCH_EXAMPLES,
    )
    parser.set_defaults(command=_bench)
    parser.add_argument(
        "--preset",
        metavar="NAME",
        default=SHIPPED,
        help="compact, or a preset on both modalities: dfat, dfat_llrr, compact_dfat, ... "
        "(default: compact)",
    )
    parser.add_argument(
        "--rounds",
        metavar="N",
        type=positive_int,
        default=5,
        help="measure so often; the least counts (default: 5)",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        type=positive_int,
        nargs="+",
        default=[1, 2],
        help="of PyTorch and ONNX Runtime, one table each (default: 1 2)",
    )
    parser.add_argument(
        "--runtimes",
        metavar="NAME",
        choices=RUNTIMES,
        nargs="+",
        default=list(RUNTIMES),
        help=f"as --runtime of tracker track; measured in every precision they have (default: "
        f"{' '.join(RUNTIMES)})",
    )
    add_device_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _bench(arguments: argparse.Namespace) -> int:
    from tracker.commands.bench import bench, report

    result = bench(
        arguments.preset,
        rounds=arguments.rounds,
        device=resolve_device(arguments.device),
        threads=arguments.threads,
        runtimes=arguments.runtimes,
    )
    print(json.dumps(result, indent=1) if arguments.json else report(result))
    return 0
