"""``tracker track``: its options and its output."""

import argparse
import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from fusion.base.commandline import (
    Commands,
    add_device_option,
    add_input_options,
    add_output_option,
    input_path,
    resolve_device,
)
from fusion.base.errors import UserError
from fusion.base.files import check_folder
from fusion.base.threads import limited_threads
from tracker.commands.cli.options import add_layout_option
from tracker.data.layouts import LAYOUTS
from tracker.evaluation.trackers import TRACKERS, make_tracker
from tracker.online.options import add_preset_option
from tracker.online.runtime import add_runtime_options, add_threads_option

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tracker.data.sequences import Sequence
    from tracker.online.running import Tracker, TrackingReport

TRACK_EXAMPLES = """\
RGB and IR are two folders of pictures, paired by the numbers or names of their files, or two
videos, paired by time. RGB alone is a sequence folder of a dataset
(GTOT, RGBT210, RGBT234, LasHeR, VTUAV, VOT-RGBT), whose first annotated box is taken unless --box
or --select is given.

OUT receives boxes.txt (one line x,y,w,h per frame; the first is the given box), scores.txt (one
number per frame) and report.json (the frames that lack a modality). During a run, and after an
interruption, they are named boxes.partial.txt and so on, and contain all frames so far.

examples:
  tracker track visible/ thermal/ --box 312,140,48,96 -o out
  tracker track visible.mp4 thermal.mp4 --select -o out --video out/seen.mp4
  tracker track visible.mp4 thermal.mp4 --box 312,140,48,96 -o out --align calibration.yaml
  tracker track LasHeR/testingset/10runone -o out --weights dfat.pth
  tracker track LasHeR/testingset/10runone -o out --tracker my_tracker:MyTracker

exit code: 0 if all frames were processed, 2 if an input is invalid, 130 if interrupted.
"""


def add_track(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "track",
        help="track a box through an RGBT video",
        description="Track the object in a box through visible and infrared frames.",
        epilog=TRACK_EXAMPLES,
    )
    parser.set_defaults(command=_track)
    parser.add_argument("rgb", metavar="RGB", type=input_path, help="visible folder or video")
    parser.add_argument(
        "ir", metavar="IR", type=input_path, nargs="?", help="infrared folder or video"
    )
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--box",
        metavar="x,y,w,h",
        type=region,
        help="the object's box in the first frame, in pixels; or 8 numbers, a polygon's corners",
    )
    start.add_argument(
        "--select", action="store_true", help="draw the box with the mouse (requires a display)"
    )
    add_output_option(parser, "OUT", "output folder", required=True)
    add_tracker_options(parser)
    add_device_option(parser)
    add_runtime_options(parser)
    add_threads_option(parser)
    parser.add_argument(
        "--video",
        metavar="FILE",
        type=Path,
        help="also write a video of both modalities with the predicted and annotated box: out.mp4",
    )
    add_layout_option(parser, LAYOUTS)
    add_input_options(parser)


def add_tracker_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--weights``, ``--tracker`` and ``--preset``."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--weights",
        metavar="W",
        type=Path,
        help="a .safetensors file of this package, or a published DFAT or SiamRPN++ checkpoint "
        "(default: the included compact tracker)",
    )
    what.add_argument(
        "--tracker",
        metavar="NAME",
        help="a tracker other than this package's network: your own as module:factory (see "
        f"docs/extending.md), or one of {', '.join(TRACKERS)}",
    )
    add_preset_option(parser)


def region(text: str) -> list[float]:
    """A box ``x,y,w,h`` or a polygon's 8 numbers; for argparse."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (4, 8):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not x,y,w,h (or the 8 numbers of a polygon), separated by commas"
        )
    return numbers


def _track(arguments: argparse.Namespace) -> int:
    from fusion.images.alignment.calibration import load_chosen
    from fusion.images.video import require_video_suffix
    from tracker.data.sequences import load_sequence
    from tracker.online.running import check_start

    if arguments.video is not None:
        require_video_suffix(arguments.video)
    paths = arguments.rgb if arguments.ir is None else (arguments.rgb, arguments.ir)
    sequence = load_sequence(
        paths,
        arguments.layout,
        arguments.resize or arguments.stretch,
        stretch=arguments.stretch,
        pair=arguments.pair,
        percentiles=arguments.percentiles,
        needs_boxes=arguments.box is None and not arguments.select,
        calibration=load_chosen(arguments.align, arguments.resize or arguments.stretch),
    )
    region = _start_region(arguments, sequence)
    check_start(sequence, region)
    check_folder(arguments.output)
    if sequence.seems_swapped():
        print(
            f"{sequence.name}: infrared frames are in colour and visible ones grey; the visible "
            "comes first: are they swapped?",
            file=sys.stderr,
        )

    # torch is imported only now, after all checks of the input.
    with chosen_threads(arguments):
        report = _run(make_chosen(arguments), sequence, region, arguments)
    print("\n".join(report.lines()))
    print(f"boxes: {arguments.output / 'boxes.txt'}")
    if arguments.video is not None:
        print(f"video: {arguments.video}")
    return 0


def _run(
    tracker: "Tracker", sequence: "Sequence", region: "ArrayLike", arguments: argparse.Namespace
) -> "TrackingReport":
    """Track to the output folder; print what an interrupted run has written."""
    from tracker.online.running import Interrupted, track_to_folder

    try:
        return track_to_folder(tracker, sequence, region, arguments.output, arguments.video)
    except Interrupted as interrupted:
        report = interrupted.report
        if report.tracked:
            print("\n".join(report.lines()))
            print(
                f"{report.tracked} of {report.frames} frames are in "
                f"{arguments.output / 'boxes.partial.txt'}"
            )
        raise


def make_chosen(arguments: argparse.Namespace) -> "Tracker":
    """The tracker that the options of `add_tracker_options` and of the runtime select.

    Raises:
        UserError: the options are inconsistent, or a file cannot be loaded.
    """
    if arguments.tracker is not None:
        folder = os.environ.get("RGBT_NANOTRACK")
        return make_tracker(arguments.tracker, Path(folder) if folder else None)
    from tracker.model.weights import load_tracker
    from tracker.online.rgbt_tracker import RGBTTracker

    device = resolve_device(arguments.device)
    network = load_tracker(arguments.weights, preset=arguments.preset)
    return RGBTTracker(
        network,
        device=device,
        runtime=arguments.runtime,
        precision=arguments.precision,
        threads=arguments.threads,
    )


def chosen_threads(arguments: argparse.Namespace) -> AbstractContextManager[None]:
    """``--threads`` for a tracker of ``--tracker``; the network limits its threads itself."""
    return limited_threads(arguments.threads if arguments.tracker is not None else None)


def _start_region(arguments: argparse.Namespace, sequence: "Sequence") -> "ArrayLike":
    if arguments.box is not None:
        return arguments.box
    if arguments.select:
        return _select_box(sequence)
    box = sequence.first_box()
    if box is None:
        where = "no box in the first frame's annotation" if arguments.ir is None else "no --box"
        raise UserError(f"{sequence.name}: {where}; give --box x,y,w,h, or --select with a display")
    return box


def _select_box(sequence: "Sequence") -> "ArrayLike":
    """Let the user draw the box in the first frame."""
    import cv2

    from fusion.live.window import why_no_window

    if why := why_no_window():
        raise UserError(f"--select needs a window, and {why}; give --box x,y,w,h")
    frame = sequence.frame(0)
    image = frame.ir if frame.rgb is None else frame.rgb[..., ::-1]
    if image is None:
        raise UserError(f"{sequence.name}: the first frame cannot be read in either modality")
    title = "Draw the box; Enter accepts, c cancels"
    box = cv2.selectROI(title, image.copy(), showCrosshair=False)
    cv2.destroyWindow(title)
    if box[2] == 0 or box[3] == 0:
        raise UserError("--select: no box was drawn; draw one, or give --box x,y,w,h")
    print(f"--box {','.join(map(str, box))}")
    return box
