"""MGT and the Image Fusion Transformer against plain implementations; RFN-Nest in quarters."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fusion.images.pixels import PixelScaling, luminance, with_luminance
from fusion.images.reading import read_image
from fusion.networks import IFT, MGT, RFNNest
from fusion.networks.ift import AxialAttention, _resize
from fusion.networks.mgt import (
    DIM,
    WINDOWS,
    Attention,
    Block,
    GuidedBlock,
    ShiftConv,
    from_windows,
    to_windows,
)
from fusion.networks.nestfuse import QUARTERED, NestAutoencoder, in_quarters


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


# --- MGT ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", WINDOWS)
def test_windows_are_tiles_and_go_back(size):
    x = torch.randn(2, 3, 32, 16)
    windows = to_windows(x, size)
    assert windows.shape == (2 * 32 * 16 // size**2, size**2, 3)
    first = x[0, :, :size, :size].flatten(1).T
    assert torch.equal(windows[0], first)
    assert torch.equal(from_windows(windows, size, x), x)


def test_shifted_convolution_is_a_masked_3x3_convolution():
    layer = ShiftConv(10, 4)
    kernel = torch.zeros(4, 10, 3, 3)
    for part, (row, column) in enumerate(((1, 2), (1, 0), (2, 1), (0, 1), (1, 1))):
        channels = slice(2 * part, 2 * part + 2)
        kernel[:, channels, row, column] = layer.conv.weight[:, channels, 0, 0].detach()
    x = torch.randn(1, 10, 6, 7)
    expected = F.conv2d(x, kernel, layer.conv.bias, padding=1)
    torch.testing.assert_close(layer(x), expected)


def plain_attention(layer, values, guide, maps=None):
    """Window by window and place by place, in float64 loops over the rolled image."""
    projected, asking = layer.project(values), layer.project(guide)
    parts = []
    kept = {}
    for part, size in enumerate(WINDOWS):
        share = projected.shape[1] // 3
        p, z = (x[:, part * share : (part + 1) * share] for x in (projected, asking))
        move = size // 2 if layer.rolled else 0
        rows, columns = (torch.arange(side) for side in p.shape[2:])
        p, z = (
            x[:, :, (rows + move) % len(rows)][..., (columns + move) % len(columns)] for x in (p, z)
        )
        out = torch.zeros(len(p), DIM // 3, *p.shape[2:], dtype=p.dtype)
        corners = itertools.product(
            range(0, p.shape[2], size), range(0, p.shape[3], size), range(len(p))
        )
        for top, left, image in corners:
            place = image, slice(None), slice(top, top + size), slice(left, left + size)
            own, other = p[place].flatten(1), z[place].flatten(1)
            if maps is None:
                q, v, q_other = own[:20], own[20:], other[:20]
                attention = torch.softmax(q.T @ q_other, dim=1)
            else:
                v, attention = own, maps[part, top, left, image]
            kept[part, top, left, image] = attention
            out[place] = (attention @ v.T).T.reshape(DIM // 3, size, size)
        parts.append(out[:, :, (rows - move) % len(rows)][..., (columns - move) % len(columns)])
    return layer.output(torch.cat(parts, dim=1)), kept


def plain_block(block, x):
    x = x + block.local[0](x)
    attended, maps = plain_attention(block.attention[0], x, x)
    x = x + attended
    x = x + block.local[1](x)
    return x + plain_attention(block.attention[1], x, x, maps)[0]


def plain_guided(block, x, z, y):
    x, z, y = (plain_block(block.own[n], t) for n, t in (("ir", x), ("fused", z), ("vis", y)))
    maps_x = maps_y = None
    for local, attention in zip(block.local, block.attention, strict=True):
        x = x + local["ir"](x)
        z = z + local["fused"](z)
        y = y + local["vis"](z)  # of z, as it is coded
        from_x, maps_x = plain_attention(attention["ir"], x, z, maps_x)
        from_y, maps_y = plain_attention(attention["vis"], y, z, maps_y)
        z = z + from_x + from_y
    return z


@pytest.mark.parametrize("rolled", [False, True])
def test_blocks_of_mgt_are_plain_attention(rolled):
    block, guided = Block(rolled).double().eval(), GuidedBlock(rolled).double().eval()
    for module in itertools.chain(block.modules(), guided.modules()):
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    x, y, z = torch.randn(3, 1, DIM, 16, 32, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(block(x), plain_block(block, x))
        torch.testing.assert_close(guided(x, z, y), plain_guided(guided, x, z, y))
        other = GuidedBlock(not rolled).double().eval()
        other.load_state_dict(guided.state_dict())
        assert not torch.allclose(other(x, z, y), guided(x, z, y))


def test_parts_of_mgt():
    """With the movements as 3x3 kernels, the program counts 1 554 691."""
    network = MGT()
    shifted = [m for m in network.modules() if isinstance(m, ShiftConv)]
    assert len(shifted) == 108
    assert count(network) + sum(9 * m.conv.in_channels for m in shifted) == 1_554_691
    rolled = [m.rolled for m in network.reconstruct.modules() if isinstance(m, Attention)]
    assert rolled == [False, False, True, True, False, False]


def test_mgt_extends_by_reflection():
    network = MGT().eval()
    ir, vis = torch.rand(2, 1, 1, 12, 16)
    padded = [F.pad(image, (0, 0, 0, 4), mode="reflect") for image in (ir, vis)]
    with torch.no_grad():
        torch.testing.assert_close(network(ir, vis), network(*padded)[..., :12, :])


def test_published_images_of_mgt_keep_the_visible_chroma_as_ours(shared):
    """All channels change alike, where none is clipped."""
    folder = shared / "data/baselines/mgt/msrs"
    paths = sorted((folder / "fused").glob("*.png"))
    assert len(paths) == 4
    for path in paths:
        fused, vis = read_image(path), read_image(folder / "vis" / path.name)
        free = ((fused > 2) & (fused < 253)).all(2)
        change = fused.astype(int) - vis
        assert (change.max(2) - change.min(2))[free].max() <= 1
        ours = with_luminance(vis, luminance(fused)).astype(int)
        assert np.abs(ours - fused)[free].max() <= 1


# --- Image Fusion Transformer ---------------------------------------------------------------------


def plain_axial(layer, x):
    """One line at a time, with every displacement looked up."""
    width, length = x.shape[1:]
    projected = layer.projected(layer.project(x))
    lines = []
    similarities = []
    for line in projected:
        q, k, v = line[: width // 2], line[width // 2 : width], line[width:]
        s = torch.zeros(3, length, length, dtype=x.dtype)
        for i, j in itertools.product(range(length), repeat=2):
            vector = layer.positions[:, i - j + length - 1]
            back = layer.positions[:, j - i + length - 1]
            s[0, i, j] = q[:, i] @ k[:, j]
            s[1, i, j] = q[:, i] @ vector[: width // 2]
            s[2, i, j] = k[:, j] @ back[width // 2 : width]
        similarities.append(s)
        lines.append(v)
    attention = layer.similarity(torch.stack(similarities)).sum(1).softmax(2)
    both = torch.zeros(len(x), 2 * width, length, dtype=x.dtype)
    for n, v in enumerate(lines):
        for i, j in itertools.product(range(length), repeat=2):
            vector = layer.positions[width:, i - j + length - 1]
            both[n, :width, i] += attention[n, i, j] * v[:, j]
            both[n, width:, i] += attention[n, i, j] * vector
    normed = layer.output(both)
    return normed[:, :width] + normed[:, width:]


@pytest.mark.parametrize("training", [False, True])
def test_axial_attention_is_its_formula(training):
    layer = AxialAttention(4, 5).double().train(training)
    x = torch.randn(3, 4, 5, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), plain_axial(layer, x))


def test_attention_runs_along_columns_and_then_along_rows():
    block = IFT(16).fusion[2].axial.double().eval()
    reached = {}
    for name in ("columns", "rows"):
        alone = IFT(16).fusion[2].axial.double().eval()
        alone.load_state_dict(block.state_dict())
        setattr(alone, {"columns": "rows", "rows": "columns"}[name], torch.nn.Identity())
        x = torch.randn(1, 160, 4, 4, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(alone(x)[0, :, 1, 2].sum(), x)
        reached[name] = gradient.abs().sum((0, 1)) > 1e-12
    column, row = torch.zeros(4, 4, dtype=bool), torch.zeros(4, 4, dtype=bool)
    column[:, 2], row[1] = True, True
    assert torch.equal(reached["columns"], column)
    assert torch.equal(reached["rows"], row)


def test_parts_of_the_image_fusion_transformer():
    with torch.device("meta"):
        network, other = IFT(), RFNNest()
    assert [count(block) for block in network.fusion] == [168_844, 372_524, 683_212, 1_111_148]
    assert count(network.autoencoder) == count(other.autoencoder) == 2_732_761
    assert count(other.fusion) == 4_791_488
    with pytest.raises(ValueError, match="multiple of 8"):
        IFT(size=100)


def test_published_images_of_ift_are_squares_stretched_over_all_levels(shared):
    paths = sorted((shared / "data/baselines/ift/tno21_256").glob("*.png"))
    assert len(paths) == 21
    with torch.device("meta"):
        size = IFT().size
    for path in paths:
        image = read_image(path)
        assert image.shape[:2] == (size, size)
        assert (image.min(), image.max()) == (0, 255)


def test_other_sizes_are_resized_as_pillow_does():
    from PIL import Image

    image = np.random.default_rng(0).integers(0, 256, (40, 52), np.uint8)
    expected = np.asarray(Image.fromarray(image).resize((24, 24), Image.Resampling.BICUBIC))
    ours = _resize(torch.from_numpy(image / 255.0)[None, None], (24, 24))[0, 0] * 255
    assert np.abs(ours.clamp(0, 255).numpy() - expected).max() <= 1  # it rounds twice
    network = IFT(16).eval()
    assert network(*torch.rand(2, 1, 1, 21, 18)).shape == (1, 1, 21, 18)


# --- The autoencoder, and RFN-Nest ----------------------------------------------------------------


def test_the_autoencoder_starts_alive_and_works_on_0_to_255():
    autoencoder = NestAutoencoder()
    image = torch.rand(1, 1, 16, 16)
    made = autoencoder.decode(*autoencoder.encode(image))
    assert (made >= 0).all() and made.std() > 0
    features = autoencoder.first(image * 255)
    torch.testing.assert_close(autoencoder.encode(image)[0], autoencoder.encoder[0](features))


def test_large_images_are_fused_in_quarters_that_overlap(monkeypatch):
    monkeypatch.setattr("fusion.networks.rfn_nest.QUARTERED", 40)
    network = RFNNest().eval()
    ir, vis = torch.rand(2, 1, 1, 45, 34)
    with torch.no_grad():
        fused = network(ir, vis)
        total, number = torch.zeros(45, 34), torch.zeros(45, 34)
        # Rows 0..24 and 20..44, columns 0..19 and 15..33: five of each overlap.
        for top, bottom in ((0, 25), (20, 45)):
            for left, right in ((0, 20), (15, 34)):
                part = network.fuse_whole(
                    ir[..., top:bottom, left:right], vis[..., top:bottom, left:right]
                )
                total[top:bottom, left:right] += part[0, 0]
                number[top:bottom, left:right] += 1
        torch.testing.assert_close(fused[0, 0], total / number)
        assert not torch.allclose(fused, network.fuse_whole(ir, vis))
        network.train()
        torch.testing.assert_close(network(ir, vis), network.fuse_whole(ir, vis))
    copied = in_quarters(lambda a, b: a, ir, vis)
    torch.testing.assert_close(copied, ir)


def roughness(image: np.ndarray, row: int) -> float:
    """Change of slope around a row, in deviations from that of the rows above and below."""
    slopes = np.abs(np.diff(image.astype(float), 2, axis=0)).mean(1)
    near = np.r_[slopes[row - 25 : row - 6], slopes[row + 6 : row + 25]]
    return (slopes[row] - np.median(near)) / near.std()


def test_published_images_of_rfn_nest_have_seams_where_quarters_end(shared):
    """Of 21 images, the 16 with a side above 512: above row h/2 - 2 and below row h/2 + 2."""
    seams = {True: [], False: []}
    beside = []
    for number in range(1, 22):
        image = luminance(read_image(shared / f"data/baselines/rfn_nest/tno21/{number}.png"))
        assert (image.min(), image.max()) == (0, 255)
        middle = len(image) // 2
        large = max(image.shape) > QUARTERED
        seams[large].append([roughness(image, middle + row) for row in (-4, 2)])
        if large:
            beside.append([roughness(image, middle + row) for row in (-5, 4)])
    assert len(seams[True]) == 16
    assert (np.mean(seams[True], axis=0) > 2.5).all()
    assert (np.mean(seams[False], axis=0) < 1.5).all()
    assert (np.mean(beside, axis=0) < 1).all()


def test_outputs_are_stretched_over_all_levels_and_truncated():
    scaling = RFNNest().scaling
    levels = np.linspace(3, 200, 9, dtype=np.float32)[None]
    expected = np.floor((levels - 3) / (197 + 1e-5) * 255).astype(np.uint8)
    pixels = scaling.to_pixels(levels / 255)
    assert np.abs(pixels.astype(int) - expected).max() <= 1  # where a level is hit exactly
    assert pixels[0, 0] == 0 and pixels[0, -1] >= 254
    constant = PixelScaling(output="min-max", epsilon=0.0).to_pixels(np.ones((2, 2), np.float32))
    assert (constant == 0).all()
    with pytest.raises(ValueError, match="epsilon"):
        PixelScaling(epsilon=-1.0)
