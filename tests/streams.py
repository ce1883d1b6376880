"""Two cameras for the live tests: files with counters in their pictures, streams of them on the
loopback, and the counters read again.

Both streams belong to one clock: frame k of a camera shows the counter k and was taken k / fps
seconds after the server's epoch, which is what a test compares.
"""

import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

CLOCKS = 0.015
"""Seconds by which the clocks of two streams may be misjudged while other programs are busy; the
distance between two frames is more than twice that."""

BITS = 16
_CELL = 10  # pixels
_ROW = 8  # cells per row; four rows: the bits, and their complements


def draw(counter: int, size: tuple[int, int] = (320, 240), color: bool = False) -> np.ndarray:
    """A picture that shows a counter: as black and white cells, their complements, and digits."""
    width, height = size
    x = np.arange(width, dtype=np.float32)
    row = 110 + 60 * np.sin((x + 3 * counter) / 23)
    image = np.repeat(row[None], height, axis=0).astype(np.uint8)
    bits = [counter >> place & 1 for place in range(BITS)]
    for place, bit in enumerate(bits + [1 - bit for bit in bits]):
        top, left = _CELL * (place // _ROW), _CELL * (place % _ROW)
        image[top : top + _CELL, left : left + _CELL] = 235 if bit else 20
    cv2.putText(image, str(counter), (width // 3, height - 12), 0, 0.8, 255, 2)
    if not color:
        return image
    return np.stack([image, image // 2 + 60, 255 - image // 3], axis=2)


def read(image: np.ndarray) -> int | None:
    """The counter of a picture; None if the cells and their complements disagree."""
    grey = image[..., 0] if image.ndim == 3 else image
    middle = _CELL // 2
    cells = [
        int(
            grey[
                _CELL * (place // _ROW) + middle - 2 : _CELL * (place // _ROW) + middle + 2,
                _CELL * (place % _ROW) + middle - 2 : _CELL * (place % _ROW) + middle + 2,
            ].mean()
            > 128
        )
        for place in range(2 * BITS)
    ]
    if any(a == b for a, b in zip(cells[:BITS], cells[BITS:], strict=True)):
        return None
    return sum(bit << place for place, bit in enumerate(cells[:BITS]))


def write_video(
    path: Path,
    fps: float,
    counters: range,
    color: bool,
    times: Callable[[int], float] | None = None,
) -> Path:
    """A video with a counter per frame: H.264 without references between frames, or MJPEG.

    Args:
        path: .mkv for H.264, .avi for MJPEG.
        times: seconds at which a counter is shown; default: counter / fps.
    """
    codec, form = ("libx264", "yuv420p") if path.suffix == ".mkv" else ("mjpeg", "yuvj420p")
    base = Fraction(1, 1000) if path.suffix == ".mkv" else Fraction(1, round(fps))
    options = {"g": "1", "crf": "20", "preset": "ultrafast", "tune": "zerolatency"}
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(
            codec, rate=round(fps), options=options if codec == "libx264" else {"qmax": "4"}
        )
        stream.width, stream.height, stream.pix_fmt = 320, 240, form
        stream.codec_context.time_base = base
        for counter in counters:
            picture = draw(counter, color=color)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24" if color else "gray")
            seconds = counter / fps if times is None else times(counter)
            frame.pts, frame.time_base = round(seconds / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@dataclass
class Channel:
    """One camera of the server, and what goes wrong with it.

    Attributes:
        path: the file whose packets are served; a packet is a whole picture. It is repeated.
        fps: at which they are served.
        drops: share of frames that are left out.
        jitter: a frame leaves up to this number of seconds late.
        cuts: begin and end, in seconds after the epoch, of times without a connection.
        stamps: whether MJPEG parts say when they were taken.
    """

    path: Path
    fps: float
    drops: float = 0.0
    jitter: float = 0.0
    cuts: list[tuple[float, float]] = field(default_factory=list)
    stamps: bool = True

    def __post_init__(self) -> None:
        with av.open(str(self.path)) as container:
            self.packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
        self.connections = 0
        self.sent: list[int] = []
        self.random = random.Random(self.path.name)

    def taken(self, counter: int) -> float:
        """Seconds after the epoch."""
        return counter / self.fps

    @property
    def period(self) -> float:
        """Seconds after which the counters repeat."""
        return len(self.packets) / self.fps

    def since(self, counter: int, seconds: float) -> float:
        """Seconds from a moment to the one at which a frame was taken, by the counter it shows;
        the closest of the repeated ones."""
        half = self.period / 2
        return (self.taken(counter) - seconds + half) % self.period - half

    def is_cut(self, seconds: float) -> bool:
        """Whether there is no connection at this time."""
        return any(begin <= seconds < end for begin, end in self.cuts)


class Streams:
    """An HTTP server on the loopback: ``/ir`` as multipart JPEG, ``/vis`` as H.264 in FLV.

    A context manager. Frames are served from the moment of a connection on, never earlier ones.
    """

    def __init__(self, ir: Channel, vis: Channel):
        self.channels = {"/ir": ir, "/vis": vis}
        self.epoch = time.monotonic()
        self._ends = threading.Event()
        streams = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                channel = streams.channels[self.path]
                if channel.is_cut(streams.now):
                    self.send_error(503)
                    return
                channel.connections += 1
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with suppress(OSError, av.FFmpegError):
                    (streams._multipart if self.path == "/ir" else streams._flv)(self, channel)
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return time.monotonic() - self.epoch

    def address(self, side: str) -> str:
        """The address of ``ir`` or ``vis``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{side}"

    def __enter__(self) -> "Streams":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._server.shutdown()
        self._server.server_close()

    def _frames(self, channel: Channel):
        """Counters and packets at their time, from now on, until a cut."""
        counter = int(self.now * channel.fps) + 1
        while not self._ends.is_set():
            late = channel.random.uniform(0, channel.jitter)
            self._ends.wait(max(0.0, channel.taken(counter) + late - self.now))
            if channel.is_cut(self.now):
                return
            if channel.random.random() >= channel.drops:
                channel.sent.append(counter)
                yield counter, channel.packets[counter % len(channel.packets)]
            counter += 1

    def _multipart(self, handler: BaseHTTPRequestHandler, channel: Channel) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        for counter, data in self._frames(channel):
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n"
            if channel.stamps:
                head += f"X-Timestamp: {1_700_000_000 + channel.taken(counter):.6f}\r\n"
            handler.wfile.write(head.encode() + b"\r\n" + data + b"\r\n")

    def _flv(self, handler: BaseHTTPRequestHandler, channel: Channel) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "video/x-flv")
        handler.end_headers()
        base = Fraction(1, 1000)
        with (
            av.open(str(channel.path)) as file,
            av.open(handler.wfile, "w", format="flv", options={"flush_packets": "1"}) as out,
        ):
            stream = out.add_stream_from_template(file.streams.video[0])
            for counter, data in self._frames(channel):
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, base
                packet.pts = packet.dts = round(1000 * channel.taken(counter))
                packet.is_keyframe = True
                out.mux_one(packet)


def apart(ir: Channel, ir_counter: int, vis: Channel, vis_counter: int) -> float:
    """Seconds between the moments at which two frames were taken, by the counters they show.

    Counters repeat with their files, which last equally long.
    """
    return abs(ir.since(ir_counter, vis.taken(vis_counter)))
