"""Filters that several metrics share: means in windows, with or without the border."""

from collections.abc import Callable, Iterator, Mapping

import cv2
import numpy as np

#: Maps an image to its local means.
Blur = Callable[[np.ndarray], np.ndarray]


#: Rows computed at once. Intermediate results of a strip then fit into the processor's cache and
#: are small enough to be allocated without a system call.
STRIP = 64


def by_letter(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> dict[str, np.ndarray]:
    """The images by the letters of the formulas: F fused, A infrared, B visible."""
    return {"f": fused, "a": ir, "b": vis}


def strips(images: Mapping[str, np.ndarray], margin: int) -> Iterator[dict[str, np.ndarray]]:
    """Horizontal strips of images, whose windows of ``2 margin + 1`` pixels cover every row once.

    Args:
        images: ``HxW`` of one size, any type, by name.
        margin: rows by which neighbouring strips overlap on each side.

    Yields:
        float64 strips by name. A map of values from windows wholly inside them has up to `STRIP`
        rows.
    """
    height = next(iter(images.values())).shape[0] - 2 * margin
    for begin in range(0, height, STRIP):
        rows = slice(begin, min(begin + STRIP, height) + 2 * margin)
        yield {name: image[rows].astype(np.float64) for name, image in images.items()}


def separable(kernel: np.ndarray, border: int | None) -> Blur:
    """Filter with ``kernel`` along rows and columns.

    Args:
        kernel: 1-D, of odd length.
        border: an OpenCV border type, for an output of the input's size; None for windows wholly
            inside the image.
    """
    half = len(kernel) // 2
    kind = cv2.BORDER_REPLICATE if border is None else border

    def blur(image: np.ndarray) -> np.ndarray:
        filtered = cv2.sepFilter2D(image, cv2.CV_64F, kernel, kernel, borderType=kind)
        return filtered if border is not None else filtered[half:-half, half:-half]

    return blur


def gaussian(size: int, deviation: float, border: int | None = None) -> Blur:
    """Gaussian window ``size x size`` of sum 1; ``border`` as for `separable`."""
    return separable(cv2.getGaussianKernel(size, deviation).ravel(), border)


def box(size: int, border: int | None = None) -> Blur:
    """Plain mean of ``size x size`` pixels; ``border`` as for `separable`."""
    half = size // 2
    kind = cv2.BORDER_REPLICATE if border is None else border

    def blur(image: np.ndarray) -> np.ndarray:
        filtered = cv2.blur(image, (size, size), borderType=kind)
        return filtered if border is not None else filtered[half:-half, half:-half]

    return blur


class Moments:
    """Local means, variances and covariances of images under one window.

    Each is computed on first use and kept, so that an image that is compared with two others is
    filtered only once.

    Args:
        blur: computes the mean in the window.
        images: float64 ``HxW`` by name.
    """

    def __init__(self, blur: Blur, **images: np.ndarray):
        self._blur = blur
        self._images = images
        self._means: dict[str, np.ndarray] = {}
        self._covariances: dict[tuple[str, str], np.ndarray] = {}

    def mean(self, name: str) -> np.ndarray:
        """``E[x]``."""
        if name not in self._means:
            self._means[name] = self._blur(self._images[name])
        return self._means[name]

    def covariance(self, one: str, other: str) -> np.ndarray:
        """``E[xy] - E[x] E[y]``; may be slightly negative for a variance, by rounding."""
        one, other = sorted((one, other))
        if (one, other) not in self._covariances:
            product = self._blur(self._images[one] * self._images[other])
            product -= self.mean(one) * self.mean(other)
            self._covariances[one, other] = product
        return self._covariances[one, other]

    def variance(self, name: str) -> np.ndarray:
        """`covariance` of an image with itself."""
        return self.covariance(name, name)
