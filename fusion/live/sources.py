"""What a user may name as a camera, and how it is opened.

    0, 1, ...           a camera by its number
    /dev/video2         a device
    rtsp://..., ...     a stream: multipart JPEG by `fusion.live.multipart`, others by FFmpeg
    thermal.mkv         a file, played at its own speed

FFmpeg reads the cameras of Linux, OpenCV those of other systems.
"""

import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from fusion.base.errors import UserError
from fusion.images.video import Video, VideoFrame
from fusion.live.multipart import Broken, NoMultipart, open_multipart, pictures

#: Seconds in which a connection must be made, and without data after which it counts as broken.
OPENING, SILENCE = 5.0, 3.0

# FFmpeg is not to collect frames before it returns the first one. Options that a format or protocol
# does not have are ignored.
_AT_ONCE = {
    "fflags": "nobuffer",
    "analyzeduration": "1000000",
    "fpsprobesize": "0",
    "rtsp_transport": "tcp",
}
_IN_FLIGHT = 64  # frames that a decoder may hold back


class CameraLost(Exception):
    """A camera cannot be opened, or stopped sending; the message says why."""


class PictureDamaged(Exception):
    """A frame cannot be decoded; the next one may be."""


@dataclass(frozen=True)
class Received:
    """A frame as it arrives.

    Attributes:
        image: decodes it: grey ``HxW`` or RGB ``HxWx3``, uint8, or uint16 grey. Raises
            `PictureDamaged`.
        stamp: the stream's own time in seconds, on any clock; None without one.
        arrived: `time.monotonic` at its arrival.
    """

    image: Callable[[], np.ndarray]
    stamp: float | None
    arrived: float


@dataclass(frozen=True)
class Source:
    """A camera as named by a user.

    Attributes:
        text: the name as given.
        kind: ``number``, ``device``, ``stream`` or ``file``.
    """

    text: str
    kind: str

    @classmethod
    def parse(cls, text: str | int | Path) -> "Source":
        """The source that a number, path or address names.

        Raises:
            UserError: a file does not exist.
        """
        text = str(text)
        if text.isdecimal():
            return cls(text, "number")
        if re.match(r"[a-z][a-z0-9+.-]*://", text, re.IGNORECASE):
            return cls(text, "stream")
        path = Path(text)
        if text.startswith("/dev/") or path.is_char_device():
            return cls(text, "device")
        if not path.exists():
            raise UserError(
                f"{text}: no such file; give a camera's number, a device, an address or a file"
            )
        return cls(text, "file")

    @property
    def name(self) -> str:
        """The name to show, without a password."""
        if self.kind == "number":
            return f"camera {self.text}"
        return re.sub(r"(?<=://)([^/@]*)@", _without_password, self.text)

    def frames(self, deep: bool) -> Iterator[Received]:
        """Connect and receive frames; not for files.

        Args:
            deep: see `fusion.images.video.Video`.

        Raises:
            CameraLost: it cannot be opened, or ended.
        """
        if self.kind == "number" and sys.platform != "linux":
            return opencv_frames(int(self.text))
        if re.match(r"https?://", self.text, re.IGNORECASE):
            return _http_frames(self.text, deep)
        address = f"/dev/video{self.text}" if self.kind == "number" else self.text
        return ffmpeg_frames(address, deep)

    def video(self, deep: bool) -> Video:
        """The file of a source of this kind, see `fusion.images.video.Video`.

        Raises:
            UserError: it is not a readable video.
        """
        return Video(self.text, deep)


def _without_password(match: re.Match[str]) -> str:
    user, colon, _ = match[1].partition(":")
    return f"{user}:...@" if colon else match[0]


# --- Readers --------------------------------------------------------------------------------------


def _http_frames(address: str, deep: bool) -> Iterator[Received]:
    try:
        with open_multipart(address, SILENCE) as response:
            for data, stamp, arrived in pictures(response):
                yield Received(lambda data=data: _decode(data), stamp, arrived)  # type: ignore[misc]
    except Broken as error:
        raise CameraLost(str(error)) from None
    except NoMultipart:
        yield from ffmpeg_frames(address, deep)


def _decode(data: bytes) -> np.ndarray:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR)
    except cv2.error:
        image = None
    if image is None:
        raise PictureDamaged
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.ndim == 3 else image


def ffmpeg_frames(address: str, deep: bool = False) -> Iterator[Received]:
    """Frames of anything that FFmpeg opens: a device, or an address.

    Args:
        deep: see `fusion.images.video.Video`.

    Raises:
        CameraLost: it cannot be opened, or ended.
    """
    device = address.startswith("/dev/")
    reformatter = VideoReformatter()
    # A decoder may hold frames back; the arrival is that of the frame's packet.
    arrivals: dict[int, float] = {}
    began, is_open = time.monotonic(), False
    try:
        with av.open(
            address,
            format="v4l2" if device else None,
            options=_AT_ONCE,
            timeout=(OPENING, SILENCE),
        ) as container:
            if not container.streams.video:
                raise CameraLost("has no pictures, only sound or data")
            is_open = True
            stream = container.streams.video[0]
            # Threads for whole frames would hold back one frame each.
            stream.thread_type = "SLICE"
            for packet in container.demux(stream):
                if packet.pts is not None:
                    arrivals[packet.pts] = time.monotonic()
                    if len(arrivals) > _IN_FLIGHT:
                        del arrivals[next(iter(arrivals))]
                try:
                    decoded = packet.decode()
                except av.InvalidDataError:  # until the next key frame
                    continue
                for frame in decoded:
                    stamp, arrived = None, time.monotonic()
                    if frame.pts is not None and frame.time_base is not None:
                        arrived = arrivals.pop(frame.pts, arrived)
                        stamp = float(frame.pts * frame.time_base)
                    image = VideoFrame(0.0, frame, deep, reformatter).image
                    yield Received(image, stamp, arrived)
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).splitlines()[0]
        if is_open and isinstance(error, av.ExitError):
            reason = f"nothing arrived for {SILENCE:g} s"
        elif not is_open and time.monotonic() - began >= OPENING:
            reason = f"no answer within {OPENING:g} s"
        raise CameraLost(reason) from None
    raise CameraLost("the stream ended")


def opencv_frames(number: int | str) -> Iterator[Received]:
    """Frames of a camera by its number, by OpenCV (DirectShow, Media Foundation, AVFoundation).

    Raises:
        CameraLost: it cannot be opened, or ended.
    """
    capture = cv2.VideoCapture(number)
    try:
        if not capture.isOpened():
            raise CameraLost("there is no camera of this number, or another program uses it")
        while True:
            there, image = capture.read()
            if not there:
                raise CameraLost("the camera stopped")
            arrived = time.monotonic()
            rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            yield Received(lambda rgb=rgb: rgb, None, arrived)  # type: ignore[misc]
    finally:
        capture.release()
