"""What an ablation compares: configurations of the join, and one budget for all of them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from fusion.base.configuration import read_config
from fusion.base.errors import UserError
from tracker.data.frames import MODALITIES

PARTS = ("join", "head")
PRECISIONS = ("32-true", "bf16-mixed")


@dataclass(frozen=True)
class Configuration:
    """A row of the comparison.

    Attributes:
        network: arguments of `tracker.model.joint.JointTracker` that differ from the trunk's:
            modalities, join, fusion, fusion_args, tap.
        keep_join: see `tracker.training.join_training.on_trunk`.
        fixed, initial, feature_loss, feature_loss_args: see
            `tracker.training.join_training.JoinTraining`.
    """

    network: dict[str, Any] = field(default_factory=dict)
    keep_join: bool = False
    fixed: dict[str, float] = field(default_factory=dict)
    initial: dict[str, float] = field(default_factory=dict)
    feature_loss: str | None = None
    feature_loss_args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """The comparison and its budget, which is the same for every configuration.

    Attributes:
        configurations: by name.
        baseline: the configuration with which all others are compared.
        parts: what trains, "join" (the trunk is frozen) or "head".
        steps: optimiser steps of a run.
        batch_size: pairs per step.
        pairs: different training pairs of a seed; a run passes through them in random order.
        validation: held-out pairs by which a rate is chosen.
        rates: learning rates; each configuration is trained with all of them under the first seed,
            and with the one of least validation loss under the others.
        head_rate: factor of the rate for the head, with parts "head".
        seeds: of data, order and initial weights.
        failing: modalities that fail in further trials, see `tracker.evaluation.failing`.
        frames, every: frames of a sequence to evaluate on, see
            `tracker.evaluation.failing.thinned`.
        precision: of training, as Lightning names it: "32-true", or "bf16-mixed", which takes half
            the time on a processor with bfloat16. Validation and tracking are in float32.
        data: arguments of `tracker.training.video_data.VideoPairData`.
    """

    configurations: dict[str, Configuration]
    baseline: str
    parts: str = "join"
    steps: int = 300
    batch_size: int = 16
    pairs: int = 1600
    validation: int = 256
    rates: list[float] = field(default_factory=lambda: [3e-4, 1e-3, 3e-3])
    head_rate: float = 0.1
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    failing: list[str] = field(default_factory=lambda: list(MODALITIES))
    frames: int | None = None
    every: int = 1
    precision: str = "32-true"
    data: dict[str, Any] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """The plan as plain values, for a file."""
        return asdict(self)


def read_plan(path: Path, changes: Mapping[str, Any] | None = None) -> Plan:
    """Read a plan such as ``experiments/tracker/ablation_llrr.yaml``.

    Args:
        changes: values that replace those of the file; None in it changes nothing.

    Raises:
        UserError: the file is unusable; names the key.
    """
    keys = read_config(path)
    keys |= {name: value for name, value in (changes or {}).items() if value is not None}
    known = [entry.name for entry in fields(Plan)]
    for name in keys:
        if name not in known:
            raise UserError(f"{path}: {name} is not a key of a plan; give {', '.join(known)}")
    rows = keys.get("configurations")
    if not isinstance(rows, dict) or not rows:
        raise UserError(f"{path}: has no configurations; give configurations: {{NAME: {{...}}}}")
    keys["configurations"] = {
        str(name): _configuration(f"{path}: configurations.{name}", row)
        for name, row in rows.items()
    }
    keys["baseline"] = str(keys.get("baseline", next(iter(keys["configurations"]))))
    plan = Plan(**keys)
    _check(path, plan)
    return plan


def _configuration(place: str, row: Any) -> Configuration:
    known = [entry.name for entry in fields(Configuration)]
    if not isinstance(row, dict) or set(row) - set(known):
        raise UserError(f"{place}: give {', '.join(known)}")
    for name, value in row.items():
        if name == "keep_join" and not isinstance(value, bool):
            raise UserError(f"{place}.{name}: give true or false")
        if name not in ("keep_join", "feature_loss") and not isinstance(value, dict):
            raise UserError(f"{place}.{name}: not keys with values")
    return Configuration(**row)


def _check(path: Path, plan: Plan) -> None:
    if plan.baseline not in plan.configurations:
        known = ", ".join(plan.configurations)
        raise UserError(f"{path}: baseline {plan.baseline} is none of the configurations ({known})")
    for name in plan.configurations:
        if not name or any(letter in name for letter in "/\\@") or name.startswith("."):
            raise UserError(f"{path}: configurations.{name}: cannot be the name of a folder")
    if plan.parts not in PARTS:
        raise UserError(f"{path}: parts must be {' or '.join(PARTS)}, got {plan.parts!r}")
    for name in ("steps", "batch_size", "pairs", "validation", "every"):
        value = getattr(plan, name)
        if type(value) is not int or value < 1:
            raise UserError(f"{path}: {name} must be an integer of 1 or more, got {value!r}")
    for name, least in (("rates", 0.0), ("seeds", -1)):
        values = getattr(plan, name)
        good = isinstance(values, list) and values and len(set(map(str, values))) == len(values)
        kind = int if name == "seeds" else (int, float)
        if not good or not all(isinstance(v, kind) and v > least for v in values):
            raise UserError(f"{path}: {name} must be different numbers, got {values!r}")
    if plan.frames is not None and (type(plan.frames) is not int or plan.frames < 2):
        raise UserError(f"{path}: frames must be an integer of 2 or more, got {plan.frames!r}")
    if plan.precision not in PRECISIONS:
        known = " or ".join(PRECISIONS)
        raise UserError(f"{path}: precision must be {known}, got {plan.precision!r}")
    if not isinstance(plan.data, dict):
        raise UserError(f"{path}: data must be keys with values")
    if not isinstance(plan.head_rate, (int, float)) or not 0 < plan.head_rate <= 100:
        raise UserError(f"{path}: head_rate must be a factor above 0, got {plan.head_rate!r}")
    if not isinstance(plan.failing, list) or set(plan.failing) - set(MODALITIES):
        raise UserError(f"{path}: failing must be some of {', '.join(MODALITIES)}")
