"""Images and videos: reading, pairing, alignment, pixel scaling, colour, writing.

Inside the package a colour image is RGB, ``HxWx3``, and a grey or infrared image is ``HxW``.
OpenCV's BGR channel order is used nowhere outside this folder.
"""

import os
from importlib import import_module

# The FFmpeg inside OpenCV reads this variable when it is loaded, so it is set before any module of
# this package imports cv2. An unreadable file then gives our one-line error, not FFmpeg's log.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


def __getattr__(name: str) -> object:
    """Import `Video` and `VideoWriter` on first use."""
    if name in ("Video", "VideoWriter"):
        return getattr(import_module("fusion.images.video"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
