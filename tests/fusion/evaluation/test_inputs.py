"""What metrics take: arrays and tensors, one and many, and what is refused."""

import numpy as np
import pytest
import torch

from fusion.evaluation.metrics import create, evaluate


@pytest.fixture
def batch(rng):
    """Fused, infrared and visible, five pictures each, the visible in colour."""
    fused, ir = rng.integers(0, 256, (2, 5, 40, 52), np.uint8)
    return fused, ir, rng.integers(0, 256, (5, 40, 52, 3), np.uint8)


def as_tensor(array):
    tensor = torch.from_numpy(array)
    return tensor.movedim(-1, 1) if array.shape[-1] == 3 else tensor[:, None]


@pytest.mark.parametrize("convention", ["lrrnet", "vifb", "color"])
def test_arrays_tensors_and_batches_agree(batch, convention):
    names = ("en", "mi", "ssim", "qabf")
    whole = evaluate(*batch, names, convention)
    tensors = [as_tensor(pictures) for pictures in batch]
    for dtype in (torch.uint8, torch.float32, torch.float64):
        scaled = [t if dtype == torch.uint8 else t.to(dtype) / 255 for t in tensors]
        of_tensors = evaluate(*scaled, names, convention)
        for name in names:
            assert isinstance(of_tensors[name], torch.Tensor)
            np.testing.assert_array_equal(of_tensors[name].numpy(), whole[name])
    for place in range(5):
        one = evaluate(*(pictures[place] for pictures in batch), names, convention)
        assert one == {name: values[place] for name, values in whole.items()}


def test_a_single_picture_gives_a_float(batch):
    fused, ir, vis = (pictures[0] for pictures in batch)
    value = create("mi")(fused, ir, vis)
    assert isinstance(value, float)
    grey = torch.from_numpy(fused)
    assert (
        create("mi")(grey, torch.from_numpy(ir)[None], torch.from_numpy(vis).movedim(-1, 0))
        == value
    )


def test_tensors_with_a_graph_are_measured(batch):
    fused = (as_tensor(batch[0]).float() / 255).requires_grad_()
    values = create("en")(fused, *(as_tensor(pictures) for pictures in batch[1:]))
    assert not values.requires_grad and values.shape == (5,)


def test_three_equal_channels_are_grey(batch):
    fused, ir, _ = (pictures[0] for pictures in batch)
    threefold = np.repeat(fused[..., None], 3, axis=2)
    for convention in ("lrrnet", "cddfuse", "ivif_zoo", "tang"):
        metric = create("mi", convention)
        assert metric(threefold, ir, ir) == metric(fused, ir, ir), convention


@pytest.mark.parametrize(
    ("images", "complaint"),
    [
        ([np.zeros((4, 4), np.int32)] * 3, "fused.*int32"),
        ([np.full((4, 4), 255.0)] * 3, r"fused.*0\.\.1"),
        ([np.full((4, 4), np.nan)] * 3, "fused.*nan"),
        ([np.full((4, 4), -0.5)] * 3, r"fused.*0\.\.1"),
        ([torch.zeros(2, 4, 4)] * 3, "fused.*2x4x4"),
        ([np.zeros((0, 4), np.uint8)] * 3, "fused.*empty"),
        ([[[0]]] * 3, "fused.*list"),
        ([np.zeros((2, 4, 4), np.uint8)] + [np.zeros((4, 4), np.uint8)] * 2, "2 fused"),
        ([np.zeros((4, 4), np.uint8)] * 2 + [np.zeros((4, 5), np.uint8)], "visible is 5x4"),
    ],
)
def test_unusable_pictures_are_named(images, complaint):
    with pytest.raises(ValueError, match=complaint):
        create("en")(*images)
