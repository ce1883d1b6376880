"""``tracker bench``: its options and its output."""

import argparse
import json

from fusion.base.commandline import (
    Commands,
    add_device_option,
    add_number_option,
    positive_int,
    resolve_device,
)
from tracker.model.pretrained import INCLUDED_TRACKER
from tracker.online.runtime import RUNTIMES

BENCH_EXAMPLES = """\
All variants compute the same network on the same random frames; they differ in how the work is
arranged and, where stated, in precision. "small" is the included tracker, and NanoTrack
v3's network runs beside it on one modality; other presets run with untrained weights. Runtimes that
are not installed are left out. A round of small takes a second and one of dfat about ten;
compilation can take minutes.

--beside-load measures frames per second instead, alone and beside a busy process that it starts:
with one thread, with the default, and with all threads, each also in a program that has loaded
PyTorch first. It does not take --threads and --device.

examples:
  tracker bench
  tracker bench --beside-load --runtimes eager onnx
  tracker bench --preset dfat --rounds 3
  tracker bench --preset compact_dfat --runtimes eager onnx --rounds 20 --threads 2 --json
"""


def add_bench(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "bench",
        help="compare the time per frame with the published code's structure",
        description="Measure the time per frame, alternating with the structure of the published "
        "code.",
        epilog=BENCH_EXAMPLES,
    )
    parser.set_defaults(command=_bench)
    parser.add_argument(
        "--preset",
        metavar="NAME",
        default=INCLUDED_TRACKER,
        help="small, or another preset on both modalities: dfat, dfat_llrr, compact_dfat, ... "
        "(default: small)",
    )
    add_number_option(parser, "--rounds", "number of rounds; the minimum counts", default=5)
    parser.add_argument(
        "--threads",
        metavar="N",
        type=positive_int,
        nargs="+",
        default=[1, 2],
        help="threads of PyTorch and ONNX Runtime, one table each (default: 1 2)",
    )
    parser.add_argument(
        "--runtimes",
        metavar="NAME",
        choices=RUNTIMES,
        nargs="+",
        default=list(RUNTIMES),
        help=f"see --runtime of tracker track; each is measured in all its precisions (default: "
        f"{' '.join(RUNTIMES)})",
    )
    parser.add_argument(
        "--beside-load",
        action="store_true",
        help="measure frames per second alone and beside a busy process, with one and default "
        "threads",
    )
    add_device_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _bench(arguments: argparse.Namespace) -> int:
    if arguments.beside_load:
        from tracker.commands.load import bench_beside_load, report_beside_load

        result = bench_beside_load(
            arguments.preset, rounds=arguments.rounds, runtimes=arguments.runtimes
        )
        print(json.dumps(result, indent=1) if arguments.json else report_beside_load(result))
        return 0

    from tracker.commands.bench import bench, format_report

    result = bench(
        arguments.preset,
        rounds=arguments.rounds,
        device=resolve_device(arguments.device),
        threads=arguments.threads,
        runtimes=arguments.runtimes,
    )
    print(json.dumps(result, indent=1) if arguments.json else format_report(result))
    return 0
