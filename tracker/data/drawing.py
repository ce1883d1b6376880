"""Draw tracking results: both modalities side by side with boxes, for videos and reports."""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import ArrayLike

from tracker.data.frames import MODALITY_NAMES, Frame

# Visible on colour and on grey infrared images, also for most colour-blind people.
RESULT_COLOR = (255, 176, 0)
TRUTH_COLOR = (0, 220, 255)
_BACKGROUND = (24, 24, 24)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_box(image: np.ndarray, box: ArrayLike, color: tuple[int, int, int] = RESULT_COLOR) -> None:
    """Draw a box ``x, y, w, h`` on an RGB image; a box with NaN is skipped.

    The line lies inside the box and has a dark outer edge.
    """
    corners = np.asarray(box, float)
    if not np.isfinite(corners).all():
        return
    corners = np.clip(corners, -10_000, 10_000)  # OpenCV's coordinates have 32 bits
    thickness = max(2, round(min(image.shape[:2]) / 180))
    x1, y1 = np.rint(corners[:2]).astype(int).tolist()
    # A box from x to x + w covers the pixels x ... x + w - 1.
    x2, y2 = (np.rint(corners[:2] + corners[2:]).astype(int) - 1).tolist()
    cv2.rectangle(image, (x1 - 1, y1 - 1), (x2 + 1, y2 + 1), (0, 0, 0), 1)
    for inset in range(thickness):
        cv2.rectangle(image, (x1 + inset, y1 + inset), (x2 - inset, y2 - inset), color, 1)


def draw_frame(
    frame: Frame,
    box: ArrayLike,
    *,
    score: float | None = None,
    truth: Mapping[str, np.ndarray] | None = None,
    size: tuple[int, int] | None = None,
    panel_width: tuple[int, int] = (320, 960),
) -> np.ndarray:
    """Draw the visible and infrared image of a frame side by side, below a line of text.

    A missing modality is shown as a dark panel with the reason.

    Args:
        frame: a frame from `Sequence.frame`.
        box: ``x, y, w, h`` in pixels of the frame.
        score: the tracker's score, shown if given.
        truth: annotated boxes by modality, ``rgb`` and ``ir``, drawn in a second colour.
        size: ``(width, height)`` of a panel's image if both modalities are missing.
        panel_width: minimum and maximum width of a panel; images are scaled to fit.

    Returns:
        RGB uint8 with even width and height, as video codecs require.
    """
    shown = frame.rgb if frame.rgb is not None else frame.ir
    if shown is not None:
        size = shown.shape[1], shown.shape[0]
    if size is None:
        raise ValueError("draw_frame needs the size of a frame without images")
    width, height = size
    scale = float(np.clip(width, *panel_width)) / width
    panel = (max(1, round(width * scale)), max(1, round(height * scale)))
    panels = [
        _panel(frame, modality, label, box, truth or {}, scale, panel)
        for modality, label in MODALITY_NAMES.items()
    ]
    gap = np.full((panel[1], 4, 3), _BACKGROUND, np.uint8)
    pictures = np.concatenate([panels[0], gap, panels[1]], axis=1)
    text = f"frame {frame.number}" + ("" if score is None else f"   score {score:.2f}")
    line_height = max(20, panel[1] // 14)
    line_height += (line_height + panel[1]) % 2  # an even height; the width is already even
    words = [(text, (255, 255, 255)), ("tracked", RESULT_COLOR)]
    words += [("annotated", TRUTH_COLOR)] * bool(truth)
    header = _header(words, pictures.shape[1], line_height)
    return np.concatenate([header, pictures], axis=0)


def _panel(
    frame: Frame,
    modality: str,
    label: str,
    box: ArrayLike,
    truth: Mapping[str, np.ndarray],
    scale: float,
    size: tuple[int, int],
) -> np.ndarray:
    image = getattr(frame, modality)
    problem = frame.problems.get(modality)
    label = label if problem is None else f"{label}: {problem.kind}"
    if image is None:
        panel = np.full((size[1], size[0], 3), 48, np.uint8)
        _write(panel, label, (6, 6))
    else:
        smaller = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        panel = cv2.resize(image, size, interpolation=smaller)
        panel = np.ascontiguousarray(
            panel if panel.ndim == 3 else np.repeat(panel[..., None], 3, axis=2)
        )
        _write(panel, label, (6, 6))
        if modality in truth:
            draw_box(panel, np.asarray(truth[modality], float) * scale, TRUTH_COLOR)
        draw_box(panel, np.asarray(box, float) * scale)
    return panel


def _header(words: list[tuple[str, tuple[int, int, int]]], width: int, height: int) -> np.ndarray:
    """Write a line of texts, each in its own colour, as a legend of the boxes."""
    header = np.full((height, width, 3), _BACKGROUND, np.uint8)
    scale = cv2.getFontScaleFromHeight(_FONT, max(8, height // 2))
    x, y = 6, height - max(5, height // 4)
    for text, color in words:
        cv2.putText(header, text, (x, y), _FONT, scale, color, 1, cv2.LINE_AA)
        x += cv2.getTextSize(text, _FONT, scale, 1)[0][0] + height
    return header


def _write(image: np.ndarray, text: str, position: tuple[int, int]) -> None:
    """Write white text on a dark patch whose top left corner is at ``position``."""
    letters = max(8, image.shape[0] // 32)
    scale = cv2.getFontScaleFromHeight(_FONT, letters)
    (width, height), below = cv2.getTextSize(text, _FONT, scale, 1)
    x, y = position
    patch = image[y : y + height + below + 6, x : x + width + 8]
    patch[:] = (patch * 0.35).astype(np.uint8)
    cv2.putText(image, text, (x + 4, y + height + 3), _FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)
