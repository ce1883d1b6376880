"""``fusion evaluate``: its options and its output."""

import argparse
import sys
from pathlib import Path

from fusion.base.commandline import EXIT_BAD_INPUT, Commands
from fusion.commands.cli.options import add_workers_option, parse_metrics

EVALUATE_EXAMPLES = """\
Fused pictures are matched with the sources by file stem; colour is measured by its luminance. OUT
gets means.csv, pictures.csv and means.png. What each metric means and where it misleads is in
fusion/evaluation/metrics.py. SD grows with the size of the picture, 2En is what some papers call
MI.

examples:
  fusion evaluate --ir tno/ir --vis tno/vis --fused fused
  fusion evaluate --ir tno/ir --vis tno/vis --fused LRRNet=a MyNet=b --metrics en,ssim,nabf -o out
  fusion evaluate --ir tno/ir --vis tno/vis --fused fused --json -

exit code: 0 when all pictures were measured, 2 when an input is bad or any was left out.
"""


def add_evaluate(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "evaluate",
        help="measure fused pictures of one or several methods",
        description="Objective metrics of fused pictures: methods down, metrics across.",
        epilog=EVALUATE_EXAMPLES,
    )
    parser.set_defaults(command=_evaluate)
    parser.add_argument("--ir", metavar="DIR", type=Path, required=True, help="infrared pictures")
    parser.add_argument("--vis", metavar="DIR", type=Path, required=True, help="visible pictures")
    parser.add_argument(
        "--fused", metavar="DIR", nargs="+", required=True, help="a method's pictures, or NAME=DIR"
    )
    parser.add_argument(
        "--metrics",
        metavar="M,M,...",
        help="en, sd, 2en, mi, ssim, vif, nabf, sf, ag, scd, qabf, ms_ssim, viff, cc, psnr "
        "(default: all)",
    )
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, help="folder for tables and plot"
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="also write means and every picture's figures as JSON; - for the terminal, alone",
    )
    add_workers_option(parser)


def _evaluate(arguments: argparse.Namespace) -> int:
    from fusion.base.tables import write_json
    from fusion.evaluation.comparison import compare, method_names

    metrics = parse_metrics(arguments.metrics)
    methods = method_names(arguments.fused)
    comparison = compare(arguments.ir, arguments.vis, methods, metrics, arguments.workers)
    for failure in comparison.failures:
        print(failure, file=sys.stderr)
    if arguments.json != "-":
        count = len(next(iter(comparison.values.values())))
        print(f"{count} picture{'' if count == 1 else 's'}\n\n{comparison.table()}")
    if arguments.json:
        write_json(arguments.json, {"means": comparison.means(), "pictures": comparison.values})
    if arguments.output:
        comparison.write(arguments.output)
        print(f"tables and plot: {arguments.output}", file=sys.stderr)
    return EXIT_BAD_INPUT if comparison.failures else 0
