"""Anchors by hand."""

import numpy as np
import torch

from tracker.model.anchors import anchor_grid, anchor_shapes, decode, encode


def test_shapes_of_the_published_anchors():
    # Side 8 of ratio r: width floor(8 / sqrt(r)), height floor(width * r), times 8:
    # 13 x 4, 11 x 5, 8 x 8, 5 x 10, 4 x 12.
    expected = [[104, 32], [88, 40], [64, 64], [40, 80], [32, 96]]
    np.testing.assert_array_equal(anchor_shapes(8), expected)


def test_grid_is_centred_and_strides():
    grid = anchor_grid(25, 8)
    assert grid.shape == (4, 5, 25, 25)
    assert (grid[:2, :, 12, 12] == 0).all()
    assert (grid[0, :, 3, 0] == -96).all() and (grid[1, :, 3, 0] == -72).all()
    assert (grid[0, 2, :, 24] == 96).all()
    np.testing.assert_array_equal(grid[2:, 4, 7, 9], [32, 96])


def test_decode_by_hand():
    anchors = torch.from_numpy(anchor_grid(3, 8))
    loc = torch.zeros(4, 5, 3, 3)
    assert torch.equal(decode(loc, anchors), anchors)
    loc[:, 0, 2, 1] = torch.tensor([0.5, -0.25, np.log(2), np.log(0.5)])
    box = decode(loc, anchors)[:, 0, 2, 1]
    torch.testing.assert_close(box, torch.tensor([52.0, 0.0, 208.0, 16.0]))


def test_encode_inverts_decode():
    torch.manual_seed(0)
    anchors = torch.from_numpy(anchor_grid(5, 8, scale=4))
    loc = torch.randn(2, 4, 5, 5, 5)
    torch.testing.assert_close(encode(decode(loc, anchors), anchors), loc, rtol=1e-4, atol=1e-5)
    # One box for all anchors, as training has it.
    box = torch.tensor([3.0, -4.0, 30.0, 20.0]).view(4, 1, 1, 1)
    decoded = decode(encode(box, anchors), anchors)
    torch.testing.assert_close(decoded, box.expand_as(decoded), rtol=1e-4, atol=1e-4)
