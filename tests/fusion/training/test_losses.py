"""Training losses against plain computations of their formulas."""

import cv2
import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch.autograd import gradcheck
from torchvision.models import vgg16

from fusion.base.errors import UserError
from fusion.training.losses import (
    DetailToSemanticLoss,
    FeatureFusionLoss,
    SaliencyLoss,
    VGG16Features,
    gram_matrix,
    saliency_target,
    sobel,
    ssim_map,
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def vgg():
    return VGG16Features("random")


def test_gram_matrix_is_its_definition():
    features = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    expected = np.zeros((2, 3, 3))
    for b, i, j in np.ndindex(2, 3, 3):
        products = features[b, i].numpy() * features[b, j].numpy()
        expected[b, i, j] = products.sum() / (3 * 4 * 5)
    np.testing.assert_allclose(gram_matrix(features), expected, rtol=1e-12)


def test_vgg_features_are_those_after_the_named_activations(vgg):
    """relu1_2, 2_2, 3_3 and 4_3: the last activation before each of the first four poolings."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        whole = vgg16(weights=None).features.eval()
    image = torch.rand(1, 1, 32, 32) * 255
    x, expected = image.repeat(1, 3, 1, 1), []
    for layer in whole:
        if isinstance(layer, torch.nn.MaxPool2d):
            expected.append(x.clone())
        x = layer(x)
    taps = vgg(image)
    assert [tap.shape[1] for tap in taps] == [64, 128, 256, 512]
    for tap, other in zip(taps, expected, strict=False):
        torch.testing.assert_close(tap, other)


def test_vgg_may_be_fed_as_it_was_trained(vgg):
    image = torch.rand(1, 1, 16, 16) * 255
    shifted = VGG16Features("random", "imagenet")
    mean = torch.tensor((0.485, 0.456, 0.406)).view(1, 3, 1, 1)
    deviation = torch.tensor((0.229, 0.224, 0.225)).view(1, 3, 1, 1)
    x = (image.repeat(1, 3, 1, 1) / 255 - mean) / deviation
    torch.testing.assert_close(shifted(image)[0], vgg.layers[:4](x))


def test_vgg_weights_come_from_a_local_file(tmp_path):
    network = vgg16(weights=None)
    torch.save(network.state_dict(), tmp_path / "vgg16.pth")
    loaded = VGG16Features(tmp_path / "vgg16.pth")
    assert torch.equal(loaded.layers[0].weight, network.features[0].weight)
    assert not any(p.requires_grad for p in loaded.parameters())
    state = network.state_dict()
    del state["features.2.bias"]
    torch.save(state, tmp_path / "broken.pth")
    with pytest.raises(UserError, match=r"missing features\.2\.bias"):
        VGG16Features(tmp_path / "broken.pth")


def test_detail_to_semantic_terms_are_their_formulas(vgg):
    """Each of Eq. 11-14 by NumPy on the features."""
    fused, ir, vis = (torch.rand(2, 1, 32, 32) * 255 for _ in range(3))
    terms = DetailToSemanticLoss(vgg)(fused, ir, vis)
    f, i, v = ([tap.double().numpy() for tap in vgg(image)] for image in (fused, ir, vis))

    def mse(a, b):
        return np.square(a - b).mean()

    def gram(a):
        flat = a.reshape(*a.shape[:2], -1)
        return np.einsum("bik,bjk->bij", flat, flat) / flat[0].size

    expected = {
        "pixel": 10 * mse(fused.double().numpy(), vis.double().numpy()),
        "shallow": 1.5 * mse(f[0], v[0]),
        "middle": 0.01 * mse(f[1], 3 * i[1] + 0.5 * v[1]) + 0.5 * mse(f[2], 3 * i[2] + 0.5 * v[2]),
        "deep": 2000 * mse(gram(f[3]), gram(i[3])),
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value, rel=1e-4), name


def test_detail_to_semantic_trains_the_picture_and_not_the_loss_network(vgg):
    fused = (torch.rand(1, 1, 16, 16) * 255).requires_grad_()
    ir, vis = torch.rand(2, 1, 1, 16, 16) * 255
    sum(DetailToSemanticLoss(vgg)(fused, ir, vis).values()).backward()
    assert fused.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in vgg.parameters())


def test_feature_fusion_terms_on_hand_made_features():
    """Eq. 15 on constant maps, by hand: Gram of a constant a over C channels is a^2 / C."""
    shape = (1, 2, 3, 3)
    fused = [torch.full(shape, value) for value in (1.0, 2.0, 3.0)]
    rgb = [torch.full(shape, value) for value in (0.5, 1.0, 2.0)]
    ir = [torch.full(shape, value) for value in (9.0, 0.25, 1.0)]
    terms = FeatureFusionLoss()(fused, rgb, ir)
    assert terms["shallow"].item() == pytest.approx(10 * (1 - 3 * 0.5) ** 2)
    assert terms["middle"].item() == pytest.approx(2 * (2 - (2 * 0.25 + 1)) ** 2)
    assert terms["deep"].item() == pytest.approx(2000 * (9 / 2 - (2 * 1 / 2 + 4 / 2)) ** 2)


def test_feature_fusion_is_zero_where_every_level_is_met():
    rgb = [torch.randn(2, 4, 5, 5) for _ in range(3)]
    zero = [torch.zeros_like(level) for level in rgb]
    terms = FeatureFusionLoss(wd_rgb=1.0)([3 * rgb[0], rgb[1], rgb[2]], rgb, zero)
    assert all(term.item() == pytest.approx(0, abs=1e-9) for term in terms.values())
    with pytest.raises(ValueError, match="three levels"):
        FeatureFusionLoss()(rgb[:2], rgb, zero)


def test_ssim_map_equals_scikit_image():
    a, b = np.random.default_rng(0).random((2, 40, 50))
    _, expected = structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True,
        data_range=1,
    )  # fmt: skip
    ours = ssim_map(*(torch.from_numpy(x)[None, None] for x in (a, b)))[0, 0]
    np.testing.assert_allclose(ours, expected[5:-5, 5:-5], atol=1e-9)


def test_sobel_of_a_plane_is_its_slope():
    x = torch.arange(9.0)[None, None, None] * 0.3 + torch.arange(7.0)[None, None, :, None] * 0.7
    gx, gy = sobel(x)
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(gx[inside], torch.full_like(gx[inside], 0.3))
    torch.testing.assert_close(gy[inside], torch.full_like(gy[inside], 0.7))


def test_saliency_target_shows_heat_on_a_visible_ground():
    ir = torch.full((1, 1, 64, 64), 0.2)
    ir[..., 20:36, 24:34] = 1.0
    vis = torch.rand(1, 1, 64, 64) * 0.4
    target = saliency_target(ir, vis)
    assert target[..., 23:33, 26:32].min() > 0.9
    ground = target[..., 50:, :], vis[..., 50:, :]
    correlation = torch.corrcoef(torch.stack([t.flatten() for t in ground]))[0, 1]
    assert correlation > 0.99
    assert target.min() >= 0 and target.max() <= 1
    assert saliency_target(torch.zeros(1, 1, 5, 7), torch.zeros(1, 1, 5, 7)).isfinite().all()


def test_saliency_terms_are_their_formulas():
    fused = torch.rand(1, 1, 20, 20) * 1.4 - 0.2
    ir, vis, target = torch.rand(3, 1, 1, 20, 20)
    loss = SaliencyLoss(w_hot=2.0, w_overshoot=3.0)
    terms = loss(fused, ir, vis, target)
    f, v, t = (x.numpy() for x in (fused, vis, target))
    weight = 1 + 2 * np.abs(t - v)
    assert terms["intensity"].item() == pytest.approx(2 * (weight * np.abs(f - t)).mean(), rel=1e-5)
    over = np.maximum(f - 1, 0) + np.maximum(-f, 0)
    assert terms["range"].item() == pytest.approx(2 * over.mean(), rel=1e-5)
    similarity = (ssim_map(fused, ir).mean() + ssim_map(fused, vis).mean()) / 2
    assert terms["structure"].item() == pytest.approx(1 - similarity.item(), rel=1e-5)
    strength = [
        np.hypot(cv2.Sobel(x, -1, 1, 0, scale=1 / 8), cv2.Sobel(x, -1, 0, 1, scale=1 / 8))
        for x in (f[0, 0], ir[0, 0].numpy(), v[0, 0])
    ]
    made_up = np.maximum(strength[0] - np.maximum(*strength[1:]), 0)
    assert terms["overshoot"].item() == pytest.approx(3 * made_up.mean(), rel=1e-4)
    same = loss(target, target, target, target)
    assert same["intensity"].item() == same["range"].item() == same["overshoot"].item() == 0
    assert same["structure"].item() == pytest.approx(0, abs=1e-5)


def test_losses_have_right_gradients():
    ir, vis, target = torch.rand(3, 1, 1, 12, 12, dtype=torch.float64)
    fused = torch.rand(1, 1, 12, 12, dtype=torch.float64, requires_grad=True)
    loss = SaliencyLoss(w_overshoot=1.0)
    assert gradcheck(lambda f: sum(loss(f, ir, vis, target).values()), (fused,))
    levels = [torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    rgb, thermal = ([torch.randn_like(level) for level in levels] for _ in range(2))
    features = FeatureFusionLoss()
    assert gradcheck(lambda *f: sum(features(f, rgb, thermal).values()), tuple(levels))
