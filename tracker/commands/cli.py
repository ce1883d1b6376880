"""The ``tracker`` command line. Modules that take long to load are loaded by the command that needs
them, so that ``--help`` answers at once."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fusion.base.commandline import (
    EXIT_BAD_INPUT,
    Commands,
    Parser,
    add_device_option,
    add_train,
    is_lightning,
    natural_int,
    positive_int,
    resolve_device,
    run,
)
from fusion.base.errors import UserError
from fusion.base.files import check_folder
from tracker.evaluation.ope.commands import add_evaluate
from tracker.evaluation.vot.commands import add_demo, add_vot
from tracker.model.pretrained import SHIPPED
from tracker.online.options import add_preset_option
from tracker.online.runtime import RUNTIMES, add_runtime_options

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tracker.data.sequences import Sequence

DESCRIPTION = "Follow an object through visible and infrared video."

# Known here too, because the modules that define them load slowly.
LAYOUTS = "gtot, rgbt210, rgbt234, lasher, vtuav, vot"
DATASETS = f"{LAYOUTS}, vt821, vt1000, vt5000"

EXAMPLES = """\
'tracker COMMAND --help' says what a command takes, with examples. To begin with:

examples:
  tracker demo -o demo
  tracker track visible.mp4 thermal.mp4 --box 312,140,48,96 -o out --video out/seen.mp4
"""

TRACK_EXAMPLES = """\
RGB and IR are two folders of pictures or two videos. RGB alone is a sequence folder of a dataset
(GTOT, RGBT210, RGBT234, LasHeR, VTUAV, VOT-RGBT), whose first annotated box is taken unless --box
or --select is given.

OUT gets boxes.txt (a line x,y,w,h a frame, the first the given box), scores.txt (a number a frame)
and report.json (the frames that lack a modality). While it runs, and after an interruption, they
are named boxes.partial.txt and so on, and hold every frame up to then.

examples:
  tracker track visible/ thermal/ --box 312,140,48,96 -o out
  tracker track visible.mp4 thermal.mp4 --select -o out --video out/seen.mp4
  tracker track LasHeR/testingset/10runone -o out --weights dfat.pth

exit code: 0 when all frames are done, 2 when an input is bad, 130 when interrupted.
"""

DATA_EXAMPLES = """\
PATH is a dataset, a split or a sequence of it; or two PATHs, visible and infrared, folders or
videos. A problem can be worked around and a tracker would run; an error cannot.

examples:
  tracker data RGBT234/
  tracker data VTUAV/train_ST_001 --layout vtuav --all-frames
  tracker data visible.mp4 thermal.mp4 --json

exit code: 0 without errors, 2 with any.
"""

SYNTHETIC_EXAMPLES = """\
OUT gets list.txt and a folder a sequence, in the layout of the VOT toolkit: to train on with
tracker train --data.roots.synthetic OUT, and to evaluate on with tracker vot init --dataset OUT.
Interrupted, it goes on where it was. The splits share no place, and differ in kinds of target, in
challenges and in the ways a camera fails.

examples:
  tracker synthetic train_sequences --split train --count 400 --length 60 --seed 1000
  tracker synthetic night --challenges night night_twins --count 4 --sheet night.png
"""

BENCH_EXAMPLES = """\
All compute the same network on the same random frames: only the way the work is arranged differs,
and its precision where it says so. "compact" is the tracker that ships; other presets run with
untrained weights. Runtimes that are not installed are left out. A round of compact takes a second
and one of dfat some ten; compiling takes up to minutes.

examples:
  tracker bench
  tracker bench --preset dfat --rounds 3
  tracker bench --preset compact_dfat --runtimes eager onnx --rounds 20 --threads 2 --json
"""


def main(argv: list[str] | None = None) -> int:
    """Run ``tracker`` with arguments, the process's own where None; returns its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["train"] and is_lightning(argv[1:]):  # a program of its own
        return run("tracker train", lambda: _train(argv[1:]))
    if argv[:1] == ["distill"] and is_lightning(argv[1:]):
        return run("tracker distill", lambda: _distill(argv[1:]))
    arguments = _parser().parse_args(_with_joined_box(argv))
    return run("tracker", lambda: arguments.command(arguments))


def _with_joined_box(argv: list[str]) -> list[str]:
    """``--box -3,5,20,20`` as ``--box=-3,5,20,20``: argparse takes the former for an option."""
    joined = list(argv)
    if "--box" in joined[:-1]:
        place = joined.index("--box")
        joined[place : place + 2] = [f"--box={joined[place + 1]}"]
    return joined


def _parser() -> Parser:
    parser = Parser(prog="tracker", description=DESCRIPTION, epilog=EXAMPLES)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_track(commands)
    add_train(commands, "train a network", TRAIN_EXAMPLES)
    add_train(commands, "train a small network from a large one", DISTILL_EXAMPLES, "distill")
    _add_data(commands)
    _add_synthetic(commands)
    _add_export(commands)
    _add_bench(commands)
    add_evaluate(commands)
    add_vot(commands)
    add_demo(commands)
    return parser


# --- tracker track --------------------------------------------------------------------------------


def _add_track(commands: Commands) -> None:
    parser = commands.add_parser(
        "track",
        help="follow a box through an RGBT video",
        description="Follow the object in a box through visible and infrared frames.",
        epilog=TRACK_EXAMPLES,
    )
    parser.set_defaults(command=_track)
    parser.add_argument("rgb", metavar="RGB", type=Path, help="visible folder or video")
    parser.add_argument("ir", metavar="IR", type=Path, nargs="?", help="infrared folder or video")
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--box",
        metavar="x,y,w,h",
        type=_region,
        help="where the object is in the first frame, in pixels; or 8 numbers, a polygon's corners",
    )
    start.add_argument(
        "--select", action="store_true", help="draw the box with the mouse (needs a display)"
    )
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help="folder to write"
    )
    parser.add_argument(
        "--weights",
        metavar="W",
        type=Path,
        help="own .safetensors file, or a published DFAT or SiamRPN++ checkpoint (default: the "
        "compact tracker that ships)",
    )
    add_preset_option(parser)
    add_device_option(parser)
    add_runtime_options(parser)
    parser.add_argument(
        "--video",
        metavar="FILE",
        type=Path,
        help="also write both modalities with the box (and the annotated one) drawn: out.mp4",
    )
    parser.add_argument(
        "--layout",
        metavar="NAME",
        help=f"how a sequence folder is laid out, instead of guessing: {LAYOUTS}",
    )
    parser.add_argument(
        "--resize",
        action="store_true",
        help="bring the infrared to the visible's size instead of refusing sizes that differ",
    )


def _region(text: str) -> list[float]:
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
    from fusion.images.video import require_video_suffix
    from tracker.data.sequences import load_sequence
    from tracker.online.running import Interrupted, check_start, track_to_folder

    if arguments.video is not None:
        require_video_suffix(arguments.video)
    paths = arguments.rgb if arguments.ir is None else (arguments.rgb, arguments.ir)
    sequence = load_sequence(paths, arguments.layout, arguments.resize)
    region = _start_region(arguments, sequence)
    check_start(sequence, region)
    check_folder(arguments.output)
    if sequence.seems_swapped():
        print(
            f"{sequence.name}: infrared frames are in colour and visible ones grey; the visible "
            "comes first: are they swapped?",
            file=sys.stderr,
        )

    # Only now torch: all that can be wrong with the input has been said.
    from tracker.model.weights import load_tracker
    from tracker.online.rgbt_tracker import RGBTTracker

    device = resolve_device(arguments.device)
    network = load_tracker(arguments.weights, preset=arguments.preset)
    tracker = RGBTTracker(
        network, device=device, runtime=arguments.runtime, precision=arguments.precision
    )
    try:
        account = track_to_folder(tracker, sequence, region, arguments.output, arguments.video)
    except Interrupted as interrupted:
        account = interrupted.account
        if account.tracked:
            print("\n".join(account.lines()))
            print(
                f"{account.tracked} of {account.frames} frames are in "
                f"{arguments.output / 'boxes.partial.txt'}"
            )
        raise
    print("\n".join(account.lines()))
    print(f"boxes: {arguments.output / 'boxes.txt'}")
    if arguments.video is not None:
        print(f"video: {arguments.video}")
    return 0


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
    """Let the user draw the first frame's box."""
    import cv2

    # Qt inside OpenCV ends the whole process where there is no display.
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        raise UserError("--select needs a display, and there is none; give --box x,y,w,h")
    frame = sequence.frame(0)
    image = frame.ir if frame.rgb is None else frame.rgb[..., ::-1]
    if image is None:
        raise UserError(f"{sequence.name}: the first frame cannot be read in either modality")
    title = "Draw the box; Enter takes it, c cancels"
    try:
        box = cv2.selectROI(title, image.copy(), showCrosshair=False)
        cv2.destroyWindow(title)
    except cv2.error:
        raise UserError(
            "--select: this OpenCV has no windows (opencv-python-headless?); give --box x,y,w,h"
        ) from None
    if box[2] == 0 or box[3] == 0:
        raise UserError("--select: no box was drawn; draw one, or give --box x,y,w,h")
    print(f"--box {','.join(map(str, box))}")
    return box


# --- tracker train --------------------------------------------------------------------------------


DISTILL_EXAMPLES = """\
The teacher is any file that 'tracker track --weights' reads. Footage: visible videos with masks,
RGBT clips, still pairs and annotated sequences, see docs/train-tracker.md.

examples:
  tracker distill fit --config experiments/tracker/distill.yaml --model.init_args.teacher nanotrackv3.pth --data.masked_video DAVIS --data.clips M3SVD --data.stills ROADSCENE
  tracker distill fit --help
"""

TRAIN_EXAMPLES = """\
A configuration of experiments/tracker names the network, its losses and its data; every key of it
is an option too. A run writes losses, sample pictures, weights.safetensors and checkpoints below
runs/.

examples:
  tracker train fit --config experiments/tracker/dfat.yaml --data.roots.gtot GTOT \\
      --data.roots.lasher LasHeR/trainingset
  tracker train fit --config experiments/tracker/dfat_llrr.yaml \\
      --data.roots.lasher LasHeR/trainingset
  tracker train fit --help
  tracker train fit --model.help tracker.training.module.TrackerTraining

exit code: 0, or 2 when an option or the data is wrong.
"""


def _distill(argv: list[str]) -> None:
    from tracker.training.command import distill

    distill(argv)


def _train(argv: list[str]) -> None:
    from tracker.training.command import main as train

    train(argv)


# --- tracker data ---------------------------------------------------------------------------------


def _add_data(commands: Commands) -> None:
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


# --- tracker synthetic ----------------------------------------------------------------------------


def _add_synthetic(commands: Commands) -> None:
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


# --- tracker export -------------------------------------------------------------------------------

EXPORT_EXAMPLES = """\
DIR gets template.onnx (crops to template features), kernels.onnx (features to kernels) and
search.onnx (kernels and crops to cls and loc). Their metadata holds sizes, pixel convention,
anchors and online settings. Each is compared with PyTorch before it is left.
Needs: pip install 'rgbt-lrrnet[export]'

examples:
  tracker export -o compact
  tracker export --weights dfat.pth -o dfat
"""


def _add_export(commands: Commands) -> None:
    parser = commands.add_parser(
        "export",
        help="write a tracker's network as ONNX files",
        description="Write a tracker's network as ONNX files, checked with ONNX Runtime.",
        epilog=EXPORT_EXAMPLES,
    )
    parser.set_defaults(command=_export)
    parser.add_argument("--weights", metavar="W", type=Path, help="as for tracker track")
    add_preset_option(parser)
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, required=True, help="folder to write"
    )


def _export(arguments: argparse.Namespace) -> int:
    from fusion.base.onnx import check_packages
    from tracker.commands.export import export_tracker
    from tracker.model.weights import load_tracker

    check_packages()
    folder = check_folder(arguments.output)
    network = load_tracker(arguments.weights, preset=arguments.preset)
    for name, difference in export_tracker(network, folder).items():
        print(f"{folder / name}: differs from PyTorch by {difference:.1e} of the largest value")
    return 0


# --- tracker bench --------------------------------------------------------------------------------


def _add_bench(commands: Commands) -> None:
    parser = commands.add_parser(
        "bench",
        help="measure a frame's cost against the published code's structure",
        description="Measure what a frame costs, in turn with the structure of the published code.",
        epilog=BENCH_EXAMPLES,
    )
    parser.set_defaults(command=_bench)
    parser.add_argument(
        "--preset",
        metavar="NAME",
        default=SHIPPED,
        help="compact, or a preset on both modalities: dfat, dfat_llrr, compact_dfat, ... "
        "(default: compact)",
    )
    parser.add_argument(
        "--rounds",
        metavar="N",
        type=positive_int,
        default=5,
        help="measure so often; the least counts (default: 5)",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        type=positive_int,
        nargs="+",
        default=[1, 2],
        help="of PyTorch and ONNX Runtime, one table each (default: 1 2)",
    )
    parser.add_argument(
        "--runtimes",
        metavar="NAME",
        choices=RUNTIMES,
        nargs="+",
        default=list(RUNTIMES),
        help=f"as --runtime of tracker track; measured in every precision they have (default: "
        f"{' '.join(RUNTIMES)})",
    )
    add_device_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _bench(arguments: argparse.Namespace) -> int:
    from tracker.commands.bench import bench, report

    result = bench(
        arguments.preset,
        rounds=arguments.rounds,
        device=resolve_device(arguments.device),
        threads=arguments.threads,
        runtimes=arguments.runtimes,
    )
    print(json.dumps(result, indent=1) if arguments.json else report(result))
    return 0
