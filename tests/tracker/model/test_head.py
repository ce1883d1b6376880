"""Neck, correlation and RPN heads."""

import numpy as np
import pytest
import torch

from tracker.model.head import MultiLevelRPN, depthwise_correlation
from tracker.model.neck import Neck, crop_centre


def test_depthwise_correlation_against_a_loop():
    rng = np.random.default_rng(0)
    search = rng.standard_normal((2, 3, 7, 6))
    kernel = rng.standard_normal((2, 3, 3, 2))
    expected = np.zeros((2, 3, 5, 5))
    for b in range(2):
        for c in range(3):
            for y in range(5):
                for x in range(5):
                    window = search[b, c, y : y + 3, x : x + 2]
                    expected[b, c, y, x] = (window * kernel[b, c]).sum()
    out = depthwise_correlation(torch.from_numpy(search), torch.from_numpy(kernel))
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12, atol=1e-12)


def test_correlation_of_any_memory_layout():
    torch.manual_seed(0)
    search, kernel = torch.randn(2, 4, 9, 9), torch.randn(2, 4, 5, 5)
    last = {"memory_format": torch.channels_last}
    out = depthwise_correlation(search.to(**last), kernel.to(**last))
    torch.testing.assert_close(out, depthwise_correlation(search, kernel))


def test_levels_are_weighted_by_a_softmax():
    torch.manual_seed(0)
    head = MultiLevelRPN(2, 8, 3).eval()
    head.cls_weight.data = torch.tensor([0.0, np.log(3)])
    head.loc_weight.data = torch.tensor([np.log(4), 0.0])
    template, search = torch.randn(2, 2, 8, 5, 5), torch.randn(2, 2, 8, 9, 9)
    first, second = (
        rpn(rpn.kernels(z), x) for rpn, z, x in zip(head.rpns, template, search, strict=True)
    )
    cls, loc = head(head.kernels(template), search)
    assert cls.shape == (2, 6, 5, 5) and loc.shape == (2, 12, 5, 5)
    torch.testing.assert_close(cls, 0.25 * first.cls + 0.75 * second.cls)
    torch.testing.assert_close(loc, 0.8 * first.loc + 0.2 * second.loc)


def test_crop_centre():
    x = torch.arange(225.0).view(1, 1, 15, 15)
    torch.testing.assert_close(crop_centre(x, 7), x[..., 4:11, 4:11])
    with pytest.raises(ValueError, match="no central 8x8"):
        crop_centre(x, 8)
    with pytest.raises(ValueError, match="no central 17x17"):
        crop_centre(x, 17)


def test_neck_is_a_projection_of_each_cell():
    torch.manual_seed(0)
    neck = Neck((3, 5), 4).eval()
    levels = [torch.randn(2, 3, 6, 6), torch.randn(2, 5, 6, 6)]
    for (conv, norm), x, y in zip(neck.levels, levels, neck(levels), strict=True):
        expected = torch.einsum("oi,bihw->bohw", conv.weight[..., 0, 0], x)
        torch.testing.assert_close(y, expected / (1 + norm.eps) ** 0.5)
