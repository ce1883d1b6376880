"""``fusion evaluate``: its options and its output."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fusion.base.commandline import (
    EXIT_BAD_INPUT,
    Commands,
    add_json_option,
    add_number_option,
    add_output_option,
)
from fusion.base.errors import UserError
from fusion.commands.cli.options import (
    add_convention_options,
    add_workers_option,
    parse_metrics,
)

if TYPE_CHECKING:
    from fusion.evaluation.comparison import Comparison

EVALUATE_EXAMPLES = """\
Fused images are matched with the sources by file stem. 'fusion metrics' lists the conventions and
their metrics; docs/metrics.md says which numbers to report. OUT gets means.csv, ranks.csv,
pictures.csv and means.png, for videos video.csv.

examples:
  fusion evaluate --ir tno/ir --vis tno/vis --fused fused
  fusion evaluate --ir tno/ir --vis tno/vis --fused LRRNet=a MyNet=b --metrics en,ssim,nabf -o out
  fusion evaluate --ir tno/ir --vis tno/vis --fused fused --convention cddfuse --json -
  fusion evaluate --ir vifb/ir --vis vifb/vis --fused vifb/published/* --network ours=lrrnet \\
      --convention vifb --ranks --sheet 6 -o out
  fusion evaluate --ir ir.mp4 --vis vis.mp4 --fused LRRNet=a.mp4 MyNet=b.mp4

exit code: 0 if all images were evaluated, 2 if an input is invalid or any image was left out.
"""


def add_evaluate(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "evaluate",
        help="measure fused images or videos of one or several methods",
        description="Objective metrics of fused images: methods down, metrics across; of fused "
        "videos, their\nflicker, warping error and still change.",
        epilog=EVALUATE_EXAMPLES,
    )
    parser.set_defaults(command=_evaluate)
    parser.add_argument(
        "--ir", metavar="PATH", type=Path, required=True, help="infrared images, or a video"
    )
    parser.add_argument(
        "--vis", metavar="PATH", type=Path, required=True, help="visible images, or a video"
    )
    parser.add_argument(
        "--fused",
        metavar="PATH",
        nargs="+",
        default=[],
        help="a method's images or video, or NAME=PATH",
    )
    parser.add_argument(
        "--network",
        metavar="NAME=W",
        nargs="+",
        default=[],
        help="a network to fuse the pairs with first: a weights file, or a method that needs none "
        "(see 'fusion methods'); its images are kept in OUT/fused/NAME where -o is given",
    )
    add_convention_options(parser)
    parser.add_argument(
        "--ranks", action="store_true", help="also print the methods' ranks and their mean"
    )
    add_number_option(parser, "--sheet", "also draw N pairs with five methods, to OUT/sheet.jpg")
    parser.add_argument(
        "--sheet-methods",
        metavar="NAME",
        nargs="+",
        help="the methods of the sheet (default: the five of the best mean rank)",
    )
    parser.add_argument(
        "--video",
        action="store_true",
        help="the folders hold the frames of one video; implied for video files",
    )
    add_output_option(parser, "OUT", "folder for tables and plot")
    add_json_option(parser)
    add_workers_option(parser)


def _evaluate(arguments: argparse.Namespace) -> int:
    from fusion.evaluation.comparison import method_names
    from fusion.evaluation.video_comparison import is_video

    if not arguments.fused and not arguments.network:
        raise UserError("give --fused, --network, or both: there is nothing to measure")
    if arguments.sheet and not arguments.output:
        raise UserError("--sheet: give -o OUT, where the sheet is written")
    metrics = parse_metrics(arguments)
    methods = method_names(arguments.fused)
    if arguments.video or is_video(arguments.ir):
        return _evaluate_videos(arguments, methods)
    return _evaluate_pictures(arguments, metrics, methods)


def _evaluate_pictures(
    arguments: argparse.Namespace, metrics: list[str] | None, methods: dict[str, Path]
) -> int:
    from contextlib import ExitStack
    from tempfile import TemporaryDirectory

    from fusion.base.tables import write_json
    from fusion.evaluation.comparison import compare_methods

    failures: list[str] = []
    with ExitStack() as stack:
        if arguments.network:
            keep = arguments.output and arguments.output / "fused"
            folder = keep or Path(stack.enter_context(TemporaryDirectory()))
            methods, failures = _fused_by(arguments, methods, folder)
        comparison = compare_methods(
            arguments.ir, arguments.vis, methods, metrics, arguments.workers, arguments.convention
        )
        failures = list(dict.fromkeys([*failures, *comparison.failures]))
        for failure in failures:
            print(failure, file=sys.stderr)
        if arguments.json != "-":
            _print(comparison, arguments.ranks)
        if arguments.json:
            write_json(arguments.json, comparison.content())
        if arguments.output:
            comparison.write(arguments.output)
            print(f"tables and plot: {arguments.output}", file=sys.stderr)
        if arguments.sheet:
            _draw(arguments, comparison, methods)
    return EXIT_BAD_INPUT if failures else 0


def _print(comparison: "Comparison", ranks: bool) -> None:
    from fusion.base.tables import counted

    count = len(next(iter(comparison.values.values())))
    print(f"{counted(count, 'image')}; {comparison.head()}\n\n{comparison.table()}")
    if ranks:
        print(f"\nranks of the means, 1 is best\n\n{comparison.rank_table()}")


def _fused_by(
    arguments: argparse.Namespace, methods: Mapping[str, Path], folder: Path
) -> tuple[dict[str, Path], list[str]]:
    """The methods with the networks' images among them, and what could not be fused."""
    from fusion.commands.pipeline import Options, fuse_folders
    from fusion.networks.weights import load_named

    networks = {}
    for text in arguments.network:
        name, equals, source = text.partition("=")
        source = source if equals else name
        name = name if equals else Path(name).stem
        if name in methods or name in networks:
            raise UserError(
                f"--network {text}: a method is already named {name}; give NAME=WEIGHTS"
            )
        networks[name] = load_named(source)
    methods, failures = dict(methods), []
    for name, network in networks.items():
        account = fuse_folders(network, arguments.ir, arguments.vis, folder / name, Options())
        failures += account.notes
        methods[name] = folder / name
    return methods, failures


def _draw(
    arguments: argparse.Namespace, comparison: "Comparison", methods: Mapping[str, Path]
) -> None:
    from fusion.evaluation.comparison import MEAN_RANK
    from fusion.evaluation.sheet import draw_comparison
    from fusion.images.reading import write_image

    chosen = arguments.sheet_methods
    if chosen is None:
        ranks = comparison.ranks()
        chosen = sorted(ranks, key=lambda method: ranks[method][MEAN_RANK])[:5]
    for name in chosen:
        if name not in methods:
            raise UserError(f"--sheet-methods: no {name} among {', '.join(methods)}")
    shown = {name: methods[name] for name in chosen}
    path = arguments.output / "sheet.jpg"
    write_image(path, draw_comparison(arguments.ir, arguments.vis, shown, arguments.sheet))
    print(f"sheet: {path}", file=sys.stderr)


def _evaluate_videos(arguments: argparse.Namespace, methods: dict[str, Path]) -> int:
    from fusion.base.tables import counted, show_or_write
    from fusion.evaluation.video_comparison import compare_videos

    for option in ("network", "ranks", "sheet"):
        if getattr(arguments, option):
            raise UserError(f"--{option}: for images only, not for videos")
    metrics = parse_metrics(arguments) if arguments.metrics else None
    comparison = compare_videos(
        arguments.ir, arguments.vis, methods, metrics or (), arguments.convention
    )
    report = f"{counted(comparison.frames, 'frame')}\n\n{comparison.table()}"
    show_or_write(comparison.content(), report, arguments.json)
    if arguments.output:
        comparison.write(arguments.output)
        print(f"table: {arguments.output / 'video.csv'}", file=sys.stderr)
    return 0
