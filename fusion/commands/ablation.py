"""Ablations: train a network under each of several settings, fuse, and tabulate the metrics.

A configuration names a ``base`` to train by and ``tables``, each of dotted keys and the values they
take; the rows of a table are all combinations. Every row has a run of its own, named after what it
changes, so that a row that equals the base, or stands in two tables, is trained once.
"""

import itertools
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusion.base.configuration import merged, nested, read_config, write_config
from fusion.base.errors import UserError
from fusion.base.files import read_text, whole_file
from fusion.base.tables import write_json
from fusion.commands.pipeline import Options, fuse_folders
from fusion.evaluation.comparison import Comparison, compare
from fusion.networks.weights import load_network

__all__ = ["Ablation", "Row", "read_tables"]


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        label: the values of the table's keys, ``gamma1=0.0, gamma4=1500.0``.
        run: name of the run that trains it: the values that differ from the base's, or the base's
            own name.
        keys: the complete configuration.
    """

    label: str
    run: str
    keys: dict[str, Any]


def read_tables(path: Path) -> dict[str, list[Row]]:
    """Rows of every table of a configuration such as ``experiments/fusion/ablation.yaml``.

    Raises:
        UserError: the file is unusable, has no tables, a table has a key the base lacks, two rows
            would share a run, or there is no logger that a run's folder could be given to.
    """
    base = read_config(path)
    tables = base.pop("tables", None)
    if not isinstance(tables, dict) or not tables:
        raise UserError(f"{path}: has no tables; give tables: {{NAME: {{KEY: [VALUE, ...]}}}}")
    name = "base"
    if _has_logger(base):
        name = str(base["trainer"]["logger"][0]["init_args"].get("name", name))
    rows = {table: _rows(f"{path}: {table}", axes, base, name) for table, axes in tables.items()}
    runs: dict[str, Row] = {}
    for row in itertools.chain(*rows.values()):
        if not _has_logger(row.keys):
            raise UserError(f"{path}: trainer.logger is not a list of loggers with init_args")
        if runs.setdefault(row.run, row).keys != row.keys:
            raise UserError(
                f"{path}: two different rows are both named {row.run}, after the last parts of "
                "their keys; give them in a file each"
            )
    return rows


def _has_logger(keys: Mapping[str, Any]) -> bool:
    trainer = keys.get("trainer")
    loggers = trainer.get("logger") if isinstance(trainer, dict) else None
    return (
        isinstance(loggers, list)
        and bool(loggers)
        and all(
            isinstance(each, dict) and isinstance(each.get("init_args"), dict) for each in loggers
        )
    )


def _rows(place: str, axes: Any, base: dict[str, Any], base_name: str) -> list[Row]:
    if not isinstance(axes, dict) or not all(isinstance(v, list) and v for v in axes.values()):
        raise UserError(f"{place}: not a table; give it as KEY: [VALUE, ...]")
    present = {key: _look_up(place, base, key) for key in axes}
    rows = []
    for values in itertools.product(*axes.values()):
        setting = dict(zip(axes, values, strict=True))
        keys = base
        for key, value in setting.items():
            keys = merged(keys, nested(key, value))
        changed = {key: value for key, value in setting.items() if value != present[key]}
        rows.append(Row(_label(setting, ", "), _label(changed, ",") or base_name, keys))
    return rows


def _label(setting: Mapping[str, Any], separator: str) -> str:
    return separator.join(f"{key.rpartition('.')[2]}={value}" for key, value in setting.items())


def _look_up(place: str, keys: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        if not isinstance(keys, dict) or part not in keys:
            raise UserError(f"{place}: {dotted} is no key of the base configuration ({part})")
        keys = keys[part]
    return keys


class Ablation:
    """The runs of some tables below one folder, each resumed where it stopped.

    Below ``out``: ``configurations/RUN.yaml``, by which ``fusion train fit --config`` does a row
    alone; ``runs/RUN/``, what training leaves; ``weights/RUN.safetensors``, which says that the run
    is complete; ``fused/RUN/``; and a folder a table.

    Args:
        tables: rows by table, see `read_tables`.
        out: folder.
        options: of ``fusion train fit``, for all rows, such as ``--data.root DIR``.
    """

    def __init__(self, tables: Mapping[str, Sequence[Row]], out: Path, options: Sequence[str] = ()):
        self.tables = tables
        self.out = out
        self.options = list(options)
        self.runs = {row.run: row for rows in tables.values() for row in rows}

    def configuration(self, run: str) -> Path:
        """File by which ``fusion train fit --config`` trains this run."""
        return self.out / "configurations" / f"{run}.yaml"

    def weights(self, run: str) -> Path:
        """File with what a complete run has learned."""
        return self.out / "weights" / f"{run}.safetensors"

    def write_configurations(self) -> None:
        """Write every run's configuration.

        Raises:
            UserError: one is there already with other settings; what was trained by it would be
                mixed with what is to come.
        """
        for run, row in self.runs.items():
            path = self.configuration(run)
            keys = self._placed(row)
            if path.is_file() and read_config(path) != keys:
                raise UserError(f"{path}: of other settings; give another folder, or remove it")
            write_config(path, keys, f"fusion train fit --config {path}")

    def _placed(self, row: Row) -> dict[str, Any]:
        """The row's configuration, with its logs in this ablation's folder."""
        place = {"init_args": {"save_dir": str(self.out / "runs"), "name": row.run}}
        loggers = [merged(logger, place) for logger in row.keys["trainer"]["logger"]]
        return merged(row.keys, nested("trainer.logger", loggers))

    def train(self) -> None:
        """Train what is not complete.

        Raises:
            UserError: a training ended with an error, which it has printed.
        """
        self.write_configurations()
        self._hold_options()
        waiting = [run for run in self.runs if not self.weights(run).is_file()]
        for number, run in enumerate(waiting, 1):
            print(f"training {number} of {len(waiting)}: {run}", file=sys.stderr)
            self._train(run)

    def _hold_options(self) -> None:
        """All rows of a table must have been trained under the same options."""
        path = self.out / "options.txt"
        text = "\n".join(self.options) + "\n"
        if path.is_file() and (held := read_text(path)) != text:
            before = " ".join(held.split()) or "no options"
            raise UserError(f"{path}: begun with {before}; give another folder")
        with whole_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _train(self, run: str) -> None:
        folder = self.out / "runs" / run
        # A process of its own: several devices start this very command again, one each.
        command = [sys.executable, "-m", "fusion", "train", "fit"]
        command += ["--config", str(self.configuration(run)), *self.options]
        stopped = sorted(folder.glob("version_*/checkpoints/last.ckpt"), key=_age)
        if stopped:
            command += ["--ckpt_path", str(stopped[-1])]
        code = subprocess.run(command).returncode
        made = sorted(folder.glob("version_*/weights.safetensors"), key=_age)
        if code or not made:
            raise UserError(f"{run}: its training ended with code {code}; mend what it says above")
        with whole_file(self.weights(run)) as temporary:
            shutil.copyfile(made[-1], temporary)

    def evaluate(
        self,
        ir: Path,
        vis: Path,
        metrics: Sequence[str] | None = None,
        workers: int = 1,
        device: Any = "cpu",
    ) -> dict[str, Comparison]:
        """Fuse pairs by every run and measure the pictures.

        Writes ``means.csv``, ``pictures.csv``, ``means.json`` and ``means.png`` a table.

        Args:
            ir, vis: folders of the pairs to evaluate on.
            metrics, workers: see `fusion.evaluation.comparison.compare`.
            device: to fuse on.

        Returns:
            Values by table.

        Raises:
            UserError: the pictures cannot be used.
        """
        folders = {run: self.out / "fused" / run for run in self.runs}
        notes = []
        for run, folder in folders.items():
            network = load_network(self.weights(run), device)
            # What is there may be of other pairs; against training, fusing again is quick.
            notes += fuse_folders(network, ir, vis, folder, Options(color=False)).notes
        measured = compare(ir, vis, folders, metrics, workers)
        failures = list(dict.fromkeys([*notes, *measured.failures]))
        comparisons = {}
        for table, rows in self.tables.items():
            values = {row.label: measured.values[row.run] for row in rows}
            comparison = Comparison(measured.metrics, values, failures)
            comparison.write(self.out / table)
            write_json(
                str(self.out / table / "means.json"),
                {"means": comparison.means(), "pictures": comparison.values},
            )
            comparisons[table] = comparison
        return comparisons


def _age(path: Path) -> float:
    return path.stat().st_mtime
