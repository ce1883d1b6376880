"""Metrics of colour: how colourful the fused image is and whose colours it has.

Every function takes uint8 images, RGB ``HxWx3`` or grey ``HxW`` (which has no chroma), and
returns a float.
"""

import cv2
import numpy as np

from fusion.evaluation.metrics.catalogue import register


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Repeat a grey image to three channels; a colour image is returned unchanged."""
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


@register("colorfulness", title="Colourfulness", unit="level", channels="together")
def colorfulness(
    fused: np.ndarray, ir: np.ndarray | None = None, vis: np.ndarray | None = None
) -> float:
    """Colourfulness (Hasler and Suesstrunk, 2003) of the fused image, 0 for grey, from 0 on.

    ``sqrt(sd_rg^2 + sd_yb^2) + 0.3 sqrt(mean_rg^2 + mean_yb^2)`` of the opponent colours
    ``rg = R - G`` and ``yb = (R + G) / 2 - B``. About 15 is slightly, 60 quite colourful. False
    colours score best, so report it together with `chroma_error`. Higher is better.
    """
    red, green, blue = np.moveaxis(as_rgb(fused).astype(np.float64), 2, 0)
    opponents = (red - green, (red + green) / 2 - blue)
    spread = np.sqrt(sum(np.square(o.std()) for o in opponents))
    offset = np.sqrt(sum(np.square(o.mean()) for o in opponents))
    return float(spread + 0.3 * offset)


@register("chroma_error", title="ΔC", unit="CIELAB", higher_is_better=False, channels="together")
def chroma_error(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    """Mean distance ``sqrt(da^2 + db^2)`` of fused and visible colours in CIELAB, from 0 on.

    Colours are sRGB under D65. Lightness is ignored, because fusion is meant to change it. About
    2.3 is just noticeable. The error of a grey image is the mean chroma of the visible image. The
    gamut couples chroma with lightness, so even an unchanged hue has a small error where the
    lightness changes. Lower is better.
    """
    a, b = (
        cv2.cvtColor(as_rgb(image).astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[..., 1:]
        for image in (fused, vis)
    )
    return float(np.hypot(*np.moveaxis(a - b, 2, 0)).mean(dtype=np.float64))
