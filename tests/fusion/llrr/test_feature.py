"""Feature-level fusion."""

import pytest
import torch
from torch.nn import functional as F

from fusion.llrr.registry import FUSIONS


def small(kind):
    torch.manual_seed(0)
    return FUSIONS[kind](6, **({} if kind == "rfn" else {"num_filters": 4, "num_blocks": 2}))


def reflect_conv(x, conv):
    """A convolution with reflection padding, computed from the layer's parameters alone."""
    pad = conv.weight.shape[-1] // 2
    return F.conv2d(F.pad(x, (pad,) * 4, mode="reflect"), conv.weight, conv.bias)


def test_llrr_fusion_is_figure_14():
    fusion = small("llrr")
    rgb, ir = torch.randn(2, 2, 6, 5, 7)

    def branch(llrr, conv, x):
        def shrink(v):
            t = llrr.threshold
            return torch.where(v > t, v - t, torch.where(v < -t, v + t, torch.zeros(())))

        z = shrink(reflect_conv(x, llrr.encode))
        for block in llrr.blocks:
            residual = x - reflect_conv(z, block.synthesis)
            z = shrink(reflect_conv(residual, block.analysis) + llrr.lam * z)
        return reflect_conv(z, conv)

    joined = torch.cat(
        [
            branch(fusion.llrr_rgb, fusion.conv_rgb, rgb),
            branch(fusion.llrr_ir, fusion.conv_ir, ir),
        ],
        dim=1,
    )
    torch.testing.assert_close(fusion(rgb, ir), reflect_conv(joined, fusion.conv_fused))


def test_rfn_fusion_is_a_linear_shortcut_plus_residual():
    fusion = small("rfn").eval()
    rgb, ir = torch.randn(2, 2, 6, 5, 7)
    for module in fusion.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)

    def layer(x, block):
        conv, norm = block
        y = reflect_conv(x, conv) - norm.running_mean.view(-1, 1, 1)
        y = y / (norm.running_var + norm.eps).sqrt().view(-1, 1, 1)
        return y * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)

    residual = torch.cat([layer(rgb, fusion.conv_rgb), layer(ir, fusion.conv_ir)], dim=1)
    for block in fusion.residual:
        residual = layer(residual, block)
    expected = layer(torch.cat([rgb, ir], dim=1), fusion.direct) + residual
    torch.testing.assert_close(fusion(rgb, ir), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["llrr", "rfn", "conv"])
def test_every_parameter_learns(kind):
    fusion = small(kind)
    (fusion(*torch.randn(2, 2, 6, 8, 8)) ** 2).mean().backward()
    for name, parameter in fusion.named_parameters():
        # A convolution's bias before batch normalisation is taken out again: no gradient but noise.
        if kind == "llrr" or not name.endswith("0.bias"):
            assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("kind", ["llrr", "rfn", "conv"])
def test_without_graph_the_same(kind):
    fusion = small(kind).eval()
    rgb, ir = torch.randn(2, 2, 6, 7, 7)
    with torch.inference_mode():
        fused = fusion(rgb, ir)
    torch.testing.assert_close(fused, fusion(rgb, ir))


def test_maps_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match=r"one shape.*\(1, 6, 8, 8\) and \(1, 6, 8, 9\)"):
        small("llrr")(torch.zeros(1, 6, 8, 8), torch.zeros(1, 6, 8, 9))


def test_the_plain_stack_has_the_size_and_arithmetic_of_llrr():
    from torch.utils.flop_counter import FlopCounterMode

    sizes, flops = {}, {}
    for kind in ("llrr", "conv"):
        fusion = FUSIONS[kind](12, num_filters=5, num_blocks=3)
        sizes[kind] = sum(parameter.numel() for parameter in fusion.parameters())
        counter = FlopCounterMode(display=False)
        with counter:
            fusion(*torch.randn(2, 1, 12, 8, 9))
        flops[kind] = counter.get_total_flops()
    assert flops["llrr"] == flops["conv"] > 0
    assert sizes["llrr"] - sizes["conv"] == 2 * (2 * 5 + 1)
