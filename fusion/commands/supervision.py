"""Train networks plainly and under treatments such as reference-then-supervision, and rank them.

A plan names networks, each with its configurations for plain and for supervised training, and
treatments, each a sequence of these. All runs of a network take the same number of steps on batches
of the same size, whatever their stages. Runs are trained by `fusion.commands.ablation.Ablation`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fusion.base.configuration import merged, nested, read_config, read_yaml
from fusion.base.errors import UserError
from fusion.base.files import read_text, whole_file
from fusion.base.tables import format_table, write_csv, write_json
from fusion.commands.ablation import Ablation, Row
from fusion.commands.pipeline import Options, fuse_folders
from fusion.evaluation.comparison import Comparison, compare_methods
from fusion.evaluation.treatments import LEDGER, Judgement, judge
from fusion.images.pairing import images_by_stem, pair_folders
from fusion.images.pixels import luminance, tile, to_8bit
from fusion.images.reading import read_image, read_infrared, read_visible, write_image
from fusion.networks.weights import load_network
from fusion.training.records import read_run

__all__ = ["PLAIN", "Plan", "Supervision", "read_plan"]

#: The treatment that the others are compared with.
PLAIN = "plain"

_FIX = "a plan has networks, treatments and optionally seeds and keys"


@dataclass(frozen=True)
class Plan:
    """A plan such as ``experiments/fusion/supervision.yaml``.

    Attributes:
        networks: by name: ``steps``, the steps of each run; ``plain`` and ``supervised``, the
            configurations of their stages; ``keys``, dotted keys that all of these change;
            ``corrected``, dotted keys that correct slips of the released supervised loss.
        treatments: by name: ``stages``, a list of ``plain`` and ``supervised``, each with an equal
            share of the steps; ``references``, the name of a folder of references; ``corrected``,
            whether supervised stages have the network's ``corrected`` keys; ``networks``, those it
            is for, by default all; ``others``, the treatment whose runs stand for other networks.
        seeds: seeds of the runs.
        keys: dotted keys that all runs change.
        folder: of the plan, in which its configurations are looked up.
    """

    networks: dict[str, dict[str, Any]]
    treatments: dict[str, dict[str, Any]]
    seeds: tuple[int, ...]
    keys: dict[str, Any]
    folder: Path

    def trained(self, treatment: str, network: str) -> str | None:
        """The treatment under which a network is trained for one: itself, or its ``others``."""
        kind = self.treatments[treatment]
        return treatment if network in kind.get("networks", self.networks) else kind.get("others")


def read_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        UserError: the file is unusable, or lacks a part.
    """
    keys = read_yaml(path, _FIX)
    networks, treatments = (_part(path, keys, name) for name in ("networks", "treatments"))
    if PLAIN not in treatments:
        raise UserError(f"{path}: treatments lacks {PLAIN}, which the others are compared with")
    for name, network in networks.items():
        if not isinstance(network.get("steps"), int) or network["steps"] < 1:
            raise UserError(f"{path}: networks.{name}.steps: give a number of steps")
    for name, treatment in treatments.items():
        stages = treatment.get("stages")
        if not stages or not set(stages) <= {"plain", "supervised"}:
            raise UserError(f"{path}: treatments.{name}.stages: a list of plain and supervised")
        if treatment.get("others", PLAIN) not in treatments:
            raise UserError(f"{path}: treatments.{name}.others: no treatment of the plan")
        for used in stages:
            for network in treatment.get("networks", networks):
                if not networks.get(network, {}).get(used):
                    raise UserError(f"{path}: networks.{network} has no configurations {used}")
    seeds = keys.get("seeds", [0])
    return Plan(networks, treatments, tuple(seeds), keys.get("keys", {}), path.parent)


def _part(path: Path, keys: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
    part = keys.get(name)
    if (
        not isinstance(part, dict)
        or not part
        or not all(isinstance(p, dict) for p in part.values())
    ):
        raise UserError(f"{path}: {name} is not a mapping of mappings; {_FIX}")
    return part


@dataclass(frozen=True)
class Run:
    """A run of one network under one treatment: its stages, the last of which makes the weights."""

    network: str
    treatment: str
    seed: int
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """Name of the run, and of its images' method."""
        return self.rows[-1].run


class Supervision:
    """The runs of a plan below one folder; interrupted runs are resumed.

    The folder ``out`` contains what `Ablation` writes, ``fused/RUN/``, ``sheets/NETWORK.png``,
    ``losses.png``, ``means.csv``, ``pictures.csv``, ``ranks.csv`` and ``supervision.csv``.

    Args:
        plan: see `read_plan`.
        out: output folder.
        references: folders of references by the names that treatments use.
        options: options of ``fusion train fit`` for all runs, such as ``--data.root DIR``.
        networks, treatments: those to train; None for all. The plain runs are always among them.
        seeds: seeds of the runs; None for the plan's.

    Raises:
        UserError: a name is unknown, a folder of references was not given, or a configuration
            cannot be used.
    """

    def __init__(
        self,
        plan: Plan,
        out: Path,
        references: Mapping[str, Path],
        options: Sequence[str] = (),
        networks: Sequence[str] | None = None,
        treatments: Sequence[str] | None = None,
        seeds: Sequence[int] | None = None,
    ):
        self.plan, self.out, self.references = plan, out, references
        self.options = list(options)
        chosen = _known("--networks", networks, plan.networks)
        wanted = _known("--treatments", treatments, plan.treatments)
        self.treatments = [name for name in wanted if name != PLAIN]
        needed = {
            (network, trained, seed): None
            for seed in seeds or plan.seeds
            for treatment in (PLAIN, *self.treatments)
            for network in chosen
            if (trained := plan.trained(treatment, network)) is not None
        }
        self.runs = [self._run(*each) for each in needed]

    def _run(self, network: str, treatment: str, seed: int) -> Run:
        settings, kind = self.plan.networks[network], self.plan.treatments[treatment]
        name = f"{network}.{treatment}.{seed}"
        parts = [
            (used, config, settings["steps"] / len(kind["stages"]) / len(settings[used]))
            for used in kind["stages"]
            for config in settings[used]
        ]
        rows: list[Row] = []
        for number, (used, config, steps) in enumerate(parts, 1):
            run = name if number == len(parts) else f"{name}.stage{number}"
            changes = {**self.plan.keys, **settings.get("keys", {})}
            changes |= {"trainer.max_steps": max(1, round(steps))}
            changes |= {"seed_everything": seed, "data.seed": seed}
            if used == "supervised":
                changes |= {"data.references": str(self._folder(treatment))}
                changes |= settings.get("corrected", {}) if kind.get("corrected") else {}
            if rows:
                weights = self.out / "weights" / f"{rows[-1].run}.safetensors"
                changes |= {"model.init_args.start": str(weights)}
            keys = read_config(self.plan.folder / config)
            for dotted, value in changes.items():
                keys = merged(keys, nested(dotted, value))
            rows.append(Row(run, run, keys))
        return Run(network, treatment, seed, tuple(rows))

    def _folder(self, treatment: str) -> Path:
        name = self.plan.treatments[treatment].get("references", "references")
        if name not in self.references:
            raise UserError(
                f"--references: the treatment {treatment} needs {name}; give {name}=DIR, written "
                "by fusion reference, or leave the treatment out by --treatments"
            )
        return self.references[name].resolve()

    def train(self) -> None:
        """Train all runs that are not complete.

        Raises:
            UserError: a training failed with an error, which it has printed.
        """
        rows = [row for run in self.runs for row in run.rows]
        Ablation({"supervision": rows}, self.out, self.options).train()

    def compare(self, ir: Path, vis: Path, workers: int = 1, device: Any = "cpu") -> "Outcome":
        """Fuse pairs with every run, measure the images by the columns of the ledger, and judge.

        Images that exist are kept; they are of the same weights, because a complete run is not
        trained again.

        Raises:
            UserError: the images cannot be used, or existing images are of other pairs.
        """
        self._hold_pairs(ir, vis)
        folders = {run.name: self.out / "fused" / run.name for run in self.runs}
        notes: list[str] = []
        stems = {path.stem for _, path in pair_folders(ir, vis).pairs}
        for name, folder in folders.items():
            if folder.is_dir() and stems <= images_by_stem(folder).keys():
                continue
            network = load_network(self.out / "weights" / f"{name}.safetensors", device=device)
            options = Options(color=False, skip_existing=True)
            notes += fuse_folders(network, ir, vis, folder, options).notes
        comparison = compare_methods(ir, vis, folders, LEDGER, workers)
        comparison.write(self.out)
        kinds = {name: self.plan.treatments[name].get("others") for name in self.treatments}
        failures = [*notes, *comparison.failures]
        outcome = Outcome(comparison, tuple(self.runs), failures, kinds)
        outcome.write(self.out)
        self._draw(ir, vis, folders)
        self.plot_losses(self.out / "losses.png")
        return outcome

    def plot_losses(self, path: Path) -> None:
        """Plot the losses of all runs over their steps, relative to each run's first: a panel for
        each network, a line for each run, smoothed over a tenth of the run."""
        from matplotlib.figure import Figure

        networks = list({run.network: None for run in self.runs})
        columns = min(4, len(networks))
        lines = -(-len(networks) // columns)
        figure = Figure(figsize=(3 * columns, 2.4 * lines), layout="constrained")
        panels = list(figure.subplots(lines, columns, squeeze=False).flat)
        for network, axis in zip(networks, panels, strict=False):
            for run in (run for run in self.runs if run.network == network):
                points = read_run(self.out / "runs" / run.name).get("train/loss", [])
                if points:
                    steps, values = np.array(points).T
                    width = max(1, len(values) // 10)
                    smooth = np.convolve(values, np.ones(width) / width, mode="valid")
                    label = run.treatment if run.seed == self.runs[0].seed else None
                    axis.plot(steps[width - 1 :], smooth / abs(smooth[0]), label=label, linewidth=1)
            axis.set_title(network, fontsize=9)
            axis.tick_params(labelsize=7)
            axis.legend(fontsize=6)
        for axis in panels[len(networks) :]:
            axis.remove()
        figure.supxlabel("step", fontsize=8)
        figure.supylabel("loss / first loss", fontsize=8)
        with whole_file(path) as temporary:
            figure.savefig(temporary, dpi=110)

    def _hold_pairs(self, ir: Path, vis: Path) -> None:
        path = self.out / "pairs.txt"
        text = f"{ir.resolve()}\n{vis.resolve()}\n"
        if path.is_file() and read_text(path) != text:
            raise UserError(f"{path}: its images are of other pairs; remove {self.out / 'fused'}")
        with whole_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _draw(self, ir: Path, vis: Path, folders: Mapping[str, Path], count: int = 4) -> None:
        """A sheet for each network: sources and the images of each of its runs, a row a pair."""
        pairs = pair_folders(ir, vis).pairs
        pairs = pairs[:: max(1, len(pairs) // count)][:count]
        for network in {run.network: None for run in self.runs}:
            rows = []
            for ir_path, vis_path in pairs:
                row = [("infrared", to_8bit(read_infrared(ir_path)))]
                row += [("visible", to_8bit(luminance(read_visible(vis_path))))]
                for run in self.runs:
                    found = images_by_stem(folders[run.name]).get(vis_path.stem)
                    if run.network == network and found is not None:
                        row.append((f"{run.treatment} {run.seed}", to_8bit(read_image(found))))
                rows.append(row)
            write_image(self.out / "sheets" / f"{network}.png", tile(rows))


def _known(option: str, names: Sequence[str] | None, known: Mapping[str, Any]) -> list[str]:
    for name in names or ():
        if name not in known:
            raise UserError(f"{option}: {name!r} is unknown; known are {', '.join(known)}")
    return list(known if names is None else names)


@dataclass(frozen=True)
class Outcome:
    """What the runs of a plan came to.

    Attributes:
        comparison: the columns of the ledger for every run.
        runs: the runs.
        failures: one line for each image that could not be made or measured.
        treatments: those to judge, and the one whose runs stand for networks without a run of their
            own under it, if any.
    """

    comparison: Comparison
    runs: tuple[Run, ...]
    failures: list[str]
    treatments: Mapping[str, str | None]

    def judgements(self) -> list[tuple[Run, Judgement]]:
        """Each run but the plain ones among the plain runs of its seed and those of its kind."""
        found = []
        for seed in {run.seed: None for run in self.runs}:
            mine = [run for run in self.runs if run.seed == seed]
            plain = {run.network: run.name for run in mine if run.treatment == PLAIN}
            for kind, stand in self.treatments.items():
                treated = {
                    run.network: replace(run, treatment=kind)
                    for wanted in (stand, kind)
                    for run in mine
                    if run.treatment == wanted
                }
                names = {network: run.name for network, run in treated.items()}
                judged = judge(self.comparison, plain, names)
                found += [(treated[network], each) for network, each in judged.items()]
        return found

    def table(self) -> str:
        """One row for each treated run, and a line for each treatment."""
        header = ["network", "treatment", "seed", "plain\nrank", "its\nrank", "gain"]
        header += ["without its\nbest column", "columns\nbetter"]
        judged = self.judgements()
        rows = [
            [run.network, run.treatment, run.seed]
            + [f"{each.plain_rank:.2f}", f"{each.treated_rank:.2f}", f"{each.gain:+.2f}"]
            + [f"{each.least:+.2f}", len(each.better)]
            for run, each in judged
        ]
        lines = [format_table(header, rows)]
        for kind in {run.treatment: None for run, _ in judged}:
            all_of = [each for run, each in judged if run.treatment == kind]
            gained = sum(each.gain > 0 for each in all_of)
            even = sum(each.gain > 0 and each.least > 0 for each in all_of)
            lines.append(
                f"{kind}: {gained} of {len(all_of)} runs gain in the mean rank, {even} of them "
                "also without their best column"
            )
        return "\n".join(lines)

    def write(self, folder: Path) -> None:
        """Write ``supervision.csv``, with the gain in each column, and ``supervision.json``."""
        columns = [metric.name for metric in self.comparison.metrics]
        header = ["network", "treatment", "seed", "plain rank", "rank", "gain", "least"]
        rows = [
            [run.network, run.treatment, run.seed, each.plain_rank, each.treated_rank]
            + [each.gain, each.least, *(each.gains[name] for name in columns)]
            for run, each in self.judgements()
        ]
        write_csv(folder / "supervision.csv", [*header, *columns], rows)
        write_json(str(folder / "supervision.json"), self.comparison.content())
