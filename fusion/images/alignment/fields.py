"""Structure fields: what an infrared and a visible picture of one scene have in common.

Warm things may be bright or dark in the visible picture, so grey levels and even the signs of edges
say nothing. The directions of edges do, modulo 180 degrees. A picture becomes the field of its
gradients ``g = gx + i gy``, with angles doubled, so that opposite gradients are equal, and lengths
compressed, so that a faint edge counts nearly as much as a strong one:

    s = g^2 / (|g|^2 + c <|g|^2> + e^2)

``<.>`` is a local mean and ``e`` the noise of the picture. The product ``Re(conj(s1) s2)`` of two
fields is the cosine of twice the angle between the edges, weighted by their clarity. Its mean is
1 for equal structure and 0 for pictures that have nothing to do with each other; with another
normalisation it is the normalized gradient field measure (Haber and Modersitzki, 2006).
"""

import cv2
import numpy as np

from fusion.images.pixels import luminance, scale_to_255

# The blur before the gradient and the window of the local mean, in pixels; the share `c` of it.
_BLUR, _WINDOW, _SHARE = 1.0, (41, 41), 1.0


def grey(image: np.ndarray) -> np.ndarray:
    """The luminance of a picture, ``HxW`` float32 in 0..255."""
    return scale_to_255(luminance(image)).astype(np.float32)


def structure(
    image: np.ndarray, covered: np.ndarray | None = None, blur: float = _BLUR
) -> np.ndarray:
    """The structure field of a picture.

    Args:
        image: ``HxW`` float32.
        covered: ``HxW`` bool, where the picture has data; None everywhere. The field is 0 elsewhere
            and next to it.
        blur: standard deviation in pixels of the Gaussian blur before the gradient.

    Returns:
        ``HxWx2`` float32, real and imaginary part, of lengths below 1.
    """
    smooth = cv2.GaussianBlur(image, (0, 0), blur)
    gx = np.asarray(cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32), np.float32)
    gy = np.asarray(cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32), np.float32)
    energy: np.ndarray = gx * gx + gy * gy
    if covered is None:
        covered = np.ones(image.shape, bool)
    if covered.all():
        inside = np.ones_like(energy)
        mean = cv2.blur(energy, _WINDOW)
    else:
        # The edge of the data would be the strongest edge of all. OpenCV's blur reaches 4 sigma,
        # the derivative a pixel further.
        reach = 2 * (int(np.ceil(4 * blur)) + 1) + 1
        kernel = np.ones((reach, reach), np.uint8)
        inside = cv2.erode(covered.astype(np.uint8), kernel).astype(np.float32)
        energy *= inside
        share = np.maximum(cv2.blur(inside, _WINDOW), 1e-3)
        mean = cv2.blur(energy, _WINDOW) / share
    # Most pixels of a picture show no edge, so their median energy is that of its noise.
    sample = energy[::2, ::2][inside[::2, ::2] > 0]
    noise = float(np.median(sample)) + 1e-3 if sample.size else 1.0
    weight = inside / (energy + _SHARE * mean + noise)
    return np.dstack([(gx * gx - gy * gy) * weight, 2 * gx * gy * weight])
