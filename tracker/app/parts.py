"""What the tabs share: a source to upload, a job's progress, and messages."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from nicegui import ui

from fusion.base.errors import UserError
from tracker.app.elements import DropZone
from tracker.app.inputs import check_file, first_picture, reduced, shown
from tracker.app.jobs import Job, Stopped
from tracker.app.visitors import Visitor

_log = logging.getLogger(__name__)

#: Seconds between two looks at a running job.
_INTERVAL = 0.15
#: Side of the pictures that a running job shows, in pixels.
_PREVIEW_SIDE = 960
_THUMBNAIL_SIDE = 360


def complain(visitor: Visitor, error: Exception) -> None:
    """Show the one line of an error; of a defect of the app, that the terminal has more."""
    if isinstance(error, UserError):
        text = visitor.message(error)
    else:
        _log.error("unexpected error in the app", exc_info=error)
        text = "This failed unexpectedly; the terminal in which the app was started has details."
    ui.notify(text, type="negative", multi_line=True, timeout=12_000, close_button="Close")


def say(text: str) -> None:
    """Show a line about what happened."""
    ui.notify(text, type="info", multi_line=True, timeout=8_000, close_button="Close")


class Source:
    """A slot for one file, with what it shows.

    Args:
        slot: the slot's name, unique on the page; it is also a class of the element.
        title, hint, icon, accept: see `DropZone`.
        infrared: whether it is the infrared one.
        on_change: called when there is another file.
        check: raises `UserError` for files that are refused; by default `check_file`.
        has_thumbnail: whether a file of it is a picture or video.
    """

    def __init__(
        self,
        visitor: Visitor,
        slot: str,
        title: str,
        hint: str,
        icon: str,
        accept: str,
        infrared: bool,
        on_change: Callable[[], Any] = lambda: None,
        check: Callable[[Path], Any] | None = None,
        has_thumbnail: bool = True,
    ):
        self._visitor, self._slot, self._infrared = visitor, slot, infrared
        self._on_change = on_change
        self._check = check or (lambda path: check_file(path, visitor.limits))
        self._has_thumbnail = has_thumbnail
        #: The file, once it was accepted; None without one.
        self.path: Path | None = None
        self._zone = DropZone(
            title,
            hint,
            icon,
            accept,
            visitor.upload_address(slot),
            visitor.limits.upload_bytes,
            self._arrived,
            lambda reason: complain(visitor, UserError(str(reason))),
        )
        self._zone.classes(slot)

    async def use(self, sample: Path) -> None:
        """Take a generated file instead of an uploaded one."""
        self._visitor.forget(self._slot)
        self.path = sample
        await self._show(sample)

    async def _arrived(self) -> None:
        path = self._visitor.uploaded(self._slot)
        if path is None:
            return
        try:
            await asyncio.to_thread(self._check, path)
            self.path = path
            await self._show(path)
        except Exception as error:
            self.path = None
            self._visitor.forget(self._slot)
            self._zone.show(name="", thumbnail="")
            complain(self._visitor, error)
        result = self._on_change()
        if asyncio.iscoroutine(result):
            await result

    async def _show(self, path: Path) -> None:
        self._zone.show(name=path.name, thumbnail="")
        if self._has_thumbnail and path.suffix.lower() != ".zip":
            thumbnail = await asyncio.to_thread(self._thumbnail, path)
            self._zone.show(thumbnail=thumbnail)

    def _thumbnail(self, path: Path) -> str:
        image = reduced(first_picture(path, self._infrared), _THUMBNAIL_SIDE)
        return shown(self._visitor, image, "thumbnail.jpg")


class Progress:
    """A line that shows a job: what waits, how far it is, and a button to stop it."""

    def __init__(self, visitor: Visitor):
        self._visitor = visitor
        self._job: Job | None = None
        with ui.row().classes("progress") as self._row:
            self._bar = ui.linear_progress(0, show_value=False).props("rounded size=8px")
            with ui.row().classes("spread"):
                self._label = ui.label()
                ui.button("Stop", on_click=self._stop).props("flat dense")
        self._row.set_visibility(False)

    @property
    def is_busy(self) -> bool:
        """Whether a job waits or runs."""
        return self._job is not None

    def _stop(self) -> None:
        if self._job is not None:
            self._job.stop()
            self._label.set_text("Stopping ...")

    async def follow(
        self,
        work: Callable[[Job], Any],
        unit: str = "",
        what: str = "Working",
        on_picture: Callable[[np.ndarray], Any] | None = None,
    ) -> Any:
        """Run a job to its end and show its state meanwhile.

        Args:
            work: gets the job to report to.
            unit: what the steps are, such as ``frames``.
            what: what is done, for the line.
            on_picture: called with each new picture of the job, in a size for the page.

        Returns:
            What the work returned.

        Raises:
            Stopped: it was stopped, or has failed, which was shown.
        """
        if self.is_busy:
            raise Stopped
        job = self._job = self._visitor.start(work)
        self._row.set_visibility(True)
        draw = None
        try:
            while not job.has_ended:
                self._show(job, unit, what)
                if on_picture is not None and job.draw is not None and job.draw is not draw:
                    draw = job.draw
                    on_picture(reduced(draw(), _PREVIEW_SIDE))
                await asyncio.sleep(_INTERVAL)
            return await job.result()
        except Stopped:
            say("Stopped.")
            raise
        except Exception as error:
            complain(self._visitor, error)
            raise Stopped from error
        finally:
            self._job = None
            self._row.set_visibility(False)

    def _show(self, job: Job, unit: str, what: str) -> None:
        if job.ahead:
            tasks = "one task is" if job.ahead == 1 else f"{job.ahead} tasks are"
            self._label.set_text(f"Waiting: {tasks} ahead")
        elif job.total:
            self._label.set_text(f"{what}: {job.done} of {job.total} {unit}")
        else:
            self._label.set_text(f"{what} ...")
        self._bar.props(remove="indeterminate", add="" if job.total else "indeterminate")
        self._bar.set_value(min(1.0, job.done / job.total) if job.total else 0)


def download_button(text: str, address: str) -> None:
    """A link that looks like a button and saves a file."""
    with ui.link(target=address).props(f'download="{address.rpartition("/")[2]}"') as link:
        ui.icon("download")
        ui.label(text)
    link.classes("download")
