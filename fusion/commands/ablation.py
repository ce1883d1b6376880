"""Ablations: train a network under each of several settings, fuse, and tabulate the metrics.

A configuration names a ``base`` configuration and ``tables``, each a mapping of dotted keys to the
values they take; the rows of a table are all combinations. Every row has its own run, named after
its changes, so a row that equals the base or occurs in two tables is trained once.
"""

import glob
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
from fusion.evaluation.comparison import Comparison, compare_methods
from fusion.evaluation.metrics import DEFAULT
from fusion.networks.weights import load_network


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        label: the values of the table's keys, ``gamma1=0.0, gamma4=1500.0``.
        run: name of the run that trains it: the values that differ from the base, or the base's
            name if none does.
        keys: the complete configuration.
    """

    label: str
    run: str
    keys: dict[str, Any]


def read_tables(path: Path) -> dict[str, list[Row]]:
    """Read all tables of a configuration such as ``experiments/fusion/ablation.yaml``.

    Raises:
        UserError: the file is unusable or has no tables, a table has a key that the base lacks, two
            rows would share a run, or there is no logger whose folder can be set.
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
                f"{path}: two different rows are both named {row.run}, from the last parts of "
                "their keys; put them into separate files"
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
            raise UserError(f"{place}: {dotted} is not a key of the base configuration ({part})")
        keys = keys[part]
    return keys


class Ablation:
    """The runs of some tables below one folder; interrupted runs are resumed.

    The folder ``out`` contains ``configurations/RUN.yaml``, with which ``fusion train fit
    --config`` trains a single row; ``runs/RUN/``, the output of training;
    ``weights/RUN.safetensors``, which marks a run as complete; ``fused/RUN/``; and one folder per
    table.

    Args:
        tables: rows by table, see `read_tables`.
        out: output folder.
        options: options of ``fusion train fit`` for all rows, such as ``--data.root DIR``.
    """

    def __init__(self, tables: Mapping[str, Sequence[Row]], out: Path, options: Sequence[str] = ()):
        self.tables = tables
        self.out = out
        self.options = list(options)
        self.runs = {row.run: row for rows in tables.values() for row in rows}

    def configuration(self, run: str) -> Path:
        """The configuration file of a run, for ``fusion train fit --config``."""
        return self.out / "configurations" / f"{run}.yaml"

    def weights(self, run: str) -> Path:
        """The weights file of a complete run."""
        return self.out / "weights" / f"{run}.safetensors"

    def write_configurations(self) -> None:
        """Write the configuration of every run.

        Raises:
            UserError: a run that has begun has other settings; results of both would be mixed.
        """
        for run, row in self.runs.items():
            path = self.configuration(run)
            keys = self._placed(row)
            if self._has_begun(run) and path.is_file() and read_config(path) != keys:
                raise UserError(f"{path}: has other settings; give another folder, or remove it")
            write_config(path, keys, f"fusion train fit --config {path}")

    def _placed(self, row: Row) -> dict[str, Any]:
        """The row's configuration, with logs in this ablation's folder."""
        place = {"init_args": {"save_dir": str(self.out / "runs"), "name": row.run}}
        loggers = [merged(logger, place) for logger in row.keys["trainer"]["logger"]]
        return merged(row.keys, nested("trainer.logger", loggers))

    def train(self) -> None:
        """Train all runs that are not complete.

        Raises:
            UserError: a training run failed with an error, which it has printed.
        """
        self.write_configurations()
        self._hold_options()
        waiting = [run for run in self.runs if not self.weights(run).is_file()]
        for number, run in enumerate(waiting, 1):
            print(f"training {number} of {len(waiting)}: {run}", file=sys.stderr)
            self._train(run)

    def _has_begun(self, run: str | None = None) -> bool:
        """Whether a run (or any run) has results; settings without results may be changed."""
        run = "*" if run is None else glob.escape(run)
        trained = f"weights/{run}.safetensors", f"runs/{run}/version_*/checkpoints/*.ckpt"
        return any(any(self.out.glob(pattern)) for pattern in trained)

    def _hold_options(self) -> None:
        """Check that all rows are trained with the same options."""
        path = self.out / "options.txt"
        text = "\n".join(self.options) + "\n"
        if self._has_begun() and path.is_file() and (held := read_text(path)) != text:
            before = " ".join(held.split()) or "no options"
            raise UserError(f"{path}: begun with {before}; give another folder")
        with whole_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _train(self, run: str) -> None:
        folder = self.out / "runs" / run
        # A separate process: with several devices, Lightning starts this command again for each.
        command = [sys.executable, "-m", "fusion", "train", "fit"]
        command += ["--config", str(self.configuration(run)), *self.options]
        stopped = sorted(folder.glob("version_*/checkpoints/last.ckpt"), key=_age)
        if stopped:
            command += ["--ckpt_path", str(stopped[-1])]
        code = subprocess.run(command).returncode
        made = sorted(folder.glob("version_*/weights.safetensors"), key=_age)
        if code or not made:
            raise UserError(f"{run}: its training ended with code {code}; fix the error above")
        with whole_file(self.weights(run)) as temporary:
            shutil.copyfile(made[-1], temporary)

    def compare(
        self,
        ir: Path,
        vis: Path,
        metrics: Sequence[str] | None = None,
        workers: int = 1,
        device: Any = "cpu",
        convention: str = DEFAULT,
    ) -> dict[str, Comparison]:
        """Fuse pairs with every run and evaluate the images.

        Writes ``means.csv``, ``pictures.csv``, ``means.json`` and ``means.png`` for each table.

        Args:
            ir, vis: folders of the pairs to evaluate on.
            metrics, workers: see `fusion.evaluation.comparison.compare_methods`.
            device: the device for fusing.
            convention: whose definitions of the metrics.

        Returns:
            Values by table.

        Raises:
            UserError: the images cannot be used.
        """
        folders = {run: self.out / "fused" / run for run in self.runs}
        notes = []
        for run, folder in folders.items():
            network = load_network(self.weights(run), device=device)
            # Existing images may be of other pairs; compared to training, fusing again is fast.
            notes += fuse_folders(network, ir, vis, folder, Options(color=False)).notes
        measured = compare_methods(ir, vis, folders, metrics, workers, convention)
        failures = list(dict.fromkeys([*notes, *measured.failures]))
        comparisons = {}
        for table, rows in self.tables.items():
            values = {row.label: measured.values[row.run] for row in rows}
            comparison = Comparison(measured.metrics, values, failures)
            comparison.write(self.out / table)
            write_json(str(self.out / table / "means.json"), comparison.content())
            comparisons[table] = comparison
        return comparisons


def _age(path: Path) -> float:
    return path.stat().st_mtime
