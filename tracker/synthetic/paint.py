"""Paint: a colour together with a temperature, how it is applied, and fine patterns of it.

Images are float32 (..., 4): red, green, blue (0-255) and temperature in levels, see `heat_level`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

KELVIN = 4.0  # levels of the temperature channel per kelvin
COLDEST = -15.0  # degrees Celsius at level 0, so that level 255 is 48.75


def heat_level(celsius: ArrayLike) -> np.ndarray:
    """Level of the temperature channel for a temperature."""
    return (np.asarray(celsius) - COLDEST) * KELVIN


def make_paint(colour: Iterable[float], celsius: ArrayLike) -> np.ndarray:
    """A four-channel paint of a colour (0-255) and a temperature."""
    return np.array([*colour, heat_level(celsius)], np.float32)


def mix(a: Any, b: Any, share: Any) -> Any:
    """Blend ``a`` with a share (0-1) of ``b``."""
    return a + (b - a) * share


def paint_over(rgbt: np.ndarray, mask: np.ndarray, paint: np.ndarray) -> None:
    """Apply ``paint`` to ``rgbt`` by the share ``mask`` (0-1), in place."""
    rgbt += (paint - rgbt) * mask[..., None]


def stripe(d: np.ndarray, half: float, foot: ArrayLike) -> np.ndarray:
    """Share of a pixel of size ``foot`` within the band ``|d| < half``; lengths in metres."""
    return np.clip((half - np.abs(d)) / np.maximum(foot, 1e-3) + 0.5, 0, 1)


def comb(x: np.ndarray, period: float, half: float, foot: ArrayLike) -> np.ndarray:
    """As `stripe`, for bands at every ``period``, fading where they are finer than pixels."""
    d = np.abs((x / period + 0.5) % 1.0 - 0.5) * period
    faded = np.clip(1.5 - np.asarray(foot) / period, 0, 1)
    return stripe(d, half, foot) * faded


def pick_colour(rng: np.random.Generator, colours: Sequence[ArrayLike]) -> np.ndarray:
    """Pick one of several colours, as floats."""
    return np.array(colours[int(rng.integers(len(colours)))], float)


VIVID_COLOURS = (
    (188, 52, 46),
    (40, 92, 160),
    (222, 178, 44),
    (52, 128, 84),
    (120, 60, 130),
    (224, 120, 40),
)
CAR_COLOURS = (
    (178, 34, 32), (36, 62, 112), (206, 208, 210), (44, 46, 50), (120, 124, 128), (60, 92, 76),
    (196, 160, 60), (232, 232, 228), (92, 36, 40),
)  # fmt: skip
