"""Filters and similarities that published losses are made of, as their programs compute them."""

import torch
from torch import Tensor
from torch.nn import functional as F

from fusion.training.losses import SSIM_SIGMA, gaussian_window, ssim_map


def to_signed(image: Tensor) -> Tensor:
    """Values in 0..1 to -1..1, the range in which the TensorFlow programs compute."""
    return image * 2 - 1


def _filter(image: Tensor, kernel: list[list[float]], divisor: float = 1) -> Tensor:
    weights = image.new_tensor(kernel).view(1, 1, 3, 3) / divisor
    return F.conv2d(image, weights, padding=1)


def laplacian(image: Tensor) -> Tensor:
    """The Laplacian of four neighbours of ``(B, 1, H, W)``, zero beyond the border."""
    return _filter(image, [[0, 1, 0], [1, -4, 1], [0, 1, 0]])


def ring_difference(image: Tensor) -> Tensor:
    """Mean of the eight neighbours minus the pixel, of ``(B, 1, H, W)``, zero beyond the border."""
    return _filter(image, [[1, 1, 1], [1, -8, 1], [1, 1, 1]], 8)


def blur3(image: Tensor) -> Tensor:
    """SDNet's 3x3 Gaussian of ``(B, 1, H, W)``, in its rounded numbers, zero beyond the border."""
    corner, edge, middle = 0.0947, 0.1183, 0.1478
    return _filter(image, [[corner, edge, corner], [edge, middle, edge], [corner, edge, corner]])


def sobel_strength(image: Tensor) -> Tensor:
    """``|Sobel x| + |Sobel y|`` of ``(B, 1, H, W)``, not divided, zero beyond the border."""
    x = _filter(image, [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    y = _filter(image, [[1, 2, 1], [0, 0, 0], [-1, -2, -1]])
    return x.abs() + y.abs()


def ssim_zero_padded(a: Tensor, b: Tensor) -> Tensor:
    """Mean SSIM with a window of 11 around every pixel of ``(B, 1, H, W)``, zero beyond the
    border."""
    return ssim_map(F.pad(a, (5,) * 4), F.pad(b, (5,) * 4)).mean()


#: Exponents of `ms_ssim`, finest scale first (Wang et al., 2003).
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    """Multi-scale SSIM of ``(B, 1, H, W)`` as the programs of NestFuse and its successors code it.

    At each of five scales, the contrast terms c_i and the similarities s_i are averaged over the
    batch and mapped by ``(x + 1) / 2``. The result is the product over the first four scales of
    ``c_i^w_i s_5^w_5``, so the coarsest similarity counts four times, unlike in the paper.

    Pixels are in 0..255: at each scale the range is 255 if the largest value of ``a`` is above
    128, and 1 otherwise. A window covers 11 pixels, or the whole shorter side if that is less.
    """
    contrasts = []
    for scale in range(len(SCALE_WEIGHTS)):
        if scale:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        similarity, contrast = _ssim_and_contrast(a, b)
        contrasts.append((contrast + 1) / 2)
    weights = a.new_tensor(SCALE_WEIGHTS)
    last = ((similarity + 1) / 2) ** weights[-1]
    return (torch.stack(contrasts[:-1]) ** weights[:-1] * last).prod()


def _ssim_and_contrast(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    size = min(11, *a.shape[2:])
    weights = gaussian_window(size, SSIM_SIGMA, a)
    peak = 255 if a.detach().max() > 128 else 1
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2

    def blur(image: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(image, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))

    mean_a, mean_b = blur(a), blur(b)
    variances = blur(a * a) - mean_a**2 + blur(b * b) - mean_b**2
    contrast = (2 * (blur(a * b) - mean_a * mean_b) + c2) / (variances + c2)
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return (luminance * contrast).mean(), contrast.mean()
