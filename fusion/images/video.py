"""Read video frames in order with their timestamps, and write videos.

PyAV does both. It gives timestamps and unchanged 16-bit grey, and decodes every format that its
FFmpeg supports (H.264, HEVC, AV1, VP8, VP9, MPEG-2 and -4, MJPEG, FFV1, WMV, ...).

The length that a container states is only a hint. The video ends where decoding ends.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from fusion.base.errors import UserError
from fusion.base.files import require_no_stream, whole_file

#: Suffixes of files that are treated as videos.
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg"}
    | {".vob", ".wmv", ".asf", ".flv", ".3gp", ".ogv", ".mxf", ".h264", ".264", ".hevc", ".h265"}
    | {".265", ".mjpeg", ".mjpg", ".y4m", ".ivf"}
)

#: Suffixes of the formats that can be written, with FFmpeg's name for each.
_FORMATS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".avi": "avi",
    ".mkv": "matroska",
    ".webm": "webm",
}

# Containers whose clock starts at an arbitrary time, as for broadcasts and discs.
_CLOCK_STARTS_ANYWHERE = {"mpegts", "mpeg", "mpegvideo", "vob"}

# Elementary streams have no clock; FFmpeg invents timestamps at 25 frames per second.
_WITHOUT_CLOCK = {"h264", "hevc", "mjpeg", "mpegvideo", "m4v", "av1", "obu"}

# Containers with a table of all frames: a file with fewer frames than listed was truncated.
_WITH_TABLE = {"mov", "mp4", "avi"}

# Name of the tag that names a clock.
_CLOCK = "RGBT_CLOCK"

# Largest distance, in frames, between a packet's position in the file and its position in time.
_REORDERED = 32


@dataclass(frozen=True)
class VideoFrame:
    """A decoded frame; `image` converts it on request.

    Attributes:
        time: seconds from the start of the video's clock.
    """

    time: float
    _frame: av.VideoFrame
    _deep: bool
    _reformatter: VideoReformatter

    def image(self) -> np.ndarray:
        """Grey ``HxW``, uint8 or (deeper than 8 bit) uint16; or RGB uint8 ``HxWx3``."""
        frame = self._frame
        name = frame.format.name
        deep = max(component.bits for component in frame.format.components) > 8
        if name.startswith(("gray", "ya", "mono")):
            wanted = "gray16le" if deep else "gray"
        else:
            wanted = "gray16le" if deep and self._deep else "rgb24"
        # All frames of a video share one converter, because creating it takes as long as using it.
        image = self._reformatter.reformat(
            frame, format=wanted, interpolation=Interpolation.FAST_BILINEAR
        ).to_ndarray()
        turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


@dataclass(frozen=True)
class Scan:
    """What the packets of a video state, without decoding.

    Attributes:
        frames: number of frames; decoding may give a few more or fewer.
        first, last: timestamps in seconds on the video's own clock; None if it has no clock.
        steady: whether the frame interval is constant.
        interval: median of the frame intervals in seconds; None for fewer than two frames, or
            without a clock.
    """

    frames: int
    first: float | None
    last: float | None
    steady: bool
    interval: float | None = None


class Video:
    """A video file read frame by frame, each time from the start.

    Args:
        path: the file.
        deep: convert colour of more than 8 bits to 16-bit luminance instead of 8-bit RGB, for
            thermal recordings. Grey keeps its depth in any case.

    Attributes:
        size: ``(width, height)`` of its frames, after the rotation that the file states.
        has_sound: whether the file has a sound track.
        clock: name of the clock that the timestamps belong to, if the file states it. Files with
            the same one were recorded together.

    Raises:
        UserError: the file does not exist, is a network stream, or cannot be decoded as a video.
    """

    def __init__(self, path: str | Path, deep: bool = False):
        require_no_stream(path)
        self.path = Path(path)
        self._deep = deep
        if not self.path.exists():
            raise UserError(f"{path}: no such file")
        if not self.path.is_file():
            raise UserError(f"{path}: not a file; give a video file")
        try:
            with av.open(str(path)) as container:
                stream = self._stream(container)
                self._format = set(container.format.name.split(","))
                self.has_sound = bool(container.streams.audio)
                self.clock = container.metadata.get(_CLOCK)
                self._listed = stream.frames if self._format & _WITH_TABLE else 0
                self._codec = stream.codec_context.name
                rate = stream.average_rate or stream.guessed_rate
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._unreadable(error) from None
        try:
            first = next(self.frames(), None)
        except VideoDamaged as error:
            raise self._unreadable(error) from None
        if first is None:
            raise UserError(f"{path}: not a readable video: no frame of it can be decoded")
        height, width = first.image().shape[:2]
        self.size = (width, height)
        self._rate = Fraction(rate) if rate else None

    def _unreadable(self, error: Exception) -> UserError:
        reason = (getattr(error, "strerror", None) or str(error)).splitlines()[0]
        return UserError(
            f"{self.path}: not a readable video ({reason}); copy it again, or convert it to H.264, "
            f"for example with ffmpeg -i {self.path.name} -c:v libx264 converted.mkv"
        )

    def _stream(self, container: Any) -> Any:
        if not container.streams.video:
            raise UserError(f"{self.path}: has no video stream, only sound or data; give a video")
        # The first may be a cover; FFmpeg's choice is the largest image that is none.
        stream = container.streams.best("video") or container.streams.video[0]
        stream.thread_type = "AUTO"
        return stream

    # --- What is known before decoding ---

    @cached_property
    def scan(self) -> Scan:
        """Count and timestamps of the packets; reads the file without decoding it."""
        frames, packets, first, last, decoding = 0, 0, None, None, None
        ahead: list[int] = []
        steps: Counter[int] = Counter()
        previous: int | None = None

        def pass_on(pts: int) -> None:
            nonlocal previous
            if previous is not None:
                steps[pts - previous] += 1
            previous = pts

        try:
            with av.open(str(self.path)) as container:
                stream = self._stream(container)
                base = stream.time_base
                for packet in container.demux(stream):
                    packets += packet.size > 0
                    if packet.size == 0 or packet.is_discard or self._is_hidden(packet):
                        continue
                    frames += 1
                    if decoding is None and packet.dts is not None:
                        decoding = packet.dts
                    if packet.pts is None:
                        continue
                    first = packet.pts if first is None else min(first, packet.pts)
                    last = packet.pts if last is None else max(last, packet.pts)
                    heapq.heappush(ahead, packet.pts)
                    if len(ahead) > _REORDERED:
                        pass_on(heapq.heappop(ahead))
        except (av.FFmpegError, OSError):
            pass  # decoding reports where the damage is
        frames += max(0, self._listed - packets)
        while ahead:
            pass_on(heapq.heappop(ahead))
        if first is None or last is None or base is None or self._format & _WITHOUT_CLOCK:
            return Scan(frames, None, None, True)
        # If the clock starts when decoding starts, all frames are shown later by that delay.
        if decoding is not None and decoding >= 0 and first > decoding:
            first, last = first - (first - decoding), last - (first - decoding)
        # Containers round timestamps, Matroska to milliseconds.
        steady = not steps or (max(steps) - min(steps)) * base <= Fraction(21, 10_000)
        interval = float(_median(steps) * base) if steps else None
        return Scan(frames, float(first * base), float(last * base), steady, interval)

    def _is_hidden(self, packet: Any) -> bool:
        """Whether a packet is never displayed: VP8's alternate reference frames."""
        return self._codec in ("vp8", "libvpx") and not memoryview(packet)[0] >> 4 & 1

    @property
    def frame_count(self) -> int:
        """Estimated number of frames; decoding may give a few more or fewer."""
        return self.scan.frames

    @cached_property
    def rate(self) -> Fraction:
        """Frames per second: the stated rate, unless the timestamps contradict it."""
        scan = self.scan
        if scan.first is not None and scan.last is not None and scan.last > scan.first:
            found = (scan.frames - 1) / (scan.last - scan.first)
            if not self._rate or abs(found / float(self._rate) - 1) > 0.02:
                return Fraction(found).limit_denominator(1001)
        return self._rate or Fraction(25)

    @property
    def fps(self) -> float:
        """`rate` as a number."""
        return float(self.rate)

    @property
    def has_clock(self) -> bool:
        """Whether the frames have timestamps."""
        return self.scan.first is not None

    @property
    def clock_is_its_own(self) -> bool:
        """Whether the clock starts at an arbitrary time, so that only time differences count."""
        return bool(self._format & _CLOCK_STARTS_ANYWHERE)

    # --- Decoding ---

    def frames(self) -> Iterator[VideoFrame]:
        """Iterate over all frames; the file is reopened, so formats without seeking work too.

        Raises:
            VideoDamaged: the rest of the file cannot be decoded.
        """
        count = packets = 0
        origin: int | None = None
        broken: Exception | None = None
        reformatter = VideoReformatter()
        try:
            with av.open(str(self.path)) as container:
                stream = self._stream(container)
                step = 1 / (stream.average_rate or stream.guessed_rate or 25)
                for packet in container.demux(stream):
                    packets += packet.size > 0
                    try:
                        decoded = packet.decode()
                    except av.InvalidDataError as error:
                        # A recording may begin between two key frames; later it is damage.
                        if count:
                            broken = broken or error
                        continue
                    for frame in decoded:
                        if broken:
                            raise broken
                        if frame.pts is None or frame.time_base is None:
                            time = count * step
                        else:
                            origin = frame.pts if origin is None else origin
                            time = (frame.pts - origin) * frame.time_base
                        yield VideoFrame(float(time), frame, self._deep, reformatter)
                        count += 1
        except (av.FFmpegError, OSError) as error:
            raise VideoDamaged(self.path, count) from error
        if broken or packets < self._listed:
            raise VideoDamaged(self.path, count, self._listed)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Iterate over the frames as arrays, see `VideoFrame.image`.

        Raises:
            VideoDamaged: as `frames`.
        """
        return (frame.image() for frame in self.frames())

    def close(self) -> None:
        """Do nothing: no file stays open between two iterations."""

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _median(counts: Counter[int]) -> int:
    """The (lower) median of numbers, given how often each occurs."""
    half = counts.total() / 2
    for number in sorted(counts):
        half -= counts[number]
        if half <= 0:
            break
    return number


class VideoDamaged(UserError):
    """A video that cannot be decoded to its end.

    Attributes:
        frames: number of frames that were decoded.
        stated: number of frames that the container's table lists; 0 without a table.
    """

    def __init__(self, path: Path, frames: int, stated: int = 0):
        of = f" of {stated}" if stated > frames else ""
        super().__init__(f"{path}: damaged after frame {frames}{of}; copy it again")
        self.frames = frames
        self.stated = stated


def require_video_suffix(path: Path) -> None:
    """Refuse a file name whose suffix is not a video format that can be written.

    Raises:
        UserError: the format is unknown; the message lists the known ones.
    """
    if path.suffix.lower() not in _FORMATS:
        raise UserError(
            f"{path}: unknown video format; end the name in {', '.join(sorted(_FORMATS))}"
        )


class VideoWriter:
    """Write frames of one size to a video file; a failure leaves no partial file.

    This is a context manager: the file appears when the block ends without an exception. The codec
    is H.264; it is VP9 for .webm and for odd widths or heights, which H.264 does not support. Both
    play in browsers. Files ending in .avi use MJPEG; .mov files of odd size use MPEG-4. 16-bit grey
    is stored without loss, as FFV1 in .mkv.

    Args:
        path: ends in .mp4, .m4v, .mov, .mkv, .webm or .avi.
        fps: frames per second.
        clock: write the times given with the frames, in milliseconds, instead of a constant rate,
            and this name of the clock that they belong to (`Video.clock`). For .mkv alone. The
            codec's settings are then those for encoding while recording.
    """

    def __init__(self, path: str | Path, fps: float | Fraction, clock: str | None = None):
        self.path = Path(path)
        self._clock = clock
        self._tick = None if clock is None else Fraction(1, 1000)  # Matroska's
        self._last = -1
        require_video_suffix(self.path)
        rate = Fraction(fps).limit_denominator(1001) if fps > 0 else Fraction(25)
        self.rate = max(rate, Fraction(1, 1001))
        self._container: Any = None
        self._stream: Any = None
        self._count = 0

    def __enter__(self) -> "VideoWriter":
        self._whole = whole_file(self.path)
        self._temporary = self._whole.__enter__()
        return self

    def write(self, frame: np.ndarray, time: float | None = None) -> None:
        """Append a frame; all frames must have the same size and type.

        Args:
            frame: ``HxW`` or RGB ``HxWx3`` uint8, or, for .mkv, ``HxW`` uint16.
            time: seconds from the start, not negative and ascending, if the writer has a ``clock``.
        """
        deep = frame.dtype == np.uint16
        if self._stream is None:
            self._open(frame.shape[1], frame.shape[0], deep)
        name = "gray16le" if deep else "gray" if frame.ndim == 2 else "rgb24"
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=name)
        if self._tick is None or time is None:
            picture.pts, picture.time_base = self._count, 1 / self.rate
        else:
            # Two frames within a millisecond keep their order.
            picture.pts = self._last = max(round(time / self._tick), self._last + 1)
            picture.time_base = self._tick
        self._mux(picture)
        self._count += 1

    def _open(self, width: int, height: int, deep: bool) -> None:
        suffix = self.path.suffix.lower()
        odd = bool(width % 2 or height % 2)
        vp9 = {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"}
        h264 = {"crf": "18", "preset": "veryfast"}
        if self._tick is not None:
            # Without frames in another order than shown, the first one's time stays as it is.
            h264 = {"crf": "18", "preset": "ultrafast", "tune": "zerolatency"}
        choices: list[tuple[str, dict[str, str]]] = [("libx264", h264), ("libopenh264", {})]
        if deep:
            choices = [("ffv1", {})]
        elif suffix == ".avi":
            choices = [("mjpeg", {"qmin": "2", "qmax": "3"})]
        elif suffix == ".webm" or (odd and suffix in (".mp4", ".m4v", ".mkv")):
            choices = [("libvpx-vp9", vp9)]
        elif odd:  # QuickTime has no VP9
            choices = [("mpeg4", {"qmin": "2", "qmax": "3"})]
        codec, options = next(
            (choice for choice in choices if choice[0] in av.codecs_available), choices[0]
        )
        flags = {"movflags": "faststart"} if suffix in (".mp4", ".m4v", ".mov") else {}
        try:
            self._container = av.open(
                str(self._temporary), "w", format=_FORMATS[suffix], options=flags
            )
            if self._clock is not None:
                self._container.metadata[_CLOCK] = self._clock
            stream = self._container.add_stream(codec, rate=self.rate, options=options)
            stream.width, stream.height = width, height
            stream.pix_fmt = {"mjpeg": "yuvj420p", "ffv1": "gray16le"}.get(codec, "yuv420p")
            stream.codec_context.time_base = self._tick or 1 / self.rate
            if codec not in ("mjpeg", "ffv1"):
                # Limited-range BT.601, which players that ignore the tag also assume.
                stream.codec_context.colorspace = 6
                stream.codec_context.color_range = 1
            stream.codec_context.open()
        except (av.FFmpegError, ValueError) as error:
            raise self._failed(error) from error
        self._stream = stream

    def _mux(self, picture: Any) -> None:
        try:
            for packet in self._stream.encode(picture):
                self._container.mux(packet)
        except (av.FFmpegError, OSError) as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> UserError:
        reason = getattr(error, "strerror", None) or str(error)
        return UserError(
            f"{self.path}: cannot be written ({reason}); check that the disk is not full, or try "
            "a name ending in .mp4"
        )

    def __exit__(self, *exception: Any) -> None:
        try:
            if self._container is not None:
                try:
                    if self._stream is not None and exception[0] is None:
                        self._mux(None)
                finally:
                    try:
                        self._container.close()
                    except (av.FFmpegError, OSError) as error:
                        if exception[0] is None:
                            raise self._failed(error) from error
            if self._stream is not None and exception[0] is None:
                self._check()
        except UserError as error:
            self._whole.__exit__(UserError, error, error.__traceback__)
            raise
        self._whole.__exit__(*exception)

    def _check(self) -> None:
        """Make sure that all frames were written: closing does not always report a full disk."""
        try:
            held = Video(self._temporary).frame_count
        except UserError:
            held = -1
        if held != self._count:
            raise UserError(f"{self.path}: cannot be written completely (is the disk full?)")
