"""The tab that shows two cameras live, fused or with a tracked box."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import httpx
from fastapi import Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from nicegui import ui
from starlette.background import BackgroundTask

from fusion.base.errors import UserError
from fusion.live.options import METHOD, WIDTH
from fusion.live.pipeline import Live, Registration
from fusion.live.server import LiveServer
from tracker.app import samples
from tracker.app.alignment import Alignment
from tracker.app.jobs import Stopped
from tracker.app.methods import method_choices, network_of
from tracker.app.parts import Progress, complain
from tracker.app.tracking import INCLUDED as INCLUDED_TRACKER
from tracker.app.tracking import tracker_of
from tracker.app.visitors import Visitor

#: Beginning of the addresses under which a run's own page is served.
LIVE = "/live"

# Headers of the run's own page that are passed on.
_KEPT = (
    "content-type",
    "content-length",
    "content-security-policy",
    "cache-control",
    "x-number",
)

_TASKS = {"fuse": "Fuse", "track": "Track"}


class LiveDesk:
    """The one live run of the app, and the way to its page.

    `fusion.live.server` serves the page at a port of its own; here it is passed on under an address
    that only the visitor who started it knows.
    """

    def __init__(self) -> None:
        self._run: tuple[str, Live, LiveServer] | None = None  # with the visitor's key
        self._lock = Lock()
        # The run is on this computer, so that no proxy is asked.
        self._client = httpx.AsyncClient(timeout=None, trust_env=False)

    def start(self, visitor: Visitor, live: Live) -> str:
        """Start a run, and return the address of its page.

        Raises:
            UserError: another visitor has one.
        """
        with self._lock:
            if self._run is not None:
                raise UserError("another page shows the cameras; stop them there first")
            server = LiveServer(live, port=0)
            server.__enter__()
            self._run = visitor.key, live.start(), server
        return f"{LIVE}/{visitor.key}/"

    def stop(self, key: str | None = None) -> None:
        """End the run, of one visitor or of any. Recordings are completed.

        Raises:
            UserError: a recording could not be written.
        """
        with self._lock:
            if self._run is None or key not in (None, self._run[0]):
                return
            _, live, server = self._run
            self._run = None
        server.__exit__(None, None, None)
        live.stop()

    async def answer(self, request: Request, key: str, path: str) -> Response:
        """Pass a request on to the run's page."""
        run = self._run
        if run is None or key != run[0]:
            return PlainTextResponse("no such page", 404)
        asked = self._client.build_request(
            request.method,
            run[2].address + path,
            params=request.query_params,
            content=await _small_body(request),
            headers={"Content-Type": request.headers.get("Content-Type", "")},
        )
        try:
            answer = await self._client.send(asked, stream=True)
        except httpx.HTTPError:
            return PlainTextResponse("the cameras were stopped", 503)
        headers = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
        return StreamingResponse(
            _until_closed(answer),
            answer.status_code,
            headers=headers,
            background=BackgroundTask(answer.aclose),
        )


async def _small_body(request: Request, limit: int = 1 << 16) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            return b""  # which the page's own server refuses
    return body


async def _until_closed(answer: httpx.Response) -> AsyncIterator[bytes]:
    with suppress(httpx.HTTPError):  # the run was stopped
        async for chunk in answer.aiter_raw():
            yield chunk


class LiveTab:
    """The cameras' names on the left, the run's own page on the right.

    Args:
        weights: files of further fusion networks that can be chosen.
        device: see `fusion.base.commandline.resolve_device`.
        recordings: the folder below which recordings are made.
    """

    def __init__(
        self,
        visitor: Visitor,
        desk: LiveDesk,
        alignment: Alignment,
        weights: Sequence[Path],
        device: str,
        recordings: Path = Path("recordings"),
    ):
        self._visitor, self._desk, self._alignment = visitor, desk, alignment
        self._weights, self._device, self._recordings = weights, device, recordings
        # Cameras take a while to be closed.
        visitor.at_close(Thread(target=desk.stop, args=(visitor.key,), daemon=True).start)
        with ui.element("div").classes("columns live"):
            with ui.card().classes("controls"):
                self._build_controls()
            with ui.card().classes("result") as self._result:
                self._empty()

    def _build_controls(self) -> None:
        self._ir = ui.input("Infrared camera", placeholder="1").props("data-camera=infrared")
        self._vis = ui.input("Visible camera", placeholder="0").props("data-camera=visible")
        ui.label(
            "A number such as 0, a device such as /dev/video2, an address such as "
            "rtsp://camera.local/thermal, or a video file of this computer."
        ).classes("hint")
        with ui.row().classes("samples"):
            ui.label("No camera at hand?")
            ui.button("Sample videos", on_click=self._sample).props("flat dense no-caps")
        self._task = ui.toggle(_TASKS, value="fuse").props("no-caps spread")
        self._method = ui.select(method_choices(self._weights), value=METHOD, label="Method")
        self._method.bind_visibility_from(self._task, "value", value="fuse")
        self._fit = ui.switch("Bring the infrared to the visible's size", value=True)
        self._alignment.build_switch()
        with ui.row().classes("buttons"):
            self._run = ui.button("Start", icon="play_arrow", on_click=self._start)
            self._run.classes("live-run")
            self._end = ui.button("Stop", icon="stop", on_click=self._stop).props("outline")
            self._end.classes("live-stop").disable()
        ui.label(f"Recordings are kept in the folder {self._recordings}.").classes("hint")
        self._progress = Progress(self._visitor)

    def _empty(self) -> None:
        self._result.clear()
        with self._result, ui.column().classes("empty"):
            ui.icon("videocam")
            ui.label("The cameras' picture appears here.")
            ui.label("To track, draw a box on it while it runs.")

    async def _sample(self) -> None:
        folder = self._visitor.new_folder()
        self._alignment.leave()
        with suppress(Stopped):
            infrared, visible = await self._progress.follow(
                lambda job: samples.video_pair(folder, job, frames=200), "frames", "Drawing"
            )
            self._ir.set_value(str(infrared))
            self._vis.set_value(str(visible))

    async def _start(self) -> None:
        names = [str(field.value or "").strip() for field in (self._ir, self._vis)]
        self._run.disable()
        try:
            address = await asyncio.to_thread(self._open, *names)
        except Exception as error:
            complain(self._visitor, error)
            self._run.enable()
            return
        self._end.enable()
        self._result.clear()
        with self._result:
            ui.element("iframe").props(f'src="{address}" title="Live picture"').classes("live-page")

    def _open(self, ir: str, vis: str) -> str:
        from fusion.live.session import check_cameras

        if not ir or not vis:
            raise UserError("Name both cameras first.")
        check_cameras(ir, vis)
        track = self._task.value == "track"
        calibration = self._alignment.chosen
        options: dict[str, Any] = {
            "registration": Registration(
                resize=self._fit.value and calibration is None,
                calibration=calibration,
                crop=not track,
            ),
            "recordings": self._recordings,
        }
        live: Live
        if track:
            from tracker.online.live import LiveTracking

            live = LiveTracking(tracker_of(INCLUDED_TRACKER, self._device), ir, vis, **options)
        else:
            from fusion.live.fusing import LiveFusion

            network = network_of(self._method.value, self._device)
            live = LiveFusion(network, ir, vis, width=WIDTH, **options)
        return self._desk.start(self._visitor, live)

    async def _stop(self) -> None:
        try:
            await asyncio.to_thread(self._desk.stop, self._visitor.key)
        except Exception as error:
            complain(self._visitor, error)
        self._end.disable()
        self._run.enable()
        self._empty()


class NoLiveTab:
    """What others in the network see instead: they are not to use this computer's cameras."""

    def __init__(self) -> None:
        with ui.card().classes("result live"), ui.column().classes("empty"):
            ui.icon("videocam_off")
            ui.label(
                "Live cameras are those of the computer that runs the app. They are shown only if "
                "the app is started without --host; others can use 'fusion live --host'."
            )
