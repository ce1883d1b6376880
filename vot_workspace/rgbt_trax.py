"""A tracker of this package for the VOT toolkit: a TraX server on standard input and output.

The toolkit starts ``python -m rgbt_trax`` with the environment of an entry in trackers.ini, where
the variables are described; two more may come from the shell: RGBT_UNTRAINED (1 runs a network
without weights) and RGBT_DEVICE (auto, cpu, cuda or cuda:N).

It serves any number of starts, so that the toolkit starts it once a sequence. A server that calls
itself a Python wrapper, as the one of the VOT examples does, is started once an anchor. The network
is loaded before the handshake: the toolkit's timeout is on replies, and loading is none.
"""

import os
import sys
from pathlib import Path

import trax

from fusion.errors import UserError
from fusion.images import luminance, read_image, to_8bit
from tracker.evaluation.entries import make_tracker


def read_color(path: str):
    image = to_8bit(read_image(path))
    return image if image.ndim == 3 else image[..., None].repeat(3, axis=2)


def read_ir(path: str):
    return to_8bit(luminance(read_image(path)))


def read_frame(images: dict):
    """Both modalities of a request; None for one whose file cannot be used."""
    frame = []
    for channel, read in (("color", read_color), ("ir", read_ir)):
        try:
            frame.append(read(images[channel].path()))
        except UserError as error:
            print(f"rgbt_trax: {error}", file=sys.stderr, flush=True)
            frame.append(None)
    return frame


def serve(tracker, name: str) -> None:
    """Answer the toolkit until it says quit."""
    with trax.Server(
        [trax.Region.RECTANGLE],
        [trax.Image.PATH],
        [trax.image.ImageChannel.COLOR, trax.image.ImageChannel.IR],
        tracker_name=name,
    ) as server:
        while True:
            request = server.wait()
            if request.type == trax.TraxStatus.QUIT:
                return
            frame = read_frame(request.image)
            if request.type == trax.TraxStatus.INITIALIZE:
                box = request.objects[0][0].bounds()
                tracker.init(*frame, box)
            else:
                box, _ = tracker.track(*frame)
            server.status([(trax.Rectangle.create(*map(float, box)), {})])


def main() -> int:
    name = os.environ.get("RGBT_TRACKER", "")
    try:
        tracker = make_tracker(name, Path(__file__).resolve().parent, os.environ)
    except UserError as error:
        print(f"rgbt_trax: {error}", file=sys.stderr, flush=True)
        return 2
    serve(tracker, name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
