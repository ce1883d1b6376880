"""``fusion align``: from two pictures, folders or videos to a calibration file and its preview."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fusion.base.errors import UserError
from fusion.base.tables import counted
from fusion.commands.pipeline import FusionReport, paired_frames
from fusion.images.alignment.calibration import Calibration
from fusion.images.alignment.camera import Camera
from fusion.images.alignment.estimation import (
    NotSure,
    estimate_alignment,
    expected_transform,
    require_sure,
)
from fusion.images.alignment.geometry import Size, map_points
from fusion.images.alignment.points import align_points, checkerboard_points, read_points
from fusion.images.alignment.search import Range
from fusion.images.pairing import pair_folders
from fusion.images.pixels import luminance, scale_to_255, tile, to_8bit
from fusion.images.reading import read_image, write_image
from fusion.images.timing import pair_videos
from fusion.images.video import VIDEO_SUFFIXES, Video

__all__ = ["Request", "align", "preview"]

#: The range that is searched where the usual one (`Range`) gives no sure result.
WIDE = Range(scale=(0.6, 1.7), degrees=10.0, shift=0.25)

Pair = tuple[np.ndarray, np.ndarray]  # infrared HxW and visible HxW or HxWx3, 0..255


@dataclass(frozen=True)
class Request:
    """How an alignment is found.

    Attributes:
        model: a key of `fusion.images.alignment.geometry.MODELS`; None for what suits the source.
        frames: number of pairs taken from folders and videos, evenly.
        pair: how files or frames are matched, see `fusion.commands.pipeline.Options`.
        points: file of points instead of the pictures' structure.
        checkerboard: inner corners of a board per row and column instead.
        fov: horizontal fields of view of infrared and visible camera in degrees.
        lens: file with the cameras' distortion, as in a calibration.
        percentiles: see `fusion.images.pixels.scale_to_255`.
    """

    model: str | None = None
    frames: int = 12
    pair: str | None = None
    points: Path | None = None
    checkerboard: tuple[int, int] | None = None
    fov: tuple[float, float] | None = None
    lens: Path | None = None
    percentiles: tuple[float, float] | None = None


def align(ir: Path, vis: Path, request: Request) -> tuple[Calibration, Pair]:
    """Find the calibration of the cameras of two pictures, folders or videos.

    Returns:
        The calibration, and a pair of pictures for `preview`.

    Raises:
        UserError: the inputs are unusable; `NotSure` where they do not tell.
    """
    pairs = read_pairs(ir, vis, request)
    sizes = {(first.shape[:2], second.shape[:2]) for first, second in pairs}
    if len(sizes) > 1:
        raise UserError(
            f"{ir} and {vis}: the pictures of a camera differ in size; give pictures of one "
            "recording, or one pair"
        )
    infrared, visible = ((p.shape[1], p.shape[0]) for p in pairs[0])
    lens = _lens(request.lens, infrared, visible)
    straight = [(_straight(lens, first), lens.undistort(second)) for first, second in pairs]
    what = f"{ir} and {vis}"
    number = counted(len(pairs), "pair")
    if request.points is not None:
        first, second = read_points(request.points)
        first, second = lens.infrared.straighten(first), lens.visible.straighten(second)
        source = f"{counted(len(first), 'point')} of {request.points.name}"
        found = align_points(
            first, second, (infrared, visible), request.model, source, str(request.points)
        )
    elif request.checkerboard is not None:
        found = _by_checkerboard(straight, request, (infrared, visible), what)
    else:
        source = f"{number} of {ir.name} and {vis.name}"
        start = _start(request.fov, infrared, visible)
        model = request.model or "similarity"
        found = require_sure(_best(straight, model, start), what).calibration(source)
    return replace(found, infrared=lens.infrared, visible=lens.visible), pairs[len(pairs) // 2]


def _best(pairs: list[Pair], model: str, start: np.ndarray | None) -> Any:
    """The estimate of the usual range, or of the wide one where that is not sure."""
    try:
        return require_sure(estimate_alignment(pairs, model, start=start), "")
    except NotSure as refused:
        wide = estimate_alignment(pairs, model, WIDE, start=start)
        first = refused.estimate
        return wide if first is None or wide.confidence > first.confidence else first


def _start(fov: tuple[float, float] | None, infrared: Size, visible: Size) -> np.ndarray | None:
    """The expected transform of two fields of view: ``f = w / (2 tan(fov / 2))`` each."""
    if fov is None:
        return None
    focal = [
        size[0] / (2 * np.tan(np.radians(angle) / 2))
        for size, angle in zip((infrared, visible), fov, strict=True)
    ]
    scale = focal[1] / focal[0]
    middles = [(np.array(size) - 1) / 2 for size in (infrared, visible)]
    matrix = np.diag([scale, scale, 1.0])
    matrix[:2, 2] = middles[1] - scale * middles[0]
    return matrix


def _lens(path: Path | None, infrared: Size, visible: Size) -> Calibration:
    """The cameras with their distortion, with a transform that is not used."""
    cameras = Camera(infrared), Camera(visible)
    if path is not None:
        given = Calibration.load(path, transform=np.eye(3))
        given.require_sizes(infrared, visible, path)
        cameras = given.infrared, given.visible
    return Calibration(*cameras, expected_transform(infrared, visible))


def _straight(lens: Calibration, ir: np.ndarray) -> np.ndarray:
    return Calibration(Camera(lens.infrared.size), lens.infrared, np.eye(3)).undistort(ir)


def _by_checkerboard(
    pairs: list[Pair], request: Request, sizes: tuple[Size, Size], what: str
) -> Calibration:
    assert request.checkerboard is not None
    columns, rows = request.checkerboard
    found = [
        points
        for ir, vis in pairs
        if (points := checkerboard_points(to_8bit(ir), to_8bit(luminance(vis)), (columns, rows)))
    ]
    if not found:
        raise UserError(
            f"{what}: no checkerboard with {columns}x{rows} inner corners is visible in both "
            "pictures of any pair; heat the board, hold it still, or give --points"
        )
    first, second = (np.concatenate(points) for points in zip(*found, strict=True))
    boards = counted(len(found), "checkerboard")
    return align_points(
        first, second, sizes, request.model, f"{boards} of {columns}x{rows} corners", what
    )


# --- Reading --------------------------------------------------------------------------------------


def read_pairs(ir: Path, vis: Path, request: Request) -> list[Pair]:
    """Some pairs of pictures of two files, folders or videos, evenly from beginning to end.

    Raises:
        UserError: the inputs are missing, of different kinds, or unusable.
    """
    for path in (ir, vis):
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
    videos = [path.suffix.lower() in VIDEO_SUFFIXES and path.is_file() for path in (ir, vis)]
    if ir.is_dir() != vis.is_dir() or videos[0] != videos[1]:
        raise UserError(f"{ir} and {vis}: not of one kind; give two pictures, folders or videos")
    if ir.is_dir():
        files = pair_folders(ir, vis, request.pair).pairs
        files = [files[index] for index in _evenly(len(files), request.frames)]
        return [_pair(read_image(a), read_image(b), request) for a, b in files]
    if videos[0]:
        found = list(_video_pairs(ir, vis, request))
        if not found:
            raise UserError(f"{ir} and {vis}: no frames of both videos belong together")
        return found
    return [_pair(read_image(ir), read_image(vis), request)]


def _video_pairs(ir: Path, vis: Path, request: Request) -> Iterator[Pair]:
    with Video(ir, deep=True) as first, Video(vis) as second:
        pairing = pair_videos(first, second, request.pair)
        count = min(first.frame_count, second.frame_count)
        if pairing.by_time:
            count = min(second.frame_count, int(count * max(1.0, second.fps / first.fps)))
        wanted = set(_evenly(count, request.frames))
        frames = paired_frames(first, second, pairing, FusionReport())
        for index, (a, b) in enumerate(frames):
            if index in wanted:
                yield _pair(a.image(), b.image(), request)
            if index >= max(wanted):
                break


def _evenly(count: int, most: int) -> list[int]:
    """At most so many of ``range(count)``, in the middle of equal parts."""
    most = min(count, most)
    return [int((k + 0.5) * count / most) for k in range(most)]


def _pair(ir: np.ndarray, vis: np.ndarray, request: Request) -> Pair:
    return scale_to_255(luminance(ir), request.percentiles), scale_to_255(vis)


# --- Preview --------------------------------------------------------------------------------------


def preview(calibration: Calibration, pair: Pair) -> np.ndarray:
    """A picture to judge a calibration by: before and after it.

    Above, the infrared edges in orange on the visible picture; below, squares of both pictures in
    turn. On the left the infrared as it would lie without a calibration.

    Returns:
        RGB uint8.
    """
    infrared, visible = calibration.infrared, calibration.visible
    before = Calibration(
        Camera(infrared.size), Camera(visible.size), expected_transform(infrared.size, visible.size)
    )
    light = to_8bit(luminance(pair[1]))
    straight = to_8bit(luminance(calibration.undistort(pair[1])))
    heat = to_8bit(pair[0])
    columns = {
        "before": (light, before.align(heat), before.covered),
        "after": (straight, calibration.align(heat), calibration.covered),
    }
    rows = {"infrared edges": _edges, "squares of both": _squares}
    return tile(
        [
            [(f"{what} {when}", draw(*pictures)) for when, pictures in columns.items()]
            for what, draw in rows.items()
        ]
    )


def _edges(vis: np.ndarray, ir: np.ndarray, inside: np.ndarray) -> np.ndarray:
    smooth = cv2.GaussianBlur(ir, (0, 0), max(1.0, ir.shape[1] / 500)).astype(np.float32)
    length = cv2.magnitude(cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1))
    length[cv2.erode(inside.astype(np.uint8), np.ones((13, 13), np.uint8)) == 0] = 0
    strength = np.clip(length / max(float(np.percentile(length, 97)), 1e-6), 0, 1)[..., None] ** 1.5
    picture = np.repeat(vis[..., None] * 0.7, 3, axis=2)
    return np.rint(picture * (1 - strength) + strength * [255, 120, 0]).astype(np.uint8)


def _squares(vis: np.ndarray, ir: np.ndarray, inside: np.ndarray) -> np.ndarray:
    height, width = vis.shape
    side = max(8, width // 12)
    y, x = np.mgrid[:height, :width] // side
    mixed = np.where(((x + y) % 2 == 0) & inside, ir, vis)
    return np.repeat(mixed[..., None], 3, axis=2).astype(np.uint8)


def summary(calibration: Calibration, out: Path) -> list[str]:
    """What a person wants to know about a calibration, in a few lines."""
    (width, height), visible = calibration.infrared.size, calibration.visible.size
    middle = np.array([[(width - 1) / 2, (height - 1) / 2]])
    spots = map_points(calibration.transform, middle + [[0, 0], [1, 0], [0, 1]])
    right, down = spots[1] - spots[0], spots[2] - spots[0]
    shift = spots[0] - (np.array(visible) - 1) / 2
    residual = calibration.residual
    x, y, w, h = calibration.common
    lines = [
        f"{calibration.model}: infrared {width}x{height} to visible {visible[0]}x{visible[1]}, "
        f"scale {np.sqrt(abs(np.linalg.det([right, down]))):.3f}, "
        f"rotation {np.degrees(np.arctan2(-right[1], right[0])):.2f} degrees, "
        f"centre {shift[0]:+.1f},{shift[1]:+.1f} pixels",
        "residual "
        + ("unknown" if residual is None else f"{residual:.2f} pixels")
        + ", confidence "
        + ("unknown" if calibration.confidence is None else f"{calibration.confidence:.2f}")
        + f", in common {w}x{h} at {x},{y}",
        f"calibration: {out}",
    ]
    return lines


def write(calibration: Calibration, pair: Pair, out: Path) -> list[str]:
    """Write the calibration and, beside it, its preview; what to print."""
    picture = out.with_suffix(".png")
    drawn = preview(calibration, pair)
    calibration.save(out)
    write_image(picture, drawn)
    return [*summary(calibration, out), f"preview: {picture}"]
