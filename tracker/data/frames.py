"""Frames and their sources: a folder of images, or a video.

All messages number frames from 1, like the lines of an annotation.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from pathlib import Path
from statistics import median

import numpy as np

from fusion.base.errors import UserError
from fusion.images.pairing import counter, list_images, match_names
from fusion.images.pixels import luminance, to_8bit
from fusion.images.reading import read_image
from fusion.images.timing import Nearest
from fusion.images.video import VIDEO_SUFFIXES, Video, VideoDamaged, VideoFrame
from tracker.data.annotations import LONGEST

MODALITIES = ("rgb", "ir")
MODALITY_NAMES = {"rgb": "visible", "ir": "infrared"}


def number_ranges(numbers: Iterable[int], limit: int = 12) -> str:
    """Format ``[1, 2, 3, 7]`` as ``1-3, 7``; after ``limit`` ranges, count the other numbers."""
    ranges: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = ranges[-1][0], number
        else:
            ranges.append((number, number))
    return _ranges_text(ranges, limit)


def _ranges_text(ranges: Sequence[tuple[int, int]], limit: int = 12) -> str:
    parts = [str(first) if first == last else f"{first}-{last}" for first, last in ranges[:limit]]
    rest = sum(last - first + 1 for first, last in ranges[limit:])
    return ", ".join(parts) + (f" and {rest} more" if rest else "")


# --- Frames ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FrameProblem:
    """Why a modality of a frame is not reliable.

    Attributes:
        kind: ``missing`` (no file), ``unreadable``, ``size`` (differs from the modality's first
            frame) or ``blank`` (a single grey level; the image is returned nevertheless).
        reason: one line that names the file.
    """

    kind: str
    reason: str


@dataclass(frozen=True)
class Frame:
    """One frame of a sequence, with both modalities.

    Attributes:
        number: the frame's number, counted from 1.
        rgb: RGB uint8 ``HxWx3``, or None.
        ir: uint8 ``HxW``, or None.
        problems: problems by modality, ``rgb`` or ``ir``; always explains a modality that is None.
    """

    number: int
    rgb: np.ndarray | None
    ir: np.ndarray | None
    problems: dict[str, FrameProblem]


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Convert an image ``HxW`` or ``HxWx3`` of any depth to a visible frame, ``HxWx3`` uint8."""
    image = to_8bit(image)
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def as_ir(image: np.ndarray, percentiles: tuple[float, float] | None = None) -> np.ndarray:
    """Convert an image ``HxW`` or ``HxWx3`` of any depth to an infrared frame, ``HxW`` uint8.

    Args:
        percentiles: see `fusion.images.pixels.scale_to_255`.
    """
    return to_8bit(luminance(image), percentiles)


class NoPicture(Exception):
    """A frame has no usable image; ``problem`` says why."""

    def __init__(self, kind: str, reason: str):
        self.problem = FrameProblem(kind, reason)


class ImageFrames:
    """Frames in image files.

    Args:
        folder: the folder that contains the files.
        names: one file name per frame; None if the frame has no file.
    """

    fps: float | None = None

    def __init__(self, folder: Path, names: Sequence[str | None]):
        # Names instead of paths: large datasets have millions, and a Path takes 200 bytes more.
        self.folder = Path(folder)
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    def path(self, index: int) -> Path | None:
        """The file of a frame; None if it has no file."""
        name = self.names[index]
        return None if name is None else self.folder / name

    def missing(self) -> list[int]:
        """Indices of frames without a file."""
        return [index for index, name in enumerate(self.names) if name is None]

    def read(self, index: int) -> np.ndarray:
        """A frame as stored."""
        path = self.path(index) if index < len(self.names) else None
        if path is None:
            raise NoPicture("missing", f"{self.folder}: no image for frame {index + 1}")
        try:
            return read_image(path)
        except UserError as error:
            raise NoPicture("unreadable", str(error)) from None


class VideoFrames:
    """Frames of a video file. Forward access is fast; going back decodes from the start again.

    The length is an estimate until the end of the file has been decoded, and exact afterwards.

    Args:
        path: the file, or its `Video`.
        clock: a video that defines the times: index i gives the frame nearest in time to frame i of
            ``clock``, see `fusion.images.timing`. None: index i gives the i-th frame.
        delay: seconds from the first frame of ``clock`` to the first frame of this video.
        reach: largest distance in seconds of a frame from that of ``clock``.
    """

    def __init__(
        self,
        path: Path | Video,
        clock: "VideoFrames | None" = None,
        delay: float = 0.0,
        reach: float = inf,
    ):
        self.video = path if isinstance(path, Video) else Video(path)
        self.path = self.video.path
        self.fps: float | None = self.video.fps
        self._clock = clock
        self._delay = delay
        self._reach = reach
        scan = self.video.scan
        self._length = scan.frames
        if clock is not None:
            end = (scan.last or 0.0) - (scan.first or 0.0) + delay + 0.5 / self.video.fps
            self._length = max(1, 1 + int(end * clock.video.fps + 0.01))
            steady = scan.steady and clock.video.scan.steady
            if not steady and abs(self._length - len(clock)) <= 3:
                self._length = len(clock)  # estimated from mean rates
        self.ends: bool = False  # whether the end was reached
        self.damage: VideoDamaged | None = None
        self._restart()

    def _restart(self) -> None:
        self._frames = self.video.frames()
        self._position = -1  # index of the frame in _current
        self._current: VideoFrame | None = None
        self._nearest: Nearest | None = None
        self._image: tuple[VideoFrame, np.ndarray] | None = None

    def __len__(self) -> int:
        return self._length

    def missing(self) -> list[int]:
        """Indices of frames known to be missing; always empty."""
        return []  # damage is found only when the video is decoded

    def time(self, index: int) -> float:
        """Seconds from the first frame to frame ``index``; extrapolated beyond the end."""
        self._advance(index)
        if self._position == index and self._current is not None:
            return self._current.time
        last = 0.0 if self._current is None else self._current.time
        return last + (index - self._position) / self.video.fps

    def _advance(self, index: int) -> None:
        """Decode up to frame ``index`` or the end."""
        if index < self._position:
            self._restart()
        while self._position < index and not self._is_at_end():
            try:
                frame = next(self._frames, None)
            except VideoDamaged as damage:
                frame, self.damage = None, damage
            if frame is None:
                self._length, self.ends = self._position + 1, True
                if self.damage is not None:  # lost frames are reported one by one
                    lost = max(self.damage.stated, self.video.scan.frames, self._length + 1)
                    self._length = lost
                return
            self._current, self._position = frame, self._position + 1
            self._length = max(self._length, self._position + 1)

    def _is_at_end(self) -> bool:
        return self.ends and (self.damage is not None or self._position + 1 >= self._length)

    def read(self, index: int) -> np.ndarray:
        """Frame ``index`` as RGB ``HxWx3`` or grey ``HxW``, uint8 or uint16."""
        frame = self._at(index) if self._clock is None else self._near(index, self._clock)
        if self._image is None or self._image[0] is not frame:
            self._image = frame, frame.image()
        return self._image[1]

    def _at(self, index: int) -> VideoFrame:
        self._advance(index)
        if self._position == index and self._current is not None:
            return self._current
        if self.damage is not None:
            raise NoPicture("unreadable", f"{self.damage}")
        raise NoPicture("missing", f"{self.path}: ends before frame {index + 1}")

    def _near(self, index: int, clock: "VideoFrames") -> VideoFrame:
        if self._nearest is None or index < self._position:
            self._restart()
            self._nearest = Nearest(self._frames, self._delay, self.video.fps, self._reach)
        self._position = index
        time = clock.time(index)
        try:
            frame = self._nearest.at(time)
        except VideoDamaged as damage:
            self.damage, frame = damage, None
        if frame is not None:
            self._length = max(self._length, index + 1)
            return frame
        if self.damage is not None:
            raise NoPicture("unreadable", f"{self.damage}")
        if self._nearest.is_over and time > self._delay:
            self._length, self.ends = min(self._length, index), True
            raise NoPicture("missing", f"{self.path}: ends before frame {index + 1}")
        what = "starts after" if time < self._delay else "has a gap at"
        raise NoPicture("missing", f"{self.path}: {what} frame {index + 1}")


FrameSource = ImageFrames | VideoFrames


def video_path(path: Path) -> Path:
    """Check that a path has the suffix of a video, and return it.

    Raises:
        UserError: the suffix is unknown; the message lists the known ones.
    """
    if path.exists() and path.suffix.lower() not in VIDEO_SUFFIXES:
        known = " ".join(sorted(VIDEO_SUFFIXES))
        raise UserError(f"{path}: not a video; give a folder of images or a video file ({known})")
    return path


def open_numbered(path: Path, pair: str | None, deep: bool = False) -> FrameSource:
    """The source of one modality, if a folder and a video are matched by number."""
    if not path.is_dir():
        return VideoFrames(Video(video_path(path), deep=deep))
    names = picture_names(path)
    counts = counter([Path(name).stem for name in names])
    if pair is None and counts is not None and counts[-1] - counts[0] >= len(counts):
        raise UserError(
            f"{path}: images are missing between {names[0]} and {names[-1]}, so it is unknown "
            "which frames of the video they belong to; give --pair index if the k-th image "
            "belongs to the k-th frame"
        )
    return ImageFrames(path, names)


def picture_names(folder: Path) -> list[str]:
    """Names of the images in a folder, in natural order.

    Raises:
        UserError: as `fusion.images.pairing.list_images`.
    """
    return [path.name for path in list_images(folder)]


# --- Matching the frames of two folders -----------------------------------------------------------


@dataclass(frozen=True)
class Aligned:
    """The images of two folders, matched by frame.

    Attributes:
        rgb, ir: one file name per frame; None if the frame has no file.
        numbers: the number of each frame in the names; None if the names have no counter.
        problems: problems to report to the user.
    """

    rgb: list[str | None]
    ir: list[str | None]
    numbers: list[int] | None
    problems: list[str]


def align_frames(
    rgb: list[str],
    ir: list[str],
    expected: int | None = None,
    start: int | None = None,
    pair: str | None = None,
) -> Aligned:
    """Match the images of two folders, so that a missing file does not shift all later frames.

    `fusion.images.pairing` decides which images belong together.

    Args:
        rgb, ir: file names in natural order.
        expected: number of frames that the annotation covers. Numbers missing in both folders are
            frames without an image if the annotation covers them too; otherwise they are not
            frames. If both folders have ``expected`` images, nothing is missing.
        start: number of the first frame, if the layout defines it. Then all numbers from there on
            are frames, and there are at least ``expected`` frames.
        pair: ``name`` or ``index``, see `fusion.images.pairing.match_names`.

    Raises:
        UserError: the names do not tell which images belong together, or counting from ``start``
            gives more than `LONGEST` frames.
    """
    complete = expected is not None and len(rgb) == len(ir) == expected
    matching = match_names(rgb, ir, pair, complete)
    rows, numbers = matching.rows, matching.numbers
    problems = []
    if matching.how == "order":
        problems.append(f"frames are matched in order ({rgb[0]} with {ir[0]})")
    if numbers is not None and matching.how == "counter":
        low, high = numbers[0], numbers[-1]
        span = high - low + 1
        filled = expected is not None and span <= expected
        if start is not None:
            low, high = min(low, start), max(high, start + (expected or 0) - 1)
            if low < start and expected == span:
                high = numbers[-1]  # counted from 0
            filled = True
            if high - low >= LONGEST:
                raise UserError(
                    f"images are numbered from {low} to {high}, but a sequence has at most "
                    f"{LONGEST} frames; correct the name of the first or the last image"
                )
        if filled and high - low + 1 > len(rows):
            by_number = dict(zip(numbers, rows, strict=True))
            numbers = list(range(low, high + 1))
            rows = [by_number.get(number, (None, None)) for number in numbers]
        elif len(numbers) > 1 and median(b - a for a, b in pairwise(numbers)) == 1:
            gaps = [(a + 1, b - 1) for a, b in pairwise(numbers) if b - a > 1]
            if gaps:
                problems.append(
                    f"the image numbers skip {_ranges_text(gaps)}: {len(numbers)} frames are left"
                )
    columns = [[row[side] for row in rows] for side in (0, 1)]
    for modality, column in zip(MODALITIES, columns, strict=True):
        missing = [index + 1 for index, name in enumerate(column) if name is None]
        if missing:
            first = missing[0] - 1
            number = f" (the first is number {numbers[first]})" if numbers else ""
            problems.append(
                f"{MODALITY_NAMES[modality]}: no image for {len(missing)} of {len(rows)} "
                f"frames: {number_ranges(missing)}"
                + (number if numbers and numbers[first] != first + 1 else "")
            )
    return Aligned(columns[0], columns[1], numbers, problems)


def shortage(modality: str, frames: int, length: int) -> str:
    """The report that a modality ends before the other one, which has ``length`` frames."""
    return (
        f"{MODALITY_NAMES[modality]}: {frames} frames instead of {length}; "
        f"none for {number_ranges(range(frames + 1, length + 1))}"
    )
