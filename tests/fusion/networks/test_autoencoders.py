"""Rules, filters and structure of the autoencoders that fuse by a rule."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.autograd import gradcheck

from fusion.networks import AUIF, DenseFuse, DIDFuse
from fusion.networks.auif import UnrolledStep, box_blur, laplacian
from fusion.networks.autoencoder import RULES, l1_weighted

AUTOENCODERS = (AUIF, DIDFuse, DenseFuse)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_sum_and_average_are_what_they_say():
    a, b = torch.randn(2, 1, 3, 4, 5)
    torch.testing.assert_close(RULES["sum"](a, b), a + b)
    torch.testing.assert_close(RULES["average"](a, b), a / 2 + b / 2)


def test_l1_rule_weighs_by_blurred_activity():
    a, b = torch.randn(2, 1, 3, 6, 7, dtype=torch.float64)
    activity = [
        ndimage.uniform_filter(np.abs(x[0].numpy()).sum(0), 3, mode="constant") for x in (a, b)
    ]
    weight = activity[0] / (activity[0] + activity[1])
    expected = weight * a[0].numpy() + (1 - weight) * b[0].numpy()
    np.testing.assert_allclose(l1_weighted(a, b)[0], expected, rtol=1e-12)


def test_l1_rule_has_no_nan_where_nothing_is_active():
    a, b = torch.zeros(2, 1, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    fused = l1_weighted(a, b)
    grads = torch.autograd.grad(fused.sum(), (a, b))
    assert fused.abs().max() == 0
    assert all((grad == 0.5).all() for grad in grads)
    loud = torch.randn(1, 2, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(l1_weighted(loud, torch.zeros_like(loud)), loud)


def test_l1_rule_gradient():
    a, b = (torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert gradcheck(l1_weighted, (a, b))


def test_filters_equal_scipy():
    image = torch.rand(1, 1, 25, 31, dtype=torch.float64)
    plain = image[0, 0].numpy()
    blurred = ndimage.uniform_filter(plain, 11, mode="mirror")
    np.testing.assert_allclose(box_blur(image, 11)[0, 0], blurred, rtol=1e-10)
    kernel = np.ones((19, 19))
    kernel[9, 9] = 1 - kernel.size
    kernel /= np.abs(kernel).sum()
    expected = ndimage.correlate(plain, kernel, mode="mirror")
    np.testing.assert_allclose(laplacian(image, 19)[0, 0], expected, atol=1e-12)


@pytest.mark.parametrize("size", [(4, 9), (10, 10), (23, 17)])
def test_the_short_cut_is_the_two_convolutions_in_turn(size):
    step = UnrolledStep(5).double()
    x = torch.randn(2, 1, *size, dtype=torch.float64)
    torch.testing.assert_close(step.normal(x), step._in_turn(x))


def test_the_two_convolutions_are_adjoint_inside():
    """<K x, K y> = <x, K^T K y> where no border is met."""
    step = UnrolledStep(5).double()
    x, y = (torch.nn.functional.pad(torch.randn(1, 1, 8, 8), (4,) * 4).double() for _ in range(2))
    kx, ky = (torch.nn.functional.conv2d(z, step.kernel) for z in (x, y))
    torch.testing.assert_close((kx * ky).sum(), (x * step.normal(y)).sum())


@pytest.mark.parametrize("kind", AUTOENCODERS)
def test_picture_and_itself_by_average_is_its_reconstruction(kind):
    network = kind(rule="average").eval()
    image = torch.rand(1, 1, 24, 20)
    torch.testing.assert_close(network(image, image), network.reconstruct(image))


def test_rules_are_checked_and_recorded():
    assert DIDFuse(rule="l1").architecture == {"rule": "l1"}
    with pytest.raises(ValueError, match="rule is"):
        AUIF(rule="max")


def test_the_bright_sum_of_densefuse_is_stretched_and_averages_are_not():
    assert DenseFuse("sum").scaling.output == "min-max"
    assert DenseFuse("l1").scaling.output == DenseFuse("average").scaling.output == "clamp"
