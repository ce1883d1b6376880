"""``fusion align``: its options and its output."""

import argparse
from pathlib import Path

from fusion.base.commandline import (
    Commands,
    add_number_option,
    add_pair_option,
    add_percentiles_option,
    positive_int,
)
from fusion.base.errors import UserError
from fusion.commands.cli.options import add_sources

ALIGN_EXAMPLES = """\
IR and VIS are two pictures, two folders of pictures or two videos of two cameras that do not move
against each other. OUT is one YAML file for --align of fuse, track, data and the trainings; a
picture of the same name shows both cameras before and after, to judge by.

Where the pictures do not tell how they belong together, nothing is written. Points are given in a
file with a line for each: infrared x,y and visible x,y in pixels.

examples:
  fusion align thermal.mp4 visible.mp4 -o calibration.yaml
  fusion align thermal/ visible/ -o calibration.yaml --model homography
  fusion align thermal.mp4 visible.mp4 -o calibration.yaml --fov 57,70 --lens lenses.yaml
  fusion align thermal.png visible.png -o calibration.yaml --points points.csv
  fusion align thermal/ visible/ -o calibration.yaml --checkerboard 7x5
  fusion align --benchmark road/ir road/vis

exit code: 0 if the alignment is sure, 2 if an input is invalid or the alignment is refused.
"""


def add_align(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "align",
        help="align a thermal and a visible camera",
        description="Find how the pixels of an infrared and a visible camera belong together.",
        epilog=ALIGN_EXAMPLES,
    )
    parser.set_defaults(command=_align)
    add_sources(parser)
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, help="calibration to write")
    parser.add_argument(
        "--model",
        choices=("shift", "similarity", "affine", "homography"),
        help="kind of transform (default: similarity; from points what their number allows)",
    )
    add_number_option(
        parser, "--frames", "number of pairs to use of folders and videos", default=12
    )
    add_pair_option(parser)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--points", metavar="FILE", type=Path, help="points that belong together")
    source.add_argument(
        "--checkerboard",
        metavar="CxR",
        type=_board,
        help="a heated checkerboard with so many inner corners per row and column",
    )
    parser.add_argument(
        "--fov",
        metavar="IR,VIS",
        type=_fov,
        help="horizontal fields of view in degrees, where they differ much",
    )
    parser.add_argument(
        "--lens",
        metavar="FILE",
        type=Path,
        help="lens distortion: a calibration file, of which only the cameras are used",
    )
    add_percentiles_option(parser)
    parser.add_argument(
        "--benchmark",
        metavar="N",
        nargs="?",
        type=positive_int,
        const=0,
        help="instead warp N pairs (default: all) of two folders by known transforms, and print "
        "how well these are found, beside ECC and phase correlation",
    )
    parser.add_argument(
        "--seed", metavar="S", type=int, default=0, help="of the benchmark's transforms"
    )


def _board(text: str) -> tuple[int, int]:
    columns, _, rows = text.partition("x")
    if not (columns.isdigit() and rows.isdigit() and min(int(columns), int(rows)) >= 3):
        raise argparse.ArgumentTypeError(f"{text!r} is not COLUMNSxROWS of 3 and more")
    return int(columns), int(rows)


def _fov(text: str) -> tuple[float, float]:
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError:
        first = second = 0.0
    if not (0 < first < 170 and 0 < second < 170):
        raise argparse.ArgumentTypeError(f"{text!r} is not IR,VIS in degrees, such as 57,70")
    return first, second


def _align(arguments: argparse.Namespace) -> int:
    if arguments.benchmark is not None:
        from fusion.commands.align_benchmark import benchmark, report

        print(report(benchmark(arguments.ir, arguments.vis, arguments.benchmark, arguments.seed)))
        return 0
    from fusion.commands.align import Request, align, write

    if arguments.output is None:
        raise UserError("-o OUT: give the calibration file to write, such as calibration.yaml")
    if arguments.output.suffix.lower() not in (".yaml", ".yml"):
        raise UserError(f"{arguments.output}: a calibration is a YAML file; end it in .yaml")
    request = Request(
        model=arguments.model,
        frames=arguments.frames,
        pair=arguments.pair,
        points=arguments.points,
        checkerboard=arguments.checkerboard,
        fov=arguments.fov,
        lens=arguments.lens,
        percentiles=arguments.percentiles,
    )
    calibration, pair = align(arguments.ir, arguments.vis, request)
    print("\n".join(write(calibration, pair, arguments.output)))
    return 0
