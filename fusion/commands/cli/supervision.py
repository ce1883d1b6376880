"""``fusion supervision``: its options and its output."""

import argparse
import sys
from pathlib import Path

from fusion.base.commandline import (
    EXIT_BAD_INPUT,
    Commands,
    add_device_option,
    add_output_option,
    resolve_device,
)
from fusion.commands.cli.options import add_workers_option

SUPERVISION_EXAMPLES = """\
A plan such as experiments/fusion/supervision.yaml names networks and treatments of their training.
Each network is trained plainly and under each treatment, with equal steps and batches; pairs are
fused by all, and measured by the ten columns of experiments/README.md. fusion/evaluation/
treatments.py has the rule by which mean ranks are compared. Other options are those of 'fusion
train fit' and apply to every run. Running the command again resumes it, and adds what is new.

OUT receives configurations, runs (with loss curves), weights, fused images, means.csv, ranks.csv,
pictures.csv, supervision.csv (ranks gained in each column), and a sheet of images for each network.

examples:
  fusion supervision --plan experiments/fusion/supervision.yaml --data.root road \\
      --references pictures=references --ir tno/ir --vis tno/vis -o out --treatments supervised
  fusion supervision --plan experiments/fusion/supervision.yaml --data.root road \\
      --references pictures=references regions=regional strongest=strongest single=single \\
      --ir tno/ir --vis tno/vis -o out --networks pmgi sdnet --seeds 0 1 2

exit code: 0 if all is trained and evaluated, 2 if an input is invalid or a training failed.
"""


def add_supervision(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "supervision",
        help="train networks with and without references, and rank them",
        description="Train networks plainly and under reference-then-supervision, and compare "
        "their mean ranks.",
        epilog=SUPERVISION_EXAMPLES,
    )
    parser.set_defaults(command=_supervision, training=[])
    parser.add_argument(
        "--plan", metavar="FILE", type=Path, required=True, help="YAML file of the plan"
    )
    parser.add_argument(
        "--references",
        metavar="NAME=DIR",
        nargs="+",
        default=[],
        help="folders of references, by the names in the plan",
    )
    parser.add_argument("--networks", metavar="NAME", nargs="+", help="some of the networks")
    parser.add_argument("--treatments", metavar="NAME", nargs="+", help="some of the treatments")
    parser.add_argument("--seeds", metavar="N", nargs="+", type=int, help="other seeds")
    parser.add_argument("--ir", metavar="DIR", type=Path, required=True, help="infrared images")
    parser.add_argument("--vis", metavar="DIR", type=Path, required=True, help="visible images")
    add_output_option(parser, "OUT", "folder to write", required=True)
    add_workers_option(parser)
    add_device_option(parser)


def _supervision(arguments: argparse.Namespace) -> int:
    from fusion.base.files import make_folder
    from fusion.commands.supervision import Supervision, read_plan
    from fusion.evaluation.comparison import method_names
    from fusion.images.pairing import pair_folders

    plan = read_plan(arguments.plan)
    references = method_names(arguments.references, "--references")
    device = resolve_device(arguments.device)
    pair_folders(arguments.ir, arguments.vis)
    supervision = Supervision(
        plan,
        make_folder(arguments.output),
        references,
        arguments.training,
        arguments.networks,
        arguments.treatments,
        arguments.seeds,
    )
    supervision.train()
    outcome = supervision.compare(arguments.ir, arguments.vis, arguments.workers, device)
    for failure in outcome.failures:
        print(failure, file=sys.stderr)
    print(f"{outcome.comparison.table()}\n\n{outcome.table()}")
    print(f"tables and sheets: {arguments.output}", file=sys.stderr)
    return EXIT_BAD_INPUT if outcome.failures else 0
