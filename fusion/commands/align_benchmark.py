"""How well known warps are recovered: `fusion align --benchmark`.

Every pair of registered pictures gets a transform of its own, drawn from a seed: the infrared is
scaled by 0.9 to 1.1, rotated by up to 5 degrees and shifted by up to 40 pixels each way. Three
methods look for it, each from the warped picture and the mask of where it has data:

- **fusion align**, which may refuse;
- **ECC**, OpenCV's `findTransformECC` of grey levels, affine, from the identity, 200 iterations; it
  counts as refused where OpenCV finds that it does not converge;
- **phase correlation**, OpenCV's `phaseCorrelate` with a Hanning window; it finds shifts alone.

The error of a transform is the mean distance of the four corners. It is taken against the true
transform, as if the files were registered exactly, and against the true transform after the
method's own estimate for the unwarped pair, because files are registered to some pixels only. An
own estimate further than 12 pixels from the identity does not count; then the identity does.
Success is an error below 3 pixels against the latter, wrong an accepted estimate without it.

The infrared of each pair is also given with the visible picture of another scene, where every
answer is wrong and only a refusal is right.

At last the warnings of `fusion.images.alignment.watch` are counted: for each pair as it is, where
one is false, and for each pair cropped so that it is shifted by 4 to 8 % of the width.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fusion.base.errors import UserError
from fusion.base.tables import counted, format_table
from fusion.images.alignment.estimation import SURE, estimate_alignment
from fusion.images.alignment.fields import grey
from fusion.images.alignment.geometry import corner_error, similarity
from fusion.images.alignment.watch import Watch
from fusion.images.pairing import pair_folders
from fusion.images.reading import read_infrared, read_visible

_SCALE, _DEGREES, _SHIFT = 0.1, 5.0, 40.0
_SUCCESS, _REGISTERED = 3.0, 12.0

# A method: infrared, mask and visible picture to the transform, or None where it refuses.
Method = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray | None]


@dataclass
class Result:
    """One method over all pairs.

    Attributes:
        exact: errors against the true transform, in pixels; NaN where it refused.
        relative: errors against the true transform after its own unwarped estimate.
        seconds: CPU time of all estimates of warped pairs.
    """

    exact: list[float] = field(default_factory=list)
    relative: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def row(self) -> list:
        """Its figures, as the table's columns."""
        exact, relative = np.array(self.exact), np.array(self.relative)
        accepted = np.isfinite(relative)
        good = accepted & (np.nan_to_num(relative, nan=np.inf) < _SUCCESS)
        return [
            float(np.median(exact[accepted])) if accepted.any() else None,
            float(np.median(relative[accepted])) if accepted.any() else None,
            _share(good),
            _share(~accepted),
            _share(accepted & ~good),
            f"{1000 * self.seconds / len(relative):.0f}",
        ]


def benchmark(ir: Path, vis: Path, count: int = 0, seed: int = 0) -> dict:
    """Measure all methods on two folders of registered pairs, or on folders of such folders.

    Args:
        count: number of pairs, evenly over all; 0 for all.
        seed: of the transforms.

    Returns:
        "pairs", "seed", "methods": a `Result` by name, "strangers": the number of pairs of
        different scenes, "fooled": how many of them were accepted, and those of `warnings`.

    Raises:
        UserError: the folders contain no pairs.
    """
    pairs = _some_pairs(ir, vis, count)
    methods: dict[str, Method] = {"fusion align": _ours, "ECC": _ecc, "phase correlation": _phase}
    results = {name: Result() for name in methods}
    fooled = 0
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for index, (ir_path, vis_path) in enumerate(tqdm(pairs, unit="pair", disable=None)):
            heat, light = read_infrared(ir_path), read_visible(vis_path)
            size = (heat.shape[1], heat.shape[0])
            if light.shape[:2] != heat.shape:
                raise UserError(f"{ir_path} and {vis_path}: not registered, their sizes differ")
            warp = _draw(np.random.default_rng((seed, index)), size)
            warped = cv2.warpPerspective(heat, warp, size, flags=cv2.INTER_CUBIC)
            everywhere = np.ones(heat.shape, np.uint8)
            mask = cv2.warpPerspective(everywhere, warp, size, flags=cv2.INTER_NEAREST)
            for name, method in methods.items():
                result = results[name]
                begin = time.process_time()
                found = method(warped, mask, light)
                result.seconds += time.process_time() - begin
                own = method(heat, everywhere, light)
                if own is None or corner_error(own, np.eye(3), size) > _REGISTERED:
                    own = np.eye(3)
                whole = None if found is None else found @ warp  # the identity, if exact
                for errors, truth in ((result.exact, np.eye(3)), (result.relative, own)):
                    errors.append(np.nan if whole is None else corner_error(whole, truth, size))
            stranger = read_visible(pairs[(index + len(pairs) // 2) % len(pairs)][1])
            stranger = cv2.resize(stranger, size, interpolation=cv2.INTER_AREA)
            fooled += _ours(warped, mask, stranger) is not None
    finally:
        cv2.setNumThreads(threads)
    return {
        "pairs": len(pairs),
        "seed": seed,
        "methods": results,
        "strangers": len(pairs) if len(pairs) > 1 else 0,
        "fooled": fooled if len(pairs) > 1 else 0,
        **warnings(pairs, seed),
    }


def warnings(pairs: list[tuple[Path, Path]], seed: int = 0) -> dict[str, int]:
    """Count the warnings of single pairs.

    Args:
        pairs: infrared and visible files that are registered.
        seed: of the shifts.

    Returns:
        "alarms": warnings for pairs as they are; "noticed": for shifted ones.
    """
    alarms = noticed = 0
    for index, (ir_path, vis_path) in enumerate(tqdm(pairs, unit="pair", disable=None)):
        ir, vis = read_infrared(ir_path), read_visible(vis_path)
        height, width = ir.shape
        rng = np.random.default_rng((seed, index))
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.04, 0.08) * width
        x, y = round(length * np.cos(angle)), round(length * np.sin(angle))
        left, top = abs(x), abs(y)
        right, bottom = width - left, height - top
        shifted = ir[top + y : bottom + y, left + x : right + x], vis[top:bottom, left:right]
        found = []
        for pair in ((ir, vis), shifted):
            watch = Watch(1)
            watch.see(*pair)
            found.append(bool(watch.doubt()))
        alarms, noticed = alarms + found[0], noticed + found[1]
    return {"alarms": alarms, "noticed": noticed}


def report(result: dict) -> str:
    """The result of `benchmark` as text."""
    header = [
        "method",
        "median error\npixels",
        "relative\npixels",
        "success\n%",
        "refused\n%",
        "wrong\n%",
        "CPU\nms",
    ]
    rows = [[name, *method.row()] for name, method in result["methods"].items()]
    return (
        f"{counted(result['pairs'], 'pair')}, seed {result['seed']}: scale "
        f"{1 - _SCALE:g}..{1 + _SCALE:g}, rotation up to {_DEGREES:g} degrees, shift up to "
        f"{_SHIFT:g} pixels\n\n{format_table(header, rows)}\n\n"
        f"pictures of two different scenes: {result['fooled']} of {result['strangers']} accepted\n"
        f"warnings: {result['alarms']} of {result['pairs']} pairs as they are, "
        f"{result['noticed']} of {result['pairs']} shifted by 4 to 8 % of the width"
    )


def _share(mask: np.ndarray) -> str:
    return f"{100 * mask.mean():.1f}"


def _draw(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    scale = rng.uniform(1 - _SCALE, 1 + _SCALE)
    degrees = rng.uniform(-_DEGREES, _DEGREES)
    x, y = rng.uniform(-_SHIFT, _SHIFT, 2)
    return similarity(scale, degrees, (x, y), size)


def _some_pairs(ir: Path, vis: Path, count: int) -> list[tuple[Path, Path]]:
    """So many pairs, evenly over all; all for 0."""
    pairs = _all_pairs(ir, vis)
    count = min(count or len(pairs), len(pairs))
    return [pairs[int((k + 0.5) * len(pairs) / count)] for k in range(count)]


def _all_pairs(ir: Path, vis: Path) -> list[tuple[Path, Path]]:
    for folder in (ir, vis):
        if not folder.is_dir():
            raise UserError(f"{folder}: no folder; --benchmark takes two, of registered pairs")
    inside = sorted(path.name for path in ir.iterdir() if path.is_dir())
    both = [name for name in inside if (vis / name).is_dir()]
    if not both:
        return pair_folders(ir, vis).pairs
    return [pair for name in both for pair in pair_folders(ir / name, vis / name).pairs]


# --- Methods --------------------------------------------------------------------------------------


def _ours(ir: np.ndarray, mask: np.ndarray, vis: np.ndarray) -> np.ndarray | None:
    estimate = estimate_alignment([(ir, vis)], masks=[mask.astype(bool)])
    return estimate.transform if estimate.confidence >= SURE else None


def _ecc(ir: np.ndarray, mask: np.ndarray, vis: np.ndarray) -> np.ndarray | None:
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 200, 1e-6)
    start = np.eye(2, 3, dtype=np.float32)
    try:
        _, found = cv2.findTransformECC(
            grey(vis), grey(ir), start, cv2.MOTION_AFFINE, criteria, mask * np.uint8(255), 5
        )
    except cv2.error:
        return None
    back = np.vstack([found, [0, 0, 1]]).astype(float)
    return np.linalg.inv(back) if abs(np.linalg.det(back)) > 1e-6 else None


def _phase(ir: np.ndarray, mask: np.ndarray, vis: np.ndarray) -> np.ndarray | None:
    filled = np.where(mask > 0, grey(ir), grey(ir)[mask > 0].mean()).astype(np.float32)
    window = cv2.createHanningWindow((ir.shape[1], ir.shape[0]), cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(filled, grey(vis), window)
    matrix = np.eye(3)
    matrix[:2, 2] = x, y
    return matrix
