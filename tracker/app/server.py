"""The server: its addresses, its page, and what happens when it ends."""

import asyncio
import shutil
import socket
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import Request, Response
from fastapi.responses import FileResponse, PlainTextResponse
from nicegui import app, ui
from nicegui.server import Server
from starlette.middleware.trustedhost import TrustedHostMiddleware

from fusion.base.errors import UserError
from fusion.live.server import is_loopback
from tracker.app.aligning import AlignTab
from tracker.app.alignment import Alignment
from tracker.app.cameras import LIVE, LiveDesk, LiveTab, NoLiveTab
from tracker.app.command import LOCAL
from tracker.app.fusing import FuseTab
from tracker.app.jobs import Worker
from tracker.app.limits import Limits
from tracker.app.methods import FIRST, network_of
from tracker.app.tracking import TrackTab
from tracker.app.visitors import FILES, UPLOADS, Visitor, Visitors

#: Seconds that a page may be without connection, such as a sleeping laptop's, before its files go.
PATIENCE = 30.0

#: The tabs by their names, with their icons.
TABS = {"fuse": "layers", "align": "join_inner", "track": "my_location", "live": "videocam"}


@dataclass(frozen=True)
class Settings:
    """What the command line decides; see `tracker.app.command`."""

    host: str = LOCAL
    port: int = 8080
    open: bool = False
    device: str = "auto"
    weights: tuple[Path, ...] = ()
    limits: Limits = field(default_factory=Limits)

    @property
    def is_local(self) -> bool:
        """Whether only this computer can reach the app."""
        return is_loopback(self.host)


def serve(settings: Settings) -> None:
    """Serve the page until the process is asked to end, and remove all files then.

    Raises:
        UserError: the address cannot be used.
    """
    port = _free_port(settings.host, settings.port)
    folder = Path(tempfile.mkdtemp(prefix="rgbt-app-"))
    worker = Worker()
    visitors = Visitors(folder, settings.limits, worker)
    desk = LiveDesk()
    _add_addresses(visitors, desk)
    if settings.is_local:
        # Otherwise a page of another site could rebind its name to this machine and read ours.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[settings.host, "localhost"])

    def page() -> None:
        visitor = visitors.enter()
        ui.context.client.on_delete(lambda: visitors.leave(visitor))
        build_page(visitor, desk, settings)

    def end() -> None:
        desk.stop()
        worker.close()
        shutil.rmtree(folder, ignore_errors=True)

    async def start() -> None:
        while not Server.instance.started:  # or the address would be refused
            await asyncio.sleep(0.02)
        print(f"open this: http://{settings.host}:{port} (Ctrl-C ends the app)", flush=True)
        if not settings.is_local:
            print(
                f"{settings.host}: others in the network can use this app, without a password",
                file=sys.stderr,
            )
        worker.afterwards(lambda: network_of(FIRST, settings.device))  # the first click is quick

    app.on_startup(start)
    app.on_shutdown(end)
    try:
        ui.run(
            page,
            host=settings.host,
            port=port,
            title="RGBT",
            favicon=Path(__file__).with_name("browser") / "icon.svg",
            dark=None,
            show=settings.open,
            reload=False,
            tailwind=False,
            show_welcome_message=False,
            reconnect_timeout=PATIENCE,
            timeout_graceful_shutdown=1,
        )
    finally:
        end()


def _free_port(host: str, port: int) -> int:
    """The port, or one that is free if it is 0.

    Raises:
        UserError: it is in use, or the address is not one of this machine.
    """
    if ":" in host:
        raise UserError(f"--host {host}: IPv6 is not served; give 127.0.0.1 or 0.0.0.0")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return probe.getsockname()[1]
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"--host {host} --port {port}: cannot be used ({reason}); give --port 0 for a free port"
        ) from None


def _add_addresses(visitors: Visitors, desk: LiveDesk) -> None:
    @app.get(f"{FILES}/{{key}}/{{number}}/{{name}}")
    def send(key: str, number: str, name: str) -> Response:
        visitor = visitors.get(key)
        path = None if visitor is None else visitor.offered(number)
        if path is None or not path.is_file():
            return PlainTextResponse("no such file", 404)
        return FileResponse(path, headers={"X-Content-Type-Options": "nosniff"})

    @app.post(f"{UPLOADS}/{{key}}/{{slot}}")
    async def receive(request: Request, key: str, slot: str, name: str = "") -> Response:
        visitor = visitors.get(key)
        if visitor is None:
            return PlainTextResponse("this page has expired; load it again", 404)
        try:
            await visitor.receive(slot, name, request.stream())
        except UserError as error:
            return PlainTextResponse(visitor.message(error), 413)
        return PlainTextResponse("")

    app.add_api_route(f"{LIVE}/{{key}}/{{path:path}}", desk.answer, methods=["GET", "POST"])


def build_page(visitor: Visitor, desk: LiveDesk, settings: Settings) -> None:
    """All tabs for one visitor."""
    alignment = Alignment()
    ui.add_css(Path(__file__).with_name("browser") / "style.css")
    ui.colors(primary="#2a6f8f", secondary="#546e7a", accent="#ffb000")
    with ui.header().classes("top"):
        ui.label("RGBT").classes("name")
        with ui.tabs().props("inline-label no-caps") as tabs:
            for name, icon in TABS.items():
                ui.tab(name, name.capitalize(), icon=icon).props(f"data-tab={name}")
        ui.space()
        ui.button(icon="contrast").props(
            'flat round dense color=white aria-label="Light or dark"'
        ).on("click", js_handler="() => Quasar.Dark.toggle()")
    with ui.tab_panels(tabs, value="fuse", keep_alive=True).classes("panels"):
        with ui.tab_panel("fuse"):
            FuseTab(visitor, alignment, settings.weights, settings.device)
        with ui.tab_panel("align"):
            AlignTab(visitor, alignment)
        with ui.tab_panel("track"):
            TrackTab(visitor, alignment, settings.device)
        with ui.tab_panel("live"):
            if settings.is_local:
                LiveTab(visitor, desk, alignment, settings.weights, settings.device)
            else:
                NoLiveTab()
