"""References composed of several images: the best in each region, or the strongest detail of each.

Both are this package's own. A reference chosen for a whole picture is best in most of it, but not
in all; and a loss to several references at once is smallest for an image between them, which is
flatter than each.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

__all__ = ["regional", "strongest"]

#: Constants of the local similarity, those of SSIM for images in 0..255.
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def _blur(image: np.ndarray, deviation: float) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), deviation, borderType=cv2.BORDER_REFLECT)


def local_measures(
    fused: np.ndarray, ir: np.ndarray, vis: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Contrast, mean gradient, and mean similarity to both sources, around each pixel.

    Neighbours are weighted by a Gaussian of standard deviation ``side / 2``; higher is better.

    Args:
        fused, ir, vis: ``HxW``, in 0..255.
        side: side of a region in pixels.
    """
    deviation = side / 2
    x = fused.astype(np.float32)
    mean = _blur(x, deviation)
    variance = np.maximum(_blur(x * x, deviation) - mean**2, 0)
    slopes = np.hypot(cv2.Sobel(x, cv2.CV_32F, 1, 0), cv2.Sobel(x, cv2.CV_32F, 0, 1))
    similarity = np.zeros_like(x)
    for source in (ir.astype(np.float32), vis.astype(np.float32)):
        other = _blur(source, deviation)
        spread = np.maximum(_blur(source * source, deviation) - other**2, 0)
        covariance = _blur(x * source, deviation) - mean * other
        similarity += (
            (2 * mean * other + _C1)
            * (2 * covariance + _C2)
            / ((mean**2 + other**2 + _C1) * (variance + spread + _C2))
        )
    return np.sqrt(variance), _blur(slopes, deviation), similarity / 2


def regional(
    candidates: Mapping[str, np.ndarray], ir: np.ndarray, vis: np.ndarray, side: int, keep: int
) -> list[tuple[np.ndarray, float]]:
    """The best candidate in each region, the second best, and so on.

    At each pixel, candidates are ranked by each of `local_measures`, and by the mean of these
    ranks. The K-th image takes at each pixel the candidate of the K-th place, with transitions of a
    standard deviation of ``side / 4``.

    Args:
        candidates: fused images by method, uint8 ``HxW``.
        ir, vis: their sources, uint8 ``HxW``.
        side: side of a region in pixels.
        keep: the largest number of images.

    Returns:
        Each image, uint8, with its mean rank over the pixels.
    """
    images = np.stack(list(candidates.values())).astype(np.float32)
    measures = np.stack([local_measures(image, ir, vis, side) for image in images])
    # Places 1 (best) to the number of candidates, averaged over the measures.
    places = (1 + np.argsort(np.argsort(-measures, axis=0), axis=0)).mean(1)
    order = np.argsort(places, axis=0, kind="stable")
    made = []
    for chosen in order[:keep]:
        shares = [_blur((chosen == m).astype(np.float32), side / 4) for m in range(len(images))]
        image = (images * shares).sum(0) / np.sum(shares, axis=0)
        rank = np.take_along_axis(places, chosen[None], axis=0).mean()
        made.append((np.clip(np.rint(image), 0, 255).astype(np.uint8), float(rank)))
    return made


def strongest(
    images: Sequence[np.ndarray], weights: Sequence[float], levels: int = 4
) -> np.ndarray:
    """The strongest detail of several images at each place and scale, on their weighted mean.

    Of the Laplacian pyramids of the images, each coefficient is that of the largest magnitude; the
    coarsest level is the weighted mean.

    Args:
        images: uint8 ``HxW``, of one size.
        weights: their weights, with sum 1.
        levels: number of levels of detail; fewer for small images.

    Returns:
        uint8 ``HxW``.
    """
    below: list[np.ndarray] = [image.astype(np.float32) for image in images]
    details, sizes = [], []
    for _ in range(levels):
        height, width = below[0].shape
        if min(height, width) < 8:
            break
        smaller: list[np.ndarray] = [cv2.pyrDown(image) for image in below]
        rest = [
            image - cv2.pyrUp(small, dstsize=(width, height))
            for image, small in zip(below, smaller, strict=True)
        ]
        stack = np.stack(rest)
        place = np.abs(stack).argmax(0)
        details.append(np.take_along_axis(stack, place[None], axis=0)[0])
        sizes.append((width, height))
        below = smaller
    result = np.tensordot(np.asarray(weights, np.float32), np.stack(below), axes=1)
    for detail, size in zip(reversed(details), reversed(sizes), strict=True):
        result = cv2.pyrUp(result, dstsize=size) + detail
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)
