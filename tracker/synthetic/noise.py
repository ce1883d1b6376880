"""Seeded randomness: one generator per purpose, fractal noise and skylines."""

import math

import cv2
import numpy as np


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """A separate generator for each purpose: drawing more for one does not change the others."""
    words = [int(seed) & 0xFFFFFFFFFFFFFFFF]
    for word in purpose:
        words.append(int.from_bytes(word.encode(), "little") if isinstance(word, str) else word)
    return np.random.default_rng(words)


def fractal_noise(
    rng: np.random.Generator, shape: tuple[int, int], grain: float, octaves: int = 4
) -> np.ndarray:
    """Fractal noise of about unit deviation; ``grain`` is its largest structure in pixels."""
    height, width = shape
    total = np.zeros(shape, np.float32)
    amplitude, norm = 1.0, 0.0
    for _ in range(octaves):
        rows, columns = (max(2, round(n / grain) + 2) for n in shape)
        grid = rng.standard_normal((min(rows, height), min(columns, width)), np.float32)
        total += amplitude * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        norm += amplitude**2
        amplitude *= 0.6
        grain /= 2.1
        if grain < 1:
            break
    return total * (1.4 / math.sqrt(norm))


def skyline(rng: np.random.Generator, width: int, grain: float, octaves: int = 5) -> np.ndarray:
    """One row of fractal noise: a skyline."""
    return fractal_noise(rng, (2, width), grain, octaves)[0]
