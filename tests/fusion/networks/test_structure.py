"""Structure of the methods beyond their counts: reach, symmetry, attention, parts."""

import numpy as np
import pytest
import torch
from torch import nn

from fusion.networks import FusionGAN, Res2Fusion, SDNet, SwinFusion
from fusion.networks.base import FusionNetwork
from fusion.networks.registry import NETWORKS
from fusion.networks.res2fusion import Res2Block, attention_weighted, spatial_attention
from fusion.networks.swinfusion import (
    DIM,
    HEADS,
    WINDOW,
    WindowAttention,
    from_windows,
    shift_mask,
    to_windows,
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def with_reach():
    """Networks with a bounded receptive field and no grid, with each kind of rule."""
    for name in sorted(NETWORKS.keys() - {"lrrnet"}):
        for rule in (None, *({"l1"} & NETWORKS[name].rules.keys())):
            if (NETWORKS[name](rule=rule) if rule else NETWORKS[name]()).reach is not None:
                yield name, rule


@pytest.mark.parametrize(("name", "rule"), with_reach())
def test_an_output_pixel_depends_on_the_pixels_within_reach(name, rule):
    network = (NETWORKS[name](rule=rule) if rule else NETWORKS[name]()).double().eval()
    reach = network.reach
    side = 2 * reach + 5
    middle = side // 2
    ir, vis = torch.rand(2, 1, 1, side, side, dtype=torch.float64).requires_grad_().unbind()
    grads = torch.autograd.grad(network(ir, vis)[0, 0, middle, middle], (ir, vis))
    for grad in grads:
        for places in grad[0, 0].nonzero().T:
            assert (places.min(), places.max()) == (middle - reach, middle + reach)


@pytest.mark.parametrize("name", ["didfuse", "auif", "densefuse", "ifcnn", "sdnet"])
def test_windows_of_a_large_picture_make_the_whole(name, monkeypatch):
    network = NETWORKS[name]().eval()
    rng = np.random.default_rng(0)
    ir, vis = rng.integers(0, 256, (2, 70, 83), np.uint8)
    whole = network.fuse(ir, vis).astype(int)
    monkeypatch.setattr(FusionNetwork, "WHOLE_PIXELS", 1)
    monkeypatch.setattr(FusionNetwork, "WINDOW", 32)
    assert np.abs(network.fuse(ir, vis) - whole).max() <= 1


@pytest.mark.parametrize("name", NETWORKS)
def test_sources_may_be_exchanged_where_both_are_treated_alike(name):
    """Learned fusion distinguishes the modalities; rules and maxima do not."""
    network = NETWORKS[name](**({"size": 32} if name == "ift" else {})).eval()
    ir, vis = torch.rand(2, 1, 1, 32, 32)
    with torch.no_grad():
        same = torch.allclose(network(ir, vis), network(vis, ir), atol=1e-7)
    assert same == (bool(network.rules) or name == "ifcnn")


# --- Windows and attention of SwinFusion ----------------------------------------------------------


def test_windows_are_tiles_and_go_back():
    x = torch.randn(2, 16, 24, 3)
    windows = to_windows(x)
    assert windows.shape == (2 * 2 * 3, WINDOW**2, 3)
    torch.testing.assert_close(windows[1], x[0, :WINDOW, WINDOW : 2 * WINDOW].reshape(WINDOW**2, 3))
    assert torch.equal(from_windows(windows, x), x)


@pytest.mark.parametrize("size", [(16, 24), (24, 16)])
def test_places_of_a_shifted_window_meet_where_they_were_near(size):
    """Two places of one window belong together if they were less than a window apart before."""
    height, width = size
    shift = WINDOW // 2
    grid = torch.stack(
        torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"), dim=2
    )
    places = to_windows(grid.roll((-shift, -shift), (0, 1))[None])
    near = ((places[:, :, None] - places[:, None]).abs() < WINDOW).all(3)
    mask = shift_mask(height, width, shift, torch.zeros(1))
    assert torch.equal(mask == 0, near)
    assert (mask[~near] == -100).all()


@pytest.mark.parametrize("across", [False, True])
def test_window_attention_is_multi_head_attention(across):
    attention = WindowAttention(across)
    nn.init.zeros_(attention.bias)
    reference = nn.MultiheadAttention(DIM, HEADS, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([layer.weight for layer in attention.inputs]))
        reference.in_proj_bias.copy_(torch.cat([layer.bias for layer in attention.inputs]))
        reference.out_proj.weight.copy_(attention.output.weight)
        reference.out_proj.bias.copy_(attention.output.bias)
    x, other = torch.randn(2, 3, WINDOW**2, DIM)
    other = other if across else x
    expected, _ = reference(x, other, other)
    torch.testing.assert_close(attention(x, other, None), expected, rtol=1e-4, atol=1e-5)


def test_a_bias_belongs_to_a_displacement():
    numbers = WindowAttention._displacements(torch.device("cpu"))
    seen: dict[tuple[int, int], int] = {}
    for i in range(WINDOW**2):
        for j in range(WINDOW**2):
            displacement = (i // WINDOW - j // WINDOW, i % WINDOW - j % WINDOW)
            assert seen.setdefault(displacement, int(numbers[i, j])) == numbers[i, j]
    assert sorted(seen.values()) == list(range((2 * WINDOW - 1) ** 2))


@pytest.mark.parametrize("size", [(9, 21), (16, 24)])
def test_swinfusion_mirrors_one_to_eight_pixels(size):
    """As the network on the extended image without extension: 8 pixels where none are missing."""
    network = SwinFusion().eval()
    ir, vis = torch.rand(2, 1, 1, *size)
    more = [(0, WINDOW - side % WINDOW) for side in size]
    extended = [
        torch.from_numpy(np.pad(image[0, 0].numpy(), more, mode="symmetric"))[None, None]
        for image in (ir, vis)
    ]
    with torch.no_grad():
        fused = network(ir, vis)
        network._to_whole_windows = lambda image: image
        whole = network(*extended)
    assert fused.shape == ir.shape
    torch.testing.assert_close(fused, whole[..., : size[0], : size[1]])


def test_stochastic_depth_leaves_out_residuals_in_training_alone():
    block = SwinFusion(stochastic_depth=0.5).extract_ir.blocks[-1]
    assert block.drop == 0.5
    kept = block.train()._perhaps(torch.ones(4000, 1, 1, 1)).flatten()
    assert set(kept.tolist()) == {0.0, 2.0}
    assert kept.mean() == pytest.approx(1, abs=0.1)
    assert torch.equal(block.eval()._perhaps(torch.ones(4, 1, 1, 1)), torch.ones(4, 1, 1, 1))


# --- Res2Fusion, SDNet, FusionGAN -----------------------------------------------------------------


def test_attention_in_parts_is_attention_at_once(monkeypatch):
    x = torch.rand(2, 3, 16, 24)
    whole = spatial_attention(x)
    monkeypatch.setattr("fusion.networks.res2fusion._POSITIONS_AT_A_TIME", 50)
    with torch.no_grad():
        torch.testing.assert_close(spatial_attention(x), whole)


def test_attention_weights_are_between_the_sources():
    a, b = torch.rand(2, 1, 4, 16, 16)
    fused = attention_weighted(a, b)
    assert (fused >= torch.minimum(a, b) - 1e-6).all()
    assert (fused <= torch.maximum(a, b) + 1e-6).all()
    torch.testing.assert_close(attention_weighted(a, a), a)
    silent = torch.zeros_like(a)
    assert torch.equal(attention_weighted(silent, silent), silent)


def test_groups_of_a_res2_block_see_ever_farther():
    block = Res2Block(2, 3, width=2)
    for parameter in block.parameters():
        parameter.data.abs_()  # so that no ReLU blocks a path
    x = torch.rand(1, 2, 15, 15, requires_grad=True)
    (grad,) = torch.autograd.grad(block(x)[0, :, 7, 7].sum(), x)
    rows = grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert (rows.min(), rows.max()) == (7 - 3, 7 + 3)


def test_res2fusion_without_attention():
    network = Res2Fusion(rule="average")
    assert network.architecture == {"rule": "average"}
    with pytest.raises(ValueError, match="attention"):
        Res2Fusion(rule="max")


def test_sdnet_decomposes_to_two_pictures():
    network = SDNet()
    pictures = network.decompose(torch.rand(2, 1, 20, 24))
    assert len(pictures) == 2
    for picture in pictures:
        assert picture.shape == (2, 1, 20, 24) and 0 <= picture.min() <= picture.max() <= 1
    fusing = [p for n, p in network.named_parameters() if n.startswith(("inf", "vis", "squeeze"))]
    assert sum(p.numel() for p in fusing) == 28_705


def test_fusiongan_repeats_edges_once():
    """Constant images stay constant up to the border, unlike with zero padding."""
    network = FusionGAN().eval()
    for block in network.hidden:
        block[1] = nn.Identity()  # normalisation takes what is constant to 0
    fused = network(torch.full((1, 1, 20, 20), 0.3), torch.full((1, 1, 20, 20), 0.8))
    torch.testing.assert_close(fused, fused[..., 10:11, 10:11].expand_as(fused))
