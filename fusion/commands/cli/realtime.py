"""``fusion realtime``: its options and its output."""

import argparse
from pathlib import Path

from fusion.base.commandline import Commands, add_json_option, add_number_option
from fusion.base.errors import UserError

REALTIME_EXAMPLES = """\
examples:
  fusion realtime
  fusion realtime lrrnet lrrnet_fast mine.safetensors --frames 50
  fusion realtime --ir tno12/ir --vis tno12/vis --video ir.mp4 vis.mp4
"""


def add_realtime(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "realtime",
        help="compare methods for video: speed, quality and steadiness in one table",
        description="Compare methods for video in one table: parameters; CPU time and frames per "
        "second of a\ngenerated colour video, reading and writing included; metrics of images; and "
        "how much still\npixels of videos change, beside the average of the sources.",
        epilog=REALTIME_EXAMPLES,
    )
    parser.set_defaults(command=_realtime)
    parser.add_argument(
        "methods",
        metavar="METHOD",
        nargs="*",
        default=["lrrnet", "lrrnet_fast"],
        help="methods with included weights, or weights files; the others are compared with the "
        "first (default: lrrnet lrrnet_fast)",
    )
    parser.add_argument("--ir", metavar="DIR", type=Path, help="infrared pictures, for the metrics")
    parser.add_argument("--vis", metavar="DIR", type=Path, help="visible pictures")
    parser.add_argument(
        "--video",
        metavar=("IR", "VIS"),
        nargs=2,
        type=Path,
        action="append",
        default=[],
        help="two videos with equal frames, for the still change; may be repeated",
    )
    add_number_option(parser, "--frames", "length of the generated video", default=100)
    add_json_option(parser)


def _realtime(arguments: argparse.Namespace) -> int:
    from fusion.base.tables import show_or_write
    from fusion.commands.realtime import measure, report

    if (arguments.ir is None) != (arguments.vis is None):
        raise UserError("--ir and --vis: give both, or neither")
    pictures = None if arguments.ir is None else (arguments.ir, arguments.vis)
    videos = [(ir, vis) for ir, vis in arguments.video]
    result = measure(arguments.methods, pictures, videos, frames=arguments.frames)
    show_or_write(result, report(result), arguments.json)
    return 0
