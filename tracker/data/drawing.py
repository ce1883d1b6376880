"""Draw tracking results: both modalities side by side with boxes, for videos and reports."""

import colorsys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike

from tracker.data.frames import MODALITIES, MODALITY_NAMES, Frame

# Visible on colour and on grey infrared images, also for most colour-blind people.
RESULT_COLOR = (255, 176, 0)
TRUTH_COLOR = (0, 220, 255)
WHITE = (255, 255, 255)
FAILED = (96, 0, 0)
_BACKGROUND = (24, 24, 24)
_FONT = cv2.FONT_HERSHEY_SIMPLEX

Color = tuple[int, int, int]

# Okabe and Ito's colours, distinguishable with any colour vision, those first that are bright
# enough for night images.
_COLORS: tuple[Color, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (204, 121, 167),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (0, 114, 178),
)


def colors_of(count: int) -> list[Color]:
    """As many different colours, RGB 0..255: Okabe and Ito's seven, then hues that avoid each other
    by the golden ratio."""
    more = (
        colorsys.hsv_to_rgb((0.13 + 0.618034 * k) % 1, 0.45 + 0.25 * (k % 3), 0.95 - 0.2 * (k % 2))
        for k in range(max(0, count - len(_COLORS)))
    )
    hues = [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in more]
    return [*_COLORS[:count], *hues]


class Marked(NamedTuple):
    """A box to draw.

    Attributes:
        box: ``x, y, w, h``.
        color: of its line.
        missed: whether it misses the target; it is crossed out then.
    """

    box: ArrayLike
    color: Color
    missed: bool = False


class Words(NamedTuple):
    """A text of the caption.

    Attributes:
        text: in ASCII, as OpenCV's font has no other letters.
        color: of its letters.
        room: the longest text that may stand here, so that what follows keeps its place from frame
            to frame.
        struck: whether it is set on red, for a failure.
    """

    text: str
    color: Color = WHITE
    room: str = ""
    struck: bool = False


def draw_box(
    image: np.ndarray, box: ArrayLike, color: Color = RESULT_COLOR, crossed: bool = False
) -> None:
    """Draw a box ``x, y, w, h`` on an RGB image; a box with NaN is skipped.

    The line lies inside the box and has a dark outer edge.

    Args:
        crossed: also draw its diagonals.
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
    if crossed:
        cv2.line(image, (x1, y1), (x2, y2), color, 1, cv2.LINE_AA)
        cv2.line(image, (x1, y2), (x2, y1), color, 1, cv2.LINE_AA)


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
    text = f"frame {frame.number}" + ("" if score is None else f"   score {score:.2f}")
    words = [Words(text), Words("tracked", RESULT_COLOR)]
    words += [Words("annotated", TRUTH_COLOR)] * bool(truth)
    truths = {modality: Marked(box, TRUTH_COLOR) for modality, box in (truth or {}).items()}
    return draw_boxes(
        frame, [Marked(box, RESULT_COLOR)], words, truth=truths, size=size, panel_width=panel_width
    )


def draw_boxes(
    frame: Frame,
    boxes: Sequence[Marked],
    words: Sequence[Words],
    *,
    truth: Mapping[str, Marked] | None = None,
    size: tuple[int, int] | None = None,
    panel_width: tuple[int, int] = (320, 960),
    modalities: Sequence[str] = MODALITIES,
) -> np.ndarray:
    """Draw any number of boxes on a frame's images side by side, below lines of text.

    Args:
        frame: a frame from `Sequence.frame`.
        boxes: drawn on every panel, in pixels of the frame; the last is on top.
        words: the caption, which takes as many lines as it needs.
        truth: by modality, a box that is drawn below all others, on its own panel.
        size, panel_width: see `draw_frame`.
        modalities: the panels; a modality that a frame lacks is a dark panel with the reason.

    Returns:
        RGB uint8 with even width and height, as video codecs require.

    Raises:
        ValueError: the frame has no image, and ``size`` is not given.
    """
    shown = frame.rgb if frame.rgb is not None else frame.ir
    if shown is not None:
        size = shown.shape[1], shown.shape[0]
    if size is None:
        raise ValueError("drawing needs the size of a frame without images")
    width, height = size
    scale = float(np.clip(width, *panel_width)) / width
    panel = (max(1, round(width * scale)), max(1, round(height * scale)))
    gap = np.full((panel[1], 4, 3), _BACKGROUND, np.uint8)
    parts: list[np.ndarray] = []
    for modality in modalities:
        below = [truth[modality]] if truth and modality in truth else []
        parts += [gap] * bool(parts)
        parts.append(_panel(frame, modality, [*below, *boxes], scale, panel))
    pictures = np.concatenate(parts, axis=1)
    if pictures.shape[1] % 2:
        pictures = np.pad(pictures, ((0, 0), (0, 1), (0, 0)), mode="edge")
    header = _header(words, pictures.shape[1], max(20, panel[1] // 14))
    if (len(header) + panel[1]) % 2:
        header = np.pad(header, ((0, 1), (0, 0), (0, 0)), mode="edge")
    return np.concatenate([header, pictures], axis=0)


def _panel(
    frame: Frame, modality: str, boxes: Sequence[Marked], scale: float, size: tuple[int, int]
) -> np.ndarray:
    image = getattr(frame, modality)
    problem = frame.problems.get(modality)
    label = MODALITY_NAMES[modality]
    label = label if problem is None else f"{label}: {problem.kind}"
    if image is None:
        panel = np.full((size[1], size[0], 3), 48, np.uint8)
        _write(panel, label, (6, 6))
        return panel
    smaller = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    panel = cv2.resize(image, size, interpolation=smaller)
    panel = np.ascontiguousarray(
        panel if panel.ndim == 3 else np.repeat(panel[..., None], 3, axis=2)
    )
    _write(panel, label, (6, 6))
    for box, color, missed in boxes:
        draw_box(panel, np.asarray(box, float) * scale, color, missed)
    return panel


def _header(words: Sequence[Words], width: int, height: int) -> np.ndarray:
    """Write texts, each in its own colour, as a legend of the boxes.

    A text that does not fit into the rest of a line of ``height`` pixels begins the next one.
    """
    scale = cv2.getFontScaleFromHeight(_FONT, max(8, height // 2))
    margin = max(5, height // 4)
    places, x, line = [], 6, 0
    for word in words:
        room = max(cv2.getTextSize(text, _FONT, scale, 1)[0][0] for text in (word.text, word.room))
        if x > 6 and x + room > width:
            x, line = 6, line + 1
        places.append((x, line))
        x += room + height
    header = np.full(((line + 1) * height, width, 3), _BACKGROUND, np.uint8)
    for word, (x, line) in zip(words, places, strict=True):
        if word.struck:
            length = cv2.getTextSize(word.text, _FONT, scale, 1)[0][0]
            header[line * height + 2 : (line + 1) * height - 2, x - 3 : x + length + 3] = FAILED
        position = x, (line + 1) * height - margin
        cv2.putText(header, word.text, position, _FONT, scale, word.color, 1, cv2.LINE_AA)
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
