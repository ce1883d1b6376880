"""Pictures and videos: reading, pairing, pixel scaling, colour, writing.

Inside the package a colour picture is RGB, ``HxWx3``, and a grey or infrared one ``HxW``. OpenCV's
BGR order ends here.
"""

import os

# The FFmpeg inside OpenCV reads this variable when it is loaded, so it is set before any module of
# this package imports cv2: a damaged video gives one message of ours, not ten of FFmpeg's.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
