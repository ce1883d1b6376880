"""The page's server: what it serves, to whom, and what it refuses."""

import http.client
import json
import time

import cv2
import numpy as np
import pytest
from streams import read

from fusion.base.errors import UserError
from fusion.live import server as module
from fusion.live.fusing import LiveFusion
from fusion.live.multipart import Broken, open_multipart, pictures
from fusion.live.server import LARGEST_POST, LiveServer, is_loopback
from fusion.networks.weights import load_network


@pytest.fixture
def served(counted, tmp_path):
    """A run on files of ten seconds, and its page."""
    network = load_network(method="average")
    paths = counted / "ir.avi", counted / "vis.mkv"
    with (
        LiveFusion(network, *paths, recordings=tmp_path / "recordings") as live,
        LiveServer(live, port=0) as server,
    ):
        assert live.wait(0, 30) is not None
        yield server


def ask(server, method, path, content=None, headers=None, raw=None):
    """Status, headers and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    body = raw if raw is not None else None if content is None else json.dumps(content)
    given = {"Content-Type": "application/json"} if method == "POST" else {}
    connection.request(method, path, body, given | (headers or {}))
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def test_the_page_and_its_files(served):
    status, headers, body = ask(served, "GET", "/")
    assert status == 200 and b"page.js" in body and b"http" not in body.replace(b"http-equiv", b"")
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    for path in ("/page.js", "/page.css"):
        assert ask(served, "GET", path)[0] == 200
    for path in ("/../server.py", "/page/../server.py", "/none", "//etc/passwd"):
        assert ask(served, "GET", path)[0] == 404


def test_pictures_and_views(served):
    status, headers, body = ask(served, "GET", "/picture?view=visible")
    picture = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
    assert status == 200 and headers["Content-Type"] == "image/jpeg"
    assert picture.shape == (240, 320, 3) and read(picture[..., ::-1]) is not None
    wide = ask(served, "GET", "/picture?view=side+by+side")[2]
    assert cv2.imdecode(np.frombuffer(wide, np.uint8), 1).shape == (240, 960, 3)
    status, _, body = ask(served, "GET", "/picture?view=none")
    assert status == 400 and "fused" in json.loads(body)["error"]


def test_the_stream_is_a_camera_of_its_own(served):
    """What the page shows can be read as a source, with the times of its pictures."""
    response = open_multipart(f"{served.address}stream?view=visible", 20)
    counters, stamps = [], []
    for data, stamp, _ in pictures(response):
        counters.append(read(cv2.imdecode(np.frombuffer(data, np.uint8), 1)[..., ::-1]))
        stamps.append(stamp)
        if len(counters) == 20:
            break
    response.close()
    steps = np.diff(counters)
    assert (steps > 0).all()
    # The time is that of the later frame of a pair, up to half an infrared interval later.
    assert np.diff(stamps) == pytest.approx(steps / 30, abs=0.022)


def test_the_stream_ends_with_the_run(served):
    response = open_multipart(f"{served.address}stream", 20)
    served.live.stop()
    with pytest.raises(Broken):
        for _ in pictures(response):
            pass


def test_status(served):
    status = json.loads(ask(served, "GET", "/status")[2])
    assert status["title"] == "Live fusion" and not status["has_box"]
    assert [camera["side"] for camera in status["cameras"]] == ["ir", "vis"]
    assert status["picture"]["number"] > 0 and status["recording"] is None


def test_recording_from_the_page(served):
    status, _, body = ask(served, "POST", "/record", {"on": True})
    folder = json.loads(body)["folder"]
    assert status == 200 and folder
    assert ask(served, "POST", "/record", {"on": True})[0] == 409
    end = time.monotonic() + 30
    while min(served.live.status()["recording"]["frames"].values()) < 3:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert json.loads(ask(served, "POST", "/record", {"on": False})[2])["folder"] == folder
    assert json.loads(ask(served, "POST", "/record", {"on": False})[2])["folder"] is None
    assert ask(served, "POST", "/record", {"on": "yes"})[0] == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Length": "-5"}, 411),
        ({"Content-Length": "99999999999999999999"}, 413),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_posts_of_other_pages_are_refused(served, headers, status):
    assert ask(served, "POST", "/record", {"on": False}, headers)[0] == status


def test_the_own_page_may_post(served):
    own = {"Origin": f"http://127.0.0.1:{served.port}", "Sec-Fetch-Site": "same-origin"}
    assert ask(served, "POST", "/record", {"on": False}, own)[0] == 200


@pytest.mark.parametrize("raw", [b"", b"[]", b"nonsense", b"[" * 4000, b'"on"', b"\xff\xfe"])
def test_posts_that_are_no_objects(served, raw):
    assert ask(served, "POST", "/record", raw=raw)[0] == 400
    assert ask(served, "POST", "/record", raw=b"x" * (LARGEST_POST + 1))[0] == 413


def test_names_that_point_here_are_refused(served):
    assert ask(served, "GET", "/status", headers={"Host": "evil.example"})[0] == 403
    assert ask(served, "GET", "/status", headers={"Host": f"localhost:{served.port}"})[0] == 200
    assert ask(served, "GET", "/status", headers={"Host": "[::1]"})[0] == 200


def test_nothing_is_tracked_here(served):
    for path in ("/hold", "/box", "/release"):
        body = {"number": 1, "box": [0, 0, 1, 1]}
        assert ask(served, "POST", path, body)[0] == 404


def test_connections_are_limited(served, monkeypatch):
    streams = [open_multipart(f"{served.address}stream", 20) for _ in range(module.CONNECTIONS)]
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(served, "GET", "/status")
    for stream in streams:
        stream.close()
    end = time.monotonic() + 30
    while True:  # closed viewers are noticed with the next picture
        try:
            assert ask(served, "GET", "/status")[0] == 200
            break
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < end
            time.sleep(0.05)


def test_a_port_that_is_taken(served):
    for port, words in ((served.port, "cannot listen"), (99_999, "65535")):
        with pytest.raises(UserError, match=words):
            LiveServer(served.live, port=port)


def test_which_hosts_are_this_computer():
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "localhost", "::1", "[::1]")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.7", "localhost.evil.example", "")))
