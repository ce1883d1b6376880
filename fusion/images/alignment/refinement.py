"""The refinement: every block of the images votes for a displacement, and one transform is fitted.

The infrared picture is warped by the estimate so far and cut into blocks. Each block is compared
with the visible picture at every displacement of a few pixels, by the normalised correlation of
structure fields; several pairs of pictures of the same cameras add up. That gives one small surface
per block, whose peak is sharp in both directions for a corner, a ridge for an edge, and low for a
block without common structure. No peaks are picked: the transform maximises the mean of all
surfaces,

    S(p) = mean_i C_i(d_i(p)),

with the displacement ``d_i`` of block ``i`` under the parameters ``p``. A block that sees another
plane or a moving thing cannot pull, it only does not help.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from scipy.optimize import minimize

from fusion.images.alignment.geometry import Size, map_points
from fusion.images.alignment.levels import Level


@dataclass(frozen=True, eq=False)
class Blocks:
    """Correlation surfaces of blocks.

    Attributes:
        centres: ``(N, 2)`` x, y on the grid.
        surfaces: ``(N, 2rf+1, 2rf+1)`` float32; rows are displacements in y from ``-r`` to ``r``.
            The mean of each surface, which says nothing, is subtracted.
        size: ``(width, height)`` of the grid.
        fine: ``f``, the number of steps per pixel.
    """

    centres: np.ndarray
    surfaces: np.ndarray
    size: Size
    fine: int = 1

    def __len__(self) -> int:
        return len(self.centres)

    @property
    def reach(self) -> int:
        """The largest displacement ``r`` in pixels."""
        return self.surfaces.shape[1] // (2 * self.fine)

    def part(self, chosen: np.ndarray) -> "Blocks":
        """Some of the blocks."""
        return Blocks(self.centres[chosen], self.surfaces[chosen], self.size, self.fine)

    def blurred(self, sigma: float) -> "Blocks":
        """With smoother surfaces."""
        surfaces = [cv2.GaussianBlur(surface, (0, 0), sigma) for surface in self.surfaces]
        return Blocks(self.centres, np.stack(surfaces), self.size, self.fine)

    def refined(self, fine: int = 4) -> "Blocks":
        """With surfaces in smaller steps, by cubic interpolation.

        `values` is linear between two steps and therefore has its maxima at steps.
        """
        side = self.reach * 2 * fine + 1
        enlarged = np.array([[fine, 0, 0], [0, fine, 0]], float)
        surfaces = [
            cv2.warpAffine(
                surface, enlarged, (side, side), None, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE
            )
            for surface in self.surfaces
        ]
        return Blocks(self.centres, np.stack(surfaces), self.size, fine)

    @cached_property
    def _flat(self) -> tuple[np.ndarray, np.ndarray]:
        side = self.surfaces.shape[2]
        return self.surfaces.reshape(-1, side), np.arange(len(self)) * side

    def values(self, matrix: np.ndarray) -> np.ndarray:
        """Each block's surface at its displacement by a transform, ``(N,)``; 0 beyond its reach."""
        shift = map_points(matrix, self.centres) - self.centres
        edge = self.reach - 1e-3
        inside = (np.abs(shift) < edge).all(axis=1)
        shift = (np.where(inside[:, None], shift, 0) + self.reach) * self.fine
        whole = np.floor(shift)
        column, row = whole.astype(int).T
        x, y = (shift - whole).T
        flat, rows = self._flat
        row = row + rows
        value = (flat[row, column] * (1 - x) + flat[row, column + 1] * x) * (1 - y)
        value += (flat[row + 1, column] * (1 - x) + flat[row + 1, column + 1] * x) * y
        return np.where(inside, value, 0)


def compare_blocks(level: Level, matrix: np.ndarray, side: int, step: int, reach: int) -> Blocks:
    """Compare infrared pictures, after a transform of the grid, with visible ones.

    Args:
        matrix: the transform so far.
        side, step: of the blocks, in pixels.
        reach: largest displacement in pixels.
    """
    width, height = level.size
    side = min(side, width, height)
    starts = [np.arange(0, full - side + 1, step) for full in (width, height)]
    places = [
        (x + (width - side - starts[0][-1]) // 2, y + (height - side - starts[1][-1]) // 2)
        for y in starts[1]
        for x in starts[0]
    ]
    total = np.zeros((len(places), 2 * reach + 1, 2 * reach + 1), np.float32)
    counts = np.zeros(len(places), np.float32)
    for index, visible in enumerate(level.visible):
        field, inside = level.warped(index, matrix)
        around = np.pad(visible, ((reach, reach), (reach, reach), (0, 0)))
        sums = cv2.integral(inside.astype(np.uint8))
        for i, (x, y) in enumerate(places):
            filled = sums[y + side, x + side] - sums[y, x + side] - sums[y + side, x] + sums[y, x]
            if filled < 0.5 * side * side:
                continue
            surface = cv2.matchTemplate(
                around[y : y + side + 2 * reach, x : x + side + 2 * reach],
                field[y : y + side, x : x + side],
                cv2.TM_CCORR_NORMED,
            )
            if np.isfinite(surface).all():
                total[i] += surface - surface.mean()
                counts[i] += 1
    used = counts > 0
    centres = np.array(places, float) + (side - 1) / 2
    return Blocks(centres[used], total[used] / counts[used, None, None], level.size)


def displacement(parameters: np.ndarray, size: Size) -> np.ndarray:
    """The transform of parameters, all of which are in pixels.

    Args:
        parameters: 2 (shift), 4 (similarity), 6 (affine) or 8 (homography) numbers; those after the
            second move the corners of the grid by about as many pixels.
        size: of the grid.
    """
    radius = np.hypot(*size) / 2
    p = np.zeros(8)
    p[: len(parameters)] = parameters
    p[2:] /= radius
    inner = np.array(
        [
            [1 + p[2] + p[4], p[5] - p[3], p[0]],
            [p[5] + p[3], 1 + p[2] - p[4], p[1]],
            [p[6] / radius, p[7] / radius, 1],
        ]
    )
    centring = np.eye(3)
    centring[:2, 2] = [-(size[0] - 1) / 2, -(size[1] - 1) / 2]
    return np.linalg.inv(centring) @ inner @ centring


def fit(blocks: Blocks, count: int, rough: bool = True) -> np.ndarray:
    """The transform of the grid that maximises the mean of the surfaces.

    Args:
        count: number of parameters, see `displacement`.
        rough: begin with blurred surfaces, which have fewer maxima.
    """
    best = np.zeros(count)
    for smooth in ([blocks.blurred(1.5)] if rough else []) + [blocks]:
        found = minimize(
            lambda p, smooth=smooth: -smooth.values(displacement(p, blocks.size)).mean(),
            best,
            method="Powell",
            options={"xtol": 0.02, "ftol": 1e-5, "maxiter": 6},
        )
        best = found.x
    return displacement(best, blocks.size)
