"""``fusion reference``: its options and its output."""

import argparse
import sys
from pathlib import Path

from fusion.base.commandline import EXIT_BAD_INPUT, Commands, positive_int
from fusion.commands.cli.options import add_workers_option

REFERENCE_EXAMPLES = """\
The five best results of each pair are chosen by an automatic filter, weighted and enhanced; OUT
gets rank_1/ to rank_5/, rank_1.txt to rank_5.txt with lines name,weight, and references.csv, which
says whose each is. fusion/training/reference.py has the rules. Then a network is trained to
regress to them:

  fusion reference --ir road/ir --vis road/vis -o references \\
      --results maximum=a laplacian=b DIDFuse=c AUIF=d DenseFuse=e LRRNet=f
  fusion train fit --config experiments/fusion/reference.yaml \\
      --data.root road --data.references references

--sheets draws candidates, chosen, enhanced and (--fused) a network's result:

  fusion reference --ir road/ir --vis road/vis -o references --skip-existing \\
      --results maximum=a laplacian=b DIDFuse=c AUIF=d DenseFuse=e LRRNet=f --sheets 4 --fused new

exit code: 0 when all pairs have references, 2 when an input is bad or any pair was left out.
"""


def add_reference(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "reference",
        help="choose and enhance training references among several methods' results",
        description="Reference-then-supervision: from the results of several fusion methods, the "
        "references a\nnetwork is trained to regress to.",
        epilog=REFERENCE_EXAMPLES,
    )
    parser.set_defaults(command=_reference)
    parser.add_argument("--ir", metavar="DIR", type=Path, required=True, help="infrared pictures")
    parser.add_argument("--vis", metavar="DIR", type=Path, required=True, help="visible pictures")
    parser.add_argument(
        "--results", metavar="DIR", nargs="+", required=True, help="a method's results, or NAME=DIR"
    )
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help="folder to write"
    )
    parser.add_argument(
        "--keep",
        metavar="K",
        type=positive_int,
        help="choose at most so many references a pair (default: 5)",
    )
    parser.add_argument(
        "--skip-existing", action="store_true", help="leave out pairs that have references already"
    )
    parser.add_argument(
        "--sheets", metavar="N", type=positive_int, help="also draw N pairs, to OUT/sheets"
    )
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
        ir, vis, results, out, keep, arguments.workers, arguments.skip_existing
    )
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"references: {out}")
    if arguments.sheets:
        draw_sheets(ir, vis, results, out, arguments.sheets, arguments.fused)
        print(f"sheets: {out / 'sheets'}")
    return EXIT_BAD_INPUT if failures else 0
