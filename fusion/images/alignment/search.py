"""The coarse search: every shift, for a grid of scales and rotations.

For each scale and rotation the infrared structure field is laid over the visible one at every shift
at once, by Fourier transforms. The score of a place is the normalised correlation of the fields
where both pictures have data (masked correlation, Padfield 2012):

    score(t) = Re sum conj(a(x)) b(x + t)
               / sqrt(sum |a(x)|^2 m_b(x + t)  sum m_a(x) |b(x + t)|^2)

and the scores of several pairs of pictures from the same two cameras are added.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fusion.images.alignment.fields import structure
from fusion.images.alignment.geometry import corner_error, scaling, similarity

__all__ = ["Candidate", "Range", "search"]


@dataclass(frozen=True)
class Range:
    """What the search covers.

    Attributes:
        scale: largest factor, and its inverse the smallest, beyond the expected scale.
        degrees: largest rotation either way.
        shift: largest shift either way, as a share of the visible width.
    """

    scale: float = 1.12
    degrees: float = 6.0
    shift: float = 0.16


@dataclass(frozen=True)
class Candidate:
    """A transform of the visible grid, and its score."""

    transform: np.ndarray
    score: float


def search(
    pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    limits: Range,
    keep: int = 4,
) -> list[Candidate]:
    """The best transforms, best first, none of them near a better one.

    Args:
        pairs: infrared, covered and visible pictures, ``HxW`` float32, bool and float32, of one
            size, about 160 pixels wide.
        limits: what is searched.
        keep: number of candidates.
    """
    height, width = pairs[0][0].shape
    reach = int(np.ceil(limits.shift * width))
    rows, columns = (cv2.getOptimalDFTSize(side + reach) for side in (height, width))
    visible = []
    for _, _, vis in pairs:
        field = structure(vis)
        b = field[..., 0] + 1j * field[..., 1]
        visible.append(
            [np.fft.fft2(part, (rows, columns)) for part in (b, np.abs(b) ** 2, np.ones_like(vis))]
        )
    # Steps that move a corner by about one and a half pixels.
    radius = np.hypot(width, height) / 2
    step = 1.5 / radius
    angles = np.arange(-np.floor(np.radians(limits.degrees) / step + 0.5), None or 0)
    count = int(np.ceil(np.radians(limits.degrees) / step))
    angles = np.degrees(np.linspace(-1, 1, 2 * count + 1) * np.radians(limits.degrees))
    count = int(np.ceil(np.log(limits.scale) / step))
    scales = np.exp(np.linspace(-1, 1, 2 * count + 1) * np.log(limits.scale))
    least = 0.25 * np.sqrt(height * width)
    found = []
    for angle in angles:
        for scale in scales:
            matrix = similarity(scale, angle, (0, 0), (width, height))
            total = np.zeros((2 * reach + 1, 2 * reach + 1))
            for (ir, covered, _), (fb, fb2, fm) in zip(pairs, visible, strict=True):
                total += _scores(ir, covered, matrix, fb, fb2, fm, reach)
            found += [
                (value / len(pairs), angle, scale, x - reach, y - reach)
                for value, x, y in _peaks(total, keep)
            ]
    found.sort(reverse=True)
    kept: list[Candidate] = []
    for score, angle, scale, x, y in found:
        matrix = similarity(scale, angle, (x, y), (width, height))
        apart = [corner_error(matrix, other.transform, (width, height)) for other in kept]
        if min(apart, default=np.inf) > 6:
            kept.append(Candidate(matrix, float(score)))
        if len(kept) == keep:
            break
    return kept


def _scores(ir, covered, matrix, fb, fb2, fm, reach) -> np.ndarray:
    rows, columns = fb.shape
    height, width = ir.shape
    size = (width, height)
    warped = cv2.warpAffine(
        ir, matrix[:2], size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    inside = cv2.warpAffine(covered.astype(np.uint8), matrix[:2], size, flags=cv2.INTER_NEAREST) > 0
    field = structure(warped, inside)
    a = field[..., 0] + 1j * field[..., 1]
    fa = np.fft.fft2(a, (rows, columns))
    # Two real arrays in one complex transform.
    both = np.fft.fft2(np.abs(a) ** 2 + 1j * inside, (rows, columns))
    mirrored = np.conj(np.roll(both[::-1, ::-1], (1, 1), (0, 1)))
    fa2, fma = (both + mirrored) / 2, (both - mirrored) / 2j
    product = np.fft.ifft2(np.conj(fa) * fb).real
    energies = np.fft.ifft2(np.conj(fa2) * fm + 1j * np.conj(fma) * fb2)
    energy = np.sqrt(np.maximum(energies.real, 1) * np.maximum(energies.imag, 1))
    score = product / energy
    return np.roll(score, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]


def _peaks(total: np.ndarray, keep: int) -> list[tuple[float, int, int]]:
    largest = cv2.dilate(total, np.ones((7, 7)))
    ys, xs = np.nonzero(total == largest)
    order = np.argsort(-total[ys, xs])[:keep]
    return [(float(total[ys[i], xs[i]]), int(xs[i]), int(ys[i])) for i in order]
