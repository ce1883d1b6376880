"""Comparing fusion methods on folders of pictures: every metric of every picture and method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusion.base.errors import UserError
from fusion.base.files import natural_key, whole_file
from fusion.base.tables import MARKS, format_table, write_csv
from fusion.base.workers import outcomes
from fusion.evaluation.metrics import METRICS, evaluate
from fusion.images.pairing import list_images, pair_folders
from fusion.images.pixels import luminance, to_8bit
from fusion.images.reading import read_image

# Okabe and Ito's colours, which people with any colour vision can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


@dataclass(frozen=True)
class Comparison:
    """Values of several methods on the same pairs.

    Attributes:
        metrics: keys of `fusion.evaluation.metrics.METRICS`, the columns.
        values: ``values[method][stem][metric]``.
        failures: a line for each picture that could not be measured, a source without a partner
            too; it counts for no method.
    """

    metrics: tuple[str, ...]
    values: dict[str, dict[str, dict[str, float]]]
    failures: list[str]

    def means(self) -> dict[str, dict[str, float]]:
        """Plain mean over the pictures, by method and metric."""
        return {
            method: {
                metric: float(np.mean([picture[metric] for picture in pictures.values()]))
                for metric in self.metrics
            }
            for method, pictures in self.values.items()
        }

    def table(self) -> str:
        """Methods down, metrics across, the best and the second of a column marked."""
        header = ["method"] + [METRICS[metric].name for metric in self.metrics]
        rows = [[method, *means.values()] for method, means in self.means().items()]
        falling = {METRICS[m].name for m in self.metrics if not METRICS[m].higher_is_better}
        table = format_table(header, rows, marked=True, lower_is_better=falling)
        notes = [MARKS] if len(rows) > 1 else []
        notes += [f"lower is better: {', '.join(sorted(falling))}"] if falling else []
        return "\n".join([table, "; ".join(notes)]).rstrip()

    def write(self, folder: Path) -> None:
        """``means.csv``, ``pictures.csv`` (a row a picture and method) and ``means.png``."""
        names = [METRICS[metric].name for metric in self.metrics]
        means = self.means()
        write_csv(
            folder / "means.csv",
            ["method", *names],
            [[method, *values.values()] for method, values in means.items()],
        )
        rows = [
            [method, stem, *values.values()]
            for method, pictures in self.values.items()
            for stem, values in pictures.items()
        ]
        write_csv(folder / "pictures.csv", ["method", "picture", *names], rows)
        self._plot(folder / "means.png")

    def _plot(self, path: Path) -> None:
        """A panel a metric: a bar for each method's mean, a dot for each picture."""
        from matplotlib.figure import Figure

        columns = min(5, len(self.metrics))
        lines = -(-len(self.metrics) // columns)
        width = max(1.9, 0.5 * len(self.values) + 1.1)
        figure = Figure(figsize=(width * columns, 2.4 * lines), layout="constrained")
        axes = figure.subplots(lines, columns, squeeze=False).flat
        for axis, metric in zip(axes, self.metrics, strict=False):
            for place, (method, pictures) in enumerate(self.values.items()):
                values = [picture[metric] for picture in pictures.values()]
                colour = COLOURS[place % len(COLOURS)]
                axis.bar(place, np.mean(values), color=colour, alpha=0.55, label=method)
                spread = place + np.linspace(-0.25, 0.25, len(values))
                axis.plot(spread, values, ".", color=colour, markersize=3)
            arrow = "" if METRICS[metric].higher_is_better else " (lower is better)"
            axis.set_title(METRICS[metric].name + arrow, fontsize=9)
            axis.set_xticks([])
            axis.tick_params(labelsize=7)
        for axis in list(axes):
            axis.remove()
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
        with whole_file(path) as temporary:
            figure.savefig(temporary, dpi=130)


def compare(
    ir: Path,
    vis: Path,
    methods: Mapping[str, Path],
    metrics: Sequence[str] | None = None,
    workers: int = 1,
) -> Comparison:
    """Measure the pictures of several methods, matched with the sources by file stem.

    Coloured pictures are measured by their luminance. A picture that a method lacks, or that cannot
    be measured, is left out for all methods, so that means are over the same pictures.

    Args:
        ir, vis: folders of the sources.
        methods: folder of fused pictures by name.
        metrics: keys of `METRICS`; all where None.
        workers: processes.

    Raises:
        UserError: a folder is unusable, a metric unknown, or nothing could be measured.
    """
    metrics = tuple(METRICS) if metrics is None else known_metrics(metrics)
    pairing = pair_folders(ir, vis)
    sources = {pair[0].stem: pair for pair in pairing.pairs}
    fused = {name: {p.stem: p for p in list_images(folder)} for name, folder in methods.items()}
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
        (name, stem, *sources[stem], fused[name][stem], metrics)
        for name in methods
        for stem in stems
    ]
    values: dict[str, dict[str, dict[str, float]]] = {name: {} for name in methods}
    broken = set()
    results = outcomes(_measure, jobs, workers, "picture")
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
        raise UserError(f"{ir}, {vis}: no picture of all methods could be measured{reason}")
    return Comparison(metrics, values, list(dict.fromkeys(failures)))


def known_metrics(names: Sequence[str]) -> tuple[str, ...]:
    """The names, each once, if all are keys of `METRICS`.

    Raises:
        UserError: one is not.
    """
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise UserError(f"--metrics: {unknown[0]!r} is unknown; known are {', '.join(METRICS)}")
    return tuple(dict.fromkeys(names))


def _measure(job: tuple) -> dict[str, float] | str:
    """Values of one picture, or a line that says why there are none."""
    _, _, ir, vis, fused, metrics = job
    try:
        of_fused, of_ir, of_vis = (
            to_8bit(luminance(read_image(path))) for path in (fused, ir, vis)
        )
        return evaluate(of_fused, of_ir, of_vis, metrics)
    except UserError as error:
        return str(error)
    except ValueError as error:
        return f"{fused}: {error}"


def method_names(folders: Sequence[str], option: str = "--fused") -> dict[str, Path]:
    """Methods from ``NAME=DIR`` or ``DIR``, which is named after its last part. A folder that is
    there under the whole text is a ``DIR``: names of `fusion.commands.ablation` have equals signs.

    Args:
        folders: as given.
        option: that they were given by, for the error.

    Raises:
        UserError: two methods have one name.
    """
    methods: dict[str, Path] = {}
    for text in folders:
        name, equals, folder = text.partition("=")
        is_named = bool(equals) and not Path(text).is_dir()
        path = Path(folder if is_named else text)
        name = name if is_named else path.resolve().name
        if name in methods:
            raise UserError(f"{option} {text}: {name} is there already; name it: NAME=DIR")
        methods[name] = path
    return dict(sorted(methods.items(), key=lambda item: natural_key(Path(item[0]))))
