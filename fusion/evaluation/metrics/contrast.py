"""Metrics of the fused image alone: contrast, frequency and gradient of its grey levels.

Every function takes uint8 images and returns a float. The sources are accepted but ignored, so that
all metrics have the same signature. None of these measures shows whether the contrast comes from
the sources: noise increases all of them.
"""

from typing import Literal

import cv2
import numpy as np

from fusion.evaluation.metrics.catalogue import register


@register("sd", title="SD", unit="level")
def standard_deviation(
    fused: np.ndarray,
    ir: np.ndarray | None = None,
    vis: np.ndarray | None = None,
    *,
    saturate: bool = False,
) -> float:
    """``sqrt(mean((f - mean f)^2))`` on levels 0..255. Higher is better.

    Args:
        fused: uint8 ``HxW``.
        saturate: compute in saturating 8-bit arithmetic: deviations are rounded and negative ones
            become 0, squares stop at 255. The value is then never above 16.
    """
    if not saturate:
        return float(fused.std(dtype=np.float64))
    deviation = np.maximum(np.floor(fused - fused.mean() + 0.5), 0)
    return float(np.sqrt(np.minimum(deviation * deviation, 255).mean()))


@register("sd_sqrt_n", title="SD·√N", unit="")
def deviation_norm(
    fused: np.ndarray, ir: np.ndarray | None = None, vis: np.ndarray | None = None
) -> float:
    """``sqrt(sum((f - mean f)^2))`` on 0..1, which RFN-Nest and LRRNet tabulate as SD.

    It is the standard deviation times the square root of the number of pixels, divided by 255. It
    grows with the image size, so only methods on the same data set are comparable. Higher is
    better.
    """
    return float(fused.std(dtype=np.float64) * np.sqrt(fused.size) / 255)


@register("sf", title="SF", unit="level")
def spatial_frequency(
    fused: np.ndarray,
    ir: np.ndarray | None = None,
    vis: np.ndarray | None = None,
    *,
    peak: float = 255,
) -> float:
    """``sqrt(mean dy^2 + mean dx^2)`` of first differences, each mean over its own differences.

    Rewards noise as much as detail. Higher is better.

    Args:
        fused: uint8 ``HxW``.
        peak: value of the brightest level: 255, or 1 for images on 0..1.
    """
    rows = _mean_square(fused[1:], fused[:-1])
    columns = _mean_square(fused[:, 1:], fused[:, :-1])
    return float(np.sqrt(rows + columns) * peak / 255)


def _mean_square(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared difference, computed exactly in integers."""
    if a.size == 0:
        return 0.0
    return float(
        cv2.norm(np.ascontiguousarray(a), np.ascontiguousarray(b), cv2.NORM_L2SQR) / a.size
    )


@register("sf_seams", title="SF seams", unit="level", channels="together")
def spatial_frequency_with_seams(
    fused: np.ndarray, ir: np.ndarray | None = None, vis: np.ndarray | None = None
) -> float:
    """Spatial frequency as VIFB's program computes it: colour channels side by side as one image.

    A colour image ``HxWx3`` is treated as ``Hx3W``. The differences across the two seams are
    included, and both sums are divided by all ``3HW`` pixels. Higher is better.

    Args:
        fused: uint8 ``HxW`` or ``HxWx3``.
    """
    if fused.ndim == 3:
        fused = np.hstack([fused[..., channel] for channel in range(fused.shape[2])])
    f = fused.astype(np.float64)
    total = np.square(np.diff(f, axis=0)).sum() + np.square(np.diff(f)).sum()
    return float(np.sqrt(total / f.size))


@register("ag", title="AG forward", unit="level")
def average_gradient(
    fused: np.ndarray,
    ir: np.ndarray | None = None,
    vis: np.ndarray | None = None,
    *,
    differences: Literal["forward", "central"] = "forward",
    divisor: Literal["pixels", "inner"] = "pixels",
) -> float:
    """Mean of ``sqrt((dx^2 + dy^2) / 2)`` on levels 0..255. Higher is better.

    Args:
        fused: uint8 ``HxW``.
        differences: "forward" drops the last row and column; "central" keeps all pixels, with
            one-sided differences at the border.
        divisor: "pixels" divides by the number of gradients; "inner" divides a sum over all pixels
            by ``(H - 1)(W - 1)``, for central differences.
    """
    f = fused.astype(np.float64)
    if differences == "forward":
        dx, dy = f[:-1, 1:] - f[:-1, :-1], f[1:, :-1] - f[:-1, :-1]
        count = dx.size
    else:
        dy, dx = (_central(f, axis) for axis in (0, 1))
        height, width = f.shape
        count = f.size if divisor == "pixels" else (height - 1) * (width - 1)
    return float(cv2.magnitude(dx, dy).sum() / np.sqrt(2) / count) if count else 0.0


def _central(f: np.ndarray, axis: int) -> np.ndarray:
    """Central differences, one-sided at both ends; 0 along a side of one pixel."""
    return np.gradient(f, axis=axis) if f.shape[axis] > 1 else np.zeros_like(f)


@register("ei", title="EI", unit="level")
def edge_intensity(
    fused: np.ndarray,
    ir: np.ndarray | None = None,
    vis: np.ndarray | None = None,
    *,
    border: Literal["replicate", "zero"] = "replicate",
) -> float:
    """Mean unscaled Sobel strength ``sqrt(gx^2 + gy^2)`` on levels 0..255. Higher is better.

    Args:
        fused: uint8 ``HxW``.
        border: outside the image: the nearest pixel, or black, which adds an edge around it.
    """
    kind = cv2.BORDER_REPLICATE if border == "replicate" else cv2.BORDER_CONSTANT
    gx = cv2.Sobel(fused, cv2.CV_64F, 1, 0, borderType=kind)
    gy = cv2.Sobel(fused, cv2.CV_64F, 0, 1, borderType=kind)
    return float(cv2.magnitude(gx, gy).mean())
