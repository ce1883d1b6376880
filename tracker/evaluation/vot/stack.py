"""The stack of a workspace: its multistart experiments and the lengths over which EAO is averaged.

The stack is a YAML file of the VOT toolkit, or the name of one that is included in the toolkit.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fusion.base.configuration import read_yaml
from fusion.base.errors import UserError
from fusion.base.files import read_text, whole_file
from tracker.data.frames import LONGEST

__all__ = [
    "EAO_HIGH",
    "EAO_LOW",
    "Experiment",
    "check_fits",
    "find_experiment",
    "fit_stack",
    "is_fitted",
]

# Typical lengths of sequences, as the stack of VOT2020-RGBT sets them.
EAO_LOW, EAO_HIGH = 115, 755

TOOLKIT_STACKS = ("vot2020/rgbtir", "vot2019/rgbtir")
"""Stacks that come with the toolkit: one experiment, ``baseline``, in real time, over the lengths
of `EAO_LOW` to `EAO_HIGH`."""


@dataclass(frozen=True)
class Experiment:
    """A multistart experiment.

    Attributes:
        name: name in the stack and in ``results/``.
        low, high: range of lengths in frames over which the EAO is averaged.
        is_realtime: whether a tracker that is slower than the camera misses frames.
    """

    name: str
    low: int = EAO_LOW
    high: int = EAO_HIGH
    is_realtime: bool = False


def find_experiment(folder: Path, setting: object, name: str | None = None) -> Experiment:
    """Read an experiment from a workspace's stack.

    Args:
        folder: the workspace.
        setting: the stack that its ``config.yaml`` names.
        name: name of the experiment; required if the stack has several.

    Raises:
        UserError: the stack or the experiment does not exist, or the EAO's bounds are not
            supported.
    """
    if setting in TOOLKIT_STACKS:
        if name not in (None, "baseline"):
            raise UserError(f"experiment {name}: stack {setting} has only baseline")
        return Experiment("baseline", is_realtime=True)
    if not isinstance(setting, str):
        raise UserError(f"{folder / 'config.yaml'}: names no stack; add a line stack: stack.yaml")
    path = folder / setting
    content = read_yaml(path, f"give a stack file, or one of {', '.join(TOOLKIT_STACKS)}")
    entries = content.get("experiments")
    found = {
        str(key): entry
        for key, entry in (entries.items() if isinstance(entries, dict) else ())
        if isinstance(entry, dict) and entry.get("type") == "multistart"
    }
    if name is None and len(found) == 1:
        (name,) = found
    if name not in found:
        raise UserError(
            f"{path}: multistart experiments are: {', '.join(found) or 'none'}; "
            + (f"there is no {name}" if name else "name one with --experiment")
        )
    chosen = found[name]
    is_realtime = chosen.get("realtime") is not None
    analyses = chosen.get("analyses")
    for analysis in analyses if isinstance(analyses, list) else []:
        if isinstance(analysis, dict) and analysis.get("type") == "multistart_eao_score":
            return Experiment(name, *_bounds(path, analysis), is_realtime)
    return Experiment(name, is_realtime=is_realtime)


def _bounds(path: Path, analysis: dict) -> tuple[int, int]:
    unknown = analysis.keys() - {"type", "name", "low", "high"}
    if unknown:
        raise UserError(
            f"{path}: {', '.join(sorted(map(str, unknown)))} of multistart_eao_score is not "
            "supported; remove it, or use the VOT toolkit's own analysis"
        )
    low, high = analysis.get("low"), analysis.get("high")
    if not (type(low) is int and type(high) is int and 0 <= low < high <= LONGEST):
        raise UserError(
            f"{path}: low: {low} and high: {high} of multistart_eao_score are no numbers of "
            f"frames, 0 <= low < high <= {LONGEST}"
        )
    return low, high


# --- Stacks for other sequences -------------------------------------------------------------------

FITTED = "# Not VOT2020-RGBT: EAO is over other lengths here, and cannot be compared with it.\n"


def is_fitted(path: Path) -> bool:
    """Whether `fit_stack` wrote a stack file."""
    return read_text(path).startswith(FITTED)


def check_fits(path: Path) -> dict[str, Any]:
    """Check that `fit_stack` can adapt a stack to sequences, and return its content.

    Raises:
        UserError: the stack has no experiment whose lengths can be set.
    """
    fix = "start from the stack.yaml of another tracker vot init"
    stack = read_yaml(path, fix)
    place: object = stack
    for key in ("experiments", "baseline", "analyses"):
        place = place.get(key) if isinstance(place, dict) else None
    if not isinstance(place, list) or not all(isinstance(entry, dict) for entry in place):
        raise UserError(f"{path}: has no experiment baseline with analyses; {fix}")
    return stack


def fit_stack(path: Path, lengths: Collection[int], title: str) -> None:
    """Adapt the lengths of a stack's EAO to sequences that are not the benchmark's.

    The benchmark's EAO is a mean over 115 to 755 frames, which is specific to its 60 sequences.
    Other sequences may have no runs of that length. Runs from anchors are between half as long and
    as long as their sequence, so the new bounds are half the median length and the median length.

    Args:
        path: the stack file, which is replaced.
        lengths: lengths of the sequences, in frames.
        title: title of the new stack.

    Raises:
        UserError: as `check_fits`.
    """
    stack = check_fits(path)
    median = int(np.median(list(lengths)))
    bounds = {"low": median // 2, "high": median}
    stack["title"] = title
    stack.pop("url", None)
    for analysis in stack["experiments"]["baseline"]["analyses"]:
        analysis.update({key: bounds[key] for key in analysis.keys() & bounds.keys()})
    with whole_file(path) as temporary:
        temporary.write_text(FITTED + yaml.safe_dump(stack, sort_keys=False), encoding="utf-8")
