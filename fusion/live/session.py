"""A run of ``fusion live`` or ``tracker live``: page, window, recording, and a clean end."""

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from fusion.base.errors import UserError
from fusion.images.alignment import Calibration
from fusion.live.pipeline import Live, Registration
from fusion.live.server import LiveServer, is_loopback
from fusion.live.window import LiveWindow, why_no_window

_LEAST = 8  # pixels of the area in common


def say(line: str) -> None:
    """Print what happens to the cameras."""
    print(line, file=sys.stderr, flush=True)


def registration_of(arguments: argparse.Namespace, crop: bool) -> Registration:
    """The registration that a command's options describe.

    Args:
        crop: see `Registration`.

    Raises:
        UserError: the calibration cannot be read, or leaves no common area.
    """
    calibration = None
    if arguments.align is not None:
        calibration = Calibration.load(arguments.align)
        if min(calibration.common[2:]) < _LEAST:
            raise UserError(f"{arguments.align}: the pictures have no area in common")
    return Registration(
        arguments.resize, arguments.stretch, arguments.percentiles, calibration, crop
    )


def run_live(live: Live, arguments: argparse.Namespace, title: str) -> int:
    """Run until Ctrl-C, the window is closed, or the files have ended; return the exit code, 0.

    Args:
        live: not started.
        arguments: of `fusion.live.options.add_live_options`.

    Raises:
        UserError: see `fusion.live.pipeline.Live.error`, or an output cannot be written.
    """
    why = "--no-window" if arguments.no_window else why_no_window()
    with ExitStack() as stack:
        server = stack.enter_context(LiveServer(live, arguments.host, arguments.port))
        stack.enter_context(_terminable())
        print(f"page: {server.address}", flush=True)
        if not is_loopback(arguments.host):
            say(
                f"--host {arguments.host}: everyone who reaches port {server.port} sees the "
                "cameras and can start recordings"
            )
        if why is not None and not arguments.no_window:
            say(f"no window: {why}; open the page instead")
        try:
            with live:
                if arguments.record is not None:
                    live.record()
                _show(live, LiveWindow(live, title) if why is None else None)
        except KeyboardInterrupt:
            pass  # the way to end it
    print(_summary(live))
    if live.error is not None:
        raise live.error
    return 0


def _show(live: Live, window: LiveWindow | None) -> None:
    if window is None:
        while not live.finished.wait(0.5):
            pass
        return
    try:
        while not live.finished.is_set() and window.step():
            pass
    finally:
        window.close()


def _summary(live: Live) -> str:
    status = live.status()
    picture, pairing = status["picture"], status["pairing"]
    latency = picture["latency_ms"]["median"]
    speed = "" if latency is None else f", latency {latency:.0f} ms (median of the last ones)"
    return (
        f"{picture['number']} pictures, {pairing['paired']} of them of both cameras, "
        f"{pairing['unpaired']} frames without a partner, {pairing['outdated']} skipped{speed}"
    )


@contextmanager
def _terminable() -> Iterator[None]:
    """Make SIGTERM end the run as Ctrl-C does, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def check_cameras(ir: str, vis: str) -> None:
    """Refuse one camera for both modalities.

    Raises:
        UserError: both are the same.
    """
    if ir == vis:
        raise UserError(f"{ir}: is given for both modalities; give two cameras")
