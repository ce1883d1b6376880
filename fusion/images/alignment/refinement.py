"""The refinement: every block of the pictures says where it fits, and one transform is found.

The infrared picture is warped by the estimate so far and cut into blocks. Each block is compared
with the visible picture at every displacement of a few pixels, by the normalised correlation of
structure fields; several pairs of pictures of the same cameras add up. That gives one small surface
per block, whose peak is sharp in both directions for a corner, a ridge for an edge, and low for a
block without common structure. No peaks are picked: the transform maximises the sum of all
surfaces,

    S(p) = mean_i C_i(d_i(p)),

with the displacement ``d_i`` of block ``i`` under the parameters ``p``. A block that sees another
plane or a moving thing cannot pull, only not help.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.optimize import minimize

from fusion.images.alignment.fields import structure
from fusion.images.alignment.geometry import map_points

__all__ = ["Blocks", "compare_blocks", "fit", "moved"]


@dataclass(frozen=True)
class Blocks:
    """Correlation surfaces of blocks.

    Attributes:
        centres: ``(N, 2)`` x, y in the pictures.
        surfaces: ``(N, 2r+1, 2r+1)`` float32, rows are displacements in y from ``-r`` to ``r``.
        size: ``(width, height)`` of the pictures.
    """

    centres: np.ndarray
    surfaces: np.ndarray
    size: tuple[int, int]

    @property
    def reach(self) -> int:
        """The largest displacement ``r`` in pixels."""
        return self.surfaces.shape[1] // 2

    def part(self, chosen: np.ndarray) -> "Blocks":
        """Some of the blocks."""
        return Blocks(self.centres[chosen], self.surfaces[chosen], self.size)


def compare_blocks(
    pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    matrix: np.ndarray,
    side: int,
    step: int,
    reach: int,
) -> Blocks:
    """Compare infrared pictures, after a transform, with visible ones block by block.

    Args:
        pairs: infrared, covered and visible pictures of one size, see `search`.
        matrix: the transform so far.
        side, step: of the blocks, in pixels.
        reach: largest displacement.
    """
    height, width = pairs[0][2].shape
    lefts = np.arange(0, max(width - side, 0) + 1, step)
    tops = np.arange(0, max(height - side, 0) + 1, step)
    lefts, tops = lefts + (width - side - lefts[-1]) // 2, tops + (height - side - tops[-1]) // 2
    places = [(x, y) for y in tops for x in lefts]
    total = np.zeros((len(places), 2 * reach + 1, 2 * reach + 1), np.float32)
    counts = np.zeros(len(places), np.float32)
    for ir, covered, vis in pairs:
        size = (width, height)
        warped = cv2.warpPerspective(
            ir, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        inside = (
            cv2.warpPerspective(covered.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST) > 0
        )
        first, second = structure(warped, inside), structure(vis)
        second = cv2.copyMakeBorder(second, *[reach] * 4, cv2.BORDER_CONSTANT, value=0)
        filled = cv2.boxFilter(
            inside.astype(np.float32),
            -1,
            (side, side),
            anchor=(0, 0),
            borderType=cv2.BORDER_CONSTANT,
        )
        for i, (x, y) in enumerate(places):
            if filled[y, x] < 0.6:
                continue
            block = first[y : y + side, x : x + side]
            around = second[y : y + side + 2 * reach, x : x + side + 2 * reach]
            surface = cv2.matchTemplate(around, block, cv2.TM_CCORR_NORMED)
            if np.isfinite(surface).all():
                total[i] += surface
                counts[i] += 1
    used = counts > 0
    centres = np.array(places, float) + (side - 1) / 2
    return Blocks(centres[used], total[used] / counts[used, None, None], (width, height))


def moved(parameters: np.ndarray, size: tuple[int, int], model: str) -> np.ndarray:
    """The transform of parameters, which are displacements in pixels.

    Two of them move the whole picture; the others move its corners, relative to that, by about
    their size.
    """
    width, height = size
    radius = np.hypot(width, height) / 2
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    p = np.zeros(8)
    p[: len(parameters)] = parameters
    p[2:] /= radius
    inner = np.array(
        [
            [1 + p[2] + p[4], -p[3] + p[5], p[0]],
            [p[3] + p[5], 1 + p[2] - p[4], p[1]],
            [p[6] / radius, p[7] / radius, 1],
        ]
    )
    to, back = np.eye(3), np.eye(3)
    to[:2, 2], back[:2, 2] = -centre, centre
    return back @ inner @ to


def fit(blocks: Blocks, count: int, start: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """The parameters of `moved` that maximise the mean of the surfaces, and that mean.

    Args:
        count: number of parameters: 2, 4, 6 or 8.
    """
    x0 = np.zeros(count)
    if start is not None:
        x0[: len(start)] = start[:count]
    for sigma in (1.5, 0.0):
        surfaces = blocks.surfaces
        if sigma:
            surfaces = np.stack([cv2.GaussianBlur(s, (0, 0), sigma) for s in surfaces])
        scorer = _Scorer(blocks, surfaces)
        best = minimize(
            lambda p: -scorer(p),
            x0,
            method="Powell",
            options={"xtol": 0.02, "ftol": 1e-5, "maxiter": 6},
        )
        x0 = best.x
    return x0, scorer(x0)


class _Scorer:
    """The mean of the surfaces at the displacements of a transform."""

    def __init__(self, blocks: Blocks, surfaces: np.ndarray):
        self.blocks = blocks
        self.reach = blocks.reach
        # Beyond the surface a block says nothing: the mean of its surface.
        self.level = surfaces.mean(axis=(1, 2))
        self.surfaces = surfaces - self.level[:, None, None]
        side = 2 * self.reach + 1
        self.strip = np.ascontiguousarray(self.surfaces.reshape(-1, side))
        self.rows = np.arange(len(surfaces)) * side

    def values(self, parameters: np.ndarray) -> np.ndarray:
        matrix = moved(parameters, self.blocks.size, "")
        shift = map_points(matrix, self.blocks.centres) - self.blocks.centres
        edge = self.reach - 1e-3
        inside = (np.abs(shift) < edge).all(axis=1)
        shift = np.clip(shift, -edge, edge) + self.reach
        column, row = np.floor(shift).astype(int).T
        fx, fy = (shift - np.floor(shift)).T
        row = row + self.rows
        s = self.strip
        value = (
            s[row, column] * (1 - fx) * (1 - fy)
            + s[row, column + 1] * fx * (1 - fy)
            + s[row + 1, column] * (1 - fx) * fy
            + s[row + 1, column + 1] * fx * fy
        )
        return np.where(inside, value, 0)

    def __call__(self, parameters: np.ndarray) -> float:
        return float(self.values(parameters).mean())
