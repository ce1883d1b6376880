"""The alignment of two cameras from points that show the same thing in both pictures."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from fusion.base.errors import UserError
from fusion.base.files import read_text
from fusion.images.alignment.calibration import Calibration
from fusion.images.alignment.camera import Camera
from fusion.images.alignment.geometry import MODELS, Size, map_points

# A model needs half as many points as it has parameters; so many times that tells wrong points.
_SPARE = 1.5
# Points further away than this share of the visible width, in leave-one-out, are refused.
_LIMIT = 0.02

Points = np.ndarray  # (N, 2)


def read_points(path: Path) -> tuple[Points, Points]:
    """Infrared and visible points ``(N, 2)`` from a file: a line for each, ``x,y,x,y``.

    Infrared ``x,y`` come first. Empty lines and what follows ``#`` do not count.

    Raises:
        UserError: the file cannot be read, or a line is not four numbers.
    """
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        text = line.split("#")[0].replace(",", " ").split()
        if not text:
            continue
        try:
            row = [float(part) for part in text]
        except ValueError:
            row = []
        if len(row) != 4 or not np.isfinite(row).all():
            raise UserError(
                f"{path}: line {number} is not four numbers; give infrared x,y and visible x,y"
            )
        rows.append(row)
    points = np.array(rows, float).reshape(-1, 4)
    return points[:, :2], points[:, 2:]


def fit_points(infrared: Points, visible: Points, model: str) -> np.ndarray:
    """The least-squares transform of a model, 3x3, from infrared to visible points.

    Raises:
        ValueError: the points do not determine it.
    """
    infrared, visible = np.asarray(infrared, float), np.asarray(visible, float)
    if 2 * len(infrared) < MODELS[model]:
        raise ValueError(f"{model} needs {MODELS[model] // 2} points, not {len(infrared)}")
    if model == "homography":
        matrix, _ = cv2.findHomography(infrared, visible, 0)
        if matrix is None:
            raise ValueError("the points lie on a line")
        return matrix
    matrix = np.eye(3)
    middles = infrared.mean(axis=0), visible.mean(axis=0)
    if model != "shift":
        first, second = infrared - middles[0], visible - middles[1]
        if model == "similarity":  # as complex numbers, z -> a z
            z, w = first @ [1, 1j], second @ [1, 1j]
            if not (np.abs(z) ** 2).sum() > 1e-9:
                raise ValueError("the points coincide")
            a = (np.conj(z) * w).sum() / (np.abs(z) ** 2).sum()
            matrix[:2, :2] = [[a.real, -a.imag], [a.imag, a.real]]
        else:
            spread = np.linalg.svd(first, compute_uv=False)
            if not spread[-1] > 1e-3 * spread[0]:
                raise ValueError("the points lie on a line")
            matrix[:2, :2] = np.linalg.lstsq(first, second, rcond=None)[0].T
    matrix[:2, 2] = middles[1] - matrix[:2, :2] @ middles[0]
    return matrix


def align_points(
    infrared: Points,
    visible: Points,
    sizes: tuple[Size, Size],
    model: str | None = None,
    source: str = "",
    what: str = "--points",
) -> Calibration:
    """A calibration from points that belong together.

    Each point is also predicted from all others. One that is far from its prediction by more than
    2 % of the visible width is named and refused, because a wrong point would bend the whole
    picture. The confidence is ``1 / (1 + (e / limit)^2)`` of the median such error.

    Args:
        infrared, visible: ``(N, 2)`` in pixels, without lens distortion.
        sizes: ``(width, height)`` of infrared and visible pictures.
        model: None chooses the richest that has half as many points again as it needs.
        what: what error messages call the points.

    Raises:
        UserError: there are too few points, they do not determine the transform, or contradict
            each other.
    """
    count = len(infrared)
    if model is None:
        enough = [name for name, p in MODELS.items() if count >= _SPARE * p / 2]
        model = enough[-1] if enough else "similarity"
    errors = None
    try:
        matrix = fit_points(infrared, visible, model)
        if 2 * (count - 1) >= MODELS[model]:
            errors = _left_out(infrared, visible, model)
    except ValueError as error:
        raise UserError(f"{what}: {error}; give more points, all over the picture") from None
    limit = _LIMIT * sizes[1][0]
    if errors is not None and errors.max() > limit:
        worst = int(errors.argmax())
        x, y = infrared[worst]
        raise UserError(
            f"{what}: point {worst + 1} (infrared {x:g},{y:g}) is {errors[worst]:.1f} pixels from "
            f"where the other points put it by {model}; correct it or leave it out, or give "
            "--model with more freedom"
        )
    apart = map_points(matrix, infrared) - visible
    spare = 2 * count > MODELS[model]
    try:
        return Calibration(
            Camera(sizes[0]),
            Camera(sizes[1]),
            matrix,
            model,
            residual=float(np.sqrt((apart**2).sum(axis=1).mean())) if spare else None,
            confidence=None if errors is None else 1 / (1 + (np.median(errors) / limit) ** 2),
            source=source,
        )
    except ValueError as error:
        raise UserError(f"{what}: {error}; check the order of the points") from None


def _left_out(infrared: Points, visible: Points, model: str) -> np.ndarray:
    """The distance of each point from its prediction by the others."""
    errors = []
    for index in range(len(infrared)):
        others = np.arange(len(infrared)) != index
        matrix = fit_points(infrared[others], visible[others], model)
        found = map_points(matrix, infrared[index : index + 1])[0]
        errors.append(np.hypot(*(found - visible[index])))
    return np.nan_to_num(np.array(errors), nan=np.inf)


# --- Checkerboard ---------------------------------------------------------------------------------


def checkerboard_points(
    infrared: np.ndarray, visible: np.ndarray, inner: tuple[int, int]
) -> tuple[Points, Points] | None:
    """The inner corners of a checkerboard in both pictures, in the same order.

    A heated board may be inverted in the infrared. Of a board whose corners could be counted from
    either end, the order with the smaller rotation between the cameras is taken.

    Args:
        infrared, visible: ``HxW`` uint8.
        inner: inner corners along a row and along a column, both at least 3.

    Returns:
        Two arrays ``(N, 2)``; None if the board is not found in both pictures.
    """
    first, second = _corners(infrared, inner), _corners(visible, inner)
    if first is None or second is None:
        return None
    orders: list[Callable[[np.ndarray], np.ndarray]] = [lambda p: p, lambda p: p[::-1]]
    if inner[0] == inner[1]:
        turned = np.rot90(np.arange(len(first)).reshape(inner)).ravel()
        orders += [lambda p: p[turned], lambda p: p[turned][::-1]]

    def turning(points: np.ndarray) -> float:
        linear = fit_points(points, second, "affine")[:2, :2]
        if np.linalg.det(linear) <= 0:
            return np.inf
        return abs(np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1]))

    return min((order(first) for order in orders), key=turning), second


def _corners(image: np.ndarray, inner: tuple[int, int]) -> np.ndarray | None:
    for picture in (image, 255 - image):
        found, points = cv2.findChessboardCornersSB(
            picture, inner, flags=cv2.CALIB_CB_EXHAUSTIVE | cv2.CALIB_CB_ACCURACY
        )
        if found:
            return points.reshape(-1, 2).astype(float)
    return None
