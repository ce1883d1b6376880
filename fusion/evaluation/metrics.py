"""Objective metrics of fused pictures, as the fusion literature tabulates them.

Each metric is a pure function ``metric(fused, ir, vis)`` on 8-bit grey pictures ``HxW`` of one
size. `METRICS` lists them with their direction. Definitions differ between papers under one name;
these are the ones that give the published values of RFN-Nest's table where those can be reproduced,
and the original papers' otherwise. Each docstring says what to beware of.

A data set's value is the plain mean over its pictures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

__all__ = ["METRICS", "Metric", "evaluate"]


@dataclass(frozen=True)
class Metric:
    """A metric as the tables know it.

    Attributes:
        name: column title.
        function: ``(fused, ir, vis) -> float``.
        higher_is_better: direction; a convention of the field, not a law.
    """

    name: str
    function: Callable[[np.ndarray, np.ndarray, np.ndarray], float]
    higher_is_better: bool = True


def evaluate(
    fused: np.ndarray, ir: np.ndarray, vis: np.ndarray, metrics: tuple[str, ...] | None = None
) -> dict[str, float]:
    """Several metrics of one picture.

    Args:
        fused, ir, vis: uint8 ``HxW``, of one size.
        metrics: names among `METRICS`; all where None.

    Returns:
        Value by name, in the order asked for.

    Raises:
        ValueError: a picture is not uint8 ``HxW``, sizes differ, or a name is unknown.
    """
    names = tuple(METRICS) if metrics is None else metrics
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise ValueError(f"unknown metric {unknown[0]!r}; known are {', '.join(METRICS)}")
    for title, image in (("fused", fused), ("infrared", ir), ("visible", vis)):
        if image.ndim != 2 or image.dtype != np.uint8:
            raise ValueError(
                f"{title}: metrics take 8-bit grey pictures, got {image.dtype} {image.shape}"
            )
        if image.shape != fused.shape:
            raise ValueError(
                f"{title} is {image.shape[1]}x{image.shape[0]}, "
                f"fused {fused.shape[1]}x{fused.shape[0]}; all must have one size"
            )
    return {name: METRICS[name].function(fused, ir, vis) for name in names}


# --- Of the fused picture alone -------------------------------------------------------------------


def entropy(
    fused: np.ndarray, ir: np.ndarray | None = None, vis: np.ndarray | None = None
) -> float:
    """En: entropy of the histogram of 256 grey levels, 0..8 bits, higher is better.

    Noise and a stretched histogram raise it; the sources play no part.
    """
    return _entropy(np.bincount(fused.ravel(), minlength=256))


def deviation_norm(
    fused: np.ndarray, ir: np.ndarray | None = None, vis: np.ndarray | None = None
) -> float:
    """SD as tabulated by RFN-Nest and LRRNet: ``sqrt(sum((f - mean f)^2))`` on 0..1.

    Not divided by the number of pixels, so it grows with the size of the picture and compares
    methods on one data set only. Higher is better.
    """
    f = fused / 255.0
    return float(np.sqrt(np.square(f - f.mean()).sum()))


def doubled_entropy(
    fused: np.ndarray, ir: np.ndarray | None = None, vis: np.ndarray | None = None
) -> float:
    """2En: what RFN-Nest's and LRRNet's tables call MI, exactly twice `entropy`.

    It says nothing of the sources. `mutual_information` does.
    """
    return 2 * entropy(fused)


def spatial_frequency(
    fused: np.ndarray, ir: np.ndarray | None = None, vis: np.ndarray | None = None
) -> float:
    """SF: root of the summed mean squared first differences along rows and columns, 0..255.

    Rewards noise as much as detail. Higher is better.
    """
    f = fused.astype(np.float64)
    return float(np.sqrt(np.square(np.diff(f, axis=0)).mean() + np.square(np.diff(f)).mean()))


def average_gradient(
    fused: np.ndarray, ir: np.ndarray | None = None, vis: np.ndarray | None = None
) -> float:
    """AG: mean of ``sqrt((dx^2 + dy^2) / 2)`` of forward differences, 0..255, higher is better."""
    f = fused.astype(np.float64)
    dx, dy = f[:-1, 1:] - f[:-1, :-1], f[1:, :-1] - f[:-1, :-1]
    return float(np.sqrt((dx**2 + dy**2) / 2).mean())


# --- Information and correlation ------------------------------------------------------------------


def mutual_information(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """MI: mutual information of fused and infrared plus that of fused and visible, bits.

    From joint histograms of 256 x 256 levels. Copying a source maximises it: the plain maximum of
    the sources scores far above every network. Higher is better.
    """
    return _mutual_information(fused, ir) + _mutual_information(fused, vis)


def _mutual_information(a: np.ndarray, b: np.ndarray) -> float:
    joint = np.bincount(a.ravel().astype(np.intp) * 256 + b.ravel(), minlength=256 * 256)
    joint = joint.reshape(256, 256)
    return _entropy(joint.sum(0)) + _entropy(joint.sum(1)) - _entropy(joint)


def _entropy(counts: np.ndarray) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p)).sum())


def sum_of_correlations_of_differences(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """SCD (Aslantas and Bendes, 2015): ``corr(F - vis, ir) + corr(F - ir, vis)``, -2..2.

    Higher is better. A correlation with a constant picture counts as 0.
    """
    f, a, b = (image.astype(np.float64) for image in (fused, ir, vis))
    return _correlation(f - b, a) + _correlation(f - a, b)


def correlation(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """CC: mean of the correlations with both sources, -1..1, higher is better."""
    f, a, b = (image.astype(np.float64) for image in (fused, ir, vis))
    return (_correlation(f, a) + _correlation(f, b)) / 2


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / norm) if norm > 0 else 0.0


def psnr(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """PSNR in dB, of the mean squared error averaged over the two sources, peak 255.

    Highest for the plain average of the sources, which nobody wants to look at. Infinite where
    both sources equal the fused picture.
    """
    f, a, b = (image.astype(np.float64) for image in (fused, ir, vis))
    error = (np.square(f - a).mean() + np.square(f - b).mean()) / 2
    return float(10 * np.log10(255**2 / error)) if error > 0 else float("inf")


# --- Structural similarity ------------------------------------------------------------------------

_SSIM_C1, _SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """SSIM (Wang et al., 2004), plain mean over both sources, -1..1, higher is better.

    Gaussian window 11x11 of deviation 1.5, borders replicated, mean over the whole map. LRRNet's
    table has this value for DenseFuse, but another for RFN-Nest and itself by a weighting that
    public material does not fix.
    """
    return (_ssim(fused, ir) + _ssim(fused, vis)) / 2


def _ssim(a: np.ndarray, b: np.ndarray) -> float:
    luminance, structure = _ssim_maps(a.astype(np.float64), b.astype(np.float64))
    return float((luminance * structure).mean())


def _ssim_maps(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Luminance term, and the product of the contrast and structure terms, a pixel."""

    def blur(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (11, 11), 1.5, borderType=cv2.BORDER_REPLICATE)

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _SSIM_C1) / (mean_a**2 + mean_b**2 + _SSIM_C1)
    structure = (2 * covariance + _SSIM_C2) / (var_a + var_b + _SSIM_C2)
    return luminance, structure


_MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def ms_ssim(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """MS-SSIM (Wang et al., 2003), mean over both sources, higher is better.

    Five scales with the standard weights, windows wholly inside the picture. Not the multi-exposure
    variant some fusion papers use under the same name. NaN where a side is shorter than 176 pixels,
    for want of a fifth scale.
    """
    return (_ms_ssim(fused, ir) + _ms_ssim(fused, vis)) / 2


def _ms_ssim(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    value = 1.0
    for scale, weight in enumerate(_MS_SSIM_WEIGHTS):
        if min(a.shape) < 11:
            return float("nan")
        luminance, structure = (m[5:-5, 5:-5] for m in _ssim_maps(a, b))
        last = scale == len(_MS_SSIM_WEIGHTS) - 1
        mean = float((luminance * structure).mean() if last else structure.mean())
        # A negative mean has no real power; the convention is to count it as none.
        value *= max(mean, 0.0) ** weight
        a, b = (
            cv2.blur(x, (2, 2), anchor=(0, 0), borderType=cv2.BORDER_REFLECT)[::2, ::2]
            for x in (a, b)
        )
    return value


# --- Visual information fidelity ------------------------------------------------------------------


def vif(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """VIFm: visual information fidelity in the wavelet domain, mean with each source as reference.

    Sheikh and Bovik's vector model (2006) on a steerable pyramid, as LRRNet's table has it: the
    picture on 0..1 with the noise variance 0.4 that was meant for 0..255. Values are therefore not
    comparable with VIF elsewhere, exceed 1 for amplified pictures, and may rise with added noise.
    Higher is better. NaN where a side is shorter than 21 pixels or a source is flat, for want of
    information; below 65 pixels the coarsest levels have none and do not count.
    """
    return (_vif(ir, fused) + _vif(vis, fused)) / 2


_VIF_BLOCK = 3
_VIF_NOISE = 0.4
_VIF_TINY = 1e-15
_VIF_LEAST_SIDE = 21  # seven blocks, of which the finest level's windows leave the middle one


def _vif(reference: np.ndarray, distorted: np.ndarray) -> float:
    if min(reference.shape) < _VIF_LEAST_SIDE:
        return float("nan")
    information = reference_information = 0.0
    pairs = zip(_vif_bands(reference / 255.0), _vif_bands(distorted / 255.0), strict=True)
    for index, (x, y) in enumerate(pairs):
        # 17 at the finest of the four levels down to 3 at the coarsest: the original program
        # numbers its bands from the coarsest, its windows from the finest.
        window = 2 ** (4 - index // 2) + 1
        rows, columns = (side // _VIF_BLOCK * _VIF_BLOCK for side in x.shape)
        x, y = x[:rows, :columns], y[:rows, :columns]
        energy, eigenvalues = _vif_reference(x)
        gain, noise = _vif_channel(x, y, window)
        rim = int(np.ceil((window - 1) / 2 / _VIF_BLOCK))
        inner = (slice(rim, -rim), slice(rim, -rim))
        energy, gain, noise = energy[inner], gain[inner], noise[inner]
        for eigenvalue in eigenvalues:
            signal = energy * eigenvalue
            information += np.log2(1 + gain**2 * signal / (noise + _VIF_NOISE)).sum()
            reference_information += np.log2(1 + signal / _VIF_NOISE).sum()
    return float(information / reference_information) if reference_information else float("nan")


@cache
def _pyramid_filters() -> dict[str, np.ndarray]:
    """The ``sp5`` steerable filters of Simoncelli's pyramid tools."""
    from pyrtools.pyramids.filters import parse_filter

    return parse_filter("sp5_filters", normalize=False)


def _vif_bands(image: np.ndarray) -> list[np.ndarray]:
    """First and fourth of six orientations at each of four levels, finest level first."""
    filters = _pyramid_filters()

    def apply(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)

    side = int(np.sqrt(len(filters["bfilts"])))
    low = apply(image, filters["lo0filt"])
    bands = []
    for _ in range(4):
        for orientation in (0, 3):
            kernel = filters["bfilts"][:, orientation].reshape(side, side).T
            bands.append(apply(low, np.ascontiguousarray(kernel)))
        low = np.ascontiguousarray(apply(low, filters["lofilt"])[::2, ::2])
    return bands


def _vif_reference(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local energy of each 3x3 block in units of the band's covariance, and its eigenvalues."""
    rows, columns = x.shape
    n = _VIF_BLOCK
    shifted = np.stack(
        [
            x[i : rows - n + 1 + i, j : columns - n + 1 + j].ravel()
            for i in range(n)
            for j in range(n)
        ]
    )
    covariance = np.cov(shifted, bias=True)
    eigenvalues, vectors = np.linalg.eigh(covariance)
    eigenvalues = np.maximum(eigenvalues, 0)
    blocks = x.reshape(rows // n, n, columns // n, n).transpose(1, 3, 0, 2).reshape(n * n, -1)
    inverse = vectors / np.maximum(eigenvalues, _VIF_TINY) @ vectors.T
    energy = (blocks * (inverse @ blocks)).sum(0) / (n * n)
    return energy.reshape(rows // n, columns // n), eigenvalues


def _vif_channel(x: np.ndarray, y: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Gain and noise variance of the channel from ``x`` to ``y`` around each block's centre."""

    def mean(image: np.ndarray) -> np.ndarray:
        blurred = cv2.blur(image, (window, window), borderType=cv2.BORDER_REFLECT_101)
        return blurred[1::_VIF_BLOCK, 1::_VIF_BLOCK]

    mean_x, mean_y = mean(x), mean(y)
    var_x = np.maximum(mean(x * x) - mean_x**2, 0)
    var_y = np.maximum(mean(y * y) - mean_y**2, 0)
    covariance = mean(x * y) - mean_x * mean_y
    gain = covariance / (var_x + _VIF_TINY)
    noise = var_y - gain * covariance
    flat = var_x < _VIF_TINY
    gain[flat], noise[flat] = 0, var_y[flat]
    flat = var_y < _VIF_TINY
    gain[flat], noise[flat] = 0, 0
    negative = gain < 0
    gain[negative], noise[negative] = 0, var_y[negative]
    return gain, np.maximum(noise, _VIF_TINY)


_VIFF_NOISE = 0.005 * 255 * 255
_VIFF_WEIGHTS = np.array((1, 0, 0.15, 1)) / 2.15
_VIFF_LEAST_SIDE = 41


def viff(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """VIFF (Han et al., 2013): fused visual information over the sources', about 0..1.

    Pixel domain, four scales; at every pixel the source of smaller gain decides, and the visible
    where both have the same, so that exchanging the sources changes it a little. Higher is better.
    NaN where a side is shorter than 41 pixels, for want of a fourth scale.
    """
    if min(fused.shape) < _VIFF_LEAST_SIDE:
        return float("nan")
    f, a, b = (image.astype(np.float64) for image in (fused, ir, vis))
    value = 0.0
    for scale, weight in enumerate(_VIFF_WEIGHTS):
        size = 2 ** (4 - scale) + 1
        kernel = cv2.getGaussianKernel(size, size / 5)

        def blur(
            image: np.ndarray, kernel: np.ndarray = kernel, half: int = size // 2
        ) -> np.ndarray:
            return cv2.sepFilter2D(image, -1, kernel, kernel)[half:-half, half:-half]

        if scale:
            f, a, b = (np.ascontiguousarray(blur(image)[::2, ::2]) for image in (f, a, b))
        first, second = _viff_terms(a, f, blur), _viff_terms(b, f, blur)
        closer = first[0] < second[0]
        with_, without = (
            np.where(closer, one, other).sum()
            for one, other in zip(first[1:], second[1:], strict=True)
        )
        value += weight * with_ / without
    return float(value)


def _viff_terms(
    source: np.ndarray, fused: np.ndarray, blur: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, ...]:
    """Gain, information with and information without distortion, a pixel."""
    tiny = 1e-10
    mean_s, mean_f = blur(source), blur(fused)
    var_s = np.maximum(blur(source * source) - mean_s**2, 0)
    var_f = np.maximum(blur(fused * fused) - mean_f**2, 0)
    covariance = blur(source * fused) - mean_s * mean_f
    gain = covariance / (var_s + tiny)
    noise = var_f - gain * covariance
    flat = var_s < tiny
    gain[flat], noise[flat], var_s[flat] = 0, var_f[flat], 0
    flat = var_f < tiny
    gain[flat], noise[flat] = 0, 0
    negative = gain < 0
    noise[negative], gain[negative] = var_f[negative], 0
    noise = np.maximum(noise, tiny)
    with_ = np.log10(1 + gain**2 * var_s / (noise + _VIFF_NOISE))
    return gain, with_ + 1e-7, np.log10(1 + var_s / _VIFF_NOISE) + 1e-7


# --- Edges --------------------------------------------------------------------------------------


def qabf(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """Qabf (Xydeas and Petrovic, 2000): edges of the sources kept, 0..1, higher is better.

    Sobel on 0..255 with a border of zeros, weighted by the source's edge strength.
    """
    strength_f, angle_f = _sobel(fused)
    kept = total = 0.0
    for source in (ir, vis):
        strength, angle = _sobel(source)
        agreement = 1 - np.abs(angle - angle_f) / (np.pi / 2)
        quality = _sigmoid(_ratio(strength, strength_f), 0.9994, 15, 0.5)
        quality *= _sigmoid(agreement, 0.9879, 22, 0.8)
        kept += (quality * strength).sum()
        total += strength.sum()
    return float(kept / total) if total > 0 else 0.0


def nabf(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """Nabf (Shreyamsha Kumar, 2013): edges the fusion made up, 0..1, lower is better.

    Copying a source scores best. On 0..1, as published tables have it, no edge is strong enough for
    its own weight and all pixels weigh the same. In flat areas the Sobel sums cancel to 0 or to
    1e-17 and the result turns on which, so the order of summation is part of the definition: each
    column of the 3x3 products from top to bottom, then the columns from left to right. Other orders
    move the third digit.
    """
    f, a, b = (_ordered_sobel(image / 255.0) for image in (fused, ir, vis))
    made_up = (f[0] > a[0]) & (f[0] > b[0])
    lost = weights = 0.0
    for strength, angle in (a, b):
        agreement = np.abs(np.abs(angle - f[1]) - np.pi / 2) * (2 / np.pi)
        quality = np.sqrt(
            _sigmoid(_ratio(strength, f[0]), 0.9999, 19, 0.5) * _sigmoid(agreement, 0.9995, 22, 0.5)
        )
        weight = np.where(strength >= 2, strength**1.5, 0.001)
        lost += (made_up * (1 - quality) * weight).sum()
        weights += weight.sum()
    return float(lost / weights)


def _sigmoid(x: np.ndarray, top: float, slope: float, middle: float) -> np.ndarray:
    return top / (1 + np.exp(-slope * (x - middle)))


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Smaller over larger of two strengths, 0 where either is 0."""
    larger = np.maximum(a, b)
    return np.divide(np.minimum(a, b), larger, out=np.zeros_like(a), where=larger > 0)


def _sobel(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strength and angle of edges for `qabf`.

    The vertical gradient points up, and a line without horizontal gradient has the angle +pi/2, as
    in the common program: lines a little to either side of it disagree, which the fourth digit
    shows.
    """
    image = image.astype(np.float64)
    gh = cv2.Sobel(image, -1, 1, 0, borderType=cv2.BORDER_CONSTANT)
    gv = -cv2.Sobel(image, -1, 0, 1, borderType=cv2.BORDER_CONSTANT)
    return np.sqrt(gh * gh + gv * gv), np.where(gh == 0, np.pi / 2, _line_angle(gh, gv))


def _line_angle(gh: np.ndarray, gv: np.ndarray) -> np.ndarray:
    """Angle of a line, not of a direction: -pi/2..pi/2; NaN without gradient."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.arctan(gv / gh)


def _ordered_sobel(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sobel over 8 with mirrored borders, summed in the order `nabf` is defined by."""
    padded = np.pad(image, 1, mode="reflect")
    rows, columns = image.shape

    def correlate(kernel: np.ndarray) -> np.ndarray:
        sums = [
            sum(kernel[i, j] * padded[i : i + rows, j : j + columns] for i in range(3))
            for j in range(3)
        ]
        return sums[0] + sums[1] + sums[2]

    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    gh, gv = correlate(kernel), correlate(kernel.T)
    strength = np.sqrt(gh * gh + gv * gv)
    return strength, np.where(strength == 0, 0.0, _line_angle(gh, gv))


METRICS: dict[str, Metric] = {
    key: Metric(name, function, better)
    for key, name, function, better in (
        ("en", "En", entropy, True),
        ("sd", "SD", deviation_norm, True),
        ("2en", "2En", doubled_entropy, True),
        ("mi", "MI", mutual_information, True),
        ("ssim", "SSIM", ssim, True),
        ("vif", "VIFm", vif, True),
        ("nabf", "Nabf", nabf, False),
        ("sf", "SF", spatial_frequency, True),
        ("ag", "AG", average_gradient, True),
        ("scd", "SCD", sum_of_correlations_of_differences, True),
        ("qabf", "Qabf", qabf, True),
        ("ms_ssim", "MS-SSIM", ms_ssim, True),
        ("viff", "VIFF", viff, True),
        ("cc", "CC", correlation, True),
        ("psnr", "PSNR", psnr, True),
    )
}
