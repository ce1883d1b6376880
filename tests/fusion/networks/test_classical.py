"""Fusion without learned parameters."""

import cv2
import numpy as np
import pytest
import torch

from fusion.base.errors import UserError
from fusion.networks.classical import LaplacianPyramid, pyramid_down, pyramid_up
from fusion.networks.registry import CLASSICAL
from fusion.networks.weights import load_network


@pytest.fixture
def pair(rng):
    return [rng.integers(0, 256, (37, 50)).astype(np.uint8) for _ in range(2)]


def test_maximum_and_average(pair):
    ir, vis = pair
    np.testing.assert_array_equal(load_network(method="maximum").fuse(ir, vis), np.maximum(ir, vis))
    every = np.arange(256, dtype=np.uint8)
    ir, vis = np.meshgrid(every, every)  # each grey with each
    fused = load_network(method="average").fuse(ir, vis)
    np.testing.assert_array_equal(fused, (ir.astype(int) + vis + 1) // 2)  # odd greys as often


def test_the_pyramid_is_opencvs(pair):
    image = torch.from_numpy(pair[0] / 255)[None, None]
    small = pyramid_down(image)
    expected = cv2.pyrDown(pair[0] / 255)
    np.testing.assert_allclose(small[0, 0], expected, atol=1e-12)
    big = pyramid_up(small, image.shape[2:])[0, 0]
    # OpenCV extends the small picture, we the zeros between; they differ at the last border.
    up = cv2.pyrUp(expected, dstsize=(50, 37))
    np.testing.assert_allclose(big[:-2, :-2], up[:-2, :-2], atol=1e-12)


@pytest.mark.parametrize("levels", [0, 1, 4, 9])
def test_a_picture_fused_with_itself_is_itself(pair, levels):
    fused = LaplacianPyramid(levels).fuse(pair[0], pair[0])
    np.testing.assert_array_equal(fused, pair[0])


def test_the_pyramid_keeps_the_stronger_detail_of_both(rng):
    """Texture of one on the left, of the other on the right."""
    texture = rng.uniform(-0.2, 0.2, (64, 64))
    left = np.arange(64) < 32
    ir, vis = 0.5 + texture * left, 0.5 + texture * ~left
    tensors = [torch.from_numpy(image)[None, None] for image in (ir, vis)]
    fused = LaplacianPyramid(3)(*tensors)[0, 0].numpy() - 0.5
    for side in (np.s_[8:-8, 8:24], np.s_[8:-8, 40:-8]):
        assert np.corrcoef(fused[side].ravel(), texture[side].ravel())[0, 1] > 0.95
        assert fused[side].std() > 0.85 * texture[side].std()


def test_they_take_no_weights(tmp_path):
    for name in CLASSICAL:
        with pytest.raises(UserError, match="takes no weights"):
            load_network(tmp_path / "x.pth", method=name)
