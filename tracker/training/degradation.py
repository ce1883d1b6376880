"""Degradation of crops by cameras and weather: smoke, night, glare, noise, blur, failures.

Every function takes a crop ``HxW`` (infrared) or ``HxWx3`` (RGB), uint8, and returns one of the
same shape. Noise and smoke are read from tables with a fixed seed, at a random place and scale,
because drawing normal numbers for every crop would take longer than everything else.
"""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np

__all__ = ["FAILURES", "disturb", "draw_failure", "fail", "pixelate"]

# --- Tables ---------------------------------------------------------------------------------------

_TABLE = 1024


@cache
def _noise_table() -> np.ndarray:
    """Normal numbers with standard deviation 16, int8."""
    rng = np.random.default_rng(1)
    numbers = rng.standard_normal((_TABLE, _TABLE, 3), np.float32) * 16
    return np.clip(np.rint(numbers), -127, 127).astype(np.int8)


@cache
def _cloud_table() -> np.ndarray:
    """Fractal noise in 0..1, float32: the amplitude falls with frequency to the power of -1.7."""
    rng = np.random.default_rng(2)
    frequency = np.hypot(np.fft.fftfreq(_TABLE)[:, None], np.fft.rfftfreq(_TABLE)[None])
    frequency[0, 0] = 1
    shape = frequency.shape
    spectrum = frequency**-1.7 * np.exp(2j * np.pi * rng.random(shape)) * (frequency >= 2 / _TABLE)
    cloud = np.asarray(np.fft.irfft2(spectrum, (_TABLE, _TABLE)))
    return np.clip(0.5 + (cloud - cloud.mean()) / (4 * cloud.std()), 0, 1).astype(np.float32)


def _window(table: np.ndarray, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    y, x = rng.integers(0, table.shape[0] - height), rng.integers(0, table.shape[1] - width)
    return table[y : y + height, x : x + width]


def _clouds(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A random part of the fractal noise at a random scale, ``HxW`` in 0..1."""
    side = int(rng.integers(60, 400))
    patch = _window(_cloud_table(), side, side, rng)
    return cv2.resize(patch, (width, height), interpolation=cv2.INTER_LINEAR)


# --- Single disturbances --------------------------------------------------------------------------


def add_noise(image: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Add normal noise, independent in every channel."""
    height, width = image.shape[:2]
    numbers = _window(_noise_table(), height, width, rng)
    if image.ndim == 2:
        numbers = np.ascontiguousarray(numbers[..., 0])
    return cv2.addWeighted(image, 1, numbers, deviation / 16, 0, dtype=cv2.CV_8U)


def add_stripes(image: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Add an offset to every column (or row), as uncooled thermal sensors do."""
    height, width = image.shape[:2]
    upright = rng.random() < 0.7
    along = np.asarray(rng.standard_normal(width if upright else height, np.float32)) * deviation
    table = np.broadcast_to(along[None] if upright else along[:, None], (height, width))
    return _uint8(image + (table if image.ndim == 2 else table[..., None]))


def change_gain(
    image: np.ndarray, gain: float, offset: float, about: float | None = None
) -> np.ndarray:
    """Scale by ``gain`` about the mean (or a given level) and add ``offset`` in grey levels."""
    middle = float(image.mean()) if about is None else about
    return _lookup(image, lambda v: (v - middle) * gain + middle + offset)


def compress(image: np.ndarray, quality: int) -> np.ndarray:
    """Encode as JPEG and decode."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    mode = cv2.IMREAD_COLOR if image.ndim == 3 else cv2.IMREAD_GRAYSCALE
    return np.asarray(cv2.imdecode(data, mode))


def pixelate(image: np.ndarray, factor: float) -> np.ndarray:
    """Reduce the resolution by a factor, as a sensor with fewer pixels would."""
    height, width = image.shape[:2]
    small = cv2.resize(
        image,
        (max(8, int(width / factor)), max(8, int(height / factor))),
        interpolation=cv2.INTER_AREA,
    )
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def blur_along_line(image: np.ndarray, length: float, angle: float) -> np.ndarray:
    """Motion blur: the mean along a line of ``length`` pixels at ``angle`` radians."""
    reach = int(np.ceil(length / 2))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    middle = reach
    step = length / 2 * np.array([np.cos(angle), np.sin(angle)])
    ends = np.rint((np.array([-step, step]) + middle) * 16).astype(int)
    cv2.line(kernel, ends[0].tolist(), ends[1].tolist(), 1.0, 1, cv2.LINE_AA, shift=4)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def darken(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Simulate night: less light, a colour cast, and sensor noise."""
    gamma = rng.uniform(1.0, 1.8)
    dark = _lookup(image, lambda v: 255 * share * (v / 255) ** gamma + rng.uniform(0, 10))
    if image.ndim == 3:
        cast = np.diag(rng.uniform(0.6, 1.0, 3))
        dark = cv2.transform(dark, cast)
    return add_noise(dark, rng.uniform(1, 7), rng)


def add_smoke(image: np.ndarray, density: float, rng: np.random.Generator) -> np.ndarray:
    """Add smoke with spatial structure: clouds that hide the scene, thinner in places.

    Args:
        density: from 0, thin wisps, to 1, where almost nothing remains visible.
    """
    height, width = image.shape[:2]
    cloud = _clouds(height, width, rng)
    low = 0.75 - 0.8 * density
    most = rng.uniform(0.85, 1.0) if density > 0.5 else 0.9
    alpha = np.clip((cloud - np.float32(low)) / np.float32(0.45), 0, np.float32(most))
    shade = rng.uniform(120, 235) + 50 * (_clouds(height, width, rng) - 0.5)
    if image.ndim == 3:
        tint = rng.uniform(0.93, 1.05, 3).astype(np.float32)
        smoke = np.clip(shade[..., None] * tint, 0, 255).astype(np.uint8)
    else:
        smoke = np.clip(shade, 0, 255).astype(np.uint8)
    veiled = cv2.blendLinear(smoke, image, alpha, 1 - alpha)
    return cv2.GaussianBlur(veiled, (3, 3), 0) if rng.random() < 0.5 else veiled


def add_haze(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Add uniform haze that reduces the contrast by ``share``."""
    light = rng.uniform(140, 230)
    return _lookup(image, lambda v: v * (1 - share) + share * light)


def add_glare(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Add one to three lights that saturate their surroundings."""
    height, width = image.shape[:2]
    bloom = np.zeros((height // 4, width // 4), np.float32)
    rows = np.arange(height // 4, dtype=np.float32)[:, None]
    columns = np.arange(width // 4, dtype=np.float32)[None]
    for _ in range(int(rng.integers(1, 4))):
        y, x = rng.uniform(0, height // 4), rng.uniform(0, width // 4)
        radius = rng.uniform(0.08, 0.4) * height / 4
        bloom += np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * radius**2))
    bloom = cv2.resize(bloom, (width, height), interpolation=cv2.INTER_LINEAR) * (320 * strength)
    lit = np.clip(bloom, 0, 255).astype(np.uint8)
    return cv2.add(image, cv2.merge([lit] * 3) if image.ndim == 3 else lit)


# --- Common degradation -------------------------------------------------------------------------


def disturb(image: np.ndarray, rng: np.random.Generator, weather: bool = True) -> np.ndarray:
    """A random mixture of light, focus, motion, noise and compression, as in most images.

    Args:
        weather: whether to include smoke, night, haze and glare.
    """
    visible = image.ndim == 3
    if rng.random() < 0.5:
        gain, offset = np.exp(rng.uniform(np.log(0.6), np.log(1.6))), rng.uniform(-35, 35)
        image = change_gain(image, gain, offset)
    if visible and rng.random() < 0.25:
        image = cv2.transform(image, np.diag(rng.uniform(0.8, 1.2, 3)))
    if not visible and rng.random() < 0.08:
        image = 255 - image
    what = rng.random()
    if what < 0.12:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.6, 2.2))
    elif what < 0.27:
        image = blur_along_line(image, rng.uniform(3, 10), rng.uniform(0, np.pi))
    elif what < 0.32:
        image = pixelate(image, rng.uniform(1.5, 3.5))
    what = rng.random() if weather else 1.0
    if visible and what < 0.1:
        image = add_smoke(image, rng.uniform(0, 0.6), rng)
    elif visible and what < 0.2:
        image = darken(image, rng.uniform(0.15, 0.6), rng)
    elif what < 0.25:
        image = add_haze(image, rng.uniform(0.1, 0.5), rng)
    elif visible and what < 0.29:
        image = add_glare(image, rng.uniform(0.3, 0.8), rng)
    if not visible and rng.random() < 0.1:
        image = add_stripes(image, rng.uniform(1, 5), rng)
    if rng.random() < 0.4:
        image = add_noise(image, rng.exponential(4), rng)
    if rng.random() < 0.2:
        image = compress(image, int(rng.integers(15, 70)))
    return image


# --- Failures -------------------------------------------------------------------------------------


def _fail_dark(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return darken(image, rng.uniform(0.01, 0.1), rng)


def _fail_noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    weak = change_gain(image, rng.uniform(0.05, 0.3), 0)
    return add_noise(weak, rng.uniform(20, 60), rng)


def _fail_flat(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Almost no contrast, as in thermal crossover or fog."""
    level = rng.uniform(20, 235)
    flat = change_gain(image, rng.uniform(0, 0.06), 0)
    flat = change_gain(flat, 1, level - float(flat.mean()))
    return add_noise(flat, rng.uniform(0, 3), rng)


def _fail_glare(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return add_glare(change_gain(image, 1, rng.uniform(80, 170)), rng.uniform(0.8, 1.5), rng)


def _fail_smoke(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return add_smoke(image, rng.uniform(0.75, 1.0), rng)


def _fail_empty(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.full_like(image, rng.integers(0, 256))


_Fail = Callable[[np.ndarray, np.random.Generator], np.ndarray]

#: Failures by name, with their relative frequency in RGB and in infrared.
FAILURES: dict[str, tuple[_Fail, float, float]] = {
    "dark": (_fail_dark, 3, 1),
    "noise": (_fail_noise, 2, 2),
    "flat": (_fail_flat, 1, 4),
    "glare": (_fail_glare, 2, 1),
    "smoke": (_fail_smoke, 4, 0),
    "empty": (_fail_empty, 0.7, 0.7),
}


def draw_failure(visible: bool, rng: np.random.Generator) -> str:
    """Draw the name of one of `FAILURES`."""
    names = list(FAILURES)
    weights = np.array([FAILURES[name][1 if visible else 2] for name in names])
    return names[rng.choice(len(names), p=weights / weights.sum())]


def fail(image: np.ndarray, name: str, rng: np.random.Generator) -> np.ndarray:
    """Apply the failure ``name`` of `FAILURES`; almost nothing of the crop remains visible."""
    return FAILURES[name][0](image, rng)


# --- Helpers --------------------------------------------------------------------------------------

_LEVELS = np.arange(256, dtype=np.float32)


def _lookup(image: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Apply a function of grey levels 0..255 to every pixel, through a table."""
    return cv2.LUT(image, _uint8(function(_LEVELS)))


def _uint8(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
