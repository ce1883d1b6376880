"""Metrics based on models of contrast sensitivity: Qcb and Qcv.

Both filter the images by the sensitivity of the eye to each spatial frequency. Every function takes
uint8 images ``HxW`` of one size and returns a float.
"""

from typing import Literal

import cv2
import numpy as np
import scipy.fft

from fusion.evaluation.metrics.catalogue import register


def _stretched(image: np.ndarray, whole: bool) -> np.ndarray:
    """Levels stretched to 0..255 and rounded (``whole``), or to 0..1; a flat image gives 0."""
    low, high = int(image.min()), int(image.max())
    unit = (image - float(low)) / max(high - low, 1)
    return np.floor(unit * 255 + 0.5) if whole else unit


def _filtered(image: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Filter a real image by multiplying its half spectrum by a symmetric response."""
    return scipy.fft.irfft2(scipy.fft.rfft2(image) * response, s=image.shape)


def _radius(shape: tuple[int, ...]) -> np.ndarray:
    """``sqrt(k^2 + l^2)`` of the integer frequencies of a half spectrum."""
    rows = scipy.fft.fftfreq(shape[0], 1 / shape[0])
    columns = scipy.fft.rfftfreq(shape[1], 1 / shape[1])
    return np.hypot(rows[:, None], columns)


@register("qcb", title="Qcb", unit="")
def chen_blum(
    fused: np.ndarray,
    ir: np.ndarray,
    vis: np.ndarray,
    *,
    levels: Literal["stretched", "unit"] = "stretched",
) -> float:
    """Qcb (Chen and Blum, 2009): local contrast of the sources that is kept, 0..1.

    Spectra are weighted by ``exp(-(r/15.3870)^2) - 0.7622 exp(-(r/1.3456)^2)``; local contrast
    ``c = |G2 * x / G4 * x - 1|`` is masked to ``C = c^3 / (c^2 + 1e-4)``; the kept share is the
    smaller of a source's and the fused ``C`` over the larger, weighted over the sources by
    ``C^2``. Higher is better.

    Args:
        fused, ir, vis: uint8 ``HxW``.
        levels: "stretched" stretches each image to whole levels 0..255 and measures ``r`` as the
            original program does, in steps of 1/15 of a frequency; "unit" stretches to 0..1
            unrounded, halves ``r``, and adds 1e-10 to denominators, as IVIF_ZOO does.
    """
    whole = levels == "stretched"
    radius = _radius(fused.shape) / (15 if whole else 30)
    response = np.exp(-((radius / 15.3870) ** 2)) - 0.7622 * np.exp(-((radius / 1.3456) ** 2))
    tiny = 0.0 if whole else 1e-10
    contrast_f, contrast_a, contrast_b = (
        _masked_contrast(_filtered(_stretched(image, whole), response), tiny)
        for image in (fused, ir, vis)
    )
    weight_a, weight_b = contrast_a**2, contrast_b**2
    total = weight_a + weight_b + tiny
    quality = np.zeros(fused.shape)
    for contrast, weight in ((contrast_a, weight_a), (contrast_b, weight_b)):
        larger = np.maximum(contrast, contrast_f)
        kept = np.divide(
            np.minimum(contrast, contrast_f), larger, out=np.zeros_like(larger), where=larger > 0
        )
        quality += kept * np.divide(weight, total, out=np.zeros_like(total), where=total > 0)
    return float(quality.mean())


def _masked_contrast(image: np.ndarray, tiny: float) -> np.ndarray:
    """``c^3 / (c^2 + 1e-4)`` of the local contrast; NaN contrast, of 0 / 0, counts as 0."""
    fine, coarse = (_wide_gaussian(image, deviation) for deviation in (2, 4))
    with np.errstate(divide="ignore", invalid="ignore"):
        contrast = np.abs(fine / (coarse + tiny) - 1)
    np.nan_to_num(contrast, copy=False, nan=0.0, posinf=1e50)
    square = contrast**2
    return square * contrast / (square + 1e-4)


def _wide_gaussian(image: np.ndarray, deviation: float) -> np.ndarray:
    """31x31 Gaussian divided by its analytic norm, with a border of zeros."""
    x = np.arange(-15, 16)
    taps = np.exp(-(x**2) / (2 * deviation**2)) / (np.sqrt(2 * np.pi) * deviation)
    return cv2.sepFilter2D(image, cv2.CV_64F, taps, taps, borderType=cv2.BORDER_CONSTANT)


_QCV_BLOCK = 16
_QCV_POWER = 5


@register("qcv", title="Qcv", unit="", higher_is_better=False)
def chen_varshney(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """Qcv (Chen and Varshney, 2007): visible error, weighted by the sources' edges, from 0 on.

    Mean square of the differences filtered by Mannos and Sakrison's contrast sensitivity, per
    16x16 block and source, weighted by the sum of the fifth powers of the source's Sobel strength.
    Images are stretched to 0..255 first, so a change of contrast has no effect. Lower is better. 0
    if the sources have no edge.
    """
    f, a, b = (_stretched(image, whole=True) for image in (fused, ir, vis))
    radius = 0.144 * _radius(fused.shape) / 4
    response = 2.6 * (0.0192 + radius) * np.exp(-(radius**1.1))
    error = weights = 0.0
    for source in (a, b):
        x = cv2.Sobel(source, cv2.CV_64F, 1, 0, borderType=cv2.BORDER_CONSTANT)
        y = cv2.Sobel(source, cv2.CV_64F, 0, 1, borderType=cv2.BORDER_CONSTANT)
        salience = _block_sums(cv2.magnitude(x, y) ** _QCV_POWER)
        square = _block_sums(_filtered(source - f, response) ** 2) / _QCV_BLOCK**2
        error += float((salience * square).sum())
        weights += float(salience.sum())
    return error / weights if weights > 0 else 0.0


def _block_sums(image: np.ndarray) -> np.ndarray:
    """Sums over 16x16 blocks; incomplete blocks at the border are padded with zeros."""
    rows, columns = (-side % _QCV_BLOCK for side in image.shape)
    padded = np.pad(image, ((0, rows), (0, columns)))
    height, width = padded.shape
    shape = (height // _QCV_BLOCK, _QCV_BLOCK, width // _QCV_BLOCK, _QCV_BLOCK)
    return padded.reshape(shape).sum((1, 3))
