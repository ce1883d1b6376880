"""Pixel-wise similarity of the fused image and its sources: errors and linear correlations.

Every function takes uint8 images ``HxW`` of one size and returns a float. By `mean_squared_error`
and `psnr`, the average of the sources is the best possible image.
"""

from typing import Literal

import cv2
import numpy as np

from fusion.evaluation.metrics.catalogue import register


def squared_error(a: np.ndarray, b: np.ndarray) -> float:
    """Sum of squared differences of two uint8 images, exact."""
    return float(cv2.norm(a, b, cv2.NORM_L2SQR))


@register("mse", title="MSE", unit="level²", higher_is_better=False)
def mean_squared_error(
    fused: np.ndarray, ir: np.ndarray, vis: np.ndarray, *, peak: float = 255
) -> float:
    """Mean squared error, averaged over the two sources. Lower is better.

    Args:
        fused, ir, vis: uint8 ``HxW``.
        peak: value of the brightest level: 255, or 1 for images on 0..1.
    """
    error = (squared_error(fused, ir) + squared_error(fused, vis)) / (2 * fused.size)
    return error * (peak / 255) ** 2


@register("rmse_over_n", title="RMSE/√N", unit="level", higher_is_better=False)
def root_error_over_pixels(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """Mean over the sources of ``sqrt(sum (f - s)^2) / N``, which VIFB tabulates as RMSE.

    The number of pixels is outside the root, so the value decreases with the image size.
    Lower is better.
    """
    return sum(np.sqrt(squared_error(fused, s)) for s in (ir, vis)) / (2 * fused.size)


@register("psnr", title="PSNR", unit="dB")
def psnr(
    fused: np.ndarray,
    ir: np.ndarray,
    vis: np.ndarray,
    *,
    peak: Literal["level", "fused"] = "level",
    scale: float = 255,
) -> float:
    """``10 log10(peak^2 / MSE)`` in dB, of the error averaged over the two sources.

    Highest for the plain average of the sources. Infinite where both sources equal the fused
    image. Higher is better.

    Args:
        fused, ir, vis: uint8 ``HxW``.
        peak: 255 ("level"), or the fused image's largest level ("fused").
        scale: of the pixels the error is computed on: 255, or 1, which with the peak 255 is
            48.1308 dB too high and is what two families tabulate.
    """
    error = mean_squared_error(fused, ir, vis, peak=scale)
    highest = 255.0 if peak == "level" else float(fused.max())
    if error == 0:
        return float("inf")
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(highest**2 / error))


@register("psnr_rmse", title="PSNR of RMSE/√N", unit="dB")
def psnr_of_root_error(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """``20 log10(255 / sqrt(R))`` with `root_error_over_pixels` instead of the MSE.

    VIFB tabulates this as PSNR; it is about 40 dB higher. Higher is better.
    """
    error = root_error_over_pixels(fused, ir, vis)
    return float(10 * np.log10(255**2 / error)) if error > 0 else float("inf")


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation over all pixels; 0 if an image is flat."""
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt(np.vdot(a, a) * np.vdot(b, b))
    return float(np.vdot(a, b) / norm) if norm > 0 else 0.0


@register("cc", title="CC", unit="")
def correlation(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """Mean of the correlations with both sources, -1..1. Higher is better."""
    f, a, b = (image.astype(np.float64) for image in (fused, ir, vis))
    return (_correlation(f, a) + _correlation(f, b)) / 2


@register("scd", title="SCD", unit="")
def sum_of_correlations_of_differences(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """SCD (Aslantas and Bendes, 2015): ``corr(F - vis, ir) + corr(F - ir, vis)``, -2..2.

    A correlation with a flat image counts as 0. Amplified sums of the sources score best, clipped
    or not. Higher is better.
    """
    f, a, b = (image.astype(np.float64) for image in (fused, ir, vis))
    return _correlation(f - b, a) + _correlation(f - a, b)
