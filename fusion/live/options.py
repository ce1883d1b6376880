"""Options of ``fusion live`` and ``tracker live``."""

import argparse
from pathlib import Path

from fusion.base.commandline import add_number_option, add_size_options

#: Fusion method of ``fusion live`` unless one is given.
METHOD = "lrrnet_fast"

#: Widest picture that ``fusion live`` fuses unless told otherwise, in pixels.
WIDTH = 640

#: Port of the page unless one is given.
PORT = 8321

CAMERAS = """\
A camera is a number (0), a device (/dev/video2), an address (rtsp://..., http://...) or a file,
which plays at its own speed. Frames are paired by time; a camera that is lost is opened again, and
meanwhile the other one is used alone.
"""


def add_live_options(parser: argparse._ActionsContainer) -> None:
    """Add what both commands share, apart from the cameras."""
    parser.add_argument(
        "--delay",
        metavar="SECONDS",
        type=float,
        default=0.0,
        help="how much later infrared frames arrive than visible ones of the same moment; negative "
        "if earlier (default: 0)",
    )
    add_size_options(parser)
    parser.add_argument(
        "--record",
        metavar="DIR",
        type=Path,
        help="record both cameras from the start, to a new folder in DIR; the page and the window "
        "also start and stop recordings, without this option in the folder recordings",
    )
    add_number_option(parser, "--port", "port of the page; 0 for any", default=PORT, least=0)
    parser.add_argument(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="address of the page; 0.0.0.0 shows it to the network, to everyone there (default: "
        "127.0.0.1, this computer alone)",
    )
    parser.add_argument(
        "--no-window", action="store_true", help="show the page only, even if there is a display"
    )
