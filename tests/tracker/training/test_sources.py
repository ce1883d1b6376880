"""Where targets come from: what stands out of still pairs, names of pictures and of sources."""

import numpy as np
import pytest

from fusion.base.errors import UserError
from fusion.images.reading import write_image
from tracker.data.boxes import box_iou
from tracker.training.sources import load_source, salient_boxes


def test_what_stands_out_is_found(rng, texture):
    light = texture(rng, 240, 320) // 8 + 60
    heat = texture(rng, 240, 320) // 8 + 40
    hot, bright = np.array([60.0, 80, 24, 40]), np.array([220.0, 130, 30, 30])
    heat[80:120, 60:84] = 250
    light[130:160, 220:250] = 250
    boxes = salient_boxes(light, heat)
    for planted in (hot, bright):
        assert box_iou(boxes, planted).max() > 0.6
    flat = np.full((100, 100), 9, np.uint8)
    assert salient_boxes(flat, flat).shape == (0, 4)


def test_pictures_of_one_name_in_several_sets_are_all_kept(tmp_path, rng, texture):
    """KAIST numbers videos from V000 in every set, and pictures from I00000 in every video."""
    for part in ("set00/V000", "set00/V001", "set01/V000"):
        for side in ("lwir", "visible"):
            for number in range(2):
                write_image(tmp_path / part / side / f"I{number:05d}.png", texture(rng, 60, 80))
    names = load_source("pairs", tmp_path).dataset.names
    assert len(names) == 6
    assert names[0] == "set00/V000/lwir/I00000.png"


@pytest.mark.parametrize(
    ("name", "weight", "complaint"),
    [
        ("gtott", 1, r"data\.roots\.gtott: unknown source .*mean \'gtot\'"),
        ("gtot", 0, r"data\.weights\.gtot: a weight must be above 0"),
        ("gtot", 1, r"data\.roots\.gtot: .*no gtot sequence"),
        ("pairs", 1, r"data\.roots\.pairs: .*neither ir/ and vis/"),
        ("vt821", 1, r"data\.roots\.vt821: .*no vt821 sequence"),
    ],
)
def test_wrong_sources_are_named(tmp_path, name, weight, complaint):
    with pytest.raises(UserError, match=complaint):
        load_source(name, tmp_path, weight)
