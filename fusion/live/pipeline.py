"""From two cameras to what is shown: the newest pair is computed, all older ones are dropped.

    camera ir  --\\
                   pairer -> compute (a thread) -> the newest picture -> page, window, your program
    camera vis --/

`Live` is used by a page, a window or another program alike:

    with LiveFusion(network, "thermal.mkv", "rtsp://camera/1") as live:
        while (shown := live.wait(after)) is not None:
            ...

No part of it grows with time: cameras keep `fusion.live.pairing.KEPT` frames each, and there is one
newest picture.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Condition, Event, Thread
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import numpy as np

from fusion.base.errors import UserError
from fusion.images.pixels import (
    luminance,
    narrowed,
    require_same_shape,
    resize_to,
    scale_to_255,
    to_8bit,
)
from fusion.images.reading import jpeg
from fusion.images.timing import pair_videos
from fusion.live.cameras import SIDES, Camera, Shot
from fusion.live.measures import Latencies, Rate
from fusion.live.pairing import Pair, Pairer
from fusion.live.recording import Recorder
from fusion.live.sources import Source

if TYPE_CHECKING:
    from fusion.images.alignment import Calibration

_EVENTS = 20  # of the status, the last ones
_HEAD_START = 0.3  # seconds until files play, in which both are opened
_LOOK = 0.01  # seconds between two looks at what time alone decides
_DARK = 24  # grey level of a missing picture
_LONGEST_DELAY = 5.0

ShotPair = Pair[Shot]
Size = tuple[int, int]


@dataclass(frozen=True)
class Registration:
    """How an infrared picture is brought to the visible one's pixels.

    Attributes:
        resize, stretch: see `fusion.images.pixels.require_same_shape`.
        percentiles: see `fusion.images.pixels.scale_to_255`.
        calibration: of the two cameras, where their pictures are not registered already.
        crop: with a calibration, whether to keep only the area that both pictures cover.
    """

    resize: bool = False
    stretch: bool = False
    percentiles: tuple[float, float] | None = None
    calibration: "Calibration | None" = None
    crop: bool = False

    def visible(self, image: np.ndarray) -> np.ndarray:
        """The visible picture as ``HxW`` or RGB ``HxWx3`` uint8.

        Raises:
            UserError: it has another size than the calibration.
        """
        vis = to_8bit(image)
        return vis if self.calibration is None else self._cropped(self.calibration.undistort(vis))

    def _cropped(self, picture: np.ndarray) -> np.ndarray:
        if not self.crop or self.calibration is None:
            return picture
        x, y, width, height = self.calibration.common
        return np.ascontiguousarray(picture[y : y + height, x : x + width])

    def infrared(self, image: np.ndarray, taken: Size | None, used: Size | None) -> np.ndarray:
        """The infrared picture as ``HxW`` in 0..255, in the visible picture's size if it is known.

        Args:
            taken: height and width of visible pictures as the camera gives them; None if unknown.
            used: the size in which they are used.

        Raises:
            UserError: the cameras' sizes differ, and nothing says that they may; or the calibration
                is for another size.
        """
        grey = scale_to_255(luminance(image), self.percentiles)
        if self.calibration is not None:
            grey = self._cropped(self.calibration.align(grey))
        elif taken is not None and grey.shape != taken:
            resize = self.resize or self.stretch
            ir, vis = grey.shape[::-1], taken[::-1]
            require_same_shape("the cameras", ir, vis, resize, self.stretch)
        if used is None or grey.shape == used:
            return grey
        return resize_to(grey, np.empty(used, np.uint8))


@dataclass(frozen=True)
class Shown:
    """A computed picture.

    Attributes:
        number: counts the pictures, from 1.
        pair: the frames it was made of.
        panels: uint8 pictures of one size by their names; None for one that is missing.
        done: `time.monotonic` when it was ready.
        details: further values as JSON types, such as the box of a tracker.
    """

    number: int
    pair: ShotPair
    panels: Mapping[str, np.ndarray | None]
    done: float
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def latency(self) -> float:
        """Seconds from the older one of its frames to the ready picture."""
        frames = (self.pair.ir, self.pair.vis)
        return self.done - min(frame.time for frame in frames if frame is not None)

    @property
    def missing(self) -> str | None:
        """``infrared`` or ``visible``, if it was made without."""
        if self.pair.ir is None:
            return "infrared"
        return "visible" if self.pair.vis is None else None

    def view(self, names: tuple[str, ...]) -> np.ndarray:
        """Panels side by side, RGB uint8; a missing one is dark and labelled."""
        size = next(panel.shape[:2] for panel in self.panels.values() if panel is not None)
        return np.concatenate([_panel(self.panels[name], name, size) for name in names], axis=1)


def _panel(picture: np.ndarray | None, name: str, size: tuple[int, int]) -> np.ndarray:
    if picture is not None:
        return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    dark = np.full((*size, 3), _DARK, np.uint8)
    scale = max(0.3, size[1] / 640)
    place = (round(12 * scale), round(28 * scale))
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(dark, f"no {name} picture", place, font, 0.7 * scale, (200, 200, 200), 1, 16)
    return dark


class Live:
    """Two cameras and a computation on their newest pair; a subclass defines `compute`.

    A context manager: cameras are received within the block.

    Args:
        ir, vis: camera number, device, address or file, see `fusion.live.sources`.
        registration: how the infrared is brought to the visible.
        delay: seconds by which infrared frames arrive later than visible ones of the same moment;
            negative if earlier.
        recordings: the folder below which recordings are made.
        report: called with a line for everything that happens to the cameras.

    Attributes:
        views: names of what can be shown, with the panels of each from left to right.
        error: why it has ended, if it has not been stopped.
        finished: set when all files have ended, or on an error.

    Raises:
        UserError: a file is missing or unreadable.
    """

    views: ClassVar[Mapping[str, tuple[str, ...]]]
    title: ClassVar[str] = "Live"
    #: Whether a box can be drawn, see `hold` and `select` of the subclass.
    has_box: ClassVar[bool] = False

    def __init__(
        self,
        ir: str | int | Path,
        vis: str | int | Path,
        *,
        registration: Registration | None = None,
        delay: float = 0.0,
        recordings: str | Path = "recordings",
        report: Callable[[str], None] = lambda line: None,
    ):
        if not abs(delay) <= _LONGEST_DELAY:
            raise UserError(f"--delay {delay:g}: at most {_LONGEST_DELAY:g} seconds")
        self.registration = registration or Registration()
        self.recordings = Path(recordings)
        self.error: Exception | None = None
        self.finished = Event()
        self._told = report
        self._events: deque[dict] = deque(maxlen=_EVENTS)
        sources = {"ir": Source.parse(ir), "vis": Source.parse(vis)}
        videos = {
            side: source.video(deep=side == "ir")
            for side, source in sources.items()
            if source.kind == "file"
        }
        self.notes: list[str] = []
        delays = {"ir": delay, "vis": 0.0}
        if len(videos) == 2 and all(video.has_clock for video in videos.values()):
            pairing = pair_videos(videos["ir"], videos["vis"])
            delays["ir"] -= pairing.delay
            self.notes = pairing.notes
        self._pairer: Pairer[Shot] = Pairer(
            *(videos[side].scan.interval if side in videos else None for side in SIDES)
        )
        self.cameras = {
            side: Camera(side, source, self._deliver, self._report, delays[side], videos.get(side))
            for side, source in sources.items()
        }
        self._changed = Condition()
        self._stop = Event()
        self._shown: Shown | None = None
        self._sizes: tuple[Size | None, Size | None] = (None, None)  # of visible pictures
        self._rate, self._latencies = Rate(), Latencies()
        self._paired = 0
        self._recorder: Recorder | None = None
        self._jpegs: dict[tuple, bytes] = {}
        self._thread = Thread(target=self._run, name="live", daemon=True)

    def compute(self, pair: ShotPair) -> tuple[Mapping[str, np.ndarray | None], dict[str, Any]]:
        """The panels and details of `Shown` for a pair.

        Raises:
            UserError: the pair cannot be used; this ends the run.
        """
        raise NotImplementedError

    # --- Running ---

    def start(self) -> "Live":
        """Start to receive and to compute."""
        for note in self.notes:
            self._report(note)
        epoch = time.monotonic() + _HEAD_START
        for camera in self.cameras.values():
            camera.start(epoch)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End everything, and complete a recording.

        Raises:
            UserError: a file of the recording could not be written.
        """
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        try:
            self.stop_recording()
        finally:
            for camera in self.cameras.values():
                camera.stop()
            if self._thread.is_alive():
                self._thread.join()

    def __enter__(self) -> "Live":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait(self, after: int = 0, timeout: float = 1.0) -> Shown | None:
        """The newest picture whose number is greater than ``after``; None if there is none in time.

        Args:
            timeout: seconds to wait for one.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._stop.is_set() or (self._shown and self._shown.number > after),
                timeout,
            )
            shown = self._shown
        return shown if shown is not None and shown.number > after else None

    @property
    def latest(self) -> Shown | None:
        """The newest picture; None before the first one."""
        return self._shown

    def _report(self, line: str) -> None:
        self._events.append({"at": datetime.now().strftime("%H:%M:%S"), "text": line})
        self._told(line)

    def _deliver(self, side: str, shot: Shot) -> None:
        with self._changed:
            self._pairer.add(side, shot, time.monotonic())
            recorder = self._recorder
            self._changed.notify_all()
        if recorder is not None:
            recorder.add(side, shot)

    def _next(self) -> ShotPair | None:
        """The newest pair, after a while if there is none yet."""
        with self._changed:
            now = time.monotonic()
            missing = frozenset(
                side for side, camera in self.cameras.items() if camera.is_missing(now)
            )
            pair = self._pairer.newest(now, missing)
            if pair is None:
                self._changed.wait(_LOOK)
            return pair

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            ended = all(camera.state == "ended" for camera in self.cameras.values())
            pair = self._next()
            if pair is None:
                if ended or self._is_hopeless():
                    self._take_errors()
                    break
                continue
            try:
                panels, details = self.compute(pair)
            except Exception as error:  # for the thread that waits, see `run_live`
                self.error = error
                break
            number += 1
            shown = Shown(number, pair, panels, time.monotonic(), details)
            with self._changed:
                self._shown = shown
                self._paired += shown.missing is None
                self._rate.add(shown.done)
                self._latencies.add(shown.latency)
                self._changed.notify_all()
        self.finished.set()
        with self._changed:
            self._changed.notify_all()

    def _take_errors(self) -> None:
        errors = [camera.error for camera in self.cameras.values() if camera.error is not None]
        self.error = self.error or next(iter(errors), None)

    def _is_hopeless(self) -> bool:
        """Whether a camera's thread failed, or none could be opened at the first attempt."""
        cameras = self.cameras.values()
        if any(camera.error is not None for camera in cameras):
            return True
        if all(camera.failed and not camera.connections for camera in cameras):
            reasons = "; ".join(f"{c.source.name}: {c.message}" for c in cameras)
            self.error = UserError(f"no camera can be opened: {reasons}")
        return self.error is not None

    # --- What is shown ---

    def inputs(self, pair: ShotPair) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The infrared picture ``HxW`` in 0..255 and the visible one ``HxW`` or RGB ``HxWx3``
        uint8; None for a missing one. Both have the visible pictures' size once that is known.

        Raises:
            UserError: see `Registration.infrared`.
        """
        vis = ir = None
        if pair.vis is not None:
            visible = self.registration.visible(pair.vis.image)
            vis = self.scaled(visible)
            self._sizes = visible.shape[:2], vis.shape[:2]
        if pair.ir is not None:
            ir = self.registration.infrared(pair.ir.image, *self._sizes)
        return ir, vis

    def scaled(self, vis: np.ndarray) -> np.ndarray:
        """The visible picture in the size that is computed."""
        return vis

    def jpeg(self, view: str, shown: Shown, quality: int = 85, widest: int = 1920) -> bytes:
        """A view of a picture as a JPEG file, made once for all viewers.

        Args:
            view: a name of `views`.
            widest: pictures are scaled down to this width in pixels.
        """
        key = (shown.number, view)
        found = self._jpegs.get(key)
        if found is None:
            found = jpeg(narrowed(shown.view(self.views[view]), widest), quality)
            newest = self._jpegs
            self._jpegs = {k: v for k, v in newest.items() if k[0] == shown.number} | {key: found}
        return found

    # --- Recording ---

    def record(self) -> Path:
        """Start a recording in a new folder below `recordings`, and return the folder.

        Raises:
            UserError: a recording is running, or the folder cannot be created.
        """
        with self._changed:
            if self._recorder is not None:
                raise UserError(f"{self._recorder.folder}: is being recorded; stop that first")
            name = datetime.now().strftime("%Y%m%d-%H%M%S")
            folder, count = self.recordings / name, 1
            while folder.exists():
                count += 1
                folder = self.recordings / f"{name}-{count}"
            now = time.monotonic()
            rates = {side: camera.rate.per_second(now) for side, camera in self.cameras.items()}
            self._recorder = Recorder(folder, rates, self._report)
        self._report(f"recording to {folder}")
        return folder

    def stop_recording(self) -> Path | None:
        """End the recording and return its folder; None if there is none.

        Raises:
            UserError: a file could not be written.
        """
        with self._changed:
            recorder, self._recorder = self._recorder, None
        if recorder is None:
            return None
        recorder.close()
        counts = ", ".join(f"{recorder.frames[side]} {name}" for side, name in SIDES.items())
        self._report(f"recorded {recorder.folder}: {counts} frames")
        return recorder.folder

    def record_box(self, pair: ShotPair, box: Sequence[float], score: float) -> None:
        """Add a tracker's box in a pair to the recording, if there is one."""
        frame, recorder = pair.vis or pair.ir, self._recorder
        if recorder is not None and frame is not None:
            recorder.add_box(frame.time, box, score)

    # --- Status ---

    def status(self) -> dict:
        """Everything that a page shows in addition to the picture, as JSON types."""
        with self._changed:
            shown, recorder, now = self._shown, self._recorder, time.monotonic()
            reach = self._pairer.reach
            offset = shown.pair.offset if shown else None
            return {
                "title": self.title,
                "views": {name: list(panels) for name, panels in self.views.items()},
                "has_box": self.has_box,
                "cameras": [camera.status() for camera in self.cameras.values()],
                "pairing": {
                    "offset_ms": None if offset is None else round(1000 * offset, 1),
                    "reach_ms": None if reach is None else round(1000 * reach, 1),
                    "paired": self._paired,
                    "unpaired": self._pairer.unpaired,
                    "outdated": self._pairer.outdated,
                },
                "picture": {
                    "number": shown.number if shown else 0,
                    "missing": shown.missing if shown else None,
                    "rate": self._rate.per_second(now),
                    "latency_ms": self._latencies.milliseconds(),
                    **(shown.details if shown else {}),
                },
                "recording": recorder.status() if recorder else None,
                "events": list(self._events),
                "error": str(self.error) if self.error else "",
                "finished": self.finished.is_set(),
            }
