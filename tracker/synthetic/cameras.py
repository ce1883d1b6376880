"""The two camera models: from an RGBT image to the output of each sensor."""

import cv2
import numpy as np

from tracker.synthetic.noise import fractal_noise, generator
from tracker.synthetic.paint import KELVIN, mix
from tracker.synthetic.places import Place
from tracker.synthetic.specs import SequenceSpec


def failure_mode(spec: SequenceSpec, modality: str, t: int) -> str | None:
    """The failure mode of a modality in frame t, or None."""
    for failure in spec.failures:
        first = max(1, round(failure.start * spec.length))
        if failure.modality == modality and first <= t < round(failure.stop * spec.length):
            return failure.mode
    return None


class Grain:
    """Sensor noise: a large tile, read from a different corner for each frame."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...]):
        self._reach = 64
        tall = (shape[0] + self._reach, shape[1] + self._reach, *shape[2:])
        self._tile = rng.standard_normal(tall, np.float32)
        self._shape = shape

    def at(self, rng: np.random.Generator) -> np.ndarray:
        """Standard normal noise of one frame."""
        y, x = rng.integers(0, self._reach, 2)
        return self._tile[y : y + self._shape[0], x : x + self._shape[1]]


class VisibleCamera:
    """Glow, flare, noise and failure of the visible image."""

    def __init__(self, spec: SequenceSpec, place: Place):
        self.spec, self.place = spec, place
        width, height = spec.size
        self._grain = Grain(generator(spec.seed, "rgb grain"), (height, width, 3))
        self._last: np.ndarray | None = None
        rng = generator(spec.seed, "flare")
        x, y = rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.7) * height
        d2 = (np.arange(width)[None] - x) ** 2 + (np.arange(height)[:, None] - y) ** 2
        self._flare = (255 * np.exp(-d2 / (0.45 * width) ** 2)).astype(np.float32)[..., None]

    def expose(self, canvas: np.ndarray, t: int) -> np.ndarray:
        """The visible image of an RGBT image, HxWx3 uint8."""
        mode = failure_mode(self.spec, "rgb", t)
        if mode == "frozen" and self._last is not None:
            return self._last.copy()
        rng = generator(self.spec.seed, "rgb noise", t)
        if mode == "blank":
            return np.full((*canvas.shape[:2], 3), 16, np.uint8)
        rgb = np.ascontiguousarray(canvas[..., :3])
        if self.place.night > 0.3 or self.place.look.indoor:
            rgb += self._glow(rgb)
        if mode == "dark":
            rgb *= np.float32(0.02)
        elif mode == "glare":
            rgb = rgb * np.float32(0.12) + np.float32(118) + self._flare
        noise = self._grain.at(rng)
        image = cv2.addWeighted(rgb, 1.0, noise, self.spec.rgb_noise, 0.0, dtype=cv2.CV_8U)
        self._last = image
        return image

    @staticmethod
    def _glow(rgb: np.ndarray) -> np.ndarray:
        """Light that bright spots scatter in the lens."""
        size = rgb.shape[1::-1]
        small = cv2.resize(rgb, (size[0] // 4, size[1] // 4), interpolation=cv2.INTER_AREA)
        bright = np.maximum(small - 190, 0)
        near = cv2.GaussianBlur(bright, (0, 0), size[0] / 160)
        far = cv2.GaussianBlur(bright, (0, 0), size[0] / 40)
        return cv2.resize(3.0 * (near + far), size, interpolation=cv2.INTER_LINEAR)


class ThermalCamera:
    """Optics, lag, noise, fixed pattern, drift, gain control and failure of the thermal image."""

    def __init__(self, spec: SequenceSpec):
        self.spec = spec
        width, height = spec.size
        rng = generator(spec.seed, "thermal")
        self._unit = width / 320
        self._grain = Grain(generator(spec.seed, "ir grain"), (height, width))
        columns = rng.standard_normal((1, width)).astype(np.float32)
        pixels = rng.standard_normal((height, width)).astype(np.float32)
        self._pattern = 0.06 * KELVIN * (0.8 * columns + 0.7 * pixels)
        blotch = fractal_noise(rng, (height, width), 0.5 * width, 3)
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
        ring = x**2 + y**2 - 0.66
        self._flat = KELVIN * (0.55 * blotch + 0.7 * ring * rng.choice((-1, 1)) + 0.12 * columns)
        self._detail = rng.uniform(0.25, 0.6)
        self._range: tuple[float, float] | None = None
        self._lag: np.ndarray | None = None
        self._last: np.ndarray | None = None

    def expose(self, canvas: np.ndarray, t: int) -> np.ndarray:
        """The thermal image of an RGBT image, HxW uint8."""
        spec = self.spec
        mode = failure_mode(spec, "ir", t)
        if mode == "frozen" and self._last is not None:
            return self._last.copy()
        if mode == "blank":
            return np.full(canvas.shape[:2], 128, np.uint8)
        rng = generator(spec.seed, "ir noise", t)
        heat = cv2.GaussianBlur(np.ascontiguousarray(canvas[..., 3]), (0, 0), 0.75 * self._unit)
        # A bolometer warms and cools slowly, so part of the previous frame remains.
        if self._lag is not None:
            heat = cv2.addWeighted(heat, 0.8, self._lag, 0.2, 0.0)
        self._lag = heat
        grown = 0.35 + 0.65 * t / max(1, spec.length - 1)
        seen = heat + self._pattern
        if spec.drift > 0:
            seen += self._flat * np.float32(spec.drift * grown)
        low, high = self._gain(seen)
        if mode == "washout":
            seen = seen * np.float32(0.02) + np.float32(0.98 * 0.5 * (low + high))
        elif mode == "stripes":
            rows = rng.standard_normal((seen.shape[0], 1)).astype(np.float32)
            seen = seen * np.float32(0.1) + np.float32(0.9 * 0.5 * (low + high))
            seen = seen + (high - low) * np.float32(0.3) * rows
        gain = 205.0 / (high - low)
        grey: np.ndarray = (seen - np.float32(low)) * np.float32(gain) + 22
        size = grey.shape[::-1]
        small = cv2.resize(grey, (size[0] // 4, size[1] // 4), interpolation=cv2.INTER_AREA)
        smooth = cv2.resize(cv2.GaussianBlur(small, (0, 0), 1.5 * self._unit), size)
        grey = cv2.addWeighted(grey, 1 + self._detail, smooth, -self._detail, 0.0)
        strength = min(40.0, gain * KELVIN * spec.ir_noise)
        image = cv2.addWeighted(grey, 1.0, self._grain.at(rng), strength, 0.0, dtype=cv2.CV_8U)
        self._last = image
        return image

    def _gain(self, heat: np.ndarray) -> tuple[float, float]:
        """The temperatures displayed as black and white, which follow the image slowly."""
        levels = cv2.convertScaleAbs(np.maximum(heat[::2, ::2], 0))
        total = np.cumsum(cv2.calcHist([levels], [0], None, [256], [0, 256]))
        low = float(np.searchsorted(total, 0.015 * total[-1]))
        high = float(np.searchsorted(total, 0.993 * total[-1]))
        least = 11 * KELVIN
        if high - low < least:
            middle = 0.5 * (low + high)
            low, high = middle - 0.5 * least, middle + 0.5 * least
        if self._range is not None:
            low, high = mix(self._range[0], low, 0.12), mix(self._range[1], high, 0.12)
        self._range = (low, high)
        return low, high
