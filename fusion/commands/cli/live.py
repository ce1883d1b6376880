"""``fusion live``: its options and its output."""

import argparse
from pathlib import Path

from fusion.base.commandline import Commands, positive_int
from fusion.commands.cli.options import add_method_options, load_chosen
from fusion.live.options import CAMERAS, METHOD, WIDTH, add_live_options

LIVE_EXAMPLES = (
    CAMERAS
    + """
examples:
  fusion live 1 0
  fusion live rtsp://camera.local/thermal /dev/video0 --align calibration.yaml --record recordings
  fusion live http://camera.local:8080/video thermal.mkv --resize --delay 0.08 --no-window
  fusion live recordings/today/infrared.mkv recordings/today/visible.mkv --method average

Ctrl-C, or q in the window, ends it and completes a recording.

exit code: 0 when it is ended, 2 if an input is invalid or no camera can be opened.
"""
)


def add_live(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "live",
        help="fuse two cameras live, in a window and a page in the browser",
        description="Fuse two cameras live, in a window and a page in the browser.",
        epilog=LIVE_EXAMPLES,
    )
    parser.set_defaults(command=_live)
    parser.add_argument("ir", metavar="IR", help="infrared camera, address or file")
    parser.add_argument("vis", metavar="VIS", help="visible camera, address or file")
    add_method_options(parser, default=METHOD)
    parser.add_argument(
        "--width",
        metavar="PIXELS",
        type=positive_int,
        default=WIDTH,
        help=f"pictures that are wider are scaled down before they are fused (default: {WIDTH}); "
        "recordings keep their size",
    )
    add_live_options(parser)


def _live(arguments: argparse.Namespace) -> int:
    from fusion.live.fusing import LiveFusion
    from fusion.live.session import check_cameras, registration_of, run_live, say

    check_cameras(arguments.ir, arguments.vis)
    registration = registration_of(arguments, crop=True)
    method = arguments.method or (METHOD if arguments.weights is None else None)
    network = load_chosen(arguments.weights, arguments.device, method, arguments.rule)
    live = LiveFusion(
        network,
        arguments.ir,
        arguments.vis,
        color=arguments.color,
        width=arguments.width,
        steady=arguments.steady,
        registration=registration,
        delay=arguments.delay,
        recordings=arguments.record or Path("recordings"),
        report=say,
    )
    return run_live(live, arguments, "fusion live")
