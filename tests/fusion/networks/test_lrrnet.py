"""LRRNet: parameter counts of the paper, symmetries, and memory use."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from fusion.images.pixels import PixelScaling
from fusion.networks.lrrnet import LRRNet


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameter_count_of_the_paper():
    """Table 7: 0.04920 M."""
    assert count(LRRNet()) == 49_204


@pytest.mark.parametrize("num_blocks", [2, 6, 8])
def test_parameter_count_grows_by_two_convolutions_a_block_and_branch(num_blocks):
    a_block = (256 * 9 + 1) + (256 * 9 + 256)
    assert count(LRRNet(num_blocks=num_blocks)) == 49_204 + 2 * (num_blocks - 4) * a_block


def test_addition_has_one_input_map_less_in_each_joining_convolution():
    assert count(LRRNet(combine="add")) == 49_204 - 2 * 9


def test_ablation_extractors_have_256_maps():
    convolutions = LRRNet(extractor="conv").infrared.layers
    assert [layer.out_channels for layer in convolutions] == [256] * 8
    dense = LRRNet(extractor="dense").infrared
    assert [layer.out_channels for layer in dense.layers] == [16] * 12
    assert dense.layers[-1].in_channels + 16 == 256


@pytest.mark.parametrize("extractor", ["llrr", "conv", "dense"])
@pytest.mark.parametrize("combine", ["concat", "add"])
@pytest.mark.parametrize("size", [(8, 8), (9, 13), (2, 5)])
def test_every_variant_fuses_every_size(extractor, combine, size):
    network = LRRNet(num_filters=8, num_blocks=2, extractor=extractor, combine=combine)
    ir, vis = torch.rand(2, 1, *size), torch.rand(2, 1, *size)
    with torch.inference_mode():
        lean = network(ir, vis)
    plain = network(ir, vis)
    assert plain.shape == (2, 1, *size)
    torch.testing.assert_close(lean, plain, rtol=1e-4, atol=1e-5)
    plain.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_parts_are_those_of_forward():
    network = LRRNet(num_filters=8)
    ir, vis = torch.rand(1, 1, 16, 20), torch.rand(1, 1, 16, 20)
    with torch.inference_mode():
        parts = network.parts(ir, vis)
        torch.testing.assert_close(parts.fused, network(ir, vis))
        low_rank, sparse = network.infrared(ir)
    torch.testing.assert_close(parts.low_rank_ir, low_rank)
    torch.testing.assert_close(parts.sparse_ir, sparse)
    torch.testing.assert_close(parts.low_rank + parts.sparse, parts.fused)
    assert parts.low_rank_vis.shape == parts.sparse_vis.shape == (1, 8, 16, 20)


def test_exchanging_modalities_and_their_parameters_changes_nothing():
    network, mirrored = LRRNet(num_filters=8), LRRNet(num_filters=8)
    other = {"infrared": "visible", "visible": "infrared"}
    state = {}
    for name, value in network.state_dict().items():
        first, _, rest = name.partition(".")
        if first == "decoder":
            if "_ir." in name:
                name = name.replace("_ir.", "_vis.")
            elif "_vis." in name:
                name = name.replace("_vis.", "_ir.")
            elif name.endswith("weight"):
                value = value.flip(1)
        else:
            name = f"{other[first]}.{rest}"
        state[name] = value
    mirrored.load_state_dict(state)
    ir, vis = torch.rand(1, 1, 12, 12), torch.rand(1, 1, 12, 12)
    with torch.inference_mode():
        torch.testing.assert_close(mirrored(vis, ir), network(ir, vis), rtol=1e-4, atol=1e-5)


def test_translation_moves_the_fused_picture_beyond_eleven_pixels_of_the_border():
    """Ten layers of 3x3 reach ten pixels, and the combining convolution one more."""
    network = LRRNet(num_filters=8)
    ir, vis = torch.rand(1, 1, 48, 50), torch.rand(1, 1, 48, 50)
    with torch.inference_mode():
        whole = network(ir, vis)
        cropped = network(ir[..., 3:, 5:], vis[..., 3:, 5:])
    inside = (..., slice(11, -11), slice(11, -11))
    torch.testing.assert_close(whole[..., 3:, 5:][inside], cropped[inside], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(whole[..., 3:, 5:], cropped, rtol=1e-4, atol=1e-5)


def test_fuse_gives_8_bit_pictures_in_grey_and_colour(rng):
    network = LRRNet(num_filters=4, num_blocks=1).eval()
    ir = rng.integers(0, 256, (20, 24), np.uint8)
    rgb = rng.integers(0, 256, (20, 24, 3), np.uint8)
    grey = network.fuse(ir, rgb, color=False)
    assert grey.shape == (20, 24) and grey.dtype == np.uint8
    assert (grey.min(), grey.max()) == (0, 254)  # stretched, then truncated, as published
    assert network.fuse(ir, rgb).shape == (20, 24, 3)
    # Three equal channels are grey, stored at length.
    assert network.fuse(ir, np.repeat(rgb[..., :1], 3, 2)).shape == (20, 24)


def test_fuse_does_not_care_about_the_range_of_the_infrared(rng):
    """With min-max scaling, 16-bit counts and their 8-bit copy give the same image."""
    network = LRRNet(num_filters=4, num_blocks=1).eval()
    ir = rng.integers(0, 256, (20, 24)).astype(np.float32)
    vis = rng.integers(0, 256, (20, 24), np.uint8)
    difference = network.fuse(ir, vis).astype(int) - network.fuse(ir * 37 + 4000, vis)
    assert np.abs(difference).max() <= 1


def test_fuse_refuses_what_it_cannot_fuse():
    network = LRRNet(num_filters=4, num_blocks=1).eval()
    with pytest.raises(ValueError, match="infrared is 6x5, visible 5x6"):
        network.fuse(np.zeros((5, 6), np.uint8), np.zeros((6, 5), np.uint8))
    with pytest.raises(ValueError, match="2x2"):
        network.fuse(np.zeros((1, 6), np.uint8), np.zeros((1, 6), np.uint8))
    grey = np.zeros((5, 6), np.uint8)
    with pytest.raises(ValueError, match=r"visible.*int32"):
        network.fuse(grey, np.full((5, 6), 4000, np.int32))
    network.scaling = PixelScaling(input="unit")
    with pytest.raises(ValueError, match=r"infrared.*290"):
        network.fuse(np.full((5, 6), 290, np.float32), grey)


def test_constant_pictures_give_a_finite_picture():
    network = LRRNet(num_filters=4, num_blocks=1).eval()
    fused = network.fuse(np.full((9, 9), 7, np.uint8), np.full((9, 9), 200, np.uint8))
    assert fused.shape == (9, 9)


@pytest.mark.parametrize(
    "arguments",
    [{"combine": "max"}, {"extractor": "vgg"}, {"extractor": "dense", "num_filters": 9}],
)
def test_unknown_variants_are_named(arguments):
    with pytest.raises(ValueError, match=str(next(iter(arguments.values())))):
        LRRNet(**arguments)


def test_float64():
    network = LRRNet(num_filters=4, num_blocks=1, scaling=PixelScaling(output="clamp")).double()
    rng = np.random.default_rng(0)
    ir, vis = rng.integers(0, 256, (2, 12, 12), np.uint8)
    assert network.fuse(ir, vis).shape == (12, 12)


MEMORY = """
import torch
from fusion.networks.lrrnet import LRRNet
torch.set_num_threads(1)
network = LRRNet().eval()
ir, vis = torch.rand(2, 1, 1, 512, 640)
def status(key):  # of this program alone; ru_maxrss would count the parent's pages too
    return int(open("/proc/self/status").read().split(key + ":")[1].split()[0]) / 1024
with torch.inference_mode():
    network(ir[..., :8, :8], vis[..., :8, :8])  # libraries make their own at first use
    before = status("VmRSS")
    network(ir, vis)
print(before, status("VmHWM"), status("RssFile"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kernel", ["", "0"])
def test_memory_of_a_640x512_pair(kernel):
    """Below 45 MiB, with the compiled kernel and without; the plain expression takes 2 600."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"RGBT_FAST": kernel},
    )
    before, peak, libraries = (float(value) for value in done.stdout.split())
    assert peak - before < 45
    # How much of PyTorch's files is mapped in depends on the Python build (270 or 520 MiB were
    # seen), and those pages are the page cache's.
    assert peak - libraries < 620


@pytest.mark.parametrize("combine", ["concat", "add"])
@pytest.mark.parametrize("height", [2, 64, 65, 131])
def test_strips_join_without_a_seam(combine, height):
    decoder = LRRNet(num_filters=2, num_blocks=1, combine=combine).decoder
    maps = torch.rand(4, 2, 1, height, 20)
    whole = decoder(tuple(maps[:2]), tuple(maps[2:]))  # a graph is kept: in one piece
    with torch.no_grad():
        strips = decoder(tuple(maps[:2]), tuple(maps[2:]))
    for a, b in zip(strips, whole, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_hook_sees_the_whole_picture():
    decoder = LRRNet(num_filters=2, num_blocks=1).decoder
    seen = []
    decoder.sparse.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    maps = torch.rand(4, 1, 1, 150, 20)
    with torch.no_grad():
        decoder(tuple(maps[:2]), tuple(maps[2:]))
    assert seen == [(1, 1, 150, 20)]
