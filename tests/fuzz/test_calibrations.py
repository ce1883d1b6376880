"""Damaged calibrations and points: refused by name, or used with a complete picture."""

import numpy as np
import yaml
from hypothesis import given
from hypothesis import strategies as st
from malformed import (
    DAMAGES,
    JUNK,
    REMOVED,
    counts,
    damaged,
    examples,
    places,
    replaced,
    scratch,
)

from fusion.base.errors import UserError
from fusion.images.alignment import Calibration, Camera
from fusion.images.alignment.points import align_points, read_points

RIG = Calibration(
    Camera((24, 16), np.array([[30.0, 0, 12], [0, 30, 8], [0, 0, 1]]), np.zeros(5)),
    Camera((32, 24)),
    np.diag([1.3, 1.3, 1]),
    residual=0.5,
    confidence=0.9,
    source="a test",
)


@st.composite
def files(draw):
    """Bytes of a calibration with damaged bytes or replaced values."""
    with scratch() as folder:
        RIG.save(folder / "rig.yaml")
        data = (folder / "rig.yaml").read_bytes()
    if draw(st.booleans()):
        return damaged(data, draw(DAMAGES))
    keys = yaml.safe_load(data)
    place = draw(st.sampled_from(list(places(keys))))
    keys = replaced(keys, place, draw(st.one_of(JUNK, st.just(REMOVED))))
    return yaml.safe_dump(keys).encode()


@examples(60, 600)
@given(files())
def test_calibrations(data):
    counts["calibrations"] += 1
    with scratch() as folder:
        path = folder / "rig.yaml"
        path.write_bytes(data)
        try:
            rig = Calibration.load(path)
        except UserError as error:
            assert "rig.yaml" in str(error) and "\n" not in str(error)
            return
        try:
            width, height = rig.infrared.size
            if width * height > 10_000 or np.prod(rig.visible.size) > 10_000:
                return
            ir = np.full((height, width), 9, np.uint8)
            aligned = rig.align(ir)
            assert aligned.shape == rig.visible.size[::-1] and (aligned == 9).all()
            vis = np.zeros(rig.visible.size[::-1], np.uint8)
            first, second = rig.pair(ir, vis)
            assert first.shape == second.shape
        except UserError as error:
            assert "\n" not in str(error)


@examples(60, 600)
@given(st.one_of(DAMAGES, st.text(max_size=60)))
def test_points(damage):
    counts["points"] += 1
    text = b"1,2,3,4\n10,3,13,5\n4,12,6,15\n12,14,15,17\n"
    data = damage.encode("utf-8", "replace") if isinstance(damage, str) else damaged(text, damage)
    with scratch() as folder:
        path = folder / "points.csv"
        path.write_bytes(data)
        try:
            infrared, visible = read_points(path)
            found = align_points(infrared, visible, ((24, 16), (32, 24)), what=str(path))
        except UserError as error:
            assert "points.csv" in str(error) and "\n" not in str(error)
            return
        assert np.isfinite(found.transform).all()
