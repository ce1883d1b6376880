"""Frames and where they come from: a folder of pictures, or a video.

Frames are numbered from 1 in every message, like the lines of an annotation.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np

from fusion.base.errors import UserError
from fusion.images.pixels import luminance, to_8bit
from fusion.images.reading import read_image
from fusion.images.video import Video

MODALITIES = ("rgb", "ir")
MODALITY_NAMES = {"rgb": "visible", "ir": "infrared"}
# Frames of the longest sequence that is read: a slip in a file must not take all memory.
LONGEST = 1_000_000


def number_ranges(numbers: Iterable[int], limit: int = 12) -> str:
    """``[1, 2, 3, 7]`` as ``1-3, 7``; after ``limit`` ranges only how many numbers follow."""
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
    """Why a modality of a frame is not to be trusted.

    Attributes:
        kind: ``missing`` (no file), ``unreadable``, ``size`` (not the size of its modality's first
            frame) or ``blank`` (one grey level everywhere; the picture is given all the same).
        reason: one line that names the file.
    """

    kind: str
    reason: str


@dataclass(frozen=True)
class Frame:
    """One moment of a sequence.

    Attributes:
        number: from 1.
        rgb: RGB uint8 ``HxWx3``, or None.
        ir: uint8 ``HxW``, or None.
        problems: by modality, ``rgb`` or ``ir``; a modality that is None is always named here.
    """

    number: int
    rgb: np.ndarray | None
    ir: np.ndarray | None
    problems: dict[str, FrameProblem]


def as_rgb(image: np.ndarray) -> np.ndarray:
    """A picture as read, ``HxW`` or ``HxWx3`` of any depth, as a visible frame: ``HxWx3`` uint8."""
    image = to_8bit(image)
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def as_ir(image: np.ndarray) -> np.ndarray:
    """A picture as read, ``HxW`` or ``HxWx3`` of any depth, as an infrared frame: ``HxW`` uint8."""
    return to_8bit(luminance(image))


class NoPicture(Exception):
    """A frame has no usable picture; ``problem`` says why."""

    def __init__(self, kind: str, reason: str):
        self.problem = FrameProblem(kind, reason)


class ImageFrames:
    """Frames in picture files.

    Args:
        folder: where the files are.
        names: a file name a frame, None where the frame has no file.
    """

    fps: float | None = None

    def __init__(self, folder: Path, names: Sequence[str | None]):
        # Names, not paths: large datasets have millions, and a Path takes 200 bytes more.
        self.folder = Path(folder)
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    def path(self, index: int) -> Path | None:
        """A frame's file; None where it has none."""
        name = self.names[index]
        return None if name is None else self.folder / name

    def missing(self) -> list[int]:
        """Indices of frames without a file."""
        return [index for index, name in enumerate(self.names) if name is None]

    def read(self, index: int) -> np.ndarray:
        """A frame as stored."""
        path = self.path(index) if index < len(self.names) else None
        if path is None:
            raise NoPicture("missing", f"{self.folder}: no picture for frame {index + 1}")
        try:
            return read_image(path)
        except UserError as error:
            raise NoPicture("unreadable", str(error)) from None


class VideoFrames:
    """Frames of a video file. Forward access is fast; going back decodes from the start again."""

    def __init__(self, path: Path):
        self.path = Path(path)
        self._video = Video(path)
        self.fps = self._video.fps or None
        self._frames: Iterator[np.ndarray] = iter(self._video)
        self._position = -1  # of the frame in _current
        self._current: np.ndarray | None = None
        self._length = self._video.frame_count or sum(1 for _ in self._video)

    def __len__(self) -> int:
        return self._length

    def missing(self) -> list[int]:
        """Indices of frames known to be missing: none."""
        return []  # what a damaged video lacks shows when it is decoded

    def read(self, index: int) -> np.ndarray:
        """A frame, RGB ``HxWx3``."""
        if index >= self._length:
            raise NoPicture("missing", f"{self.path}: ends before frame {index + 1}")
        if index < self._position:
            self._frames, self._position = iter(self._video), -1
        while self._position < index:
            frame = next(self._frames, None)
            if frame is None:
                raise NoPicture(
                    "unreadable", f"{self.path}: frame {index + 1} cannot be decoded; re-encode it"
                )
            self._current, self._position = frame, self._position + 1
        assert self._current is not None  # a position was reached
        return self._current


FrameSource = ImageFrames | VideoFrames


# --- Matching the frames of two folders -----------------------------------------------------------


def _frame_numbers(names: list[str]) -> list[int] | None:
    """The last number of each stem; None where names have none or it repeats."""
    found = [re.findall(r"\d+", Path(name).stem) for name in names]
    if not all(found):
        return None
    numbers = [int(digits[-1]) for digits in found]
    return numbers if len(set(numbers)) == len(numbers) else None


def align_frames(
    rgb: list[str], ir: list[str], expected: int | None = None, start: int | None = None
) -> tuple[list[str | None], list[str | None], list[str]]:
    """Match two folders' pictures, so that one missing file does not shift all that follow.

    Frames are matched by the last number in their name (``v012.jpg`` with ``i012.jpg``). They are
    matched in order where names have no such number, where both folders are without a gap and of
    equal length (a camera counting from 0, the other from 1), or have no number in common.

    Args:
        rgb, ir: file names in natural order.
        expected: frames the annotation speaks of. Numbers missing in both folders are frames
            without a picture if they make up this count, and no frames otherwise.
        start: the first frame's number, where the layout says so. All numbers from there on are
            frames then, and ``expected`` of them at least.

    Returns:
        A name or None a frame for both, of equal length, and what is to be reported.

    Raises:
        UserError: numbers from ``start`` on that make more frames than `LONGEST`.
    """
    rgb_numbers, ir_numbers = _frame_numbers(rgb), _frame_numbers(ir)
    if rgb_numbers is None or ir_numbers is None:
        return _in_order(rgb, ir, "")
    first, second = sorted(rgb_numbers), sorted(ir_numbers)
    gapless = all(n[-1] - n[0] + 1 == len(n) for n in (first, second))
    shifted = first != second and gapless and len(first) == len(second)
    if start is None and (shifted or not set(first) & set(second)):
        return _in_order(
            rgb, ir, f" (visible numbers start at {first[0]}, infrared ones at {second[0]})"
        )
    timeline = sorted({*first, *second})
    problems = []
    low, high = timeline[0], timeline[-1]
    if start is not None:
        low, high = min(low, start), max(high, start + (expected or 0) - 1)
        if high - low >= LONGEST:
            raise UserError(
                f"pictures are numbered from {low} to {high}, and a sequence has {LONGEST} frames "
                "at most; mend the name of the first or the last"
            )
        timeline = list(range(low, high + 1))
    elif high - low + 1 == expected:
        timeline = list(range(low, high + 1))
    elif len(timeline) > 1 and median(b - a for a, b in pairwise(timeline)) == 1:
        gaps = [(a + 1, b - 1) for a, b in pairwise(timeline) if b - a > 1]
        if gaps:
            problems.append(
                f"the pictures' numbers skip {_ranges_text(gaps)}: {len(timeline)} frames are left"
            )
    aligned = []
    for modality, names, numbers in (("rgb", rgb, rgb_numbers), ("ir", ir, ir_numbers)):
        by_number = dict(zip(numbers, names, strict=True))
        column = [by_number.get(number) for number in timeline]
        missing = [index + 1 for index, name in enumerate(column) if name is None]
        if missing:
            problems.append(
                f"{MODALITY_NAMES[modality]}: no picture for {len(missing)} of {len(timeline)} "
                f"frames: {number_ranges(missing)}"
            )
        aligned.append(column)
    return aligned[0], aligned[1], problems


def shortage(modality: str, frames: int, length: int) -> str:
    """What is said of a modality that ends before the other one, of ``length`` frames, does."""
    return (
        f"{MODALITY_NAMES[modality]}: {frames} frames against {length}; "
        f"none for {number_ranges(range(frames + 1, length + 1))}"
    )


def _in_order(
    rgb: list[str], ir: list[str], why: str
) -> tuple[list[str | None], list[str | None], list[str]]:
    length = max(len(rgb), len(ir))
    problems = [f"frames are matched in order{why}"] if why else []
    for modality, names in (("rgb", rgb), ("ir", ir)):
        if len(names) < length:
            problems.append(shortage(modality, len(names), length))
    return rgb + [None] * (length - len(rgb)), ir + [None] * (length - len(ir)), problems
