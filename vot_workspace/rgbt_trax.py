"""A tracker of this package for the VOT toolkit: a TraX server on standard input and output.

The toolkit starts ``python -m rgbt_trax`` with the environment of an entry in trackers.ini, which
describes its variables. Others can be set in the shell: RGBT_UNTRAINED (1 runs a network without
weights), RGBT_DEVICE (auto, cpu, cuda or cuda:N), RGBT_RUNTIME (eager, onnx or compile) and
RGBT_PRECISION (float32 or bfloat16).

The server handles any number of starts, so the toolkit starts it once per sequence. (A server that
identifies itself as a Python wrapper, like that of the VOT examples, is started once per anchor.)
The network is loaded before the handshake, because the toolkit's timeout applies to replies only.
"""

import os
import select
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import trax

from fusion.base.errors import UserError
from fusion.images.reading import read_image
from tracker.data.frames import as_ir, as_rgb
from tracker.evaluation.vot.entries import make_tracker

GRACE = 5.0
"""Seconds to exit after the toolkit is gone."""


def end_with_toolkit() -> None:
    """Exit when no process is left to write to standard input.

    The protocol's library would otherwise wait forever for the frame of an ``initialize`` request.
    """
    if not hasattr(select, "poll") or "TRAX_SOCKET" in os.environ:
        return

    def wait() -> None:
        poll = select.poll()
        poll.register(0, 0)  # a hang-up is always reported
        poll.poll()
        time.sleep(GRACE)
        print("rgbt_trax: the toolkit is gone", file=sys.stderr, flush=True)
        os._exit(2)

    threading.Thread(target=wait, daemon=True).start()


def read_frame(images: dict):
    """Read both modalities of a request; None for one whose file cannot be used.

    Raises:
        UserError: their sizes differ.
    """
    frame = []
    for channel, convert in (("color", as_rgb), ("ir", as_ir)):
        try:
            frame.append(convert(read_image(images[channel].path())))
        except UserError as error:
            print(f"rgbt_trax: {error}", file=sys.stderr, flush=True)
            frame.append(None)
    sizes = {image.shape[:2] for image in frame if image is not None}
    if len(sizes) > 1:
        raise UserError(f"{images['color'].path()}: size differs from infrared; register them")
    return frame


def serve(tracker, name: str) -> int:
    """Serve the toolkit until it sends quit, and return the exit code.

    An invalid message or start ends the server with one line, which is sent to the toolkit as the
    reason. Other exceptions keep their traceback, which the toolkit logs.
    """
    server = trax.Server(
        [trax.Region.RECTANGLE],
        [trax.Image.PATH],
        [trax.image.ImageChannel.COLOR, trax.image.ImageChannel.IR],
        tracker_name=name,
    )
    end_with_toolkit()
    try:
        answer(server, tracker)
    except (UserError, trax.TraxException) as error:
        reason = " ".join(str(error).split())
        print(f"rgbt_trax: {reason}", file=sys.stderr, flush=True)
        with suppress(trax.TraxException):  # the toolkit may be gone
            server.quit(reason)
        return 2
    server.quit()
    return 0


def answer(server: trax.Server, tracker) -> None:
    """Reply to every request with the tracker's box, until the toolkit sends quit.

    Raises:
        UserError: a start that cannot be used, or a frame before any start.
        trax.TraxException: a message that violates the protocol.
    """
    is_started = False
    while True:
        request = server.wait()
        if request.type == trax.TraxStatus.QUIT:
            return
        if request.type == trax.TraxStatus.INITIALIZE:
            if not request.objects:
                raise UserError("initialize: has no region to start from")
            box = request.objects[0][0].bounds()
            tracker.init(*read_frame(request.image), box)
            is_started = True
        elif not is_started:
            raise UserError("frame: received before initialize")
        else:
            box, _ = tracker.track(*read_frame(request.image))
        server.status([(trax.Rectangle.create(*map(float, box)), {})])


def main() -> int:
    name = os.environ.get("RGBT_TRACKER", "")
    try:
        tracker = make_tracker(name, Path(__file__).resolve().parent, os.environ)
    except UserError as error:
        print(f"rgbt_trax: {error}", file=sys.stderr, flush=True)
        return 2
    return serve(tracker, name)


if __name__ == "__main__":
    sys.exit(main())
