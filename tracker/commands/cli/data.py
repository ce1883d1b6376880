"""``tracker data``: its options and its output."""

import argparse
import json
from pathlib import Path

from fusion.base.commandline import EXIT_BAD_INPUT, Commands

# Known here too, because the modules that define them load slowly.
LAYOUTS = "gtot, rgbt210, rgbt234, lasher, vtuav, vot"
DATASETS = f"{LAYOUTS}, vt821, vt1000, vt5000"

DATA_EXAMPLES = """\
PATH is a dataset, a split or a sequence of it; or two PATHs, visible and infrared, folders or
videos. A problem can be worked around and a tracker would run; an error cannot.

examples:
  tracker data RGBT234/
  tracker data VTUAV/train_ST_001 --layout vtuav --all-frames
  tracker data visible.mp4 thermal.mp4 --json

exit code: 0 without errors, 2 with any.
"""


def add_data(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "data",
        help="say what a dataset or sequence holds and what is wrong with it",
        description="Say what a folder of RGBT sequences holds and everything wrong with it.",
        epilog=DATA_EXAMPLES,
    )
    parser.set_defaults(command=_data)
    parser.add_argument("path", metavar="PATH", type=Path, help="dataset, sequence or visible side")
    parser.add_argument("ir", metavar="IR", type=Path, nargs="?", help="infrared folder or video")
    parser.add_argument(
        "--layout", metavar="NAME", help=f"how PATH is laid out, instead of guessing: {DATASETS}"
    )
    parser.add_argument(
        "--all-frames", action="store_true", help="decode every frame, not only the first ones"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with every sequence")


def _data(arguments: argparse.Namespace) -> int:
    from tracker.data.inventory import count_faults, describe, take_inventory

    paths = [path for path in (arguments.path, arguments.ir) if path is not None]
    inventory = take_inventory(paths, arguments.layout, arguments.all_frames)
    if arguments.json:
        print(json.dumps(inventory, indent=1))
    else:
        print("\n".join(describe(inventory)))
    _, errors = count_faults(inventory)
    return EXIT_BAD_INPUT if errors else 0
