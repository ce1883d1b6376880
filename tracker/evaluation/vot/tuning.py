"""Choose the online settings of a tracker, which are not learned, by the best EAO.

The published settings are for the published network. The scores of another network are distributed
differently, so another window, penalty or update rate may be better. Use sequences on which no
figures are reported.
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from fusion.base.errors import UserError
from tracker.evaluation.vot.figures import MultistartScores, score_runs
from tracker.evaluation.vot.regions import Regions
from tracker.evaluation.vot.sequences import AnchoredSequence
from tracker.evaluation.vot.workspace import Workspace
from tracker.model.settings import OnlineSettings
from tracker.model.weights import Network
from tracker.online.rgbt_tracker import RGBTTracker
from tracker.online.running import Tracker

#: The values that are tried, one setting after another, in this order.
CHOICES: dict[str, tuple[float, ...]] = {
    "window": (0.15, 0.25, 0.33, 0.41, 0.5),
    "rate": (0.2, 0.32, 0.5, 0.7, 0.9),
    "penalty": (0.02, 0.05, 0.1, 0.2),
    "update_rate": (0.0, 0.03, 0.06, 0.1),
}


@dataclasses.dataclass(frozen=True)
class Trial:
    """The figures of one choice of settings.

    Attributes:
        settings: the settings that were tried.
        figures: EAO, A and R by name.
    """

    settings: OnlineSettings
    figures: dict[str, float]


def run_tracker(workspace: Workspace, tracker: Tracker) -> MultistartScores:
    """Compute a tracker's figures in a workspace, without the toolkit and without writing results.

    Raises:
        UserError: a run cannot start; the message names the sequence and frame.
    """
    found: dict[str, list[Regions]] = {}
    for sequence in workspace.sequences:
        pictures = _pictures(sequence)
        found[sequence.name] = []
        for run in sequence.runs:
            boxes = np.full((len(run.frames), 4), np.nan, np.float32)
            rgb, ir = pictures(run.anchor)
            try:
                tracker.init(rgb, ir, sequence.groundtruth.start(run.anchor).tolist())
            except UserError as error:
                raise UserError(f"{sequence.name}, frame {run.anchor + 1}: {error}") from error
            for number, frame in enumerate(run.frames[1:].tolist(), start=1):
                boxes[number] = tracker.track(*pictures(frame))[0]
            found[sequence.name].append(Regions(boxes))
    experiment = workspace.experiment
    return score_runs(workspace.sequences, found, experiment.low, experiment.high)


def _pictures(sequence: AnchoredSequence) -> Callable[[int], tuple]:
    """The frames of a sequence; each is read only once for all runs."""

    @lru_cache(maxsize=len(sequence))
    def read(number: int) -> tuple:
        frame = sequence.pictures.frame(number)
        return frame.rgb, frame.ir

    return read


def tune(
    workspace: Workspace,
    network: Network,
    device: torch.device | str = "cpu",
    choices: dict[str, Sequence[float]] | None = None,
    report: Callable[[Trial], None] = lambda trial: None,
) -> list[Trial]:
    """Search for the best settings by coordinate descent, starting from the network's own.

    Every value of a setting is tried with the best values of the others so far, and the best is
    kept.

    Args:
        workspace: the sequences on which settings are chosen.
        network: the network whose settings are chosen; it is not changed.
        device: the device on which the network runs.
        choices: values by the name of the setting; None uses `CHOICES`.
        report: called after each trial.

    Returns:
        All trials, best first.
    """
    best = _try(workspace, network, device, OnlineSettings(**network.online))
    report(best)
    trials = [best]
    for name, values in (CHOICES if choices is None else choices).items():
        before = best
        for value in values:
            if value == getattr(before.settings, name):
                continue
            change: dict[str, Any] = {name: value}
            settings = dataclasses.replace(before.settings, **change)
            trials.append(_try(workspace, network, device, settings))
            report(trials[-1])
            best = max(best, trials[-1], key=_eao)
    return sorted(trials, key=_eao, reverse=True)


def _eao(trial: Trial) -> float:
    return trial.figures["EAO"]


def _try(
    workspace: Workspace,
    network: Network,
    device: torch.device | str,
    settings: OnlineSettings,
) -> Trial:
    scores = run_tracker(workspace, RGBTTracker(network, device, settings))
    return Trial(settings, scores.figures())


def differences(settings: OnlineSettings) -> dict[str, Any]:
    """The settings that differ from the published ones, as in `TrackerNetwork.online`."""
    published = OnlineSettings()
    return {
        name: value
        for name, value in dataclasses.asdict(settings).items()
        if value != getattr(published, name)
    }
