"""Contact sheets of the parts: windows give the same maps as the whole image at once."""

import numpy as np
import pytest
import torch

from fusion.commands import parts
from fusion.networks.lrrnet import LRRNet


@pytest.fixture
def pair(rng):
    return rng.integers(0, 256, (2, 70, 90), np.uint8)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return LRRNet(num_filters=6, num_blocks=2).eval()


def test_windows_give_the_sheet_of_the_whole_image(pair, network, monkeypatch):
    whole = parts.parts_sheet(network, *pair, pair[0])
    sizes = []
    compute = network.parts
    monkeypatch.setattr(
        network, "parts", lambda ir, vis: sizes.append(ir.shape) or compute(ir, vis)
    )
    monkeypatch.setattr(parts, "WHOLE_PIXELS", 0)
    monkeypatch.setattr(parts, "WINDOW", 32)
    windowed = parts.parts_sheet(network, *pair, pair[0])
    assert max(shape[2] for shape in sizes) < 70 and len(sizes) > 4
    # The order of summation differs, which may move a value across a rounding limit.
    assert windowed.shape == whole.shape
    assert np.abs(windowed.astype(int) - whole).max() <= 1


@pytest.mark.parametrize("window", [32, 45])
def test_large_images_are_shown_as_means_of_squares(pair, network, monkeypatch, window):
    """A sheet shrunk by 2 shows the 2x2 means of the fused image, also across windows."""
    monkeypatch.setattr(parts, "SHOWN_PIXELS", 70 * 90 // 4)
    monkeypatch.setattr(parts, "WHOLE_PIXELS", 0)
    monkeypatch.setattr(parts, "WINDOW", window)
    shown = []
    monkeypatch.setattr(parts, "tile", lambda rows: shown.extend(rows) or np.zeros(1, np.uint8))
    parts.parts_sheet(network, *pair, pair[0])
    assert {image.shape[:2] for row in shown for _, image in row} == {(35, 45)}
    fused = dict(shown[0])["fused"]
    means = pair[0].reshape(35, 2, 45, 2).mean((1, 3))
    assert np.abs(fused - means).max() <= 0.5 + 1e-6
