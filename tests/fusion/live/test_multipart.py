"""Multipart JPEG as various servers write it."""

import io
from email.message import Message

import pytest

from fusion.live.multipart import Broken, open_multipart, pictures

JPEG = b"\xff\xd8 some\r\npicture \n\xff\xd9"


class Response(io.BytesIO):
    def __init__(self, data, boundary="frame"):
        super().__init__(data)
        self.headers = Message()
        self.headers["Content-Type"] = f"multipart/x-mixed-replace; boundary={boundary}"


def read(data, **options):
    found = []
    with pytest.raises(Broken) as broken:
        for picture, stamp, _ in pictures(Response(data, **options)):
            found.append((picture, stamp))
    return found, str(broken.value)


def part(*lines):
    return b"\r\n".join([*lines, b"", JPEG, b""])


LENGTH = b"Content-Length: %d" % len(JPEG)


def test_lengths_and_stamps():
    one = part(b"--frame", b"Content-Type: image/jpeg", LENGTH, b"X-Timestamp: 12.500000")
    found, why = read(one * 3 + part(b"--frame", LENGTH))
    assert found == [(JPEG, 12.5)] * 3 + [(JPEG, None)]
    assert "closed the connection" in why


def test_without_lengths_parts_end_at_the_boundary():
    one = part(b"--frame", b"Content-Type: image/jpeg")
    found, _ = read(one * 3 + b"--frame--\r\n")
    assert [picture.strip() for picture, _ in found] == [JPEG] * 3


def test_a_boundary_that_is_named_with_its_dashes():
    one = part(b"--frame", b"Content-Type: image/jpeg")
    found, _ = read(one * 2 + b"--frame--\r\n", boundary="--frame")
    assert len(found) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n" * 1000,
        b"x" * 100_000,
        b"--frame\r\nContent-Length: 99999999999\r\n\r\n",
        b"--frame\r\nContent-Length: some\r\n\r\n",
        b"--frame\r\nContent-Length: 50\r\n\r\nshort",
        b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + b"x\n" * 50,
        b"--frame\r\n" + b"a: b\r\n" * 1000,
    ],
)
def test_damage_is_an_error_and_not_a_picture(data):
    found, why = read(data)
    assert found == [] and why


def test_servers_that_cannot_be_reached():
    for address in ("http://127.0.0.1:9/", "http://[::1/", "http://127.0.0.1:99999/"):
        with pytest.raises(Broken):
            open_multipart(address, 1.0)
