"""``tracker synthetic``: its options and its output."""

import argparse
from pathlib import Path

from fusion.base.commandline import Commands, add_number_option

SYNTHETIC_EXAMPLES = """\
OUT receives list.txt and one folder per sequence, in the layout of the VOT toolkit: for training
with tracker train --data.roots.synthetic OUT, and for evaluation with tracker vot init --dataset
OUT. An interrupted run resumes. The splits share no location, and differ in kinds of target, in
challenges and in camera failures.

examples:
  tracker synthetic train_sequences --split train --count 400 --length 60 --seed 1000
  tracker synthetic night --challenges night night_twins --count 4 --sheet night.png
"""


def add_synthetic(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "synthetic",
        help="generate RGBT sequences with boxes",
        description="Generate RGBT sequences with exact boxes, for training or evaluation.",
        epilog=SYNTHETIC_EXAMPLES,
    )
    parser.set_defaults(command=_synthetic)
    parser.add_argument("output", metavar="OUT", type=Path, help="output folder")
    parser.add_argument(
        "--split", metavar="NAME", default="test", help="train or test (default: test)"
    )
    add_number_option(parser, "--count", "number of sequences", default=20)
    add_number_option(parser, "--length", "frames per sequence", default=120)
    add_number_option(
        parser,
        "--seed",
        "seed of the first sequence, incremented for the others",
        default=0,
        least=0,
    )
    parser.add_argument(
        "--challenges",
        metavar="NAME",
        nargs="+",
        help="challenges, used in turn (default: all of the split)",
    )
    parser.add_argument(
        "--sheet", metavar="FILE", type=Path, help="also write an image of up to 18 of them"
    )


def _synthetic(arguments: argparse.Namespace) -> int:
    from fusion.base.tables import counted
    from fusion.images.reading import write_image
    from tracker.synthetic import contact_sheet, dataset_specs, write_dataset

    chosen = {name: getattr(arguments, name) for name in ("split", "length", "seed", "challenges")}
    if arguments.sheet is not None:  # first: its name may not be that of an image
        specs = dataset_specs(min(arguments.count, 18), **chosen)
        write_image(arguments.sheet, contact_sheet(specs.values()))
        print(f"contact sheet: {arguments.sheet}")
    folders = write_dataset(arguments.output, count=arguments.count, progress=True, **chosen)
    print(f"{counted(len(folders), 'sequence')}: {arguments.output}")
    return 0
