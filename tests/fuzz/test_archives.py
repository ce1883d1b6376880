"""Damaged ZIP archives that visitors of the app upload: a sequence or one line, no other file."""

import io
import zipfile

import cv2
import numpy as np
import pytest
from hypothesis import given
from malformed import DAMAGES, counts, damaged, examples, scratch

from fusion.base.errors import UserError
from tracker.app.inputs import open_sequence
from tracker.app.jobs import Worker
from tracker.app.limits import Limits
from tracker.app.visitors import Visitors


def archive() -> bytes:
    """Two frames of both modalities with a box."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    _, picture = cv2.imencode(".png", noise)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as opened:
        for folder in ("visible", "infrared"):
            for number in (1, 2):
                opened.writestr(f"set/{folder}/{number:04d}.png", picture.tobytes())
        opened.writestr("set/init.txt", "5,6,10,8\n5,6,10,8\n")
    return data.getvalue()


@pytest.fixture(scope="module")
def worker():
    running = Worker()
    yield running
    running.close()


@given(damages=DAMAGES)
@examples(60, 400)
def test_damaged_archives(worker, damages):
    counts["archives"] += 1
    with scratch() as folder:
        path = folder / "set.zip"
        path.write_bytes(damaged(archive(), damages))
        visitor = Visitors(folder / "visitors", Limits(2_000_000, 10_000, 50), worker).enter()
        try:
            sequence = open_sequence(path, None, visitor)
        except UserError as error:
            assert "\n" not in visitor.message(error) and str(folder) not in visitor.message(error)
        else:
            assert sequence.frame_size() == (32, 24)
            assert all(frame.rgb is not None or frame.problems for frame in sequence)
        outside = [p for p in folder.rglob("*") if "visitors" not in p.parts and p != path]
        assert outside == []
