"""The calibration of two cameras: which infrared pixel belongs to which visible pixel.

One YAML file that a person can read and correct:

    infrared:
      size: [640, 512]
    visible:
      size: [1280, 720]
      matrix: [[905.1, 0, 640.2], [0, 905.0, 361.7], [0, 0, 1]]
      distortion: [-0.31, 0.12, 0, 0, 0]
    model: similarity
    transform:
    - [1.41, -0.012, 190.3]
    - [0.012, 1.41, -3.7]
    - [0, 0, 1]
    residual: 0.8
    confidence: 0.97
    source: 24 frames of thermal.mp4 and visible.mp4

``transform`` maps infrared pixels to visible pixels, ``(x, y, 1)`` with whole numbers at the
centres of pixels (`fusion.images.alignment.geometry`). ``matrix`` and ``distortion`` are OpenCV's
camera matrix and its 4, 5, 8, 12 or 14 distortion coefficients; they are optional, and where they
are given, the transform holds between the pictures without distortion. ``residual`` is what the
transform leaves, in visible pixels, and ``confidence`` is between 0 and 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from fusion.base.configuration import read_yaml
from fusion.base.errors import UserError
from fusion.base.files import whole_file
from fusion.images.alignment.camera import Camera
from fusion.images.alignment.geometry import (
    MODELS,
    Size,
    corners,
    largest_rectangle,
    map_boxes,
    map_points,
)

_ADVICE = "give a file that 'fusion align' wrote"
_WANTED: dict[tuple[int, ...], str] = {
    (): "a number",
    (2,): "two numbers",
    (3, 3): "a 3x3 matrix of numbers",
}


@dataclass(frozen=True, eq=False)
class Calibration:
    """How the pictures of two fixed cameras belong together.

    Attributes:
        infrared, visible: the cameras.
        transform: 3x3, from infrared pixels to visible pixels, both without lens distortion.
        model: ``shift``, ``similarity``, ``affine`` or ``homography``.
        residual: what the transform leaves, in visible pixels; None if unknown.
        confidence: 0 to 1, how sure the estimate is; None if unknown.
        source: what it was found from, one line.
    """

    infrared: Camera
    visible: Camera
    transform: np.ndarray
    model: str = "homography"
    residual: float | None = None
    confidence: float | None = None
    source: str = ""
    path: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"model is {', '.join(MODELS)}, got {self.model!r}")
        matrix = np.asarray(self.transform, float)
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
            raise ValueError("transform is not a 3x3 matrix of finite numbers")
        if not _is_regular(matrix, self.infrared.size):
            raise ValueError("transform mirrors, folds or flattens the infrared picture")
        object.__setattr__(self, "transform", matrix / matrix[2, 2])
        for name, most in (("residual", np.inf), ("confidence", 1)):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= most:
                raise ValueError(f"{name} is at least 0" + " and at most 1" * (most == 1))

    # --- The file ---

    @classmethod
    def load(cls, path: str | Path, transform: np.ndarray | None = None) -> "Calibration":
        """Read a calibration file.

        Args:
            transform: used where the file has none, as files of lens distortion alone.

        Raises:
            UserError: the file is missing, is no calibration, or its numbers are unusable.
        """
        path = Path(path)
        keys = read_yaml(path, _ADVICE)
        try:
            unknown = set(keys) - {
                "infrared",
                "visible",
                "model",
                "transform",
                "residual",
                "confidence",
                "source",
            }
            if unknown:
                raise ValueError(f"unknown key {min(map(str, unknown))}")
            numbers = {
                key: None if keys.get(key) is None else float(_numbers(keys[key], key, ()))
                for key in ("residual", "confidence")
            }
            return cls(
                infrared=_camera(keys, "infrared"),
                visible=_camera(keys, "visible"),
                transform=transform
                if transform is not None and "transform" not in keys
                else _numbers(keys.get("transform"), "transform", (3, 3)),
                model=str(keys.get("model", "homography")),
                source=str(keys.get("source", "")),
                path=path,
                **numbers,
            )
        except ValueError as error:
            raise UserError(f"{path}: {error}; {_ADVICE}") from None

    def save(self, path: str | Path) -> None:
        """Write the calibration file, completely or not at all.

        Raises:
            UserError: the file cannot be written.
        """
        keys: dict[str, Any] = {}
        for name, camera in (("infrared", self.infrared), ("visible", self.visible)):
            keys[name] = {"size": list(camera.size)}
            if camera.matrix is not None and camera.distortion is not None:
                keys[name]["matrix"] = camera.matrix.tolist()
                keys[name]["distortion"] = camera.distortion.tolist()
        keys["model"] = self.model
        keys["transform"] = [[float(f"{value:.10g}") for value in row] for row in self.transform]
        for name in ("residual", "confidence"):
            value = getattr(self, name)
            keys[name] = None if value is None else float(f"{value:.3g}")
        keys["source"] = self.source
        text = yaml.safe_dump(keys, sort_keys=False, default_flow_style=None, width=100)
        head = "# transform maps infrared pixels (x, y, 1) to visible pixels; see 'fusion align'\n"
        with whole_file(Path(path)) as temporary:
            temporary.write_text(head + text, encoding="utf-8")

    # --- Its use ---

    def require_sizes(
        self, infrared: Size | None, visible: Size | None, what: str | Path = "--align"
    ) -> None:
        """Refuse pictures of other sizes than the calibration's.

        Args:
            infrared, visible: ``(width, height)``; None is not checked.
            what: what the message calls the pictures.

        Raises:
            UserError: a size differs.
        """
        for name, size, camera in (
            ("infrared", infrared, self.infrared),
            ("visible", visible, self.visible),
        ):
            if size is not None and tuple(size) != tuple(camera.size):
                raise UserError(
                    f"{what}: {name} pictures are {size[0]}x{size[1]}, the calibration"
                    f"{f' {self.path}' if self.path else ''} is for {camera.size[0]}x"
                    f"{camera.size[1]}; run 'fusion align' on pictures of this size"
                )

    def align(self, ir: np.ndarray) -> np.ndarray:
        """Resample an infrared picture onto the visible picture's grid.

        Bicubic; where infrared pixels are smaller than visible ones, their mean over a visible
        pixel is taken first. Pixels that no infrared covers (`covered`) get the mean of the
        picture, as a tracker fills a search region beyond the frame. `fuse` and trainings crop
        both pictures to `common` instead, which has none.

        Args:
            ir: ``HxW`` or ``HxWx3``, uint8, uint16 or float32, of `infrared`'s size.

        Returns:
            The same type, of `visible`'s size.

        Raises:
            UserError: the size is another one.
        """
        self.require_sizes((ir.shape[1], ir.shape[0]), None)
        if not self._moves:
            return ir
        first, second, shrunk = self._maps
        source = ir
        if shrunk is not None:
            source = cv2.resize(ir, shrunk, interpolation=cv2.INTER_AREA)
        aligned = cv2.remap(source, first, second, cv2.INTER_CUBIC, None, cv2.BORDER_REPLICATE)
        if aligned.dtype.kind == "f":  # whole numbers saturate
            np.clip(aligned, ir.min(), ir.max(), out=aligned)
        if not self._covers_all:
            mean = np.asarray(cv2.mean(ir)[: 1 if ir.ndim == 2 else 3])
            if ir.dtype.kind != "f":
                mean = np.rint(mean)
            aligned[~self.covered] = mean.astype(ir.dtype)
        return aligned

    def undistort(self, vis: np.ndarray) -> np.ndarray:
        """The visible picture without lens distortion, of the same size and type.

        The same picture where the calibration has no distortion of the visible camera.

        Raises:
            UserError: the size is another one.
        """
        self.require_sizes(None, (vis.shape[1], vis.shape[0]))
        if self.visible.matrix is None:
            return vis
        straight = cv2.remap(vis, *self._visible_maps, cv2.INTER_CUBIC, None, cv2.BORDER_REPLICATE)
        if straight.dtype.kind == "f":
            np.clip(straight, vis.min(), vis.max(), out=straight)
        return straight

    def pair(self, ir: np.ndarray, vis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both pictures on the visible grid, cropped to `common`: what is fused and trained on.

        Raises:
            UserError: a size is another one, or the pictures share less than 8x8 pixels.
        """
        x, y, width, height = self.common
        if min(width, height) < 8:
            raise UserError(
                f"{self.path or 'the calibration'}: the pictures have no area in common; run "
                "'fusion align' again"
            )
        place = np.s_[y : y + height, x : x + width]
        ir, vis = self.align(ir)[place], self.undistort(vis)[place]
        return np.ascontiguousarray(ir), np.ascontiguousarray(vis)

    def align_boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes ``(N, 4)`` ``x, y, w, h`` of infrared pictures on the visible grid; NaN stays NaN.

        `fusion.images.alignment.geometry.map_boxes` gives the rule.
        """
        return map_boxes(self.transform, self.infrared.straighten_boxes(boxes))

    def undistort_boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes ``(N, 4)`` of visible pictures in the pictures of `undistort`."""
        return self.visible.straighten_boxes(boxes)

    @cached_property
    def covered(self) -> np.ndarray:
        """Pixels ``HxW`` bool of the visible grid that both cameras show."""
        width, height = self.infrared.size
        places = self._places(self.infrared, np.linalg.inv(self.transform))
        mask = _within(places, width, height)
        if self.visible.matrix is not None:
            mask &= _within(self._places(self.visible, np.eye(3)), *self.visible.size)
        return mask

    @cached_property
    def common(self) -> tuple[int, int, int, int]:
        """The largest rectangle ``x, y, w, h`` of covered visible pixels.

        Its sides are even, as video codecs need them, unless it is the whole picture.
        """
        if self._covers_all:
            return (0, 0, *self.visible.size)
        x, y, width, height = largest_rectangle(self.covered)
        return x, y, width - width % 2, height - height % 2

    @cached_property
    def _covers_all(self) -> bool:
        return bool(self.covered.all())

    @cached_property
    def _moves(self) -> bool:
        """Whether any pixel moves."""
        same = tuple(self.infrared.size) == tuple(self.visible.size)
        identity = np.allclose(self.transform, np.eye(3), rtol=0, atol=1e-9)
        return not (same and identity and self.infrared.matrix is None)

    @cached_property
    def _maps(self) -> tuple[np.ndarray, np.ndarray, Size | None]:
        """OpenCV's maps, and the size to which the infrared picture is averaged before."""
        places = self._places(self.infrared, np.linalg.inv(self.transform))
        width, height = self.infrared.size
        middle = np.array([[(width - 1) / 2, (height - 1) / 2]])
        around = map_points(self.transform, middle + [[0, 0], [1, 0], [0, 1]])
        scale = float(np.sqrt(abs(np.linalg.det(around[1:] - around[0]))))
        shrunk = None
        if scale < 0.75:
            shrunk = max(1, round(width * scale)), max(1, round(height * scale))
            factors = np.array(shrunk) / (width, height)
            places = (places + 0.5) * factors - 0.5
        return *_fixed_point(places), shrunk

    @cached_property
    def _visible_maps(self) -> tuple[np.ndarray, np.ndarray]:
        return _fixed_point(self._places(self.visible, np.eye(3)))

    def _places(self, camera: Camera, matrix: np.ndarray) -> np.ndarray:
        """Where each pixel of the visible grid is in a camera's picture, ``HxWx2``.

        Args:
            matrix: from the visible grid to the camera's picture without distortion.
        """
        width, height = self.visible.size
        grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 2)
        places = camera.distort(map_points(matrix, grid))
        # Behind the horizon of a homography nothing is seen.
        behind = np.column_stack([grid, np.ones(len(grid))]) @ matrix[2] <= 0
        places[behind | ~np.isfinite(places).all(axis=1)] = -1e4
        return places.reshape(height, width, 2)


def load_chosen(path: Path | None, resize: bool = False) -> Calibration | None:
    """The calibration of ``--align FILE``; None without one.

    Args:
        resize: whether ``--resize`` or ``--stretch`` is given too.

    Raises:
        UserError: as `Calibration.load`, or ``resize`` contradicts the calibration.
    """
    if path is None:
        return None
    if resize:
        raise UserError(f"--align {path}: sets the infrared's size; leave out --resize, --stretch")
    return Calibration.load(path)


def _is_regular(matrix: np.ndarray, size: Size) -> bool:
    """Whether a transform keeps the orientation of a whole picture."""
    ends = corners(size)
    depths = np.column_stack([ends, np.ones(4)]) @ matrix[2]
    if not (depths * np.sign(depths[0]) > 1e-3 * abs(depths[0])).all():
        return False
    mapped = map_points(matrix, ends)
    sides = np.roll(mapped, -1, axis=0) - mapped
    following = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * following[:, 1] - sides[:, 1] * following[:, 0]
    return bool((turns > 1e-6 * size[0] * size[1]).all())


def _within(places: np.ndarray, width: int, height: int) -> np.ndarray:
    # Rounding must not uncover the outermost row of pictures that fit exactly.
    low, high = -0.5 - 1e-6, np.array([width, height]) - 0.5 + 1e-6
    return np.all((places >= low) & (places <= high), axis=-1)


def _fixed_point(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """OpenCV's fast maps, in steps of 1/32 pixel."""
    places = np.clip(places, -1e4, 3e4).astype(np.float32)
    first, second = cv2.convertMaps(places[..., 0], places[..., 1], cv2.CV_16SC2)
    return first, second


def _numbers(value: Any, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """A YAML value as an array of finite numbers."""
    try:
        numbers = np.array(value, float)
    except (TypeError, ValueError, OverflowError):
        numbers = np.array(np.nan)
    if not np.isfinite(numbers).all() or (shape is not None and numbers.shape != shape):
        wanted = "numbers" if shape is None else _WANTED[shape]
        raise ValueError(f"{name} is not {wanted}")
    return numbers


def _camera(keys: Mapping[str, Any], name: str) -> Camera:
    entry = keys.get(name)
    if not isinstance(entry, Mapping):
        raise ValueError(f"no {name}: with the size of its pictures")
    width, height = _numbers(entry.get("size"), f"{name}.size", (2,))
    if width != int(width) or height != int(height) or max(width, height) > 30_000:
        raise ValueError(f"{name}.size is not two whole numbers of at most 30000")
    lens = {
        key: None if entry.get(key) is None else _numbers(entry[key], f"{name}.{key}")
        for key in ("matrix", "distortion")
    }
    try:
        return Camera((int(width), int(height)), **lens)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
