"""Feature mutual information: FMI (Haghighat, Aghagolzadeh and Seyedarabi, 2011)."""

from typing import Literal

import numpy as np
import scipy.fft

from fusion.evaluation.metrics.catalogue import register

_WINDOW = 3
_SIZE = _WINDOW * _WINDOW
_POSITIONS = np.arange(1.0, _SIZE + 1)
_ROWS = 4  # rows of windows at once, so that the joint distributions stay in the cache
_LEAST = float(np.finfo(float).tiny)


@register("fmi", title="FMI dct", unit="")
def feature_mutual_information(
    fused: np.ndarray,
    ir: np.ndarray,
    vis: np.ndarray,
    *,
    features: Literal["dct", "raw"] = "dct",
) -> float:
    """Mean over sources and 3x3 windows of the normalised mutual information of features, 0..1.

    In each window a feature is stretched to 0..1 and divided by its sum, which makes a
    distribution over the window's nine pixels, in column order. The joint distribution of source
    and fused is the one with the largest or smallest possible correlation, mixed with the product
    of both so that the correlation is the windows'. The value is
    ``2 (H_p + H_q - H_joint) / (H_p + H_q)``, and 1 where both windows are equal. Higher is better.
    NaN where a side is shorter than 3 pixels.

    Args:
        fused, ir, vis: uint8 ``HxW``.
        features: the 2-D DCT of the whole image, or its pixels. Features of the original
            program that are not here: MATLAB's thinned ``edge`` map, which it calls "pixel", and
            one level of the discrete Meyer wavelet.
    """
    if min(fused.shape) < _WINDOW:
        return float("nan")
    f, a, b = (_features(image, features) for image in (fused, ir, vis))
    total = 0.0
    rows = f.shape[0] - _WINDOW + 1
    for begin in range(0, rows, _ROWS):
        part = slice(begin, min(begin + _ROWS, rows) + _WINDOW - 1)
        windows_f = _windows(f[part])
        for source in (a, b):
            total += float(_information(_windows(source[part]), windows_f).sum())
    return total / (2 * rows * (f.shape[1] - _WINDOW + 1))


def _features(image: np.ndarray, kind: str) -> np.ndarray:
    pixels = image.astype(np.float64)
    return scipy.fft.dctn(pixels, norm="ortho") if kind == "dct" else pixels


def _windows(image: np.ndarray) -> np.ndarray:
    """All 3x3 windows as columns of nine values in column order, ``9xN``."""
    rows, columns = (side - _WINDOW + 1 for side in image.shape)
    return np.stack(
        [
            image[i : i + rows, j : j + columns].ravel()
            for j in range(_WINDOW)
            for i in range(_WINDOW)
        ]
    )


def _distribution(windows: np.ndarray) -> np.ndarray:
    """Windows stretched to 0..1 (all ones if flat), divided by their sums."""
    low = windows.min(0)
    spread = windows.max(0) - low
    unit = np.divide(windows - low, spread, out=np.ones_like(windows), where=spread > 0)
    return unit / unit.sum(0)


def _entropy(p: np.ndarray) -> np.ndarray:
    """``-sum x log2 |x|`` over the first axis, with ``0 log2 0 = 0``; ``x`` is unchanged."""
    logarithm = np.abs(p)
    np.maximum(logarithm, _LEAST, out=logarithm)  # 0 times any number is 0
    np.log2(logarithm, out=logarithm)
    return -np.einsum("ij,ij->j", p, logarithm)


def _deviation(p: np.ndarray) -> np.ndarray:
    """Deviation of the window's positions 1..9 under a distribution."""
    mean = _POSITIONS @ p
    return np.sqrt(np.maximum(_POSITIONS**2 @ p - mean**2, 0))


def _information(source: np.ndarray, fused: np.ndarray) -> np.ndarray:
    """Normalised mutual information of each window, ``N``."""
    value = np.ones(source.shape[1])
    differs = (source != fused).any(0)
    if not differs.any():
        return value
    p, q = _distribution(source[:, differs]), _distribution(fused[:, differs])
    p_centred, q_centred = p - p.mean(0), q - q.mean(0)
    covariance = (p_centred * q_centred).sum(0)
    norm = np.sqrt((p_centred**2).sum(0) * (q_centred**2).sum(0))
    c = np.divide(covariance, norm, out=np.zeros_like(norm), where=(covariance != 0) & (norm > 0))
    marginals = _entropy(p) + _entropy(q)
    h_joint = np.empty_like(c)
    for sign in (c >= 0, c < 0):
        if sign.any():
            h_joint[sign] = _joint_entropy(p[:, sign], q[:, sign], c[sign])
    value[differs] = np.divide(
        2 * (marginals - h_joint), marginals, out=np.zeros_like(marginals), where=marginals > 0
    )
    return value


def _joint_entropy(p: np.ndarray, q: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Entropy of the joint distributions of correlations ``c`` that all have one sign."""
    cumulated_p, cumulated_q = np.cumsum(p, 0), np.cumsum(q, 0)
    # The end of the range of joint distributions, as its cumulated table: i of q, j of p.
    if c[0] >= 0:
        table = np.minimum(cumulated_q[:, None], cumulated_p[None])
    else:
        table = cumulated_q[:, None] + cumulated_p[None]
        table -= 1
        np.maximum(table, 0, out=table)
    deviations = _deviation(p) * _deviation(q)
    extreme = table.sum((0, 1)) - cumulated_q.sum(0) * cumulated_p.sum(0)
    usable = (c != 0) & (deviations > 0) & (extreme != 0)
    phi = np.divide(c * deviations, extreme, out=np.zeros_like(c), where=usable)
    for i in range(_SIZE - 1, 0, -1):
        table[i] -= table[i - 1]
    for j in range(_SIZE - 1, 0, -1):
        table[:, j] -= table[:, j - 1]
    table *= phi
    q = q * (1 - phi)
    for i in range(_SIZE):
        table[i] += q[i] * p
    return _entropy(table.reshape(_SIZE * _SIZE, -1))
