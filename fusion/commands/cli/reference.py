"""``fusion reference``: its options and its output."""

import argparse
import sys
from pathlib import Path

from fusion.base.commandline import (
    EXIT_BAD_INPUT,
    Commands,
    add_number_option,
    add_output_option,
    positive_int,
)
from fusion.commands.cli.options import add_workers_option

REFERENCE_EXAMPLES = """\
The five best results of each pair are selected by an automatic filter, weighted and enhanced. OUT
receives rank_1/ to rank_5/, rank_1.txt to rank_5.txt with lines name,weight, and references.csv,
which lists the method of each. fusion/training/reference.py documents the rules. A network is then
trained to regress to them:

  fusion reference --ir road/ir --vis road/vis -o references \\
      --results maximum=a laplacian=b DIDFuse=c AUIF=d DenseFuse=e LRRNet=f
  fusion train fit --config experiments/fusion/reference.yaml \\
      --data.root road --data.references references

--sheets draws candidates, selected references, enhanced ones and (--fused) a network's result:

  fusion reference --ir road/ir --vis road/vis -o references --skip-existing \\
      --results maximum=a laplacian=b DIDFuse=c AUIF=d DenseFuse=e LRRNet=f --sheets 4 --fused new

exit code: 0 if all pairs have references, 2 if an input is invalid or any pair was left out.
"""


def add_reference(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "reference",
        help="select and enhance training references from the results of several methods",
        description="Reference-then-supervision: select, from the results of several fusion "
        "methods, the references\nthat a network is trained to regress to.",
        epilog=REFERENCE_EXAMPLES,
    )
    parser.set_defaults(command=_reference)
    parser.add_argument("--ir", metavar="DIR", type=Path, required=True, help="infrared images")
    parser.add_argument("--vis", metavar="DIR", type=Path, required=True, help="visible images")
    parser.add_argument(
        "--results", metavar="DIR", nargs="+", required=True, help="a method's results, or NAME=DIR"
    )
    add_output_option(parser, "OUT", "output folder", required=True)
    parser.add_argument(
        "--keep",
        metavar="K",
        type=positive_int,
        help="maximum number of references per pair (default: 5)",
    )
    parser.add_argument(
        "--skip-existing", action="store_true", help="skip pairs that already have references"
    )
    parser.add_argument(
        "--regions",
        metavar="SIDE",
        type=positive_int,
        help="choose by region of SIDE pixels, not by picture",
    )
    parser.add_argument(
        "--detail",
        action="store_true",
        help="compose one reference of the strongest details of those chosen",
    )
    parser.add_argument(
        "--no-enhance", action="store_true", help="leave the chosen images as they are"
    )
    add_number_option(parser, "--sheets", "also draw N pairs, to OUT/sheets")
    parser.add_argument(
        "--fused", metavar="DIR", type=Path, help="a trained network's results, for the sheets"
    )
    add_workers_option(parser)


def _reference(arguments: argparse.Namespace) -> int:
    from fusion.evaluation.comparison import method_names
    from fusion.training.reference import KEEP, draw_sheets, make_references

    ir, vis, out = arguments.ir, arguments.vis, arguments.output
    keep = KEEP if arguments.keep is None else arguments.keep
    results = method_names(arguments.results, "--results")
    failures = make_references(
        ir,
        vis,
        results,
        out,
        keep,
        arguments.workers,
        arguments.skip_existing,
        arguments.regions,
        arguments.detail,
        not arguments.no_enhance,
    )
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"references: {out}")
    if arguments.sheets:
        draw_sheets(ir, vis, results, out, arguments.sheets, arguments.fused)
        print(f"sheets: {out / 'sheets'}")
    return EXIT_BAD_INPUT if failures else 0
