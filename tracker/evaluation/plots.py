"""The usual plots of tracking papers, for any number of trackers.

Every function creates a separate `matplotlib.figure.Figure`, without pyplot and its global state;
`save_figure` writes it in any format that Matplotlib supports.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle, product
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes

from fusion.base.errors import UserError
from fusion.base.files import whole_file
from fusion.evaluation.comparison import COLOURS
from tracker.evaluation.ope import figures as ope
from tracker.evaluation.vot.figures import MultistartScores

# Dash patterns, used if there are more trackers than colours.
DASHES = ("-", "--", ":", "-.")
MARKERS = "osD^vP*X<>"


def _figure(xlabel: str, ylabel: str, title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.0, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    axes.grid(True, color="0.9")
    axes.set_axisbelow(True)
    return figure, axes


def _legend(axes: Axes, loc: Literal["upper right", "lower left", "lower right"]) -> None:
    """Place a legend inside the axes, or to their right if it would hide the curves."""
    if len(axes.get_legend_handles_labels()[1]) <= 6:
        axes.legend(loc=loc)
        return
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.set_size_inches(8.0, 4.5)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _ranked(figures: Mapping[str, float]) -> list[str]:
    """Names from best to worst; NaN last."""
    return sorted(figures, key=lambda name: -np.nan_to_num(figures[name], nan=-1))


def _styles(names: Iterable[str]) -> dict[str, dict]:
    """A line style for each name, the same in every plot of the same trackers."""
    styles = cycle(product(DASHES, COLOURS))
    return {
        name: {"linestyle": dash, "color": colour}
        for name, (dash, colour) in zip(sorted(names), styles, strict=False)
    }


# --- One-pass evaluation --------------------------------------------------------------------------

_RATE_PLOTS = {
    # plot: figure, x axis, y axis
    "precision": ("PR", "centre error threshold (pixels)", "precision rate"),
    "normalized": ("NPR", "normalised centre error threshold", "normalised precision rate"),
    "success": ("SR", "overlap threshold", "success rate"),
}


def rate_plot(scores: Mapping[str, ope.OPEScores], plot: str) -> Figure:
    """Plot precision, normalised precision or success over its threshold, one line per tracker.

    The legend shows the figure that the benchmark computes from the curve, best first.

    Args:
        scores: scores by tracker, all of one benchmark.
        plot: ``precision``, ``normalized`` or ``success``.

    Raises:
        ValueError: no tracker, several benchmarks, or a plot that the benchmark does not have.
    """
    protocols = {tracker.protocol.name: tracker.protocol for tracker in scores.values()}
    if len(protocols) != 1 or plot not in _RATE_PLOTS:
        raise ValueError(
            f"rate_plot takes scores of one benchmark and one of {', '.join(_RATE_PLOTS)}; "
            f"got {plot!r} of {', '.join(protocols) or 'none'}"
        )
    (protocol,) = protocols.values()
    if plot == "normalized" and not protocol.normalized:
        raise ValueError(f"{protocol.title} has no normalised precision")
    key, xlabel, ylabel = _RATE_PLOTS[plot]
    if protocol.is_maximum:
        ylabel = f"maximum {ylabel}"
    figure, axes = _figure(xlabel, ylabel, protocol.title)
    values = {name: getattr(tracker, key) for name, tracker in scores.items()}
    styles = _styles(scores)
    thresholds = protocol.thresholds(plot)
    for name in _ranked(values):
        label = f"{name} [{values[name]:.3f}]"
        axes.plot(thresholds, scores[name].curve(plot), label=label, linewidth=1.8, **styles[name])
    if plot != "success":
        at = protocol.precision_at if plot == "precision" else ope.NORMALIZED_AT
        axes.axvline(at, color="0.6", linewidth=0.8)
    axes.set(xlim=(0, thresholds[-1]), ylim=(0, 1))
    _legend(axes, "lower left" if plot == "success" else "lower right")
    return figure


def radar_plot(
    scores: Mapping[str, ope.OPEScores], attributes: Mapping[str, Sequence[str]], title: str = ""
) -> Figure:
    """Plot SR over the sequences with each attribute, one closed line per tracker.

    The axes start at 0. Below each attribute stand its number of sequences and the worst and best
    SR on them. The legend shows the SR over all sequences, best first.

    Args:
        scores: scores by tracker, all of one benchmark.
        attributes: names of sequences by attribute; at least three, none of them empty.

    Raises:
        ValueError: no tracker, fewer than three attributes, or one without a sequence.
    """
    _need_trackers(scores)
    if len(attributes) < 3 or not all(attributes.values()):
        raise ValueError("radar_plot needs three or more attributes, each with a sequence")
    values = {
        name: [tracker.subset(members).SR for members in attributes.values()]
        for name, tracker in scores.items()
    }
    table = np.array(list(values.values()))
    angles = np.linspace(0, 2 * np.pi, len(attributes), endpoint=False)
    figure = Figure(figsize=(8.0, 6.0), layout="constrained")
    axes = figure.add_subplot(projection="polar")
    assert isinstance(axes, PolarAxes)
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    styles = _styles(scores)
    overall = {name: tracker.SR for name, tracker in scores.items()}
    for name in _ranked(overall):
        axes.plot(
            np.append(angles, 0),
            [*values[name], values[name][0]],
            label=f"{name} [{overall[name]:.3f}]",
            linewidth=1.8,
            **styles[name],
        )
    labels = [
        f"{attribute} ({len(members)})\n{low:.2f}-{high:.2f}"
        for (attribute, members), low, high in zip(
            attributes.items(), table.min(axis=0), table.max(axis=0), strict=True
        )
    ]
    axes.set_xticks(angles, labels, fontsize=8)
    axes.tick_params(axis="x", pad=12)
    axes.set_ylim(0, min(1.0, np.ceil(table.max() * 10 + 0.5) / 10))
    axes.set_rlabel_position(180 / len(attributes))
    axes.tick_params(axis="y", labelsize=7, labelcolor="0.4")
    axes.grid(True, color="0.88")
    axes.set_title(title)
    axes.legend(loc="center left", bbox_to_anchor=(1.15, 0.5), frameon=False)
    return figure


# --- Multistart evaluation ------------------------------------------------------------------------


def eao_plot(scores: Mapping[str, MultistartScores]) -> Figure:
    """Plot expected average overlap over the number of frames, one line per tracker.

    The band marks the interval of lengths over which EAO is averaged.

    Raises:
        ValueError: no tracker.
    """
    _need_trackers(scores)
    figure, axes = _figure("frames", "EAO", "Expected average overlap")
    values = {name: tracker.EAO for name, tracker in scores.items()}
    styles = _styles(scores)
    for name in _ranked(values):
        curve = scores[name].curve
        label = f"{name} [{values[name]:.3f}]"
        axes.plot(np.arange(1, len(curve)), curve[1:], label=label, linewidth=1.8, **styles[name])
    low = min(tracker.low for tracker in scores.values())
    high = max(tracker.high for tracker in scores.values())
    axes.axvspan(low, high, color="0.5", alpha=0.12, linewidth=0)
    axes.set(xlim=(0, high), ylim=(0, 1))
    _legend(axes, "upper right")
    return figure


def ar_plot(scores: Mapping[str, MultistartScores]) -> Figure:
    """Plot accuracy over robustness, one mark per tracker; the best is at the top right.

    Raises:
        ValueError: no tracker.
    """
    _need_trackers(scores)
    figure, axes = _figure("robustness", "accuracy", "Accuracy and robustness")
    styles = _styles(scores)
    marks = dict(zip(sorted(scores), cycle(MARKERS), strict=False))
    for name in _ranked({name: tracker.EAO for name, tracker in scores.items()}):
        tracker = scores[name]
        axes.plot(
            tracker.R,
            tracker.A,
            marks[name],
            color=styles[name]["color"],
            markersize=9,
            markeredgecolor="white",
            clip_on=False,
            label=f"{name} [{tracker.R:.3f}, {tracker.A:.3f}]",
        )
    axes.set(xlim=(0, 1), ylim=(0, 1))
    _legend(axes, "lower left")
    return figure


def _need_trackers(scores: Mapping) -> None:
    if not scores:
        raise ValueError("a plot needs the scores of a tracker")


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure completely or not at all; the suffix selects the format (png, pdf, svg).

    Raises:
        UserError: the format is unknown, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower().removeprefix(".") not in figure.canvas.get_supported_filetypes():
        raise UserError(f"{path}: unknown image format; end the name in .png, .pdf or .svg")
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=150)


def save_figures(figures: Mapping[str, Figure], folder: Path) -> None:
    """Write each figure by its name, as an image for screens (png) and one for papers (pdf).

    Raises:
        UserError: a file cannot be written.
    """
    for name, figure in figures.items():
        for suffix in (".png", ".pdf"):
            save_figure(figure, folder / f"{name}{suffix}")
