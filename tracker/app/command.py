"""``fusion app`` and ``tracker app``: the options, and the start of the server."""

import argparse
from importlib.util import find_spec
from pathlib import Path

from fusion.base.commandline import Commands, add_device_option, natural_int, positive_int
from fusion.base.errors import UserError
from tracker.app.limits import Limits

#: The only address that no other machine can reach.
LOCAL = "127.0.0.1"

APP_EXAMPLES = """\
Fuse pictures and videos, align two cameras by clicking, draw a box and watch it being tracked. The
command prints the address to open in a browser, and runs until Ctrl-C. Files stay on this machine,
are kept as long as the page is open, and are then removed. Nothing is loaded from the internet.

Requires: pip install 'rgbt-lrrnet[app]'

examples:
  fusion app
  fusion app --port 9000 --open --weights runs/saliency/version_0/weights.safetensors
  fusion app --host 0.0.0.0 --max-upload 200    # for everybody in this network
"""

_LIMITS = Limits()


def add_app(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "app",
        help="fuse, align and track in the browser",
        description="Serve a page to fuse, align and track in the browser.",
    )
    parser.epilog = APP_EXAMPLES.replace("fusion app", parser.prog)
    parser.set_defaults(command=_app)
    parser.add_argument(
        "--host",
        default=LOCAL,
        metavar="ADDRESS",
        help=f"address to listen at; 0.0.0.0 for all networks (default: {LOCAL}, this machine)",
    )
    parser.add_argument(
        "--port",
        default=8080,
        type=natural_int,
        metavar="N",
        help="port to listen at; 0 for any that is free (default: 8080)",
    )
    parser.add_argument("--open", action="store_true", help="also open the page in the browser")
    parser.add_argument(
        "--weights",
        metavar="W",
        type=Path,
        action="append",
        default=[],
        help="a fusion network's weights file to choose from on the page; can be repeated",
    )
    add_device_option(parser)
    parser.add_argument(
        "--max-upload",
        metavar="MB",
        type=positive_int,
        default=_LIMITS.upload_bytes // 1_000_000,
        help="largest file that is accepted, in megabytes (default: %(default)s)",
    )
    parser.add_argument(
        "--max-pixels",
        metavar="MP",
        type=positive_int,
        default=_LIMITS.pixels // 1_000_000,
        help="largest picture or frame, in millions of pixels (default: %(default)s)",
    )
    parser.add_argument(
        "--max-frames",
        metavar="N",
        type=positive_int,
        default=_LIMITS.frames,
        help="longest video, in frames (default: %(default)s)",
    )


def _app(arguments: argparse.Namespace) -> int:
    if find_spec("nicegui") is None:
        raise UserError("app: nicegui not installed; pip install 'rgbt-lrrnet[app]'")
    for path in arguments.weights:
        if not path.is_file():
            raise UserError(f"--weights {path}: no such file")
    if arguments.device not in ("auto", "cpu"):
        from fusion.base.commandline import resolve_device

        resolve_device(arguments.device)  # so that a mistake is known now
    from tracker.app.server import Settings, serve

    serve(
        Settings(
            host=arguments.host,
            port=arguments.port,
            open=arguments.open,
            device=arguments.device,
            weights=tuple(arguments.weights),
            limits=Limits(
                arguments.max_upload * 1_000_000,
                arguments.max_pixels * 1_000_000,
                arguments.max_frames,
            ),
        )
    )
    return 0
