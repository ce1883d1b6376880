"""``fusion fuse``: its options and its output."""

import argparse
from pathlib import Path

from fusion.base.commandline import (
    EXIT_BAD_INPUT,
    Commands,
    add_input_options,
)
from fusion.commands.cli.options import (
    add_method_options,
    add_sources,
    load_chosen,
    name_with_weights,
)

FUSE_EXAMPLES = """\
IR and VIS are two pictures, two folders or two videos. Pictures of folders are paired by the
numbers or names of their files, and what the names do not tell is refused; frames of videos by
time.

examples:
  fusion fuse ir.png vis.png -o fused.png
  fusion fuse thermal/ visible/ -o fused/ --compare --skip-existing
  fusion fuse thermal.mp4 visible.mp4 -o fused.mp4 --resize
  fusion fuse thermal.mkv visible.mp4 -o fused.mp4 --pair index
  fusion fuse thermal.mp4 visible.mp4 -o fused.mp4 --align calibration.yaml
  fusion fuse thermal.mp4 visible.mp4 -o fused.mp4 --method lrrnet_fast
  fusion fuse ir.png vis.png -o fused.png --weights published_lrrnet.model --no-color
  fusion fuse ir/ vis/ -o fused/ --method didfuse --weights published_didfuse/ --rule average

exit code: 0 if all pairs were fused, 2 if an input is invalid or any pair failed.
"""


def add_fuse(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "fuse",
        help="fuse two images, folders or videos",
        description="Fuse two images, two folders of images or two videos.",
        epilog=FUSE_EXAMPLES,
    )
    parser.set_defaults(command=_fuse)
    add_sources(parser)
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help="file or folder to write"
    )
    add_method_options(parser, default="lrrnet")
    add_input_options(parser)
    parser.add_argument(
        "--compare", action="store_true", help="also write infrared, visible and fused side by side"
    )
    parser.add_argument(
        "--parts",
        action="store_true",
        help="also write the low-rank and sparse parts and coefficient maps as one image",
    )
    parser.add_argument(
        "--skip-existing",
        action="store_true",
        help="skip pairs whose outputs exist: resumes an interrupted run",
    )


def _fuse(arguments: argparse.Namespace) -> int:
    from fusion.commands.pipeline import Options, fuse, print_report
    from fusion.images.alignment.calibration import load_chosen as load_calibration

    calibration = load_calibration(arguments.align, arguments.resize or arguments.stretch)
    network = load_chosen(arguments.weights, arguments.device, arguments.method, arguments.rule)
    options = Options(
        color=arguments.color,
        resize=arguments.resize,
        stretch=arguments.stretch,
        calibration=calibration,
        pair=arguments.pair,
        percentiles=arguments.percentiles,
        compare=arguments.compare,
        parts=arguments.parts,
        skip_existing=arguments.skip_existing,
        steady=arguments.steady,
    )
    account = fuse(network, arguments.ir, arguments.vis, arguments.output, options)
    account.by = name_with_weights(network, arguments.weights)
    print_report(account, arguments.output)
    return EXIT_BAD_INPUT if account.failed else 0
