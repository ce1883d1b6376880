"""A plot of the scores of a run, as SVG in the page's own colours."""

import numpy as np
from nicegui import ui

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 800, 150, 34, 20


def score_plot(scores: np.ndarray) -> None:
    """Show the tracker's score of every frame, 0 to 1."""
    ui.html(score_svg(scores)).classes("scores")


def score_svg(scores: np.ndarray) -> str:
    """The plot, with frames from left to right and scores 0..1 from bottom to top.

    Args:
        scores: one number per frame; NaN is left out.
    """
    count = len(scores)
    height = _HEIGHT - _BOTTOM
    x = _LEFT + (_WIDTH - _LEFT - 6) * np.arange(count) / max(1, count - 1)
    y = 6 + (height - 6) * (1 - np.clip(scores, 0, 1))
    kept = np.isfinite(scores)
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[kept], y[kept], strict=True))
    ticks = "".join(
        f'<line class="tick" x1="{_LEFT}" x2="{_WIDTH}" y1="{v:.1f}" y2="{v:.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{v + 4:.1f}" text-anchor="end">{label}</text>'
        for label, v in (("1", 6.0), ("0.5", 3 + height / 2), ("0", float(height)))
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Score of every frame">'
        f'{ticks}<polyline points="{line}"/>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 4}">frame 1</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 4}" text-anchor="end">frame {count}, score</text></svg>'
    )
