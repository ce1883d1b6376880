"""``tracker draw``: its options and its output."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fusion.base.commandline import (
    EXIT_BAD_INPUT,
    Commands,
    add_input_options,
    input_path,
    positive_int,
)
from fusion.base.errors import UserError
from fusion.base.files import check_folder, named_paths
from fusion.base.tables import counted
from tracker.commands.cli.options import add_layout_option
from tracker.data.layouts import LAYOUTS

if TYPE_CHECKING:
    from tracker.evaluation.drawn.runs import Footage

DRAW_EXAMPLES = """\
One sequence: RGB and IR are as for tracker track; RGB alone is a sequence folder of a dataset, or a
single video. Each result has one line per frame (x,y,w,h, 8 numbers of a polygon, a mask, or MOT
lines of one object), or is a .bin file of the VOT toolkit; corners x1,y1,x2,y2 are recognized by
the first line. A number of boxes that is not that of the frames is refused. Without NAME=, a
tracker is named after its file, or after the folder of a boxes.txt.

All sequences of a dataset: --dataset, --root and folders of results as for tracker evaluate. OUT is
then a folder; it receives a file per sequence and index.html.

OUT ends in .mp4 (.webm, .mkv, ...): a video of all frames; in .png, .jpg or .tif: a contact sheet
of --frames frames at equal distances and the first loss of each tracker; in .html: a page with a
slider over the frames, a plot of the IoU that leads to a frame, and a switch for each tracker. The
page holds its images and loads nothing.

Boxes that overlap the annotation by .1 or less are crossed out. A tracker has lost the target when
that holds for 5 annotated frames or to the end.

examples:
  tracker draw GTOT/BlackCar --results small=out/boxes.txt csrt=csrt/BlackCar.txt -o seen.html
  tracker draw visible.mp4 thermal.mp4 --results out/boxes.txt --truth truth.txt -o seen.mp4
  tracker draw --dataset vot --root sequences --results results/ -o seen

exit code: 0 if all is drawn, 2 if an input is invalid.
"""


def add_draw(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "draw",
        help="show trackers' results on the frames: video, contact sheet or HTML page",
        description="Show the results of any number of trackers on the frames of a sequence.",
        epilog=DRAW_EXAMPLES,
    )
    parser.set_defaults(command=_draw)
    parser.add_argument(
        "rgb", metavar="RGB", type=input_path, nargs="?", help="sequence, visible folder or video"
    )
    parser.add_argument(
        "ir", metavar="IR", type=input_path, nargs="?", help="infrared folder or video"
    )
    parser.add_argument(
        "--results",
        metavar="NAME=FILE",
        nargs="+",
        required=True,
        help="results of trackers; with --dataset, folders of results",
    )
    parser.add_argument(
        "--truth",
        metavar="FILE",
        type=Path,
        help="the annotation, x,y,w,h per frame (default: the sequence's own)",
    )
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="see below")
    add_layout_option(parser, LAYOUTS)
    parser.add_argument(
        "--frames",
        metavar="N",
        type=positive_int,
        default=8,
        help="frames of a contact sheet in addition to the first losses (default: 8)",
    )
    parser.add_argument(
        "--limit",
        metavar="MB",
        type=positive_int,
        default=40,
        help="size of an HTML page's images in megabytes; they become smaller, then fewer "
        "(default: 40)",
    )
    parser.add_argument(
        "--fps", metavar="F", type=positive_int, help="frames per second of a video"
    )
    dataset = parser.add_argument_group("all sequences of a dataset")
    dataset.add_argument("--dataset", metavar="NAME", help=f"its layout: {', '.join(LAYOUTS)}")
    dataset.add_argument("--root", metavar="DIR", type=Path, help="the dataset")
    dataset.add_argument(
        "--sequences", metavar="FILE", type=Path, help="only these sequences, one name per line"
    )
    dataset.add_argument(
        "--format",
        metavar="SUFFIX",
        default="html",
        help="what to write for each sequence: html, png, mp4, ... (default: html)",
    )
    add_input_options(parser)


def _draw(arguments: argparse.Namespace) -> int:
    if (arguments.dataset is None) != (arguments.root is None):
        lacking = "--root" if arguments.root is None else "--dataset"
        raise UserError(f"{lacking} is missing: all sequences of a dataset need both")
    if arguments.dataset is not None:
        return _draw_dataset(arguments)
    return _draw_sequence(arguments)


def _writer(suffix: str, arguments: argparse.Namespace) -> "Callable[[Footage, Path], object]":
    """What writes a file of this suffix.

    Raises:
        UserError: the suffix is unknown.
    """
    from fusion.images.reading import WRITTEN_SUFFIXES, write_image
    from fusion.images.video import require_video_suffix
    from tracker.evaluation.drawn import page, pictures

    if suffix == ".html":
        return lambda footage, path: page.write_page(footage, path, arguments.limit)
    if suffix in WRITTEN_SUFFIXES:
        return lambda footage, path: write_image(path, pictures.sheet(footage, arguments.frames))
    try:
        require_video_suffix(Path(f"x{suffix}"))
    except UserError:
        raise UserError(
            f"-o {arguments.output}: unknown format {suffix or '(no suffix)'}; end the name in "
            ".html, .png or another picture's suffix, or .mp4 or another video's"
        ) from None
    return lambda footage, path: pictures.write_video(footage, path, arguments.fps)


def _draw_sequence(arguments: argparse.Namespace) -> int:
    from tracker.evaluation.drawn import runs

    if arguments.rgb is None:
        raise UserError("give a sequence, or two folders or videos; or --dataset and --root")
    if arguments.sequences is not None:
        raise UserError("--sequences: selects sequences of a dataset; give --dataset and --root")
    write = _writer(arguments.output.suffix.lower(), arguments)
    files = named_paths(arguments.results, "--results", tracker_of)
    sequence = runs.open_sequence(
        arguments.rgb,
        arguments.ir,
        arguments.layout,
        arguments.resize,
        arguments.stretch,
        arguments.pair,
        arguments.percentiles,
        needs_boxes=arguments.truth is None,
    )
    frames = runs.count_frames(sequence)
    truth = runs.annotation(sequence, frames)
    if arguments.truth is not None:
        given = runs.read_truth(arguments.truth, frames, sequence.name)
        truth = {"rgb": given, "ir": given}
    boxes, remarks = {}, []
    for name, path in files.items():
        boxes[name], found = runs.read_run(path, name, frames, sequence.name, truth)
        remarks += found
    for remark in remarks:
        print(f"tracker: {remark}", file=sys.stderr)
    footage = runs.Footage(sequence, frames, truth, runs.compare(boxes, truth, frames))
    write(footage, arguments.output)
    for run in footage.runs:
        print(_line(run.name, run.mean, run.lost))
    print(f"{counted(frames, 'frame')}: {arguments.output}")
    return 0


def _line(name: str, mean: float, lost: int | None) -> str:
    if mean != mean:
        return f"{name}: nothing annotated to compare with"
    return f"{name}: mean IoU {mean:.3f}, " + (
        "never lost" if lost is None else f"lost at frame {lost + 1}"
    )


def tracker_of(path: Path) -> str:
    """The name of a tracker whose result file is given without one."""
    folder = path.resolve().parent.name
    return folder if path.name == "boxes.txt" and folder else path.stem


def _draw_dataset(arguments: argparse.Namespace) -> int:
    from tracker.data.sequences import load_dataset
    from tracker.evaluation.drawn.dataset import draw_dataset, write_index
    from tracker.evaluation.ope.files import read_sequence_list

    for option, value in (("RGB", arguments.rgb), ("--truth", arguments.truth)):
        if value is not None:
            raise UserError(f"{option} {value}: is for one sequence; leave it out, or --dataset")
    write = _writer(f".{arguments.format.lower().lstrip('.')}", arguments)
    check_folder(arguments.output)
    names = None if arguments.sequences is None else read_sequence_list(arguments.sequences)
    dataset = load_dataset(arguments.root, arguments.dataset)
    folders = [Path(folder) for folder in arguments.results]
    suffix = f".{arguments.format.lower().lstrip('.')}"
    drawn, faults = draw_dataset(dataset, folders, names, arguments.output, suffix, write)
    for fault in faults:
        print(f"tracker: {fault}", file=sys.stderr)
    if not drawn:
        raise UserError(f"nothing could be drawn ({counted(len(faults), 'problem')}, see above)")
    write_index(drawn, arguments.output / "index.html")
    print(f"{counted(len(drawn), 'sequence')}: {arguments.output / 'index.html'}")
    return EXIT_BAD_INPUT if len(drawn) < len(names or dataset.names) else 0
