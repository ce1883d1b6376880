"""Tables and a plot of an ablation: figures, deviations over seeds, and paired intervals."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fusion.base.tables import counted, format_table, write_csv, write_json
from fusion.evaluation.comparison import COLOURS
from tracker.commands.ablation.runs import Ablation
from tracker.evaluation.bootstrap import Difference, paired_difference
from tracker.evaluation.failing import Trial
from tracker.evaluation.ope.figures import PROTOCOLS, score_results
from tracker.evaluation.ope.files import read_results
from tracker.evaluation.plots import save_figure

__all__ = ["Figures", "difference_plot", "read_figures", "write_report"]


@dataclass(frozen=True, eq=False)
class Figures:
    """A configuration's figures in one trial.

    Attributes:
        auc, kept: ``(S, Q)`` by seed and sequence, see `tracker.evaluation.ope.figures`.
    """

    auc: np.ndarray
    kept: np.ndarray

    def mean(self) -> float:
        """AUC, the mean over sequences and seeds."""
        return float(self.auc.mean())

    def deviation(self) -> float:
        """Standard deviation of the AUC over seeds; NaN with fewer than two."""
        means = self.auc.mean(axis=1)
        return float(means.std(ddof=1)) if len(means) > 1 else float("nan")


def read_figures(ablation: Ablation) -> dict[str, dict[str, Figures]]:
    """Figures by trial and configuration.

    Raises:
        UserError: a result is missing or damaged.
    """
    return {
        name: {
            configuration: _figures(ablation, name, trial, configuration)
            for configuration in ablation.plan.configurations
        }
        for name, trial in ablation.trials().items()
    }


def _figures(ablation: Ablation, name: str, trial: Trial, configuration: str) -> Figures:
    protocol, annotations = PROTOCOLS["vot"], trial.annotations()
    rows = []
    for run in ablation.chosen(configuration):
        found, _ = read_results(ablation.results(name, run), protocol, annotations)
        scores = score_results(protocol, found, annotations)
        alone = [scores.subset([sequence]) for sequence in annotations]
        rows.append([(each.SR, each.kept) for each in alone])
    table = np.array(rows, float)
    return Figures(table[..., 0], table[..., 1])


def compared(
    figures: Mapping[str, Mapping[str, Figures]], baseline: str
) -> dict[str, dict[str, Difference]]:
    """Differences of AUC to the baseline, by trial and configuration."""
    return {
        trial: {
            name: paired_difference(found.auc, rows[baseline].auc)
            for name, found in rows.items()
            if name != baseline
        }
        for trial, rows in figures.items()
    }


def write_report(ablation: Ablation) -> str:
    """Write ``figures.csv``, ``costs.csv``, ``report.json`` and ``differences.png``.

    Returns:
        The tables as text.
    """
    plan, out = ablation.plan, ablation.out
    figures = read_figures(ablation)
    differences = compared(figures, plan.baseline)
    costs = dict(ablation.costs())
    rows = _rows(ablation, figures, differences)
    header = ["trial", "configuration", "seeds", "AUC", "deviation", "kept"]
    header += ["difference", "low", "high", "above 0"]
    write_csv(out / "figures.csv", header, rows)
    keys = ["parameters", "trained", "multiply-adds", "cpu ms"]
    cost_rows: list[list[Any]] = []
    for name, found in costs.items():
        record = ablation.chosen(name)[0].record() or {}
        rate = ablation.rate(name)
        cost_rows.append([name, *(found[key] for key in keys), rate, record.get("cpu_seconds")])
    cost_header = ["configuration", *keys, "rate", "training cpu s"]
    write_csv(out / "costs.csv", cost_header, cost_rows)
    write_json(
        str(out / "report.json"),
        {
            "plan": plan.content(),
            "costs": costs,
            "figures": [dict(zip(header, row, strict=True)) for row in rows],
        },
    )
    save_figure(difference_plot(differences, plan.baseline), out / "differences.png")
    return _text(ablation, rows, cost_header, cost_rows)


def _rows(
    ablation: Ablation,
    figures: Mapping[str, Mapping[str, Figures]],
    differences: Mapping[str, Mapping[str, Difference]],
) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for trial, found in figures.items():
        for name, each in found.items():
            row = [trial, name, len(each.auc), each.mean(), each.deviation()]
            row += [float(each.kept.mean())]
            difference = differences[trial].get(name)
            if difference is None:
                row += [None] * 4
            else:
                row += [difference.mean, difference.low, difference.high, difference.above]
            rows.append(row)
    return rows


def _text(
    ablation: Ablation, rows: list[list[Any]], cost_header: list[str], costs: list[list[Any]]
) -> str:
    plan = ablation.plan
    parts = [
        f"{counted(len(plan.configurations), 'configuration')}, {plan.parts} trained: "
        f"{plan.steps} steps of {plan.batch_size} pairs from {plan.pairs}, "
        f"{counted(len(plan.rates), 'rate')}, {counted(len(plan.seeds), 'seed')}",
        format_table(cost_header, [_cost_cells(row) for row in costs]),
    ]
    for trial in dict.fromkeys(row[0] for row in rows):
        cells = []
        for _, name, seeds, auc, deviation, kept, *rest in (r for r in rows if r[0] == trial):
            between, verdict = "baseline", ""
            if rest[0] is not None:
                between = f"{rest[0]:+.3f} [{rest[1]:+.3f}, {rest[2]:+.3f}]"
                verdict = "+" if rest[1] > 0 else "-" if rest[2] < 0 else "="
            spread = "-" if np.isnan(deviation) else f"{deviation:.3f}"
            cells.append([name, seeds, f"{auc:.3f}", spread, f"{kept:.3f}", between, verdict])
        heading = ["configuration", "seeds", "AUC", "over seeds", "kept"]
        heading += [f"to {plan.baseline} [95 %]", ""]
        parts.append(f"{trial}\n{format_table(heading, cells)}")
    parts.append("+ better than the baseline beyond its interval, - worse, = not decided")
    return "\n\n".join(parts)


def _cost_cells(row: list[Any]) -> list[Any]:
    name, parameters, trained, operations, milliseconds, rate, spent = row
    return [
        name,
        int(parameters),
        int(trained),
        f"{operations:.0f} M",
        f"{milliseconds:.1f}",
        "-" if rate is None else f"{rate:g}",
        "-" if spent is None else f"{spent:.0f}",
    ]


def difference_plot(differences: Mapping[str, Mapping[str, Difference]], baseline: str) -> Figure:
    """Mean differences of AUC with intervals: a row per configuration, a panel per trial."""
    names = list(next(iter(differences.values()), {}))
    height = 1.0 + 0.32 * max(1, len(names))
    figure = Figure(figsize=(2.6 * max(1, len(differences)) + 1.4, height), layout="constrained")
    panels = figure.subplots(1, max(1, len(differences)), sharey=True, sharex=True, squeeze=False)
    places = np.arange(len(names))[::-1]
    for axes, (trial, rows) in zip(panels[0], differences.items(), strict=False):
        axes.axvline(0, color="0.5", linewidth=1)
        for place, name in zip(places, names, strict=True):
            found = rows[name]
            color = {"+": COLOURS[2], "-": COLOURS[1], "=": "0.45"}[found.verdict]
            axes.plot([found.low, found.high], [place, place], color=color, linewidth=2)
            axes.plot(found.mean, place, "o", color=color, markersize=5)
        axes.set_title(trial, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(True, axis="x", color="0.92")
    panels[0][0].set_yticks(places, names, fontsize=8)
    panels[0][0].set_ylim(-0.6, len(names) - 0.4)
    figure.supxlabel(f"difference of AUC to {baseline}, 95 % over sequences and seeds", fontsize=8)
    return figure
