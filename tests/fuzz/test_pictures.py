"""Damaged picture files: refused in one line, or decoded whole; never a half-written output."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from malformed import DAMAGES, assert_refused, counts, damaged, examples, run, scratch, tree

from fusion.base.errors import UserError
from fusion.commands.cli import main
from fusion.images.reading import read_image, write_image

HEIGHT, WIDTH = 24, 32


def encode(suffix, image, *flags):
    return cv2.imencode(suffix, image, flags)[1].tobytes()


def tiff_with_its_pixels_last(grey):
    """As written by scanners: the directory comes first, so truncation loses only pixels."""
    tags = [(256, WIDTH), (257, HEIGHT), (258, 8), (259, 1), (262, 1), (273, 8 + 2 + 9 * 12 + 4)]
    tags += [(277, 1), (278, HEIGHT), (279, grey.size)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + grey.tobytes()


def make_pictures():
    rng = np.random.default_rng(0)
    grey = cv2.GaussianBlur(rng.integers(0, 256, (HEIGHT, WIDTH), np.uint8), (5, 5), 0)
    color = np.stack([grey, grey[::-1], grey[:, ::-1]], axis=2)
    alpha = np.concatenate([color, grey[..., None]], axis=2)
    return {
        "grey.png": encode(".png", grey),
        "color.png": encode(".png", color),
        "alpha.png": encode(".png", alpha),
        "deep.png": encode(".png", grey.astype(np.uint16) * 257),
        "grey.jpg": encode(".jpg", grey),
        "color.jpg": encode(".jpg", color),
        "scans.jpg": encode(".jpg", color, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "color.bmp": encode(".bmp", color),
        "lzw.tif": encode(".tif", color, cv2.IMWRITE_TIFF_COMPRESSION, 5),
        "plain.tif": encode(".tif", grey, cv2.IMWRITE_TIFF_COMPRESSION, 1),
        "deep.tif": encode(".tif", grey.astype(np.uint16) * 257),
        "float.tif": encode(".tif", grey.astype(np.float32) / 7),
        "last.tif": tiff_with_its_pixels_last(grey),
    }


PICTURES = make_pictures()
GOOD = PICTURES["grey.png"]


def fuse(folder, name, data, side):
    """``fusion fuse`` on a pair one of whose sides is ``data``; also asserts what always holds."""
    counts["pictures"] += 1
    bad, good = folder / name, folder / "partner.png"
    bad.write_bytes(data)
    good.write_bytes(GOOD)
    before = tree(folder)
    pair = (bad, good) if side == "ir" else (good, bad)
    outcome = run(main, "fuse", *pair, "-o", folder / "out.png", "--method", "average")
    after = tree(folder)
    if outcome.code == 0:
        assert after.keys() - before.keys() == {"out.png"}
        assert read_image(folder / "out.png").shape[:2] == (HEIGHT, WIDTH)
    else:
        assert_refused(outcome, name)
        assert after == before
    return outcome


def is_surely_damaged(name, data):
    """Whether a decoder can detect damage; other formats have no checksum of pixels."""
    original = PICTURES[name]
    if name.endswith(".png"):  # every chunk has its sum
        return not data.startswith(original)
    return len(data) < len(original) - 16 and original.startswith(data)


@pytest.mark.parametrize("name", PICTURES)
def test_whole_pictures_are_fused(name):
    """Negative control: the undamaged files are readable."""
    with scratch() as folder:
        assert fuse(folder, name, PICTURES[name], "ir").code == 0


@examples(30, 400)
@given(st.sampled_from(sorted(PICTURES)), DAMAGES, st.sampled_from(["ir", "vis"]))
def test_damaged_pictures(name, damages, side):
    data = damaged(PICTURES[name], damages)
    with scratch() as folder:
        outcome = fuse(folder, name, data, side)
    assert outcome.code == 2 or not is_surely_damaged(name, data)


@examples(4, 40)
@given(
    st.sampled_from(["a.png", "a.jpg", "a.tif", "a.bmp"]),
    st.sampled_from(
        [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"BM", b"GIF89a", b"PK"]
    ),
    st.binary(max_size=80),
)
def test_what_was_never_a_picture(name, magic, rest):
    with scratch() as folder:
        assert fuse(folder, name, magic + rest, "vis").code == 2


# --- Claimed sizes --------------------------------------------------------------------------------

SIDES = st.one_of(
    st.integers(0, 70),
    st.sampled_from([255, 256, 4096, 30_000, 65_535, 65_536, 2**20, 2**31 - 1, 2**31, 2**32 - 1]),
)


def with_size(name, width, height):
    """A picture whose header claims another size, with a right check sum."""
    data = bytearray(PICTURES[name])
    if name.endswith(".png"):
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif name.endswith(".jpg"):
        place = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
        data[place + 5 : place + 9] = struct.pack(">HH", height % 2**16, width % 2**16)
    elif name.endswith(".bmp"):
        data[18:26] = struct.pack("<II", width, height)
    else:
        (start,) = struct.unpack_from("<I", data, 4)
        for entry in range(struct.unpack_from("<H", data, start)[0]):
            place = start + 2 + 12 * entry
            tag = struct.unpack_from("<H", data, place)[0]
            if tag in (256, 257):
                value = width if tag == 256 else height
                data[place + 2 : place + 12] = struct.pack("<HII", 4, 1, value)
    return bytes(data)


@examples(12, 150)
@given(
    st.sampled_from(["grey.png", "color.jpg", "scans.jpg", "color.bmp", "plain.tif", "last.tif"]),
    SIDES,
    SIDES,
)
def test_claimed_sizes(name, width, height):
    data = with_size(name, width, height)
    with scratch() as folder:
        outcome = fuse(folder, name, data, "ir")
    assert outcome.code == 2 or data == PICTURES[name]


@pytest.mark.parametrize("name", ["grey.png", "color.jpg", "scans.jpg", "color.bmp", "last.tif"])
def test_a_small_file_that_claims_a_huge_picture_takes_no_memory(tmp_path, name, monkeypatch):
    """30000x30000 from some hundred bytes: refused before OpenCV makes room for it."""
    path = tmp_path / name
    path.write_bytes(with_size(name, 30_000, 30_000))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(UserError, match=f"{name}.*30000x30000"):
        read_image(path)


def test_an_almost_empty_picture_is_no_huge_claim(tmp_path):
    """The highest compression there is, of a picture of one level."""
    blank = np.zeros((3000, 4000), np.uint8)
    for suffix in (".png", ".jpg", ".tif", ".bmp"):
        write_image(tmp_path / f"blank{suffix}", blank)
        assert read_image(tmp_path / f"blank{suffix}").shape == blank.shape


# --- In a folder ----------------------------------------------------------------------------------


@examples(8, 60)
@given(st.sampled_from(sorted(PICTURES)), DAMAGES)
def test_one_damaged_pair_of_a_folder(name, damages):
    """The other pairs are still fused, and the exit code is 2."""
    counts["pictures"] += 1
    data = damaged(PICTURES[name], damages)
    with scratch() as folder:
        for side in ("ir", "vis"):
            (folder / side).mkdir()
            for number in (1, 3):
                (folder / side / f"{number}.png").write_bytes(GOOD)
        (folder / "vis/2.png").write_bytes(GOOD)
        (folder / "ir" / f"2{name[-4:]}").write_bytes(data)
        outcome = run(
            main, "fuse", folder / "ir", folder / "vis", "-o", folder / "out", "--method", "average"
        )
        written = set(tree(folder / "out"))
    assert {"1.png", "3.png"} <= written <= {"1.png", "2.png", "3.png"}
    assert ("2.png" in written) == (outcome.code == 0)
    if outcome.code:
        assert outcome.code == 2
        assert outcome.err.count("\n") == 1 and f"2{name[-4:]}" in outcome.err
    assert outcome.code == 2 or not is_surely_damaged(name, data)
