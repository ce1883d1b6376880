"""``fusion fuse``: its options and its output."""

import argparse
from pathlib import Path

from fusion.base.commandline import EXIT_BAD_INPUT, Commands, add_device_option
from fusion.commands.cli.options import load_chosen

FUSE_EXAMPLES = """\
IR and VIS are two pictures, two folders (pairs have the same file stem) or two videos.

examples:
  fusion fuse ir.png vis.png -o fused.png
  fusion fuse thermal/ visible/ -o fused/ --compare --skip-existing
  fusion fuse thermal.mp4 visible.mp4 -o fused.mp4 --resize
  fusion fuse ir.png vis.png -o fused.png --weights published_lrrnet.model --no-color
  fusion fuse ir/ vis/ -o fused/ --method didfuse --weights published_didfuse/ --rule average

exit code: 0 when all is fused, 2 when an input is bad or any pair failed.
"""


def add_fuse(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "fuse",
        help="fuse two pictures, folders or videos",
        description="Fuse two pictures, two folders of pictures or two videos.",
        epilog=FUSE_EXAMPLES,
    )
    parser.set_defaults(command=_fuse)
    parser.add_argument("ir", metavar="IR", type=Path, help="infrared picture, folder or video")
    parser.add_argument("vis", metavar="VIS", type=Path, help="visible picture, folder or video")
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help="file or folder to write"
    )
    parser.add_argument(
        "--weights",
        metavar="W",
        type=Path,
        help="a .safetensors file saved by this package, the authors' checkpoint, or a folder with "
        "their files where they are several (default: the LRRNet that ships with this package)",
    )
    parser.add_argument(
        "--method",
        metavar="NAME",
        help="the network, by a name that 'fusion methods' lists; found out from a weights "
        "file, needed for a folder of them and for methods without weights",
    )
    parser.add_argument(
        "--rule",
        metavar="RULE",
        help="how a method that has rules fuses features, such as sum, average, l1 (see 'fusion "
        "methods'; default: the published one)",
    )
    add_device_option(parser)
    parser.add_argument(
        "--color",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep the colour of the visible picture; --no-color gives the paper's grey",
    )
    parser.add_argument(
        "--resize",
        action="store_true",
        help="bring the infrared to the visible's size instead of refusing sizes that differ",
    )
    parser.add_argument(
        "--percentiles",
        metavar="LOW,HIGH",
        type=_percentiles,
        help="stretch the infrared from these percentiles, such as 1,99 (default: 8-bit pictures "
        "as they are, 16-bit ones from their smallest to their largest value)",
    )
    parser.add_argument(
        "--compare", action="store_true", help="also write infrared, visible and fused side by side"
    )
    parser.add_argument(
        "--parts",
        action="store_true",
        help="also write the low-rank and sparse parts and coefficient maps as one picture",
    )
    parser.add_argument(
        "--skip-existing",
        action="store_true",
        help="leave out what is there already: resumes an interrupted run",
    )


def _percentiles(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low, high = 1.0, 0.0
    if not 0 <= low < high <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not LOW,HIGH with 0 <= LOW < HIGH <= 100")
    return low, high


def _fuse(arguments: argparse.Namespace) -> int:
    from fusion.commands.pipeline import Options, fuse, report

    network = load_chosen(arguments.weights, arguments.device, arguments.method, arguments.rule)
    options = Options(
        color=arguments.color,
        resize=arguments.resize,
        percentiles=arguments.percentiles,
        compare=arguments.compare,
        parts=arguments.parts,
        skip_existing=arguments.skip_existing,
    )
    account = fuse(network, arguments.ir, arguments.vis, arguments.output, options)
    report(account, arguments.output)
    return EXIT_BAD_INPUT if account.failed else 0
