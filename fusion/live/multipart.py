"""Streams of JPEG pictures over HTTP, ``multipart/x-mixed-replace``, as network cameras send them.

Read here and not by FFmpeg, because a part's header may say when its picture was taken
(``X-Timestamp``, of mjpg-streamer, ESP32 cameras and this package's own page), which FFmpeg does
not pass on, and because FFmpeg reads the first seconds of a stream before it returns a frame.
"""

import base64
import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

#: Largest size of a picture in bytes; a longer part is not a camera's.
LARGEST = 1 << 25

_LINE = 1 << 12  # longest line of a header, in bytes
_LINES = 64  # most lines between two pictures


class NoMultipart(Exception):
    """The address answers with something else, which FFmpeg may be able to read."""


class Broken(Exception):
    """The stream has ended or is damaged; the message says why."""


def open_multipart(address: str, timeout: float) -> Any:
    """Connect and return the response, to be read by `pictures` and closed.

    Args:
        address: ``http://`` or ``https://``, possibly with ``user:password@``.
        timeout: seconds without data after which reading fails.

    Raises:
        NoMultipart: it is another kind of stream.
        Broken: the server cannot be reached or refuses.
    """
    try:
        response = urllib.request.urlopen(_request(address), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        raise Broken(f"the server answers {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Broken(f"{getattr(reason, 'strerror', None) or reason}") from None
    if response.headers.get_content_type() != "multipart/x-mixed-replace":
        response.close()
        raise NoMultipart
    return response


def _request(address: str) -> urllib.request.Request:
    """A request with the user and password of the address in its header."""
    parts = urllib.parse.urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(urllib.parse.urlunsplit(parts._replace(netloc=host)))
    if parts.username is not None:
        user = f"{urllib.parse.unquote(parts.username)}:"
        login = user + urllib.parse.unquote(parts.password or "")
        token = base64.b64encode(login.encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    return request


def pictures(response: Any) -> Iterator[tuple[bytes, float | None, float]]:
    """The JPEG files of a response: data, ``X-Timestamp`` in seconds if given, and arrival.

    Raises:
        Broken: the stream has ended, is silent for longer than its timeout, or is damaged.
    """
    boundary = response.headers.get_param("boundary") or ""
    # Some servers write the dashes that introduce a boundary into its name.
    mark = b"--" + str(boundary).strip('"').encode().lstrip(b"-")
    while True:
        try:
            headers = _headers(response)
            arrived = time.monotonic()
            data = _body(response, headers, mark)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Broken(f"{getattr(error, 'strerror', None) or error}") from None
        try:
            stamp = float(headers.get("x-timestamp", ""))
        except ValueError:
            stamp = None
        yield data, stamp, arrived


def _line(response: Any) -> bytes:
    line = response.readline(_LINE)
    if not line:
        raise ValueError("the server closed the connection")
    return line


def _headers(response: Any) -> dict[str, str]:
    """The header of the next part; what precedes it (the boundary, blank lines) is skipped."""
    headers: dict[str, str] = {}
    for _ in range(_LINES):
        line = _line(response).strip()
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
        elif headers and not line:
            return headers
    raise ValueError("the stream contains no pictures")


def _body(response: Any, headers: dict[str, str], mark: bytes) -> bytes:
    length = int(headers.get("content-length", -1))
    if length > LARGEST:
        raise ValueError(f"a picture of {length} bytes")
    if length > 0:
        data = response.read(length)
        if len(data) < length:
            raise ValueError("the server closed the connection")
        return data
    found: list[bytes] = []
    size = 0
    while not (line := _line(response)).startswith(mark):
        found.append(line)
        size += len(line)
        if size > LARGEST:
            raise ValueError("a picture without an end")
    return b"".join(found)
