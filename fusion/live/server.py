"""The page of a live run in a browser: what is shown, its status, and its few switches.

    GET  /                 the page
    GET  /stream?view=V    multipart JPEG, newest picture first, as fast as the viewer reads
    GET  /picture?view=V   the newest picture as JPEG
    GET  /status           JSON, see `fusion.live.pipeline.Live.status`
    POST /record           {"on": true}: start or stop a recording
    POST /hold             {"view": V}: a JPEG to draw a box on, and its number as X-Number
    POST /box              {"number": N, "box": [x, y, w, h]}: what to track, as shares of a panel
    POST /release          {}: track nothing

It is bound to 127.0.0.1 unless told otherwise. Posts are accepted from the page itself and from
programs, not from other pages in the browser; requests for another host name are refused, so that
a name which is made to point here gains nothing. Sizes, times and the number of viewers are
limited.
"""

import json
import time
import urllib.parse
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import BoundedSemaphore, Thread
from typing import Any

from fusion.base.errors import UserError
from fusion.live.options import PORT
from fusion.live.pipeline import Live

#: Connections at a time, viewers among them, and bytes of a post.
CONNECTIONS, LARGEST_POST = 24, 4096

_PATIENCE = 10.0  # seconds for a request, and for a viewer that does not read
_FOLDER = Path(__file__).with_name("page")
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
}
_BOUNDARY = "picture"


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: HTTPStatus, reason: str):
        super().__init__(reason)
        self.status = status


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this computer's own."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class LiveServer:
    """Serves a live run over HTTP; a context manager, see the module.

    Args:
        live: the run; it is neither started nor stopped here.
        host: address to listen at; ``0.0.0.0`` for all of this computer's.
        port: 0 for any free one.

    Attributes:
        port: in use.

    Raises:
        UserError: the port is taken or not allowed.
    """

    def __init__(self, live: Live, host: str = "127.0.0.1", port: int = PORT):
        self.live, self.host = live, host
        self.closes = False
        # Regular stamps: the clock of the day may be set while the run lasts.
        self.day = time.time() - time.monotonic()
        try:
            self._server = _Server((host, port), _Handler)
        except OSError as error:
            raise UserError(
                f"--port {port}: cannot listen at {host}:{port} ({error.strerror}); give another "
                "port, or 0 for any"
            ) from error
        except OverflowError:
            raise UserError(f"--port {port}: give a number from 0 to 65535") from None
        self._server.page = self
        self.port: int = self._server.server_address[1]

    @property
    def address(self) -> str:
        """The page's address."""
        shown = "localhost" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{shown}:{self.port}/"

    def __enter__(self) -> "LiveServer":
        Thread(target=self._server.serve_forever, args=(0.1,), name="page", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closes = True
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    page: LiveServer

    def __init__(self, *arguments: Any):
        self._places = BoundedSemaphore(CONNECTIONS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A viewer that goes away is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "rgbt", ""
    timeout = _PATIENCE

    def log_message(self, *_: object) -> None:
        pass

    @property
    def page(self) -> LiveServer:
        return self.server.page

    def do_GET(self) -> None:
        self._answer({"/stream": self._stream, "/picture": self._picture, "/status": self._status})

    def do_POST(self) -> None:
        self._answer(
            {
                "/record": self._record,
                "/hold": self._hold,
                "/box": self._box,
                "/release": self._release,
            }
        )

    def _answer(self, actions: dict) -> None:
        parts = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(parts.query))
        try:
            self._check_host()
            if self.command == "POST":
                self._check_origin()
                self.body = self._read_body()
            if self.command == "GET" and parts.path in _FILES:
                name, kind = _FILES[parts.path]
                self._send((_FOLDER / name).read_bytes(), kind)
            elif parts.path in actions:
                actions[parts.path]()
            else:
                raise Refused(HTTPStatus.NOT_FOUND, f"{parts.path}: there is no such page")
        except Refused as refused:
            self._send_json({"error": str(refused)}, refused.status)
        except UserError as error:
            self._send_json({"error": str(error)}, HTTPStatus.CONFLICT)

    # --- Who may ask ---

    def _check_host(self) -> None:
        host = self.headers.get("Host", "")
        if is_loopback(self.page.host) and not is_loopback(_without_port(host)):
            raise Refused(HTTPStatus.FORBIDDEN, "not served under this name; use 127.0.0.1")

    def _check_origin(self) -> None:
        origin = self.headers.get("Origin")
        own = f"http://{self.headers.get('Host', '')}"
        site = self.headers.get("Sec-Fetch-Site", "same-origin")
        if origin not in (None, own) or site not in ("same-origin", "none"):
            raise Refused(HTTPStatus.FORBIDDEN, "posts of other pages are refused")
        if self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "posts are application/json")

    def _read_body(self) -> dict:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "a post needs its Content-Length")
        if len(length) > 9 or int(length) > LARGEST_POST:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {LARGEST_POST} bytes")
        try:
            body = json.loads(self.rfile.read(int(length)) or b"{}")
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "the post is not a JSON object")
        return body

    # --- Answers ---

    def _send(
        self,
        data: bytes,
        kind: str,
        status: HTTPStatus = HTTPStatus.OK,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, **(headers or {}), "Content-Type": kind}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send_json(self, content: dict, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(content).encode(), "application/json", status)

    def _view(self, name: object) -> str:
        views = self.page.live.views
        if name is None:
            return next(iter(views))
        if not isinstance(name, str) or name not in views:
            raise Refused(HTTPStatus.BAD_REQUEST, f"view: give one of {', '.join(views)}")
        return name

    def _status(self) -> None:
        self._send_json(self.page.live.status())

    def _picture(self) -> None:
        view, shown = self._view(self.query.get("view")), self.page.live.latest
        if shown is None:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "there is no picture yet")
        self._send(self.page.live.jpeg(view, shown), "image/jpeg")

    def _stream(self) -> None:
        view, live = self._view(self.query.get("view")), self.page.live
        self.send_response(HTTPStatus.OK)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        self.end_headers()
        after = 0
        while not self.page.closes and not live.finished.is_set():
            # If nothing is new, the old picture finds out whether somebody is still there.
            shown = live.wait(after) or live.latest
            if shown is None:
                continue
            after = shown.number
            data = live.jpeg(view, shown)
            head = (
                f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n"
                f"X-Timestamp: {self.page.day + shown.pair.time:.6f}\r\n\r\n"
            )
            self.wfile.write(head.encode() + data + b"\r\n")

    # --- Switches ---

    def _record(self) -> None:
        on = self.body.get("on")
        if not isinstance(on, bool):
            raise Refused(HTTPStatus.BAD_REQUEST, "on: give true or false")
        folder = self.page.live.record() if on else self.page.live.stop_recording()
        self._send_json({"folder": None if folder is None else str(folder)})

    def _boxes(self) -> Any:
        """The run, if a box can be drawn in it."""
        if not self.page.live.has_box:
            raise Refused(HTTPStatus.NOT_FOUND, "nothing is tracked here")
        return self.page.live

    def _hold(self) -> None:
        view, live = self._view(self.body.get("view")), self._boxes()
        shown = live.hold()
        headers = {"X-Number": str(shown.number)}
        self._send(live.jpeg(view, shown), "image/jpeg", headers=headers)

    def _box(self) -> None:
        number, box = self.body.get("number"), self.body.get("box")
        values = [number, *box] if isinstance(box, list) and len(box) == 4 else []
        if not values or not all(type(value) in (int, float) for value in values):
            raise Refused(HTTPStatus.BAD_REQUEST, "give the number of a held picture, and a box")
        self._boxes().select(number, tuple(map(float, values[1:])))
        self._send_json({})

    def _release(self) -> None:
        self._boxes().release()
        self._send_json({})


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host
