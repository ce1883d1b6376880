"""Running a tracker over a sequence, and writing the results.

`track` is the loop over frames, for programs. `track_to_folder` is the implementation of
``tracker track``: the loop with files, a progress bar and a report on frames with problems.

Results are written line by line to files that end in ``.partial.txt`` and are renamed when the
sequence is complete. An interrupted or killed run leaves the partial files with all boxes so far; a
run that fails before the first box leaves nothing.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
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
    """The interface of a tracker: `tracker.online.rgbt_tracker.RGBTTracker`, or any other class.

    Frames are RGB uint8 ``HxWx3`` and infrared uint8 ``HxW``; None for a missing modality.
    """

    def init(self, rgb: np.ndarray | None, ir: np.ndarray | None, box: Box) -> None:
        """Start on a frame with a box ``x, y, w, h``."""

    def track(self, rgb: np.ndarray | None, ir: np.ndarray | None) -> tuple[Box, float]:
        """Return the box in the next frame, and a score."""


@dataclass(frozen=True)
class Tracked:
    """A frame and the target's position in it.

    Attributes:
        box: ``x, y, w, h``.
        score: 0..1; 1 for the first frame, whose box was given.
        seconds: time spent in the tracker, without reading the frame.
        repeated: modalities that the tracker left out because their image was repeated, see
            `tracker.model.settings.OnlineSettings.still_after`.
    """

    frame: Frame
    box: Box
    score: float
    seconds: float
    repeated: frozenset[str] = frozenset()


def check_start(sequence: Sequence, region: ArrayLike) -> Box:
    """Check the initial box against the frames and return it.

    Args:
        sequence: its modalities must have the same size.
        region: a box or a polygon.

    Raises:
        UserError: see `tracker.data.boxes.start_box`, or the sizes differ.
    """
    sequence.check_sizes()
    return start_box(region, *sequence.frame_size())


def track(tracker: Tracker, sequence: Sequence, region: ArrayLike) -> Iterator[Tracked]:
    """Track a target through a sequence.

    A missing modality is passed to the tracker as None, a blank one as it is.

    Args:
        tracker: it is initialised on the first frame.
        region: the target's position in the first frame, a box or a polygon.

    Yields:
        Every frame; the first with the given box.

    Raises:
        UserError: the box is unusable, or the first frame has no readable image.
    """
    box = check_start(sequence, region)
    index = -1
    # The length of a video is known at its end.
    while (index := index + 1) < len(sequence):
        frame = sequence.frame(index)
        if index >= len(sequence):
            break
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
        repeated: frozenset[str] = getattr(tracker, "repeated", frozenset())
        yield Tracked(frame, (x, y, w, h), float(score), seconds, repeated)


# --- Report of a run ------------------------------------------------------------------------------


@dataclass
class TrackingReport:
    """Report of a run.

    Attributes:
        name: name of the sequence.
        frames: number of frames in the sequence.
        tracked: number of frames processed.
        seconds: total time; `tracker_seconds`: time spent in the tracker.
        problems: problems of the sequence, see `Sequence.problems`.
        known_missing: frame numbers by modality whose image is known to be missing in advance, and
            listed in the problems.
        incidents: frame numbers by modality and kind (``missing``, ``unreadable``, ``size``,
            ``blank``, ``repeated``), starting at 1 like the lines of ``boxes.txt``.
        reasons: one line for each frame whose file could not be used.
        complete: whether the run reached the end.
    """

    name: str
    frames: int
    problems: list[str]
    known_missing: dict[str, set[int]] = field(default_factory=dict)
    tracked: int = 0
    seconds: float = 0.0
    tracker_seconds: float = 0.0
    incidents: dict[str, dict[str, list[int]]] = field(
        default_factory=lambda: {modality: {} for modality in MODALITIES}
    )
    reasons: list[str] = field(default_factory=list)
    complete: bool = False

    def add(self, step: Tracked) -> None:
        """Add a frame."""
        self.tracked += 1
        self.tracker_seconds += step.seconds
        for modality, problem in step.frame.problems.items():
            self.incidents[modality].setdefault(problem.kind, []).append(step.frame.number)
            if problem.kind in ("unreadable", "size"):
                self.reasons.append(problem.reason)
        for modality in step.repeated:
            self.incidents[modality].setdefault("repeated", []).append(step.frame.number)

    def lines(self) -> list[str]:
        """The report as text, with the speed in the last line."""
        lines = [f"{self.name}: {problem}" for problem in self.problems]
        for modality, kinds in self.incidents.items():
            for kind, numbers in kinds.items():
                new = numbers
                if kind == "missing":
                    known = self.known_missing.get(modality, set())
                    new = [number for number in numbers if number not in known]
                if new:
                    lines.append(
                        f"{MODALITY_NAMES[modality]} {kind} in {_count(len(new))}: "
                        f"{number_ranges(new)}"
                    )
        rate = self.tracked / self.seconds if self.seconds else 0.0
        alone = self.tracked / self.tracker_seconds if self.tracker_seconds else 0.0
        lines.append(
            f"{_count(self.tracked)} in {self.seconds:.1f} s: {rate:.1f} frames/s "
            f"(the tracker alone {alone:.1f})"
        )
        return lines

    def as_json(self) -> dict:
        """Content of ``report.json``."""
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
    # Nine digits represent every float32 exactly.
    return ",".join(f"{value:.9g}" for value in box)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during `track_to_folder`; ``report`` is the report so far."""

    def __init__(self, report: TrackingReport):
        super().__init__()
        self.report = report


# --- Files ----------------------------------------------------------------------------------------


class _ResultFiles:
    """``boxes.txt``, ``scores.txt``, ``report.json`` and a video, partial until complete.

    The files are created at the first frame.
    """

    def __init__(self, sequence: Sequence, folder: Path, video: Path | None):
        self.folder = folder
        self.video = video
        self._sequence = sequence
        self._size = sequence.frame_size()
        self._annotated = bool(sequence.annotated.any())
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
            boxes = {"rgb": self._sequence.boxes_rgb, "ir": self._sequence.boxes_ir}
            truth = {m: b[index] for m, b in boxes.items() if self._annotated and index < len(b)}
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

    def close(self, report: TrackingReport) -> None:
        """Write the report, and rename all files if the run is complete."""
        if self._tables is None:
            return
        with self._say_what_cannot_be_written():
            self._stack.close()
            path = _partial(self.folder / "report.json")
            path.write_text(json.dumps(report.as_json(), indent=1) + "\n")
            if report.complete:
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
    watch: Callable[[Tracked, int], object] | None = None,
) -> TrackingReport:
    """Track, and write ``boxes.txt``, ``scores.txt`` and ``report.json`` to a folder.

    Args:
        region: the target's position in the first frame, a box or a polygon.
        folder: output folder; created if missing.
        video: also write a video of both modalities with the predicted and the annotated box.
        watch: called after each frame with the estimated number of frames. An exception that it
            raises ends the run; the partial files remain.

    Raises:
        UserError: the box or the first frame is unusable, or an output cannot be written.
        Interrupted: on Ctrl-C, after the partial files are closed.
    """
    video = None if video is None else Path(video)
    if video is not None:
        require_video_suffix(video)
    known = {
        modality: {
            *(index + 1 for index in source.missing()),
            *range(len(source) + 1, len(sequence) + 1),
        }
        for modality, source in (("rgb", sequence.rgb), ("ir", sequence.ir))
    }
    report = TrackingReport(sequence.name, len(sequence), sequence.problems, known)
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
            report.add(step)
            if watch is not None:
                watch(step, len(sequence))
        report.complete = True
        report.frames = report.tracked
    except KeyboardInterrupt:
        raise Interrupted(report) from None
    finally:
        report.seconds = time.perf_counter() - start
        files.close(report)
    return report
