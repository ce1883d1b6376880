"""Compare fusion methods on folders of images, by all metrics per image and method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fusion.base.errors import UserError
from fusion.base.files import named_paths, natural_key, whole_file
from fusion.base.tables import MARKS, format_table, write_csv
from fusion.base.workers import outcomes
from fusion.evaluation.metrics import DEFAULT, Convention, Metric, create_all, evaluate_levels
from fusion.evaluation.metrics.inputs import require_one_size
from fusion.evaluation.ranking import ranks
from fusion.images.pairing import images_by_stem, pair_folders
from fusion.images.pixels import to_8bit
from fusion.images.reading import read_image

# The colours of Okabe and Ito, which are distinguishable with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


#: The key of a method's rank averaged over the metrics.
MEAN_RANK = "mean rank"


@dataclass(frozen=True)
class Comparison:
    """Values of several methods on the same pairs, under one convention.

    Attributes:
        metrics: the columns.
        values: ``values[method][image][metric name]``.
        failures: one line per image that could not be measured, including sources without a
            partner; such an image is excluded for all methods.
    """

    metrics: tuple[Metric, ...]
    values: dict[str, dict[str, dict[str, float]]]
    failures: list[str]

    @property
    def convention(self) -> Convention:
        """The convention of all metrics."""
        return self.metrics[0].convention

    def means(self) -> dict[str, dict[str, float]]:
        """Plain mean over the images, by method and metric."""
        return {
            method: {
                metric.name: float(np.mean([picture[metric.name] for picture in pictures.values()]))
                for metric in self.metrics
            }
            for method, pictures in self.values.items()
        }

    def ranks(self) -> dict[str, dict[str, float]]:
        """Rank of each method's mean, 1 for the best, by method and metric.

        The key `MEAN_RANK` holds the mean over the metrics that have a value for every method.
        """
        means = self.means()
        columns = {
            metric.name: ranks(
                [row[metric.name] for row in means.values()], metric.higher_is_better
            )
            for metric in self.metrics
        }
        whole = [column for column in columns.values() if not np.isnan(column).any()]
        overall = np.mean(whole, axis=0) if whole else np.full(len(means), np.nan)
        return {
            method: {
                **{name: column[place] for name, column in columns.items()},
                MEAN_RANK: float(overall[place]),
            }
            for place, method in enumerate(means)
        }

    def head(self) -> str:
        """The definitions of the table: convention, grey conversion, and reproduced faults."""
        convention = self.convention
        lines = [
            f"convention: {convention.name} - {convention.about}",
            f"grey: {convention.grey_name}",
        ]
        lines += [f"{metric.title}: {metric.fault}" for metric in self.metrics if metric.fault]
        return "\n".join(lines)

    def table(self) -> str:
        """One row per method, one column per metric; the best two of a column are marked."""
        header = ["method"] + [on_lines(metric.title, metric.unit) for metric in self.metrics]
        rows = [[method, *means.values()] for method, means in self.means().items()]
        falling = [metric for metric in self.metrics if not metric.higher_is_better]
        lower = {on_lines(metric.title, metric.unit) for metric in falling}
        table = format_table(header, rows, marked=True, lower_is_better=lower)
        notes = [MARKS] if len(rows) > 1 else []
        notes += [f"lower is better: {', '.join(m.title for m in falling)}"] if falling else []
        return "\n".join([table, "; ".join(notes)]).rstrip()

    def rank_table(self) -> str:
        """Ranks of the methods' means, ordered by their mean rank."""
        header = ["method", "mean\nrank"] + [
            metric.title.replace(" ", "\n", 1) for metric in self.metrics
        ]
        ordered = sorted(self.ranks().items(), key=lambda item: item[1][MEAN_RANK])
        rows = [
            [method, f"{row[MEAN_RANK]:.2f}", *(_rank_text(row[m.name]) for m in self.metrics)]
            for method, row in ordered
        ]
        return format_table(header, rows)

    def content(self) -> dict[str, Any]:
        """Definitions and all figures as a dictionary for JSON."""
        return {
            "convention": {
                "name": self.convention.name,
                "about": self.convention.about,
                "grey": self.convention.grey_name,
            },
            "metrics": {metric.name: metric.describe() for metric in self.metrics},
            "means": self.means(),
            "ranks": self.ranks(),
            "pictures": self.values,
        }

    def write(self, folder: Path) -> None:
        """Write ``means.csv``, ``ranks.csv``, ``pictures.csv`` (one row per image and method) and
        ``means.png``. Each row names the convention, each column its definition and unit."""
        headings = [metric.heading for metric in self.metrics]
        name = self.convention.name
        write_csv(
            folder / "means.csv",
            ["convention", "method", *headings],
            [[name, method, *values.values()] for method, values in self.means().items()],
        )
        write_csv(
            folder / "ranks.csv",
            ["convention", "method", *headings, MEAN_RANK],
            [[name, method, *values.values()] for method, values in self.ranks().items()],
        )
        rows = [
            [name, method, stem, *values.values()]
            for method, pictures in self.values.items()
            for stem, values in pictures.items()
        ]
        write_csv(folder / "pictures.csv", ["convention", "method", "picture", *headings], rows)
        self._plot(folder / "means.png")

    def _plot(self, path: Path) -> None:
        """One panel per metric: bars for the methods' means and dots for the images, or the
        ordered means if there are many methods."""
        from matplotlib.figure import Figure

        many = len(self.values) > len(COLOURS)
        columns = min(4 if many else 5, len(self.metrics))
        lines = -(-len(self.metrics) // columns)
        width = 2.6 if many else max(1.9, 0.5 * len(self.values) + 1.1)
        height = 0.14 * len(self.values) + 0.8 if many else 2.4
        figure = Figure(figsize=(width * columns, height * lines), layout="constrained")
        panels = list(figure.subplots(lines, columns, squeeze=False).flat)
        for metric, axis in zip(self.metrics, panels, strict=False):
            (self._plot_ordered if many else self._plot_bars)(axis, metric)
            direction = "" if metric.higher_is_better else "\nlower is better"
            axis.set_title(metric.heading + direction, fontsize=8 if many else 9)
        for axis in panels[len(self.metrics) :]:
            axis.remove()
        if not many:
            handles, labels = panels[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
        figure.suptitle(f"convention {self.convention.name}", fontsize=9)
        with whole_file(path) as temporary:
            figure.savefig(temporary, dpi=130)

    def _plot_bars(self, axis: Any, metric: Metric) -> None:
        for place, (method, pictures) in enumerate(self.values.items()):
            values = [picture[metric.name] for picture in pictures.values()]
            colour = COLOURS[place % len(COLOURS)]
            axis.bar(place, np.mean(values), color=colour, alpha=0.55, label=method)
            spread = place + np.linspace(-0.25, 0.25, len(values))
            axis.plot(spread, values, ".", color=colour, markersize=3)
        axis.set_xticks([])
        axis.tick_params(labelsize=7)

    def _plot_ordered(self, axis: Any, metric: Metric) -> None:
        """Horizontal bars, best first. The axis starts at 0 unless a mean is negative."""
        means = {method: row[metric.name] for method, row in self.means().items()}
        sign = 1 if metric.higher_is_better else -1
        ordered = sorted(means, key=lambda method: sign * means[method])
        axis.barh(ordered, [means[method] for method in ordered], color=COLOURS[0], height=0.7)
        axis.margins(y=0.01)
        axis.tick_params(labelsize=6)


def on_lines(title: str, unit: str) -> str:
    """The name, qualification and unit of a metric, one per line."""
    name, _, rest = title.partition(" ")
    return "\n".join((name, rest, f"[{unit}]" if unit else ""))


def _rank_text(rank: float) -> str:
    return "-" if np.isnan(rank) else f"{rank:g}"


def compare_methods(
    ir: Path,
    vis: Path,
    methods: Mapping[str, Path],
    metrics: Sequence[str] | None = None,
    workers: int = 1,
    convention: str = DEFAULT,
) -> Comparison:
    """Measure the images of several methods, matched with the sources by file stem.

    If an image of a method is missing or cannot be measured, it is excluded for all methods, so
    that all means are over the same images. Images deeper than 8 bits are stretched to 8 bits.

    Args:
        ir, vis: folders of the sources.
        methods: folders of fused images by the method's name.
        metrics: names of the convention's metrics; None selects all.
        workers: number of processes.
        convention: the convention whose definitions and grey conversion are used.

    Raises:
        UserError: a folder is unusable, a metric or the convention is unknown, or nothing could be
            measured.
    """
    columns = create_all(metrics, convention)
    pairing = pair_folders(ir, vis)
    sources = {pair[0].stem: pair for pair in pairing.pairs}
    fused = {name: images_by_stem(folder) for name, folder in methods.items()}
    failures = [
        f"{path}: without a partner in {folder}"
        for folder, lonely in ((vis, pairing.only_infrared), (ir, pairing.only_visible))
        for path in lonely
    ]
    failures += [
        f"{folder}: no {stem}"
        for name, folder in methods.items()
        for stem in sources
        if stem not in fused[name]
    ]
    stems = [stem for stem in sources if all(stem in found for found in fused.values())]
    jobs = [
        (name, stem, *sources[stem], fused[name][stem], columns)
        for name in methods
        for stem in stems
    ]
    values: dict[str, dict[str, dict[str, float]]] = {name: {} for name in methods}
    broken = set()
    results = outcomes(_measure, jobs, workers, "image")
    for (name, stem, *_), result in zip(jobs, results, strict=True):
        if isinstance(result, str):
            failures.append(result)
            broken.add(stem)
        else:
            values[name][stem] = result
    for pictures in values.values():
        for stem in broken & pictures.keys():
            del pictures[stem]
    if not any(values.values()):
        reason = f"; {failures[0]}" if failures else ""
        raise UserError(f"{ir}, {vis}: no image of all methods could be measured{reason}")
    return Comparison(columns, values, list(dict.fromkeys(failures)))


def _measure(job: tuple) -> dict[str, float] | str:
    """The values of one image, or one line with the reason why it cannot be measured."""
    _, _, ir, vis, fused, metrics = job
    try:
        pictures = [to_8bit(read_image(path)) for path in (fused, ir, vis)]
        require_one_size(*pictures)
        return evaluate_levels(metrics, *pictures)
    except UserError as error:
        return str(error)
    except ValueError as error:
        return f"{fused}: {error}"


def method_names(folders: Sequence[str], option: str = "--fused") -> dict[str, Path]:
    """Folders or files of methods from ``NAME=PATH`` or ``PATH``, which is named after its last
    part; in natural order of the names.

    Raises:
        UserError: see `fusion.base.files.named_paths`.
    """
    methods = named_paths(folders, option, lambda path: path.resolve().name)
    return dict(sorted(methods.items(), key=lambda item: natural_key(Path(item[0]))))
