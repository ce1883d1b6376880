"""The coarse search: every shift, for a grid of scales and rotations.

For each scale and rotation the infrared structure field is laid over the visible one at every shift
at once, by Fourier transforms. The score of a place is the normalised correlation of the fields
where both pictures have data (masked correlation, Padfield 2012):

    score(t) = Re sum conj(a(x)) b(x + t)
               / sqrt(sum |a(x)|^2 m_b(x + t)  sum m_a(x) |b(x + t)|^2)

and the scores of several pairs of pictures from the same two cameras are added.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import fft

from fusion.images.alignment.geometry import corner_error, similarity
from fusion.images.alignment.levels import Level


@dataclass(frozen=True)
class Range:
    """What is searched about the expected transform.

    Attributes:
        scale: the smallest and largest factor.
        degrees: largest rotation either way.
        shift: largest shift either way, as a share of the visible width.
    """

    scale: tuple[float, float] = (0.88, 1.14)
    degrees: float = 6.0
    shift: float = 0.16


@dataclass(frozen=True)
class Candidate:
    """A transform of the level's grid, and its score, at most 1."""

    transform: np.ndarray
    score: float


def search(level: Level, limits: Range, keep: int = 4) -> list[Candidate]:
    """The best transforms, best first, none of them near a better one.

    Args:
        level: about 160 pixels wide.
        limits: what is searched.
        keep: number of candidates.
    """
    width, height = level.size
    reach = int(np.ceil(limits.shift * width))
    visible = [_Visible(field, reach) for field in level.visible]
    # Steps that move a corner by about one and a half pixels, so that it is never off by one.
    step = 1.5 / (np.hypot(width, height) / 2)
    angles = np.degrees(_grid(-np.radians(limits.degrees), np.radians(limits.degrees), step))
    scales = np.exp(_grid(np.log(limits.scale[0]), np.log(limits.scale[1]), step))
    found = []
    for angle in angles:
        for scale in scales:
            matrix = similarity(scale, angle, (0, 0), level.size)
            scores = [
                other.scores(*level.warped(index, matrix)) for index, other in enumerate(visible)
            ]
            total = np.sum(scores, axis=0)
            for score, x, y in _peaks(total, keep):
                found.append((score / len(level), similarity(scale, angle, (x, y), level.size)))
    found.sort(key=lambda entry: -entry[0])
    kept: list[Candidate] = []
    for score, matrix in found:
        if len(kept) == keep:
            break
        apart = [corner_error(matrix, other.transform, level.size) for other in kept]
        if min(apart, default=np.inf) > 6:
            kept.append(Candidate(matrix, score))
    return kept


def _grid(low: float, high: float, step: float) -> np.ndarray:
    return np.linspace(low, high, max(1, int(np.ceil((high - low) / step)) + 1))


class _Visible:
    """The Fourier transforms of one visible structure field."""

    def __init__(self, field: np.ndarray, reach: int):
        height, width = field.shape[:2]
        self.reach = reach
        self.shape = tuple(fft.next_fast_len(side + reach) for side in (height, width))
        b = (field[..., 0] + 1j * field[..., 1]).astype(np.complex64)
        self.field = fft.fft2(b, self.shape)
        self.energy = fft.fft2((np.abs(b) ** 2).astype(np.complex64), self.shape)
        self.mask = fft.fft2(np.ones((height, width), np.complex64), self.shape)

    def scores(self, field: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """The score of every shift of an infrared field, ``(2 reach + 1, 2 reach + 1)``."""
        a = (field[..., 0] + 1j * field[..., 1]).astype(np.complex64)
        product = fft.ifft2(np.conj(fft.fft2(a, self.shape)) * self.field).real
        # Two real arrays in one complex transform, there and back.
        both = fft.fft2((np.abs(a) ** 2 + 1j * inside).astype(np.complex64), self.shape)
        mirrored = np.conj(np.roll(both[::-1, ::-1], (1, 1), (0, 1)))
        energy, mask = (both + mirrored) / 2, (both - mirrored) / 2j
        energies = fft.ifft2(np.conj(energy) * self.mask + 1j * np.conj(mask) * self.energy)
        # Hardly overlapping pictures correlate by chance: they count as if they had more edges.
        floor = 0.1 * float(np.sqrt(np.abs(energy[0, 0]) * np.abs(self.energy[0, 0])))
        found = product / np.maximum(
            np.sqrt(np.maximum(energies.real, 0) * np.maximum(energies.imag, 0)), max(floor, 1e-6)
        )
        side = 2 * self.reach + 1
        return np.roll(found, (self.reach, self.reach), (0, 1))[:side, :side]


def _peaks(total: np.ndarray, keep: int) -> list[tuple[float, int, int]]:
    """The highest local maxima: score, shift in x and in y."""
    reach = total.shape[0] // 2
    total = np.ascontiguousarray(total, np.float32)
    ys, xs = np.nonzero(total == cv2.dilate(total, np.ones((7, 7), np.uint8)))
    order = np.argsort(-total[ys, xs])[:keep]
    return [(float(total[ys[i], xs[i]]), int(xs[i]) - reach, int(ys[i]) - reach) for i in order]
