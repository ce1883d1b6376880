"""Structural similarity of the fused image and its sources, single and multi scale.

Every function takes uint8 images ``HxW`` of one size and returns a float.
"""

from typing import Literal

import cv2
import numpy as np

from fusion.evaluation.metrics.catalogue import register
from fusion.evaluation.metrics.filters import Moments, box, by_letter, gaussian, strips

#: Combination of the values with the two sources.
Combine = Literal["mean", "sum"]

_K1, _K2 = 0.01, 0.03
_GAUSS_SIZE, _GAUSS_DEVIATION = 11, 1.5


@register("ssim", title="SSIM mean", unit="")
def ssim(
    fused: np.ndarray,
    ir: np.ndarray,
    vis: np.ndarray,
    *,
    window: Literal["gaussian", "box"] = "gaussian",
    border: Literal["replicate", "crop"] = "replicate",
    peak: float = 255,
    combine: Combine = "mean",
) -> float:
    """SSIM (Wang et al., 2004) with both sources: mean of the map, -1..1 (sum: -2..2).

    ``(2 m_s m_f + C1)(2 c + C2) / ((m_s^2 + m_f^2 + C1)(v_s + v_f + C2))`` with
    ``C1 = (0.01 L)^2``, ``C2 = (0.03 L)^2`` on levels 0..255. Higher is better. NaN where the
    image is smaller than the window and the border is cropped.

    Args:
        fused, ir, vis: uint8 ``HxW``.
        window: Gaussian 11x11 of deviation 1.5 with biased moments, or plain 7x7 windows with
            unbiased ones, which scikit-image has by default.
        border: whole map with the image's edge repeated, or windows inside the image alone.
        peak: L, which is 255 for these levels in the paper. Programs that use 1 or 2 instead cannot
            distinguish weak noise from structure and give much lower values.
        combine: "mean" or "sum" over the sources.
    """
    size = _GAUSS_SIZE if window == "gaussian" else 7
    if border == "crop" and min(fused.shape) < size:
        return float("nan")
    half = size // 2
    images = by_letter(fused, ir, vis)
    if border == "replicate":
        edges = (half, half, half, half, cv2.BORDER_REPLICATE)
        images = {name: cv2.copyMakeBorder(image, *edges) for name, image in images.items()}
    blur = gaussian(size, _GAUSS_DEVIATION) if window == "gaussian" else box(size)
    unbiased = 49 / 48 if window == "box" else 1.0
    total, count = 0.0, 0
    for strip in strips(images, half):
        moments = Moments(blur, **strip)
        for source in "ab":
            similarity = _similarity(moments, source, "f", peak, unbiased)
            total += float(similarity.sum())
            count += similarity.size
    value = 2 * total / count  # the sum over the sources, which share the count
    return value / 2 if combine == "mean" else value


def _similarity(
    moments: Moments, one: str, other: str, peak: float, unbiased: float = 1.0
) -> np.ndarray:
    """The map of SSIM."""
    similarity = _luminance(moments, one, other, peak)
    similarity *= _contrast_structure(moments, one, other, peak, unbiased)
    return similarity


def _luminance(moments: Moments, one: str, other: str, peak: float) -> np.ndarray:
    mean_one, mean_other = moments.mean(one), moments.mean(other)
    c1 = (_K1 * peak) ** 2
    numerator = mean_one * mean_other
    numerator *= 2
    numerator += c1
    denominator = mean_one * mean_one
    denominator += mean_other * mean_other
    denominator += c1
    numerator /= denominator
    return numerator


def _contrast_structure(
    moments: Moments, one: str, other: str, peak: float, unbiased: float = 1.0
) -> np.ndarray:
    c2 = (_K2 * peak) ** 2
    numerator = moments.covariance(one, other) * (2 * unbiased)
    numerator += c2
    denominator = moments.variance(one) + moments.variance(other)
    denominator *= unbiased
    denominator += c2
    numerator /= denominator
    return numerator


_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


@register("ms_ssim", title="MS-SSIM mean", unit="")
def ms_ssim(
    fused: np.ndarray,
    ir: np.ndarray,
    vis: np.ndarray,
    *,
    halving: Literal["mirror", "zero"] = "mirror",
    peak: float = 255,
    combine: Combine = "mean",
) -> float:
    """MS-SSIM (Wang et al., 2003) with both sources, five scales with the standard weights.

    Windows lie completely inside the image. A negative mean of a scale counts as 0. This is not the
    multi-exposure variant that some families call MS-SSIM (`mef_ssim`). Higher is better. NaN if a
    side is shorter than 161 pixels, because there is no fifth scale.

    Args:
        fused, ir, vis: uint8 ``HxW``.
        halving: border of the 2x2 means between scales: mirrored, or, for an odd side, a line of
            zeros at both of its ends.
        peak: L of `ssim`.
        combine: "mean" or "sum" over the sources.
    """
    blur = gaussian(_GAUSS_SIZE, _GAUSS_DEVIATION)
    images = by_letter(fused, ir, vis)
    values = {"a": 1.0, "b": 1.0}
    for scale, weight in enumerate(_SCALE_WEIGHTS):
        if min(images["f"].shape) < _GAUSS_SIZE:
            return float("nan")
        last = scale == len(_SCALE_WEIGHTS) - 1
        term = _similarity if last else _contrast_structure
        totals, pixels = dict.fromkeys(values, 0.0), 0
        for strip in strips(images, _GAUSS_SIZE // 2):
            moments = Moments(blur, **strip)
            maps = {source: term(moments, source, "f", peak) for source in values}
            pixels += maps["a"].size
            for source in values:
                totals[source] += float(maps[source].sum())
        for source in values:
            values[source] *= max(totals[source] / pixels, 0.0) ** weight
        if not last:
            images = {name: _halve(image, halving) for name, image in images.items()}
    return sum(values.values()) / (2 if combine == "mean" else 1)


def _halve(image: np.ndarray, border: str) -> np.ndarray:
    """Means of 2x2 pixels at every second row and column, float64."""
    image = image.astype(np.float64, copy=False)
    if border == "mirror":
        means = cv2.blur(image, (2, 2), anchor=(0, 0), borderType=cv2.BORDER_REFLECT)
    elif border == "replicate":
        means = cv2.blur(image, (2, 2), anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)
    else:
        rows, columns = (side % 2 for side in image.shape)
        image = np.pad(image, ((rows, rows), (columns, columns)))
        height, width = (side // 2 * 2 for side in image.shape)
        means = cv2.blur(image, (2, 2), anchor=(0, 0))[:height, :width]
    return np.ascontiguousarray(means[::2, ::2])


_MEF_WEIGHTS = np.array(_SCALE_WEIGHTS[:3]) / sum(_SCALE_WEIGHTS[:3])
_MEF_TINY = float(np.finfo(float).eps)


@register("mef_ssim", title="MEF-SSIM", unit="")
def mef_ssim(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray, *, scales: int = 1) -> float:
    """MEF-SSIM (Ma, Zeng and Wang, 2015), made for multi-exposure fusion, -1..1.

    Each patch of the fused image is compared with a desired patch made from both sources: it has
    the stronger contrast and the weighted direction of both. There is no luminance term, so
    brightness has no effect. Higher is better. NaN if the smallest scale is smaller than its 11x11
    windows.

    Args:
        fused, ir, vis: uint8 ``HxW``.
        scales: 1, or 3 for the multi-scale variant, which some families tabulate as MS-SSIM.
    """
    images = by_letter(fused, ir, vis)
    means = []
    for scale in range(scales):
        if scale:
            images = {name: _halve(image, "replicate") for name, image in images.items()}
        if min(images["f"].shape) < _GAUSS_SIZE:
            return float("nan")
        means.append(_mef_mean(images))
    if scales == 1:
        return means[0]
    return float(np.prod(np.maximum(means, 0) ** _MEF_WEIGHTS))


def _mef_mean(images: dict[str, np.ndarray]) -> float:
    """Mean over all windows inside the image."""
    maps = [_mef_map(strip) for strip in strips(images, _GAUSS_SIZE // 2)]
    return float(sum(part.sum() for part in maps) / sum(part.size for part in maps))


def _mef_map(images: dict[str, np.ndarray]) -> np.ndarray:
    """The map ``(2 cov(r, f) + C) / (var r + var f + C)``.

    The desired patch ``r`` is a combination of both centred sources with one factor each per
    window, so its moments follow from those of the sources.
    """
    plain = Moments(box(_GAUSS_SIZE), a=images["a"], b=images["b"])
    pixels = _GAUSS_SIZE**2
    square_a, square_b = (pixels * np.maximum(plain.variance(name), 0) for name in "ab")
    norm_a, norm_b = np.sqrt(square_a), np.sqrt(square_b)
    product = pixels * plain.covariance("a", "b")
    norm_sum = np.sqrt(np.maximum(square_a + square_b + 2 * product, 0))
    consistency = np.minimum((norm_sum + _MEF_TINY) / (norm_a + norm_b + _MEF_TINY), 1)
    with np.errstate(over="ignore"):
        power = np.minimum(np.tan(np.pi / 2 * consistency), 10)
    power[power < 0] = 10  # the tangent of a rounded pi / 2 may have passed its pole
    energy_a, energy_b = norm_a + 0.001, norm_b + 0.001
    weight_a, weight_b = (energy_a / _GAUSS_SIZE) ** power, (energy_b / _GAUSS_SIZE) ** power
    factor_a = weight_a / (weight_a + weight_b) / energy_a
    factor_b = weight_b / (weight_a + weight_b) / energy_b
    norm = factor_a**2 * square_a + factor_b**2 * square_b + 2 * factor_a * factor_b * product
    norm = np.sqrt(np.maximum(norm, 0))
    rescale = np.divide(
        np.maximum(energy_a, energy_b), norm, out=np.zeros_like(norm), where=norm > 0
    )
    factor_a *= rescale
    factor_b *= rescale
    moments = Moments(gaussian(_GAUSS_SIZE, _GAUSS_DEVIATION), **images)
    variance = factor_a**2 * moments.variance("a") + factor_b**2 * moments.variance("b")
    variance += 2 * factor_a * factor_b * moments.covariance("a", "b")
    covariance = factor_a * moments.covariance("a", "f") + factor_b * moments.covariance("b", "f")
    c = (_K2 * 255) ** 2
    return (2 * covariance + c) / (variance + moments.variance("f") + c)


@register("qy", title="Qy", unit="")
def yang_similarity(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """Qy (Yang et al., 2008) as IVIF_ZOO computes it: SSIM chosen by the sources' likeness.

    Where the sources agree (SSIM of at least 0.75), the mean weighted by their variances is used,
    elsewhere the more similar source. The window, a row of Gaussian weights times a column of ones,
    has the sum 7 instead of 1, so the results are not true moments. The constants are 1e-4 and
    9e-4. Copying one source scores close to 1. Higher is better.
    """
    row = cv2.getGaussianKernel(7, _GAUSS_DEVIATION)
    column = np.ones(7)

    def blur(image: np.ndarray) -> np.ndarray:
        return cv2.sepFilter2D(image, cv2.CV_64F, row, column)[3:-3, 3:-3]

    padded = {
        name: cv2.copyMakeBorder(image, 3, 3, 3, 3, cv2.BORDER_CONSTANT)
        for name, image in by_letter(fused, ir, vis).items()
    }
    maps = [_yang_map(Moments(blur, **strip)) for strip in strips(padded, 3)]
    return float(sum(part.sum() for part in maps) / fused.size)


def _yang_map(moments: Moments) -> np.ndarray:
    both = _similarity(moments, "a", "b", 1)
    with_a, with_b = (_similarity(moments, source, "f", 1) for source in "ab")
    variance_a, variance_b = moments.variance("a"), moments.variance("b")
    share = variance_a / (variance_a + variance_b + 1e-10)
    agreeing = share * with_a + (1 - share) * with_b
    return np.where(both >= 0.75, agreeing, np.maximum(with_a, with_b))
