"""Running a tracker over a sequence, and writing what it finds.

`track` is the loop, a frame at a time, for programs. `track_to_folder` is what ``tracker track``
does: the loop with files, a progress bar and an account of the frames that were not as they should
be.

Results are written line by line under names that end in ``.partial.txt`` and get their own names
when the sequence is done. A run that is interrupted, even killed, leaves the partial files with
every box up to then; one that fails before the first box leaves nothing.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TextIO

import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from fusion.base.errors import UserError
from fusion.base.files import make_folder
from fusion.images.video import VideoWriter, require_video_suffix
from tracker.data.boxes import Box, start_box
from tracker.data.drawing import draw_frame
from tracker.data.frames import MODALITIES, MODALITY_NAMES, Frame, number_ranges
from tracker.data.sequences import Sequence


class Tracker(Protocol):
    """What can be run: `tracker.online.rgbt_tracker.RGBTTracker`, or anything with its two methods.

    Frames are RGB uint8 ``HxWx3`` and infrared uint8 ``HxW``, None where a modality is missing.
    """

    def init(self, rgb: np.ndarray | None, ir: np.ndarray | None, box: Box) -> None:
        """Start on a frame with a box ``x, y, w, h``."""

    def track(self, rgb: np.ndarray | None, ir: np.ndarray | None) -> tuple[Box, float]:
        """The box in the next frame, and a score."""


@dataclass(frozen=True)
class Tracked:
    """A frame and where the target is in it.

    Attributes:
        box: ``x, y, w, h``.
        score: 0..1; 1 in the first frame, whose box was given.
        seconds: time in the tracker alone, without reading the frame.
    """

    frame: Frame
    box: Box
    score: float
    seconds: float


def check_start(sequence: Sequence, region: ArrayLike) -> Box:
    """The box to start from, checked against the frames.

    Args:
        sequence: its modalities must be of one size.
        region: a box or a polygon.

    Raises:
        UserError: as `tracker.data.boxes.start_box`, or sizes that differ.
    """
    sequence.check_sizes()
    return start_box(region, *sequence.frame_size())


def track(tracker: Tracker, sequence: Sequence, region: ArrayLike) -> Iterator[Tracked]:
    """Follow a target through a sequence.

    A missing modality reaches the tracker as None, a blank one as the picture it is.

    Args:
        tracker: is started on the first frame.
        region: where the target is in the first frame, a box or a polygon.

    Yields:
        Every frame, the first with the given box.

    Raises:
        UserError: an unusable box, or a first frame without any picture.
    """
    box = check_start(sequence, region)
    for index in range(len(sequence)):
        frame = sequence.frame(index)
        start = time.perf_counter()
        if index == 0:
            if frame.rgb is None and frame.ir is None:
                reasons = "; ".join(problem.reason for problem in frame.problems.values())
                raise UserError(f"the first frame has no picture to start on: {reasons}")
            tracker.init(frame.rgb, frame.ir, box)
            score = 1.0
        else:
            box, score = tracker.track(frame.rgb, frame.ir)
        seconds = time.perf_counter() - start
        x, y, w, h = map(float, box)
        yield Tracked(frame, (x, y, w, h), float(score), seconds)


# --- An account of the run ------------------------------------------------------------------------


@dataclass
class Account:
    """What happened in a run.

    Attributes:
        name: the sequence's.
        frames: how many the sequence has.
        tracked: how many were done.
        seconds: in all; `tracker_seconds`: in the tracker alone.
        problems: the sequence's own, see `Sequence.problems`.
        incidents: by modality and kind (``missing``, ``unreadable``, ``size``, ``blank``), the
            numbers of the frames, from 1 as the lines of ``boxes.txt``.
        reasons: a line for each frame whose file could not be used.
        complete: whether the run reached the end.
    """

    name: str
    frames: int
    problems: list[str]
    tracked: int = 0
    seconds: float = 0.0
    tracker_seconds: float = 0.0
    incidents: dict[str, dict[str, list[int]]] = field(
        default_factory=lambda: {modality: {} for modality in MODALITIES}
    )
    reasons: list[str] = field(default_factory=list)
    complete: bool = False

    def add(self, step: Tracked) -> None:
        """Count a frame."""
        self.tracked += 1
        self.tracker_seconds += step.seconds
        for modality, problem in step.frame.problems.items():
            self.incidents[modality].setdefault(problem.kind, []).append(step.frame.number)
            if problem.kind in ("unreadable", "size"):
                self.reasons.append(problem.reason)

    def lines(self) -> list[str]:
        """The account for people, the speed last."""
        lines = [f"{self.name}: {problem}" for problem in self.problems]
        for modality, kinds in self.incidents.items():
            for kind, numbers in kinds.items():
                if kind == "missing":
                    continue  # known from the start: among the problems
                lines.append(
                    f"{MODALITY_NAMES[modality]} {kind} in {_count(len(numbers))}: "
                    f"{number_ranges(numbers)}"
                )
        rate = self.tracked / self.seconds if self.seconds else 0.0
        alone = self.tracked / self.tracker_seconds if self.tracker_seconds else 0.0
        lines.append(
            f"{_count(self.tracked)} in {self.seconds:.1f} s: {rate:.1f} frames/s "
            f"(the tracker alone {alone:.1f})"
        )
        return lines

    def as_json(self) -> dict:
        """What ``report.json`` holds."""
        return {
            "sequence": self.name,
            "frames": self.frames,
            "tracked": self.tracked,
            "complete": self.complete,
            "seconds": round(self.seconds, 3),
            "tracker_seconds": round(self.tracker_seconds, 3),
            "incidents": self.incidents,
            "reasons": self.reasons,
            "problems": self.problems,
        }


def _count(frames: int) -> str:
    return f"{frames} frame" if frames == 1 else f"{frames} frames"


def _row(box: Box) -> str:
    # Nine digits bring every float32 back.
    return ",".join(f"{value:.9g}" for value in box)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during `track_to_folder`; ``account`` says how far it came."""

    def __init__(self, account: Account):
        super().__init__()
        self.account = account


# --- Files ----------------------------------------------------------------------------------------


class _ResultFiles:
    """``boxes.txt``, ``scores.txt``, ``report.json`` and a video: partial until they are finished.

    The first frame creates the files.
    """

    def __init__(self, sequence: Sequence, folder: Path, video: Path | None):
        self.folder = folder
        self.video = video
        self._sequence = sequence
        self._size = sequence.frame_size()
        fps = sequence.fps or 25.0
        self._writer = None if video is None else VideoWriter(_partial(video), fps)
        self._stack = ExitStack()
        self._tables: list[TextIO] | None = None

    def write(self, step: Tracked) -> None:
        if self._tables is None:
            self._open()
        with self._say_what_cannot_be_written():
            rows = _row(step.box), f"{step.score:.6g}"
            for table, row in zip(self._tables or (), rows, strict=True):
                table.write(row + "\n")
                table.flush()
        if self._writer is not None:
            index = step.frame.number - 1
            truth = {"rgb": self._sequence.boxes_rgb[index], "ir": self._sequence.boxes_ir[index]}
            self._writer.write(
                draw_frame(step.frame, step.box, score=step.score, truth=truth, size=self._size)
            )

    def _open(self) -> None:
        make_folder(self.folder)
        paths = [_partial(self.folder / name) for name in ("boxes.txt", "scores.txt")]
        with ExitStack() as stack, self._say_what_cannot_be_written():
            if self._writer is not None:
                stack.enter_context(self._writer)
            self._tables = [stack.enter_context(path.open("w")) for path in paths]
            self._stack = stack.pop_all()

    def close(self, account: Account) -> None:
        """Write the report; give all files their names if the run is complete."""
        if self._tables is None:
            return
        with self._say_what_cannot_be_written():
            self._stack.close()
            report = _partial(self.folder / "report.json")
            report.write_text(json.dumps(account.as_json(), indent=1) + "\n")
            if account.complete:
                names = [self.folder / name for name in ("scores.txt", "report.json", "boxes.txt")]
                for path in names if self.video is None else [self.video, *names]:
                    os.replace(_partial(path), path)

    @contextmanager
    def _say_what_cannot_be_written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = error.filename or self.folder
            raise UserError(f"{where}: cannot be written ({error.strerror})") from error


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.stem}.partial{path.suffix}")


def track_to_folder(
    tracker: Tracker,
    sequence: Sequence,
    region: ArrayLike,
    folder: str | Path,
    video: str | Path | None = None,
) -> Account:
    """Track and write ``boxes.txt``, ``scores.txt`` and ``report.json`` into a folder.

    Args:
        region: where the target is in the first frame, a box or a polygon.
        folder: is created where missing.
        video: also write both modalities with the box drawn, and the annotated one, as a video.

    Raises:
        UserError: an unusable box, first frame, or place to write.
        Interrupted: on Ctrl-C, after the partial files are closed.
    """
    video = None if video is None else Path(video)
    if video is not None:
        require_video_suffix(video)
    account = Account(sequence.name, len(sequence), sequence.problems)
    files = _ResultFiles(sequence, Path(folder), video)
    start = time.perf_counter()
    try:
        for step in tqdm(
            track(tracker, sequence, region),
            total=len(sequence),
            desc=sequence.name,
            unit="frame",
            disable=None,
        ):
            files.write(step)
            account.add(step)
        account.complete = True
    except KeyboardInterrupt:
        raise Interrupted(account) from None
    finally:
        account.seconds = time.perf_counter() - start
        files.close(account)
    return account
