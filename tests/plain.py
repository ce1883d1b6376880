"""Plain computations by NumPy and SciPy that losses are compared with."""

import numpy as np
import pytest
import torch
from scipy import ndimage, signal

FOUR = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], float)
RING = np.array([[1, 1, 1], [1, -8, 1], [1, 1, 1]], float) / 8
SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], float)


def tensors(*arrays):
    return [torch.from_numpy(np.asarray(array))[:, None] for array in arrays]


def zero_padded(batch, kernel):
    return np.stack([ndimage.correlate(image, kernel, mode="constant") for image in batch])


def mse(a, b):
    return np.mean((a - b) ** 2)


def assert_terms(terms, expected):
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value, rel=1e-9, abs=1e-12), name


def gaussian(size):
    x = np.arange(size) - size // 2
    row = np.exp(-(x**2) / (2 * 1.5**2))
    return np.outer(row, row) / row.sum() ** 2


def plain_ssim(a, b, peak, mode, size=11):
    """Mean similarity and mean contrast of one pair of images."""
    window = gaussian(size)

    def blur(image):
        if mode == "zeros":
            return ndimage.correlate(image, window, mode="constant")
        return signal.correlate2d(image, window, mode="valid")

    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    x, y = blur(a), blur(b)
    contrast = (2 * (blur(a * b) - x * y) + c2) / (blur(a * a) - x * x + blur(b * b) - y * y + c2)
    return ((2 * x * y + c1) / (x * x + y * y + c1) * contrast).mean(), contrast.mean()


def plain_ms_ssim(a, b):
    """Of one pair: the coarsest similarity is multiplied once for each finer scale."""
    weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
    contrasts = []
    for scale in range(5):
        if scale:
            a, b = (
                x[: len(x) // 2 * 2, : x.shape[1] // 2 * 2]
                .reshape(len(x) // 2, 2, x.shape[1] // 2, 2)
                .mean((1, 3))
                for x in (a, b)
            )
        peak = 255 if a.max() > 128 else 1
        similarity, contrast = plain_ssim(a, b, peak, "valid", min(11, *a.shape))
        contrasts.append((contrast + 1) / 2)
    result = 1.0
    for scale in range(4):
        result *= contrasts[scale] ** weights[scale] * ((similarity + 1) / 2) ** weights[4]
    return result
