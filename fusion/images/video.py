"""Videos: reading frames one after another, and writing them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fusion.base.errors import UserError
from fusion.base.files import whole_file

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm"})


class Video:
    """A video file read frame by frame.

    Attributes:
        fps: frames a second the file states.
        frame_count: frames the file states, which a damaged file may not hold; 0 if it states none.
        size: ``(width, height)``.

    Raises:
        UserError: no such file, or no video OpenCV can decode.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise UserError(f"{path}: no such file")
        self._capture = cv2.VideoCapture(str(path))
        ok = self._capture.isOpened() and self._capture.grab()
        if not ok:
            self._capture.release()
            raise UserError(f"{path}: not a readable video; re-encode it, for example to MP4")
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
        self.fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.frame_count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.size = (
            int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        )

    def __iter__(self) -> Iterator[np.ndarray]:
        """RGB uint8 ``HxWx3`` frames from the first on."""
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
        while True:
            ok, frame = self._capture.read()
            if not ok:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        self._capture.release()

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def require_video_suffix(path: Path) -> None:
    """Refuse a video's name whose suffix is no format that can be written.

    Raises:
        UserError: names the formats.
    """
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise UserError(
            f"{path}: unknown video format; end the name in {', '.join(sorted(VIDEO_SUFFIXES))}"
        )


class VideoWriter:
    """Write frames of one size to a video file, whole or not at all.

    A context manager; the file appears under its name when the block ends without an exception.

    Args:
        path: ends in one of `VIDEO_SUFFIXES`.
        fps: frames a second.
    """

    def __init__(self, path: str | Path, fps: float):
        self.path = Path(path)
        require_video_suffix(self.path)
        self.fps = fps if fps > 0 else 25.0
        self._writer: cv2.VideoWriter | None = None
        self._count = 0

    def __enter__(self) -> "VideoWriter":
        self._whole = whole_file(self.path)
        self._temporary = self._whole.__enter__()
        return self

    def write(self, frame: np.ndarray) -> None:
        """Append a uint8 frame, ``HxW`` or RGB ``HxWx3``; all frames have the first one's size."""
        if self._writer is None:
            suffix = self.path.suffix.lower()
            codec = {".avi": "MJPG", ".webm": "VP80"}.get(suffix, "mp4v")
            self._writer = cv2.VideoWriter(
                str(self._temporary),
                cv2.VideoWriter.fourcc(*codec),
                self.fps,
                (frame.shape[1], frame.shape[0]),
            )
            if not self._writer.isOpened():
                raise UserError(
                    f"{self.path}: cannot be written as video; try a name ending in .mp4"
                )
        code = cv2.COLOR_GRAY2BGR if frame.ndim == 2 else cv2.COLOR_RGB2BGR
        self._writer.write(cv2.cvtColor(frame, code))
        self._count += 1

    def __exit__(self, *exception: Any) -> None:
        if self._writer is not None:
            self._writer.release()
        if self._writer is not None and exception[0] is None:
            try:
                self._check()
            except UserError as error:
                self._whole.__exit__(UserError, error, error.__traceback__)
                raise
        self._whole.__exit__(*exception)

    def _check(self) -> None:
        """Make sure that all frames arrived: OpenCV does not say where a disk was full."""
        try:
            with Video(self._temporary) as video:
                held = video.frame_count
        except UserError:
            held = -1
        # Where a container states a duration alone, frames come out of it rounded; 0: not stated.
        if held != 0 and held < self._count - 1:
            raise UserError(f"{self.path}: cannot be written whole (is the disk full?)")
