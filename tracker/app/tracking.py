"""The tab that tracks a box through two videos."""

import asyncio
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from nicegui import ui

from fusion.base.errors import UserError
from fusion.images.reading import data_address, jpeg
from tracker.app import samples
from tracker.app.alignment import Alignment
from tracker.app.elements import Box, Picture
from tracker.app.inputs import VIDEOS, open_sequence, shown
from tracker.app.jobs import Job, Stopped
from tracker.app.parts import Progress, Source, complain, download_button, say
from tracker.app.scores import score_plot
from tracker.app.visitors import Visitor
from tracker.data.frames import MODALITY_NAMES, Frame
from tracker.data.sequences import Sequence
from tracker.evaluation.trackers import TRACKERS, make_tracker, tracker_files

INCLUDED = "included"


@lru_cache(maxsize=1)
def _network() -> Any:
    from tracker.model.weights import load_tracker

    return load_tracker()


def tracker_of(name: str, device: str) -> Any:
    """The tracker of a name.

    Raises:
        UserError: see `make_tracker`.
    """
    if name != INCLUDED:
        return make_tracker(name)
    from fusion.base.commandline import resolve_device
    from tracker.online.rgbt_tracker import RGBTTracker

    return RGBTTracker(_network(), device=resolve_device(device))


def tracker_choices() -> dict[str, str]:
    """Trackers that need no further files, by their names, with what the page calls them."""
    choices = {INCLUDED: "Included RGBT tracker"}
    for name in TRACKERS:
        with suppress(UserError):  # it needs files, or another OpenCV
            tracker_files(name)
            choices[name] = name.replace("_", ", ").capitalize()
    return choices


class TrackTab:
    """Two inputs on the left; the first frame to draw on, and then the result, on the right.

    Args:
        device: see `fusion.base.commandline.resolve_device`.
    """

    def __init__(self, visitor: Visitor, alignment: Alignment, device: str):
        self._visitor, self._alignment, self._device = visitor, alignment, device
        self._sequence: Sequence | None = None
        self._box: Box | None = None
        self._opened: tuple | None = None  # the files, and the calibration
        self._pictures: list[Picture] = []
        with ui.element("div").classes("columns track"):
            with ui.card().classes("controls"):
                self._build_controls()
            with ui.card().classes("result") as self._result:
                self._empty()

    # --- What the page shows ---

    def _build_controls(self) -> None:
        with ui.element("div").classes("pair"):
            self._vis, self._ir = (
                Source(
                    self._visitor,
                    f"track-{name.lower()}",
                    name,
                    "Video, or ZIP of pictures",
                    icon,
                    f"{VIDEOS},.zip",
                    name == "Infrared",
                    self._open,
                    check=lambda path: None,  # both are checked together, when there are two
                )
                for name, icon in (("Visible", "videocam"), ("Infrared", "thermostat"))
            )
        with ui.row().classes("samples"):
            ui.label("Nothing at hand?")
            ui.button("Sample videos", on_click=self._sample).props("flat dense no-caps")
        ui.label(
            "One ZIP of a data set's sequence, with the folders of both modalities, is enough: "
            "give it as the visible one."
        ).classes("hint")
        self._tracker = ui.select(tracker_choices(), value=INCLUDED, label="Tracker")
        self._alignment.build_switch(self._open)
        self._line = ui.label("Draw a box around the object in the first frame.").classes("hint")
        self._run = ui.button("Track", icon="my_location", on_click=self._track)
        self._run.classes("main track-run").disable()
        self._progress = Progress(self._visitor)

    def _empty(self) -> None:
        with ui.column().classes("empty"):
            ui.icon("my_location")
            ui.label("The first frame appears here, to draw a box around the object to follow.")

    def _show_first(self, frame: Frame) -> None:
        self._result.clear()
        with self._result:
            ui.label("Drag to draw a box around the object, in either picture.").classes("lead")
            with ui.element("div").classes("pair first-frame"):
                self._pictures = []
                for modality, name in MODALITY_NAMES.items():
                    image = getattr(frame, modality)
                    if image is None:
                        continue
                    picture = Picture(name.capitalize(), "box", on_box=self._drawn)
                    address = shown(self._visitor, image, f"first_{modality}.jpg")
                    picture.show_picture(address, (image.shape[1], image.shape[0]))
                    self._pictures.append(picture)
            self._outcome = ui.column().classes("outcome")

    def _drawn(self, box: Box) -> None:
        self._box = box
        for picture in self._pictures:
            picture.show(box=list(box))
        self._line.set_text("Box x, y, width, height: " + ", ".join(f"{v:.0f}" for v in box))
        self._run.enable()

    # --- What the buttons do ---

    async def _sample(self) -> None:
        folder = self._visitor.new_folder()
        self._alignment.leave()
        with suppress(Stopped):
            infrared, visible = await self._progress.follow(
                lambda job: samples.video_pair(folder, job), "frames", "Drawing"
            )
            await self._ir.use(infrared)
            await self._vis.use(visible)
            await self._open()

    async def _open(self) -> None:
        visible, infrared = self._vis.path, self._ir.path
        if visible is None or (infrared is None and visible.suffix.lower() != ".zip"):
            return

        calibration = self._alignment.chosen
        wanted = visible, infrared, calibration
        if wanted == self._opened:  # two files that arrived at once
            return

        def load() -> tuple[Sequence, Frame]:
            sequence = open_sequence(visible, infrared, self._visitor, calibration)
            return sequence, sequence.frame(0)

        self._opened = wanted
        self._run.disable()
        self._sequence = self._box = None
        try:
            sequence, frame = await asyncio.to_thread(load)
        except Exception as error:
            self._opened = None
            complain(self._visitor, error)
            return
        if wanted != self._opened:  # replaced meanwhile
            return
        self._sequence = sequence
        if sequence.seems_swapped():
            say("The infrared frames are in colour and the visible ones grey: are they swapped?")
        for problem in sequence.problems:
            say(self._visitor.message(UserError(problem)))
        self._show_first(frame)
        known = sequence.first_box()
        if known is not None:
            x, y, width, height = map(float, known)
            self._drawn((x, y, width, height))

    async def _track(self) -> None:
        sequence, box = self._sequence, self._box
        if sequence is None or box is None:
            return
        name, limits = self._tracker.value, self._visitor.limits
        folder = self._visitor.new_folder()
        self._outcome.clear()
        with self._outcome:
            preview = Picture("The latest frame")

        def work(job: Job) -> Any:
            from tracker.data.drawing import draw_frame
            from tracker.online.running import Tracked, check_start, track_to_folder

            check_start(sequence, box)

            def watch(step: Tracked, total: int) -> None:
                limits.check_frames(sequence.name, step.frame.number)
                size = sequence.frame_size()
                draw = partial(draw_frame, step.frame, step.box, score=step.score, size=size)
                job.report(step.frame.number, total, draw)

            tracker = tracker_of(name, self._device)
            return track_to_folder(tracker, sequence, box, folder, folder / "video.mp4", watch)

        def show(picture: np.ndarray) -> None:
            preview.show_picture(data_address(jpeg(picture)), (picture.shape[1], picture.shape[0]))

        self._run.disable()
        lines: list[str] = []
        try:
            account = await self._progress.follow(work, "frames", "Tracking", show)
            lines = [self._visitor.message(UserError(line)) for line in account.lines()]
        except Stopped:
            lines = ["Stopped. The files hold the frames until then."]
        finally:
            self._run.enable()
        self._visitor.keep("track", folder)
        self._show_outcome(folder, lines)

    def _show_outcome(self, folder: Path, lines: list[str]) -> None:
        """Show the files of a run; after a stop, they are those of the frames until then."""
        self._outcome.clear()
        files = {name: _file_of(folder, name) for name in ("video.mp4", "boxes.txt", "scores.txt")}
        if files["boxes.txt"] is None:  # it failed at the first frame, which was said
            return
        with self._outcome:
            if (video := files["video.mp4"]) is not None:
                player = ui.video(self._visitor.offer(video), muted=True)
                player.props("playsinline").classes("tracked-video")
            if (scores := files["scores.txt"]) is not None:
                score_plot(np.loadtxt(scores, ndmin=1))
            for line in lines:
                ui.label(line).classes("hint")
            with ui.row().classes("downloads"):
                for title, name in (("Boxes", "boxes.txt"), ("Scores", "scores.txt")):
                    if (path := files[name]) is not None:
                        download_button(title, self._visitor.offer(path, name))
                if video is not None:
                    download_button("Video", self._visitor.offer(video, "tracked.mp4"))


def _file_of(folder: Path, name: str) -> Path | None:
    """A result's file, complete or partial."""
    path = folder / name
    for candidate in (path, path.with_name(f"{path.stem}.partial{path.suffix}")):
        if candidate.is_file() and candidate.stat().st_size:
            return candidate
    return None
