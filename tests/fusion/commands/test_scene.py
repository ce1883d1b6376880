"""The generated scene: reproducible, with information specific to each modality."""

import numpy as np
import pytest

from fusion.commands.scene import street_pair
from fusion.images.pixels import luminance


def test_the_seed_decides_everything():
    for a, b in zip(street_pair(96, 80, seed=3), street_pair(96, 80, seed=3), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(street_pair(96, 80, seed=4)[0], street_pair(96, 80, seed=3)[0])


@pytest.mark.parametrize("seed", range(3))
def test_the_modalities_complement_each_other(seed):
    ir, vis = street_pair(320, 240, seed=seed)
    assert ir.shape == (240, 320) and vis.shape == (240, 320, 3)
    assert ir.dtype == vis.dtype == np.uint8
    grey = luminance(vis).astype(float)
    people = ir > 140
    assert 0.01 < people.mean() < 0.1
    # People are the hottest objects and visibly darker than the rest, except in the smoke.
    left = np.arange(320)[None] < 200
    assert grey[people & left].mean() < grey[~people & left].mean()
    # Behind the smoke, the person shown in infrared is nearly invisible.
    smoke = (slice(115, 150), slice(240, 290))
    assert ir[smoke].std() > 3 * grey[smoke].std()
    # Paint on the road is visible and as warm as the road.
    road = (slice(200, 212), slice(0, 110))
    assert grey[road].std() > 3 * ir[road].std()


def test_tiny_scenes_are_refused():
    with pytest.raises(ValueError, match="64x64"):
        street_pair(63, 100)
