"""Winograd's convolution against the definition in double precision."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tracker.model.winograd import WinogradConv2d, use_winograd


@pytest.mark.parametrize("size", [(5, 5), (8, 13), (31, 31)])
@pytest.mark.parametrize(("padding", "dilation"), [(0, 1), (1, 1), (2, 2), (1, 2), (4, 4), (3, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_equals_a_convolution(size, padding, dilation, bias):
    torch.manual_seed(0)
    conv = nn.Conv2d(16, 24, 3, padding=padding, dilation=dilation, bias=bias)
    x = torch.randn(2, 16, *size)
    with torch.inference_mode():
        y = WinogradConv2d(conv)(x)
    expected = F.conv2d(
        x.double(),
        conv.weight.detach().double(),
        conv.bias.detach().double() if bias else None,
        padding=padding,
        dilation=dilation,
    )
    assert y.shape == expected.shape
    torch.testing.assert_close(y.double(), expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize("changes", [{"stride": 2}, {"groups": 4}, {"padding_mode": "reflect"}])
def test_other_convolutions_are_refused(changes):
    conv = nn.Conv2d(8, 8, 3, padding=1, **changes)
    with pytest.raises(ValueError, match="stride 1 and zero padding"):
        WinogradConv2d(conv)


def test_replaces_large_convolutions_alone():
    layers = [
        nn.Conv2d(256, 256, 3, padding=1),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.Conv2d(256, 256, 3, stride=2),
        nn.Conv2d(256, 256, 1),
    ]
    changed = use_winograd(nn.Sequential(*layers))
    assert [type(layer) for layer in changed] == [WinogradConv2d, nn.Conv2d, nn.Conv2d, nn.Conv2d]
