"""Edges of the sources that the fused image keeps (Qabf), or artificial edges in it (Nabf).

Every function takes uint8 images ``HxW`` of one size and returns a float. Both metrics compare
the strength and the angle of Sobel gradients. In flat areas, Sobel sums of values in 0..1 cancel to
either 0 or 1e-17, and the result depends on which. Definitions on 0..1 therefore include the order
of summation.
"""

from typing import Literal

import cv2
import numpy as np

from fusion.evaluation.metrics.catalogue import register
from fusion.evaluation.metrics.filters import by_letter, strips

_HORIZONTAL = np.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
_VERTICAL = np.array([[1.0, 2.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -1.0]])


def _sigmoid(x: np.ndarray, top: float, slope: float, middle: float) -> np.ndarray:
    """``top / (1 + exp(-slope (x - middle)))``; overwrites ``x``."""
    x -= middle
    x *= -slope
    np.exp(x, out=x)
    x += 1
    return np.divide(top, x, out=x)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smaller strength divided by the larger; 0 where either is 0."""
    larger = np.maximum(a, b)
    return np.divide(np.minimum(a, b), larger, out=np.zeros_like(a), where=larger > 0)


@register("qabf", title="Qabf equal 1", unit="")
def qabf(
    fused: np.ndarray,
    ir: np.ndarray,
    vis: np.ndarray,
    *,
    equal: Literal["one", "strength"] = "one",
    peak: float = 255,
) -> float:
    """Qabf (Xydeas and Petrovic, 2000): share of the sources' edges that is kept, 0..1.

    Sobel gradients with a border of zeros; every pixel weighs as much as the source's edge there.
    The angle is ``atan(gy / gx)``, +pi/2 where ``gx`` is 0. Higher is better; 0 where the sources
    have no edge.

    Args:
        fused, ir, vis: uint8 ``HxW``.
        equal: ratio of two equal strengths: 1, or, as in the common programs, the strength itself,
            which moves the fourth digit on levels 0..255 and punishes perfect edges on 0..1.
        peak: value of the brightest level. With 1 the sums are in double, in MATLAB's order.
    """
    gradients = _exact_sobel if peak != 1 else _matlab_sobel
    scale = 1.0 if peak == 1 else peak / 255
    kept = total = 0.0
    for strip in strips(_bordered(fused, ir, vis, cv2.BORDER_CONSTANT), 1):
        strength_f, angle_f = gradients(strip["f"])
        for source in "ab":
            strength, angle = gradients(strip[source])
            ratio = _ratio(strength, strength_f)
            if equal == "strength":
                np.copyto(ratio, strength_f * scale, where=strength == strength_f)
            angle -= angle_f
            np.abs(angle, out=angle)
            angle *= -2 / np.pi
            angle += 1
            quality = _sigmoid(ratio, 0.9994, 15, 0.5)
            quality *= _sigmoid(angle, 0.9879, 22, 0.8)
            kept += float(np.vdot(quality, strength))
            total += float(strength.sum())
    return kept / total if total > 0 else 0.0


def _bordered(
    fused: np.ndarray, ir: np.ndarray, vis: np.ndarray, border: int
) -> dict[str, np.ndarray]:
    """The images padded by one pixel on every side."""
    return {
        name: cv2.copyMakeBorder(image, 1, 1, 1, 1, border)
        for name, image in by_letter(fused, ir, vis).items()
    }


def _angle_from_vertical(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        angle = np.divide(y, x)
    np.arctan(angle, out=angle)
    angle[x == 0] = np.pi / 2
    return angle


def _exact_sobel(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strength and angle on levels 0..255, where the sums are exact in any order.

    Args:
        image: float64, with a border of one pixel that the result lacks.
    """
    smooth = image[:-2] + 2 * image[1:-1]
    smooth += image[2:]
    x = smooth[:, 2:] - smooth[:, :-2]
    steep = image[:-2] - image[2:]  # points up
    y = steep[:, :-2] + 2 * steep[:, 1:-1]
    y += steep[:, 2:]
    return cv2.magnitude(x, y), _angle_from_vertical(x, y)


def _matlab_sobel(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`_exact_sobel` on 0..1, summed as MATLAB's conv2 does.

    The kernel is walked column by column, each from top to bottom, as a convolution: neighbours
    from the lower right upwards, then the column to the left.
    """
    image = image / 255.0
    rows, columns = (side - 2 for side in image.shape)

    def convolve(kernel: np.ndarray) -> np.ndarray:
        total = np.zeros((rows, columns))
        for j in range(3):
            for i in range(3):
                if kernel[i, j]:
                    total += kernel[i, j] * image[2 - i : 2 - i + rows, 2 - j : 2 - j + columns]
        return total

    x, y = convolve(_HORIZONTAL), convolve(_VERTICAL)
    return np.sqrt(x * x + y * y), _angle_from_vertical(x, y)


@register("nabf", title="Nabf", unit="", higher_is_better=False)
def nabf(
    fused: np.ndarray,
    ir: np.ndarray,
    vis: np.ndarray,
    *,
    peak: float = 1,
    weak: float = 0.001,
    judged: Literal["fused", "ir"] = "fused",
) -> float:
    """Nabf (Shreyamsha Kumar, 2013): artificial edges that the fusion added, 0..1.

    Sum of ``(1 - q_A) w_A + (1 - q_B) w_B`` over the pixels where the fused edge is stronger than
    both sources', over the sum of all weights. Edges of strength 2 and more weigh ``t^1.5``, weaker
    ones ``weak``. Copying a source scores best, and so does blurring. Lower is better.

    Args:
        fused, ir, vis: uint8 ``HxW``.
        peak: value of the brightest level. On 0..1, as RFN-Nest's and LRRNet's tables have it, no
            edge reaches strength 2 and all pixels weigh the same. The sums are then in double:
            each column of the 3x3 products from top to bottom, then the columns from left to
            right; other orders move the third digit.
        weak: weight of an edge below strength 2.
        judged: the image that is measured as the fused one. "ir" reproduces a program with
            exchanged arguments, which measures the infrared image against visible and fused.
    """
    if judged == "ir":
        fused, ir, vis = ir, vis, fused
    lost = weights = 0.0
    for strip in strips(_bordered(fused, ir, vis, cv2.BORDER_REFLECT_101), 1):
        gradients = {name: _ordered_sobel(image / (255 / peak)) for name, image in strip.items()}
        strength_f, vertical_f, horizontal_f = gradients.pop("f")
        made_up = strength_f > np.maximum(gradients["a"][0], gradients["b"][0])
        strength_f = strength_f[made_up]
        angle_f = _angle_from_horizontal(vertical_f[made_up], horizontal_f[made_up])
        for strength, vertical, horizontal in gradients.values():
            weight = np.full_like(strength, weak)
            strong = strength >= 2
            weight[strong] = strength[strong] ** 1.5
            weights += float(weight.sum())
            angle = _angle_from_horizontal(vertical[made_up], horizontal[made_up])
            agreement = np.abs(np.abs(angle - angle_f) - np.pi / 2)
            agreement *= 2 / np.pi
            quality = _sigmoid(_ratio(strength[made_up], strength_f), 0.9999, 19, 0.5)
            quality *= _sigmoid(agreement, 0.9995, 22, 0.5)
            lost += float(np.vdot(1 - np.sqrt(quality), weight[made_up]))
    return lost / weights if weights > 0 else 0.0


def _ordered_sobel(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Strength, vertical and horizontal derivative of Sobel over 8.

    Columns of the 3x3 products are summed from top to bottom, then from left to right. All kernel
    elements are powers of two, so that scaling commutes with the sums.

    Args:
        image: float64, with a border of one pixel that the result lacks.
    """
    smooth = image[:-2] + 2 * image[1:-1]
    smooth += image[2:]
    horizontal = smooth[:, 2:] - smooth[:, :-2]
    horizontal /= 8
    steep = image[2:] - image[:-2]
    vertical = steep[:, :-2] + 2 * steep[:, 1:-1]
    vertical += steep[:, 2:]
    vertical /= 8
    strength = horizontal * horizontal
    strength += vertical * vertical
    return np.sqrt(strength, out=strength), vertical, horizontal


def _angle_from_horizontal(vertical: np.ndarray, horizontal: np.ndarray) -> np.ndarray:
    """``atan(horizontal / vertical)``, 0 where both are 0.

    Angles from the other axis agree equally well where neither derivative is 0, but not in flat
    places and along the axes, where the published values tell the two apart.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        angle = np.divide(horizontal, vertical)
    np.arctan(angle, out=angle)
    angle[(vertical == 0) & (horizontal == 0)] = 0
    return angle
