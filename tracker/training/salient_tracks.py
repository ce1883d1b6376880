"""Targets without annotation: salient regions, their silhouettes, and their motion."""

from collections.abc import Sequence

import cv2
import numpy as np

from tracker.data.boxes import box_iou
from tracker.training.footage import LocalMask, Track
from tracker.training.sources import salient_boxes

#: Salient targets are detected in every 10th frame and propagated 12 frames in both directions.
CARRY_FROM, CARRY = 10, 12


def carried_tracks(rgb: np.ndarray, ir: np.ndarray) -> list[Track]:
    """Salient targets, propagated to neighbouring frames by correlation in both modalities.

    Args:
        rgb: ``(T, H, W, 3)`` uint8.
        ir: ``(T, H, W)`` uint8.
    """
    light = [cv2.cvtColor(np.asarray(frame), cv2.COLOR_RGB2GRAY) for frame in rgb]
    heat = [np.asarray(frame) for frame in ir]
    tracks = []
    for start in range(0, len(heat), CARRY_FROM):
        for box in salient_boxes(light[start], heat[start]):
            boxes = np.full((len(heat), 4), np.nan)
            boxes[start] = box
            for step in (1, -1):
                for index in range(start + step, start + step * (CARRY + 1), step):
                    if not 0 <= index < len(heat):
                        break
                    moved = _carry(light, heat, index - step, index, boxes[index - step])
                    if moved is None:
                        break
                    boxes[index] = moved
            tracks.append(blob_track(heat, boxes, labelled=False))
    return tracks


def _carry(
    light: list[np.ndarray], heat: list[np.ndarray], old: int, new: int, box: np.ndarray
) -> np.ndarray | None:
    """The box of frame ``old`` in frame ``new``; None if the match back ends at another place."""
    moved, score = _match(light, heat, old, new, box)
    back, _ = _match(light, heat, new, old, moved)
    return moved if score > 0.6 and box_iou(back, box) > 0.8 else None


def _match(
    light: list[np.ndarray], heat: list[np.ndarray], old: int, new: int, box: np.ndarray
) -> tuple[np.ndarray, float]:
    x, y, w, h = (int(v) for v in box)
    height, width = heat[new].shape
    reach = max(6, round(0.3 * max(w, h)))
    left, top = max(0, x - reach), max(0, y - reach)
    window = slice(top, min(height, y + h + reach)), slice(left, min(width, x + w + reach))
    patch = slice(y, y + h), slice(x, x + w)
    response = sum(
        cv2.matchTemplate(frames[new][window], frames[old][patch], cv2.TM_CCOEFF_NORMED)
        for frames in (light, heat)
    )
    _, score, _, (dx, dy) = cv2.minMaxLoc(np.asarray(response) / 2)
    return np.array([left + dx, top + dy, w, h], float), score


def blob_track(heat: Sequence[np.ndarray], boxes: np.ndarray, labelled: bool = True) -> Track:
    """A track of a salient region, with the silhouette of what is hot in it."""
    found: dict[int, LocalMask | None] = {}

    def silhouette(index: int) -> LocalMask | None:
        if index not in found:
            found[index] = hot_silhouette(heat[index], boxes[index])
        return found[index]

    first = int(np.flatnonzero(np.isfinite(boxes[:, 0]))[0])
    shape = silhouette(first)
    width, height = boxes[first, 2:]
    upright = shape is not None and 1.5 <= height / width <= 4.5
    return Track("person" if upright else "thing", boxes, labelled, silhouette=silhouette)


def hot_silhouette(heat: np.ndarray, box: np.ndarray) -> LocalMask | None:
    """The silhouette of the hot object in a box, or None if there is none.

    Otsu's threshold (1979) on the box and its surroundings, then the largest connected component.
    It must fill a quarter to nine tenths of its bounding box and exceed the surroundings by 20 grey
    levels.

    Args:
        heat: ``HxW`` uint8.
        box: ``x, y, w, h``.
    """
    x, y, w, h = box
    height, width = heat.shape
    left, top = max(0, int(x - 0.3 * w)), max(0, int(y - 0.2 * h))
    right, bottom = min(width, int(np.ceil(x + 1.3 * w))), min(height, int(np.ceil(y + 1.2 * h)))
    patch = cv2.GaussianBlur(heat[top:bottom, left:right], (0, 0), 0.8)
    _, mask = cv2.threshold(patch, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return None
    part = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    px, py, pw, ph, area = stats[part]
    inside = parts == part
    contrast = (
        float(patch[inside].mean()) - float(patch[mask == 0].mean()) if (mask == 0).any() else 0
    )
    at_rim = pw >= patch.shape[1] or ph >= patch.shape[0]
    if at_rim or min(pw, ph) < 5 or not 0.25 <= area / (pw * ph) <= 0.9 or contrast < 20:
        return None
    if box_iou(np.array([left + px, top + py, pw, ph], float), box) < 0.4:
        return None
    shape = np.ascontiguousarray(inside[py : py + ph, px : px + pw]).astype(np.uint8) * 255
    return LocalMask(left + px, top + py, shape)
