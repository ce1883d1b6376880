"""Streams of pictures and posts to the live page, damaged anywhere: an error, or what was sent."""

import io
import json
from email.message import Message

from hypothesis import given
from hypothesis import strategies as st
from malformed import DAMAGES, JUNK, counts, damaged, examples

from fusion.live.multipart import LARGEST, Broken, pictures

JPEG = b"\xff\xd8 a picture \r\n of some \n lines \xff\xd9"


class Response(io.BytesIO):
    def __init__(self, data):
        super().__init__(data)
        self.headers = Message()
        self.headers["Content-Type"] = "multipart/x-mixed-replace; boundary=frame"


@examples(40, 2000)
@given(DAMAGES, st.booleans(), st.booleans())
def test_damaged_streams_end_with_a_reason(damages, has_length, has_stamp):
    head = b"--frame\r\nContent-Type: image/jpeg\r\n"
    head += b"Content-Length: %d\r\n" % len(JPEG) if has_length else b""
    head += b"X-Timestamp: 12.5\r\n" if has_stamp else b""
    data = damaged((head + b"\r\n" + JPEG + b"\r\n") * 6, damages)
    counts["streams"] += 1
    found = []
    try:
        for picture, stamp, _ in pictures(Response(data)):
            found.append(picture)
            assert len(picture) <= LARGEST and isinstance(stamp, float | None)
            assert len(found) <= 100
    except Broken as broken:
        assert str(broken)
    else:
        raise AssertionError("a stream ended without a reason")


@examples(15, 300)
@given(
    st.sampled_from(["/record", "/hold", "/box", "/release", "/status", "/none"]),
    st.one_of(
        st.dictionaries(st.sampled_from(["on", "number", "box", "view"]), JUNK).map(
            lambda content: json.dumps(content).encode()
        ),
        st.binary(max_size=200),
    ),
)
def test_posts_are_answered(path, body):
    """By a server on a run that never started, in memory: an answer, and no exception."""
    import http.client

    with server() as port:
        counts["posts"] += 1
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status in (200, 400, 404, 409, 413)
        assert isinstance(json.loads(answer.read()), dict)


def server():
    """A page of a run of tracking whose cameras do not exist."""
    from contextlib import contextmanager

    from fusion.live.server import LiveServer
    from tracker.evaluation.trackers import make_tracker
    from tracker.online.live import LiveTracking

    @contextmanager
    def serve():
        nowhere = "http://127.0.0.1:9/"
        live = LiveTracking(make_tracker("ncc"), nowhere, f"{nowhere}other")
        live.record = lambda: None  # nothing is written
        with LiveServer(live, port=0) as page:
            yield page.port

    return serve()
