"""Visual information fidelity: how much of the sources' information the fused image contains.

The fusion literature uses the name VIF for three definitions: the wavelet-domain model (`vif`,
"VIFm"), its pixel-domain approximation (`vifp`), and VIFF, made for fusion (`viff`). Their values
are not comparable. Every function takes uint8 images ``HxW`` of one size and returns a float.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

import cv2
import numpy as np

from fusion.evaluation.metrics.catalogue import register
from fusion.evaluation.metrics.filters import Blur, Moments, by_letter, gaussian, strips

# --- Wavelet domain -------------------------------------------------------------------------------

_BLOCK = 3
_NOISE = 0.4
_TINY = 1e-15
_LEAST_SIDE = 21  # seven blocks, of which the finest level's windows leave the middle one


@register("vif", title="VIFm", unit="")
def vif(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """VIF in the wavelet domain, mean with each source as the reference.

    This is Sheikh and Bovik's vector model (2006) on a steerable pyramid, as in LRRNet's table: the
    image is in 0..1, but the noise variance 0.4 was meant for 0..255. Values are therefore not
    comparable with VIF elsewhere, exceed 1 for amplified images, and may increase with added noise.
    Higher is better. NaN if a side is shorter than 21 pixels or a source is flat, because there is
    no information; below 65 pixels the coarsest levels are ignored for this reason.
    """
    if min(fused.shape) < _LEAST_SIDE:
        return float("nan")
    bands = _pyramid_bands(fused / 255.0)
    return float(
        np.mean([_fidelity(_pyramid_bands(source / 255.0), bands) for source in (ir, vis)])
    )


def wavelet_vif(reference: np.ndarray, distorted: np.ndarray) -> float:
    """`vif` of an image with one reference, both uint8 ``HxW`` of at least 21 pixels a side."""
    return _fidelity(_pyramid_bands(reference / 255.0), _pyramid_bands(distorted / 255.0))


def _fidelity(reference: list["_Band"], distorted: list["_Band"]) -> float:
    information = reference_information = 0.0
    for x, y in zip(reference, distorted, strict=True):
        gain, noise = _channel(x, y)
        distortion = gain**2 / (noise + _NOISE)
        # One logarithm of a product instead of nine logarithms.
        kept, whole = np.ones_like(gain), np.ones_like(gain)
        for eigenvalue in x.eigenvalues:
            signal = x.energy * eigenvalue
            kept *= 1 + distortion * signal
            whole *= 1 + signal / _NOISE
        information += np.log2(kept).sum()
        reference_information += np.log2(whole).sum()
    return float(information / reference_information) if reference_information else float("nan")


@cache
def _pyramid_filters() -> dict[str, np.ndarray]:
    """The ``sp5`` steerable filters of Simoncelli's pyramid tools."""
    from pyrtools.pyramids.filters import parse_filter

    return parse_filter("sp5_filters", normalize=False)


def _pyramid_bands(image: np.ndarray) -> list["_Band"]:
    """First and fourth of six orientations at each of four levels, finest level first."""
    filters = _pyramid_filters()

    def apply(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)

    side = int(np.sqrt(len(filters["bfilts"])))
    low = apply(image, filters["lo0filt"])
    bands = []
    for level in range(4):
        if level:
            low = _filter_and_halve(low, filters["lofilt"])
        # 17 at the finest of the four levels down to 3 at the coarsest: the original program
        # numbers its bands from the coarsest, its windows from the finest.
        window = 2 ** (4 - level) + 1
        for orientation in (0, 3):
            kernel = filters["bfilts"][:, orientation].reshape(side, side).T
            bands.append(_Band(apply(low, np.ascontiguousarray(kernel)), window))
    return bands


def _filter_and_halve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Every second row and column of a filtered image, without computing the others.

    Even and odd pixels are multiplied only by even and odd kernel elements, so the result is the
    sum of four small filters on a quarter of the image each.
    """
    half = len(kernel) // 2
    height, width = ((side + 1) // 2 for side in image.shape)
    padded = cv2.copyMakeBorder(image, half, half, half, half, cv2.BORDER_REFLECT_101)
    total = np.zeros((height, width))
    for i in range(2):
        for j in range(2):
            taps = np.ascontiguousarray(kernel[i::2, j::2])
            phase = np.ascontiguousarray(padded[i::2, j::2])
            total += cv2.filter2D(phase, -1, taps, anchor=(0, 0))[:height, :width]
    return total


class _Band:
    """A band of the pyramid cropped to whole 3x3 blocks, and its statistics, computed once."""

    def __init__(self, pixels: np.ndarray, window: int):
        rows, columns = (side // _BLOCK * _BLOCK for side in pixels.shape)
        self.pixels = pixels[:rows, :columns]
        self.window = window
        rim = int(np.ceil((window - 1) / 2 / _BLOCK))
        #: Blocks far enough from the border.
        self.inner = (slice(rim, -rim), slice(rim, -rim))

    def local_mean(self, image: np.ndarray) -> np.ndarray:
        """Mean in the window around the centre of each inner block."""
        size = (self.window, self.window)
        blurred = cv2.blur(image, size, borderType=cv2.BORDER_REFLECT_101)
        return blurred[1::_BLOCK, 1::_BLOCK][self.inner]

    @cached_property
    def mean(self) -> np.ndarray:
        return self.local_mean(self.pixels)

    @cached_property
    def variance(self) -> np.ndarray:
        return np.maximum(self.local_mean(self.pixels**2) - self.mean**2, 0)

    @cached_property
    def _eigen(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues and vectors of the covariance of all overlapping blocks."""
        values, vectors = np.linalg.eigh(_block_covariance(self.pixels))
        return np.maximum(values, 0), vectors

    @property
    def eigenvalues(self) -> np.ndarray:
        return self._eigen[0]

    @cached_property
    def energy(self) -> np.ndarray:
        """Energy of each inner block in units of the band's covariance."""
        n, (rows, columns) = _BLOCK, self.pixels.shape
        blocks = self.pixels.reshape(rows // n, n, columns // n, n).transpose(1, 3, 0, 2)
        blocks = blocks.reshape(n * n, -1)
        values, vectors = self._eigen
        inverse = vectors / np.maximum(values, _TINY) @ vectors.T
        energy = np.einsum("ij,ij->j", blocks, inverse @ blocks) / (n * n)
        return energy.reshape(rows // n, columns // n)[self.inner]


def _block_covariance(x: np.ndarray) -> np.ndarray:
    """Biased covariance of all overlapping 3x3 blocks as vectors of nine pixels, ``9x9``.

    Two pixels of a block at one displacement have the same products wherever they stand in it,
    except along the border. So each displacement's products are summed once over the rows that all
    have in common, and the few other rows are added for each.
    """
    n = _BLOCK
    height, width = x.shape
    rows, columns = height - n + 1, width - n + 1  # of blocks
    x = x - x.mean()
    products = np.empty((n * n, n * n))
    for down in range(n):
        rest = n - 1 - down
        for right in range(-n + 1 if down else 0, n):
            one = x[: height - down, max(0, -right) : width - max(0, right)]
            other = x[down:, max(0, right) : width - max(0, -right)]
            common = np.einsum("ij,ij->j", one[rest:rows], other[rest:rows])
            sums = np.vstack([one[:rest] * other[:rest], common[None], one[rows:] * other[rows:]])
            for i in range(n - down):
                line = sums[i : i + rest + 1].sum(0)
                for j in range(n - abs(right)):
                    first = n * i + j + max(0, -right)
                    second = n * (i + down) + j + max(0, right)
                    total = line[j : j + columns].sum()
                    products[first, second] = products[second, first] = total
    mean = np.array([x[i : i + rows, j : j + columns].mean() for i in range(n) for j in range(n)])
    return products / (rows * columns) - np.outer(mean, mean)


def _channel(x: _Band, y: _Band) -> tuple[np.ndarray, np.ndarray]:
    """Gain and noise variance of the channel from ``x`` to ``y`` around each inner block."""
    var_x, var_y = x.variance, y.variance
    covariance = x.local_mean(x.pixels * y.pixels) - x.mean * y.mean
    return _gain_and_noise(var_x, var_y, covariance, _TINY)


def _gain_and_noise(
    var_x: np.ndarray, var_y: np.ndarray, covariance: np.ndarray, tiny: float
) -> tuple[np.ndarray, np.ndarray]:
    """Gain and noise variance of the channel from x to y, where smaller variances are none."""
    gain = covariance / (var_x + tiny)
    noise = var_y - gain * covariance
    flat = var_x < tiny
    np.copyto(gain, 0, where=flat)
    np.copyto(noise, var_y, where=flat)
    flat = var_y < tiny
    np.copyto(gain, 0, where=flat)
    np.copyto(noise, 0, where=flat)
    negative = gain < 0
    np.copyto(gain, 0, where=negative)
    np.copyto(noise, var_y, where=negative)
    return gain, np.maximum(noise, tiny)


# --- Pixel domain ---------------------------------------------------------------------------------

_FLAT = 1e-10
_PIXEL_NOISE = 2.0
_PIXEL_LEAST_SIDE = 41


def _doubles(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> dict[str, np.ndarray]:
    return {name: x.astype(np.float64) for name, x in by_letter(fused, ir, vis).items()}


@dataclass
class _Channel:
    """The pixel-domain channel from a source to the fused image, per pixel."""

    gain: np.ndarray
    noise: np.ndarray
    variance: np.ndarray


def _pixel_channel(source: str, moments: Moments) -> _Channel:
    variance = np.maximum(moments.variance(source), 0)
    var_f = np.maximum(moments.variance("f"), 0)
    gain, noise = _gain_and_noise(variance, var_f, moments.covariance(source, "f"), _FLAT)
    np.copyto(variance, 0, where=variance < _FLAT)
    return _Channel(gain, noise, variance)


def _scale_window(scale: int) -> tuple[int, float]:
    """Size and deviation of the Gaussian at scales 0..3: 17, 9, 5, 3 pixels, and a fifth of it."""
    size = 2 ** (4 - scale) + 1
    return size, size / 5


@register("vifp", title="VIFP sum", unit="")
def vifp(
    fused: np.ndarray,
    ir: np.ndarray,
    vis: np.ndarray,
    *,
    window: Literal["centred", "shifted"] = "centred",
    saturate: bool = False,
) -> float:
    """Pixel-domain VIF with the infrared plus that with the visible as the reference, 0..2.

    Sheikh and Bovik's approximation: four scales, noise variance 2 on levels 0..255, one ratio of
    sums over all scales. A copy of a source reaches 1 for this source. Higher is better. NaN if a
    side is shorter than 41 pixels, because there is no fourth scale.

    Args:
        fused, ir, vis: uint8 ``HxW``.
        window: Gaussian windows inside the image ("centred"), or, as in one program, with their
            taps half a step off the centre and a border of zeros ("shifted").
        saturate: whether products of pixels saturate at 255 at the first scale, as in 8-bit
            arithmetic. This removes the scale from the value except in dark areas.
    """
    if min(fused.shape) < _PIXEL_LEAST_SIDE:
        return float("nan")
    images = {
        name: image.astype(np.float64) for name, image in zip("fab", (fused, ir, vis), strict=True)
    }
    information = dict.fromkeys("ab", 0.0)
    reference_information = dict.fromkeys("ab", 0.0)
    for scale in range(4):
        blur = (
            _shifted(*_scale_window(scale))
            if window == "shifted"
            else gaussian(*_scale_window(scale))
        )
        if scale:
            images = {name: np.ascontiguousarray(blur(x)[::2, ::2]) for name, x in images.items()}
        kind = _SaturatedMoments if saturate and scale == 0 else Moments
        margin = _scale_window(scale)[0] // 2 if window == "centred" else 0
        whole = [images] if window == "shifted" else strips(images, margin)
        for strip in whole:
            moments = kind(blur, **strip)
            for source in "ab":
                channel = _pixel_channel(source, moments)
                gained = channel.gain**2 * channel.variance
                gained /= channel.noise + _PIXEL_NOISE
                information[source] += np.log(1 + gained).sum()
                reference = 1 + channel.variance / _PIXEL_NOISE
                reference_information[source] += np.log(reference).sum()
    return sum(
        float(information[source] / reference_information[source])
        if reference_information[source]
        else 1.0
        for source in "ab"
    )


class _SaturatedMoments(Moments):
    """Moments whose products saturate at 255."""

    def covariance(self, one: str, other: str) -> np.ndarray:
        one, other = sorted((one, other))
        if (one, other) not in self._covariances:
            product = np.minimum(self._images[one] * self._images[other], 255)
            self._covariances[one, other] = self._blur(product) - self.mean(one) * self.mean(other)
        return self._covariances[one, other]


def _shifted(size: int, deviation: float) -> Blur:
    """Gaussian with taps at equal steps from ``-(size // 2) - 1`` to ``size // 2``."""
    taps = np.exp(-(np.linspace(-(size // 2) - 1, size // 2, size) ** 2) / (2 * deviation**2))
    taps /= taps.sum()

    def blur(image: np.ndarray) -> np.ndarray:
        return cv2.sepFilter2D(image, cv2.CV_64F, taps, taps, borderType=cv2.BORDER_CONSTANT)

    return blur


# --- VIFF -----------------------------------------------------------------------------------------

_VIFF_NOISE = 0.005 * 255 * 255
_VIFF_WEIGHTS = np.array((1, 0, 0.15, 1)) / 2.15


@register("viff", title="VIFF", unit="")
def viff(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """VIFF (Han et al., 2013): fused visual information over the sources', about 0..1.

    Computed in the pixel domain on four scales. At every pixel the source with the smaller gain
    decides, or the visible one if the gains are equal, so exchanging the sources changes the value
    slightly. Higher is better. NaN if a side is shorter than 41 pixels, because there is no fourth
    scale.
    """
    if min(fused.shape) < _PIXEL_LEAST_SIDE:
        return float("nan")
    images = {
        name: image.astype(np.float64) for name, image in zip("fab", (fused, ir, vis), strict=True)
    }
    value = 0.0
    for scale, weight in enumerate(_VIFF_WEIGHTS):
        blur = gaussian(*_scale_window(scale))
        if scale:
            images = {name: np.ascontiguousarray(blur(x)[::2, ::2]) for name, x in images.items()}
        if not weight:
            continue
        with_distortion = without = 0.0
        for strip in strips(images, _scale_window(scale)[0] // 2):
            moments = Moments(blur, **strip)
            first, second = (_pixel_channel(source, moments) for source in "ab")
            closer = first.gain < second.gain
            gain, noise, variance = (
                np.where(closer, getattr(first, part), getattr(second, part))
                for part in ("gain", "noise", "variance")
            )
            kept = gain**2 * variance
            kept /= noise + _VIFF_NOISE
            with_distortion += (np.log10(1 + kept) + 1e-7).sum()
            without += (np.log10(1 + variance / _VIFF_NOISE) + 1e-7).sum()
        value += weight * with_distortion / without
    return float(value)
