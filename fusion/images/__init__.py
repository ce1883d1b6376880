"""Pictures and videos: reading, pairing, pixel scaling, colour, writing.

Inside the package a colour picture is RGB, ``HxWx3``, and a grey or infrared one ``HxW``. OpenCV's
BGR order ends here.
"""

import os
from importlib import import_module

# The FFmpeg inside OpenCV reads this variable when it is loaded, so it is set before any module of
# this package imports cv2: what is no picture gives one message of ours, not ten of FFmpeg's.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


def __getattr__(name: str) -> object:
    """`Video` and `VideoWriter`, loaded when they are asked for."""
    if name in ("Video", "VideoWriter"):
        return getattr(import_module("fusion.images.video"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
