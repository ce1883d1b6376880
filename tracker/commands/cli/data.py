"""``tracker data``: its options and its output."""

import argparse
import json

from fusion.base.commandline import EXIT_BAD_INPUT, Commands, add_align_option, input_path
from tracker.commands.cli.options import add_layout_option
from tracker.data.layouts import dataset_names

DATA_EXAMPLES = """\
PATH is a dataset, a split or a sequence of it; or two PATHs, visible and infrared, folders or
videos. Despite a problem, a tracker can run; with an error, it cannot.

examples:
  tracker data RGBT234/
  tracker data VTUAV/train_ST_001 --layout vtuav --all-frames
  tracker data visible.mp4 thermal.mp4 --json

exit code: 0 if there are no errors, 2 otherwise.
"""


def add_data(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "data",
        help="list the contents of a dataset or sequence and their problems",
        description="List the contents of a folder of RGBT sequences and all problems with them.",
        epilog=DATA_EXAMPLES,
    )
    parser.set_defaults(command=_data)
    parser.add_argument(
        "path", metavar="PATH", type=input_path, help="dataset, sequence or visible side"
    )
    parser.add_argument(
        "ir", metavar="IR", type=input_path, nargs="?", help="infrared folder or video"
    )
    add_layout_option(parser, dataset_names())
    parser.add_argument(
        "--all-frames", action="store_true", help="decode every frame, not only the first ones"
    )
    add_align_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, with every sequence")


def _data(arguments: argparse.Namespace) -> int:
    from fusion.images.alignment.calibration import load_chosen
    from tracker.data.inventory import count_faults, describe, take_inventory

    paths = [path for path in (arguments.path, arguments.ir) if path is not None]
    calibration = load_chosen(arguments.align)
    inventory = take_inventory(paths, arguments.layout, arguments.all_frames, calibration)
    if arguments.json:
        print(json.dumps(inventory, indent=1))
    else:
        print("\n".join(describe(inventory)))
    _, errors = count_faults(inventory)
    return EXIT_BAD_INPUT if errors else 0
