"""The alignment of two cameras from pictures: search, refine, and say how sure it is.

    estimate = estimate_alignment([(ir, vis), ...])
    estimate.calibration("24 frames of thermal.mp4 and visible.mp4").save("calibration.yaml")

Pictures of 160 pixels width are searched for every shift, scale and rotation of a range
(`search`); the best places are refined at 320 and 640 pixels (`refinement`). Three figures say
how sure the result is.

1. **Clarity.** Blocks that have nothing in common with the other picture have surfaces of mean 0,
   and their mean ``S`` over ``N`` blocks varies by ``sd(C) / sqrt(N)``. The clarity is ``S``
   divided by that. Unrelated pictures reach 4 to 9, because the best place is sought; related ones
   mostly more than 15.
2. **Uncertainty.** The transform is fitted again without each quarter of the picture in turn. The
   jackknife estimate of the corners' deviation, in visible pixels, is large where the structure
   is in one place alone, or where parts of the scene contradict each other.
3. **Margin.** ``S`` at 320 pixels, divided by that of the best place more than 2 % of the width
   away. Unrelated pictures, and fences and windows that repeat, fit at several places alike: their
   margin is 1 to 1.8, that of others more than 2.

The confidence is ``1 / (1 + exp(-(clarity - 9.5) / 0.5)) / (1 + (uncertainty / limit)^4)`` with a
limit of 1.5 % of the visible width, and 0 where the margin is below 1.9. An estimate below a
confidence of 0.5 is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusion.base.errors import UserError
from fusion.images.alignment.calibration import Calibration
from fusion.images.alignment.camera import Camera
from fusion.images.alignment.fields import grey
from fusion.images.alignment.geometry import MODELS, Size, corner_error, map_points, scaling
from fusion.images.alignment.levels import Level, make_level
from fusion.images.alignment.refinement import Blocks, compare_blocks, fit
from fusion.images.alignment.search import Range, search

__all__ = ["Estimate", "NotSure", "estimate_alignment", "expected_transform"]

#: Below this confidence an estimate is refused.
SURE = 0.5

# Widths of the grids in pixels, coarse to fine.
_WIDTHS = (160, 320, 640)
# Pairs that are searched; the others only take part in the refinement.
_SEARCHED = 4
# Places of the coarse search that are refined.
_CANDIDATES = 3
_CLEAR, _SLOPE = 9.5, 0.5
_UNCERTAIN = 0.015
_MARGIN = 1.9
# The share of blocks, those with the highest peaks, of which the residual is taken.
_CLEAREST = 0.2


@dataclass(frozen=True, eq=False)
class Estimate:
    """An estimated alignment.

    Attributes:
        transform: 3x3, from infrared to visible pixels.
        model: a key of `fusion.images.alignment.geometry.MODELS`.
        residual: median distance in visible pixels between where the clearest blocks fit best by
            themselves and where the transform puts them; None without structure.
        clarity, uncertainty, confidence, margin: see the module's docstring.
        infrared, visible: sizes ``(width, height)``.
    """

    transform: np.ndarray
    model: str
    residual: float | None
    clarity: float
    uncertainty: float
    confidence: float
    margin: float
    infrared: Size
    visible: Size

    def calibration(self, source: str = "") -> Calibration:
        """The calibration to write to a file."""
        return Calibration(
            infrared=Camera(self.infrared),
            visible=Camera(self.visible),
            transform=self.transform,
            model=self.model,
            residual=self.residual,
            confidence=self.confidence,
            source=source,
        )

    def shift(self) -> float:
        """Mean distance of its corners from those of `expected_transform`, in visible pixels."""
        expected = expected_transform(self.infrared, self.visible)
        return corner_error(self.transform, expected, self.infrared)


class NotSure(UserError):
    """The pictures do not tell how they belong together.

    Attributes:
        estimate: the refused estimate; None without any structure.
    """

    def __init__(self, message: str, estimate: Estimate | None = None):
        super().__init__(message)
        self.estimate = estimate


def expected_transform(infrared: Size, visible: Size) -> np.ndarray:
    """The transform of two cameras with equal widths of view that look the same way."""
    scale = visible[0] / infrared[0]
    matrix = scaling(infrared, (visible[0], infrared[1] * scale))  # type: ignore[arg-type]
    matrix[1, 2] += (visible[1] - infrared[1] * scale) / 2
    return matrix


def estimate_alignment(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    model: str = "similarity",
    limits: Range | None = None,
    masks: Sequence[np.ndarray] | None = None,
    start: np.ndarray | None = None,
) -> Estimate:
    """Estimate how infrared pixels belong to visible pixels.

    Args:
        pairs: infrared and visible pictures, ``HxW`` or ``HxWx3``, any type; from two fixed
            cameras, so that one transform holds for all pairs. Many pairs of one recording say
            more than one. Without lens distortion.
        model: ``shift``, ``similarity``, ``affine`` or ``homography``.
        limits: what is searched about ``start``.
        masks: where the infrared pictures have data, ``HxW`` bool.
        start: the expected transform; None for `expected_transform`.

    Returns:
        The estimate, whatever its confidence; `require_sure` refuses.

    Raises:
        UserError: the pictures of a side differ in size or are too small.
    """
    sizes = {(ir.shape[1], ir.shape[0], vis.shape[1], vis.shape[0]) for ir, vis in pairs}
    if len(sizes) != 1:
        raise UserError(
            "the pictures of a camera differ in size; give frames of one recording, or one pair"
        )
    (found,) = sizes
    infrared, visible = found[:2], found[2:]
    if min(found) < 32:
        raise UserError("pictures of less than 32x32 pixels cannot be aligned")
    base = expected_transform(infrared, visible) if start is None else start
    grey_pairs = [(grey(ir), grey(vis)) for ir, vis in pairs]
    coarse, middle, fine = (make_level(grey_pairs, masks, base, width) for width in _WIDTHS)
    count = MODELS[model]

    refined = []
    for candidate in search(coarse.first(_SEARCHED), limits or Range(), _CANDIDATES):
        matrix = middle.from_full_size(coarse.at_full_size(candidate.transform))
        for _ in range(2):
            score, matrix = _refined(middle, matrix, min(count, 4), side=32, reach=6)
        refined.append((score, middle.at_full_size(matrix)))
    refined.sort(key=lambda entry: -entry[0])
    score, matrix = refined[0]
    elsewhere = [
        other
        for other, place in refined[1:]
        if corner_error(matrix, place, visible) > 0.02 * visible[0]
    ]
    margin = score / max(1e-6, *elsewhere, 0.0)
    matrix = fine.from_full_size(matrix)
    _, matrix = _refined(fine, matrix, min(count, 4), side=48, reach=6)
    blocks = compare_blocks(fine, matrix, side=48, step=24, reach=6)
    return _judged(fine, matrix, blocks, base, model, (infrared, visible), margin)


def estimate_nearby(pair: tuple[np.ndarray, np.ndarray]) -> Estimate:
    """The alignment of a pair that is nearly registered, to about 2 % of its width.

    Nothing is searched, which takes a tenth of the time of `estimate_alignment`. The confidence of
    a pair that is further apart is low.

    Args:
        pair: infrared and visible picture, as for `estimate_alignment`.
    """
    ir, vis = pair
    sizes = (ir.shape[1], ir.shape[0]), (vis.shape[1], vis.shape[0])
    base = expected_transform(*sizes)
    level = make_level([(grey(ir), grey(vis))], None, base, _WIDTHS[1])
    _, matrix = _refined(level, np.eye(3), 4, side=32, reach=8)
    blocks = compare_blocks(level, matrix, side=32, step=16, reach=4)
    return _judged(level, matrix, blocks, base, "similarity", sizes, margin=float("inf"))


def require_sure(estimate: Estimate, what: str) -> Estimate:
    """The estimate itself.

    Args:
        what: what the message calls the pictures.

    Raises:
        NotSure: its confidence is below `SURE`.
    """
    if estimate.confidence >= SURE:
        return estimate
    raise NotSure(
        f"{what}: not sure how the pictures belong together (confidence "
        f"{estimate.confidence:.2f} of {SURE} needed); give more frames of a scene with many edges "
        "that are warm and visible, points (--points) or a checkerboard (--checkerboard)",
        estimate,
    )


def _refined(
    level: Level, matrix: np.ndarray, count: int, side: int, reach: int
) -> tuple[float, np.ndarray]:
    """The mean of the surfaces and the transform of a level's grid."""
    blocks = compare_blocks(level, matrix, side, side // 2, reach)
    if not len(blocks):
        return 0.0, matrix
    change = fit(blocks, count)
    return float(blocks.values(change).mean()), change @ matrix


def _judged(
    level: Level,
    matrix: np.ndarray,
    blocks: Blocks,
    base: np.ndarray,
    model: str,
    sizes: tuple[Size, Size],
    margin: float,
) -> Estimate:
    """Fit the model a last time, and say how sure it is."""
    infrared, visible = sizes
    clarity, uncertainty, residual = 0.0, float("inf"), None
    change = np.eye(3)
    if len(blocks) >= 8:
        count = MODELS[model]
        scale = visible[0] / level.size[0]
        spread = float(np.sqrt((blocks.surfaces**2).mean() / len(blocks)))
        blocks = blocks.refined()
        change = fit(blocks, count)
        clarity = float(blocks.values(change).mean()) / max(spread, 1e-9)
        uncertainty = scale * _jackknife(blocks, change, count)
        residual = scale * _residual(blocks, change)
    confidence = 1 / (1 + np.exp(-np.clip((clarity - _CLEAR) / _SLOPE, -50, 50)))
    confidence /= 1 + (uncertainty / (_UNCERTAIN * visible[0])) ** 4
    return Estimate(
        transform=level.at_full_size(change @ matrix) @ base,
        model=model,
        residual=residual,
        clarity=clarity,
        uncertainty=uncertainty,
        confidence=0.0 if margin < _MARGIN else float(confidence),
        margin=margin,
        infrared=infrared,
        visible=visible,
    )


def _jackknife(blocks: Blocks, whole: np.ndarray, count: int) -> float:
    """Deviation of the corners in pixels of the grid, from fits without each quarter."""
    x, y = (blocks.centres > np.median(blocks.centres, axis=0)).T
    quarter = 2 * y + x
    errors = []
    for left_out in range(4):
        part = blocks.part(quarter != left_out)
        if 4 < len(part) < len(blocks):
            errors.append(corner_error(fit(part, count, rough=False), whole, blocks.size))
    groups = len(errors)
    if groups < 2:
        return float("inf")
    return float(np.sqrt((groups - 1) / groups * np.sum(np.square(errors))))


def _residual(blocks: Blocks, change: np.ndarray) -> float:
    """Median distance in pixels of the grid of the clearest peaks from the transform."""
    flat = blocks.surfaces.reshape(len(blocks), -1)
    height = flat.max(axis=1) / np.maximum(flat.std(axis=1), 1e-9)
    clear = height >= np.quantile(height, 1 - _CLEAREST)
    side = blocks.surfaces.shape[2]
    rows, columns = np.divmod(flat.argmax(axis=1), side)
    peaks = np.column_stack([columns, rows]) / blocks.fine - blocks.reach
    apart = peaks - (map_points(change, blocks.centres) - blocks.centres)
    return float(np.median(np.hypot(*apart[clear].T)))
