"""``tracker live``: its options and its output."""

import argparse

from fusion.base.commandline import Commands, add_device_option
from fusion.live.options import CAMERAS, add_live_options
from tracker.commands.cli.track import add_tracker_options, chosen_threads, make_chosen, region
from tracker.online.runtime import add_runtime_options, add_threads_option

LIVE_EXAMPLES = (
    CAMERAS
    + """
The object is drawn with the mouse, in the window or on the page; the picture is frozen while it is
drawn.

examples:
  tracker live 0 1
  tracker live rtsp://camera.local/visible rtsp://camera.local/thermal --align calibration.yaml
  tracker live visible.mkv infrared.mkv --box 312,140,48,96 --record recordings
  tracker live 0 http://camera.local:8080/video --resize --tracker csrt --host 0.0.0.0

Ctrl-C, or q in the window, ends it and completes a recording, which 'tracker track' reads.

exit code: 0 when it is ended, 2 if an input is invalid or no camera can be opened.
"""
)


def add_live(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "live",
        help="track an object in two cameras live",
        description="Track an object in the pictures of two cameras live.",
        epilog=LIVE_EXAMPLES,
    )
    parser.set_defaults(command=_live)
    parser.add_argument("rgb", metavar="RGB", help="visible camera, address or file")
    parser.add_argument("ir", metavar="IR", help="infrared camera, address or file")
    parser.add_argument(
        "--box",
        metavar="x,y,w,h",
        type=region,
        help="track this from the first frame, in pixels of the visible picture",
    )
    add_tracker_options(parser)
    add_live_options(parser)
    add_device_option(parser)
    add_runtime_options(parser)
    add_threads_option(parser)


def _live(arguments: argparse.Namespace) -> int:
    from fusion.live.session import check_cameras, registration_of, run_live, say
    from tracker.data.boxes import region_to_box
    from tracker.online.live import LiveTracking

    check_cameras(arguments.ir, arguments.rgb)
    registration = registration_of(arguments, crop=False)
    box = None if arguments.box is None else region_to_box(arguments.box)
    with chosen_threads(arguments):
        live = LiveTracking(
            make_chosen(arguments),
            arguments.ir,
            arguments.rgb,
            box=box,
            registration=registration,
            delay=arguments.delay,
            recordings=arguments.record or "recordings",
            report=say,
        )
        return run_live(live, arguments, "tracker live")
