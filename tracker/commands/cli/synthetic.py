"""``tracker synthetic``: its options and its output."""

import argparse
from pathlib import Path

from fusion.base.commandline import Commands, natural_int, positive_int

SYNTHETIC_EXAMPLES = """\
OUT gets list.txt and a folder a sequence, in the layout of the VOT toolkit: to train on with
tracker train --data.roots.synthetic OUT, and to evaluate on with tracker vot init --dataset OUT.
Interrupted, it goes on where it was. The splits share no place, and differ in kinds of target, in
challenges and in the ways a camera fails.

examples:
  tracker synthetic train_sequences --split train --count 400 --length 60 --seed 1000
  tracker synthetic night --challenges night night_twins --count 4 --sheet night.png
"""


def add_synthetic(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "synthetic",
        help="make RGBT sequences with boxes",
        description="Make procedural RGBT sequences with exact boxes, to train or evaluate on.",
        epilog=SYNTHETIC_EXAMPLES,
    )
    parser.set_defaults(command=_synthetic)
    parser.add_argument("output", metavar="OUT", type=Path, help="folder to write")
    parser.add_argument(
        "--split", metavar="NAME", default="test", help="train or test (default: test)"
    )
    parser.add_argument(
        "--count",
        metavar="N",
        type=positive_int,
        default=20,
        help="how many sequences (default: 20)",
    )
    parser.add_argument(
        "--length",
        metavar="N",
        type=positive_int,
        default=120,
        help="frames of each sequence (default: 120)",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=natural_int,
        default=0,
        help="decides the first sequence; the others count up (default: 0)",
    )
    parser.add_argument(
        "--challenges",
        metavar="NAME",
        nargs="+",
        help="difficulties, for the sequences in turn (default: all of the split)",
    )
    parser.add_argument(
        "--sheet", metavar="FILE", type=Path, help="also write a picture of up to 18 of them"
    )


def _synthetic(arguments: argparse.Namespace) -> int:
    from fusion.base.tables import counted
    from fusion.images.reading import write_image
    from tracker.synthetic import contact_sheet, dataset_specs, write_dataset

    chosen = {name: getattr(arguments, name) for name in ("split", "length", "seed", "challenges")}
    if arguments.sheet is not None:  # first: its name may be no picture's
        specs = dataset_specs(min(arguments.count, 18), **chosen)
        write_image(arguments.sheet, contact_sheet(specs.values()))
        print(f"a look at them: {arguments.sheet}")
    folders = write_dataset(arguments.output, count=arguments.count, progress=True, **chosen)
    print(f"{counted(len(folders), 'sequence')}: {arguments.output}")
    return 0
