"""``fusion ablation``: its options and its output."""

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
from fusion.base.errors import UserError
from fusion.commands.cli.options import (
    add_convention_options,
    add_workers_option,
    parse_metrics,
)

ABLATION_EXAMPLES = """\
Other options are those of 'fusion train fit' and apply to every row. Running the command again
resumes it. OUT receives configurations (each for 'fusion train fit --config' alone), runs, weights,
fused images and one folder per table: means.csv, pictures.csv, means.json, means.png.

examples:
  fusion ablation --config experiments/fusion/ablation.yaml --data.root KAIST \\
      --ir tno/ir --vis tno/vis -o out
  fusion ablation --config experiments/fusion/ablation.yaml --table blocks extractor \\
      --data.root KAIST --trainer.max_steps 500 --ir tno/ir --vis tno/vis -o out
  fusion ablation --config experiments/fusion/ablation.yaml --configurations-only -o out

exit code: 0 if all is trained and evaluated, 2 if an input is invalid or a training failed.
"""


def add_ablation(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "ablation",
        help="train, fuse and tabulate the rows of ablation tables",
        description="Train a network with each setting of ablation tables, fuse pairs with each, "
        "and tabulate the\nmetrics.",
        epilog=ABLATION_EXAMPLES,
    )
    parser.set_defaults(command=_ablation, training=[])
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        required=True,
        help="YAML file of a training configuration and of tables, whose rows change it",
    )
    parser.add_argument(
        "--table", metavar="NAME", nargs="+", help="some of the tables (default: all)"
    )
    parser.add_argument("--ir", metavar="DIR", type=Path, help="infrared images to evaluate on")
    parser.add_argument("--vis", metavar="DIR", type=Path, help="visible images to evaluate on")
    add_output_option(parser, "OUT", "folder to write", required=True)
    add_convention_options(parser)
    add_workers_option(parser)
    parser.add_argument(
        "--configurations-only", action="store_true", help="write the configurations and stop"
    )
    add_device_option(parser)


def _ablation(arguments: argparse.Namespace) -> int:
    from fusion.base.files import make_folder
    from fusion.commands.ablation import Ablation, read_tables
    from fusion.images.pairing import pair_folders

    tables = read_tables(arguments.config)
    chosen = arguments.table or list(tables)
    unknown = [name for name in chosen if name not in tables]
    if unknown:
        raise UserError(f"--table: {unknown[0]!r} is unknown; known are {', '.join(tables)}")
    ablation = Ablation(
        {name: tables[name] for name in chosen},
        make_folder(arguments.output),
        arguments.training,
    )
    if arguments.configurations_only:
        if arguments.training:
            raise UserError(
                f"--configurations-only: {arguments.training[0]} would be ignored; give options of "
                "training to fusion train fit"
            )
        ablation.write_configurations()
        print(f"{len(ablation.runs)} configurations: {arguments.output / 'configurations'}")
        return 0
    if arguments.ir is None or arguments.vis is None:
        raise UserError("give --ir and --vis to evaluate on, or --configurations-only")
    # Check all arguments before hours of training, not after.
    metrics = parse_metrics(arguments)
    device = resolve_device(arguments.device)
    pair_folders(arguments.ir, arguments.vis)
    ablation.train()
    comparisons = ablation.compare(
        arguments.ir, arguments.vis, metrics, arguments.workers, device, arguments.convention
    )
    failures = {line: None for c in comparisons.values() for line in c.failures}
    for failure in failures:
        print(failure, file=sys.stderr)
    for name, comparison in comparisons.items():
        print(f"{name}, convention {comparison.convention.name}\n{comparison.table()}\n")
    print(f"tables and plots: {arguments.output}", file=sys.stderr)
    return EXIT_BAD_INPUT if failures else 0
