"""Multistart evaluation: accuracy, robustness and EAO as VOT2020-RGBT defines them.

A tracker is started at several anchor frames of each sequence and runs from each to the end of the
sequence, or back to its beginning (Kristan et al., The Eighth Visual Object Tracking VOT2020
Challenge Results). A run fails where the overlap is 0.1 or less in 10 consecutive frames that show
the target; the first of these frames is its progress, and a run that does not fail progresses to
its end.

- A, accuracy: the sum of the overlaps before failure over the number of those frames, of all runs.
- R, robustness: a sequence's share of frames before failure, averaged over sequences with their
  numbers of frames as weights.
- EAO, expected average overlap: the mean of the EAO curve from 115 to 755 frames. The curve at j is
  the mean overlap over the frames 1 to j of a run, averaged over the runs of all sequences that are
  long enough, and over those that failed, for which the frames that are missing have overlap 0.

The VOT toolkit's analysis gives the same numbers; this one takes a small part of its time, because
it operates on the arrays of all runs at once. Where the toolkit's code goes beyond the definition,
its behaviour is followed:

- Regions overlap by their pixels, see `tracker.evaluation.vot.regions`.
- The first frame of a run has a code instead of a region, and its overlap is 0. It counts in A, so
  that the A of a perfect tracker is below 1, but not in the EAO curve.
- A frame without target is not lost; the count of lost frames restarts after it.
- The curve divides a failed run's overlaps by j - 1, not j, beyond its last frame. It ends at
  ``high - 1``, so that the mean is over 115 to 754.
- R weights a sequence by its frames, A by the frames before failure of its runs.

Published figures of DFAT (EAO 0.390, A 0.672, R 0.779 in the VOT2020 report; 0.4079, 0.6739, 0.7785
in Table 8 of the LRRNet paper) cannot be reproduced from the raw results published with it, which
give EAO 0.3705, A 0.6782, R 0.7430, here and in toolkits 0.5.1, 0.7.4 and 0.9.0. These results
resemble the real-time experiment's: after the fifth frame of a run about every other box, 92,356 of
178,128 in all, repeats the previous one with a time of 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusion.base.errors import UserError
from tracker.evaluation.vot.regions import Regions, concatenate, region_overlaps
from tracker.evaluation.vot.sequences import AnchoredSequence, Run
from tracker.evaluation.vot.stack import EAO_HIGH, EAO_LOW
from tracker.evaluation.vot.workspace import Workspace

FAILURE_OVERLAP = 0.1
FAILURE_FRAMES = 10

# --- Figures --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class RunScores:
    """Scores of a run.

    Attributes:
        run: the run.
        overlaps: ``(n,)``, one per frame; the first is 0.
        progress: frames before failure; all of them if it did not fail.
    """

    run: Run
    overlaps: np.ndarray
    progress: int

    @property
    def failed(self) -> bool:
        """Whether the target was lost before the run's end."""
        return self.progress < len(self.overlaps)

    @property
    def failure_frame(self) -> int | None:
        """The sequence's frame, from 0, on which the run failed; None if it did not."""
        return int(self.run.frames[self.progress]) if self.failed else None


@dataclass(frozen=True, eq=False)
class SequenceScores:
    """Figures of a sequence.

    Attributes:
        name: name of the sequence.
        frames: its length, which is its weight in R.
        runs: one per anchor.
        curve_sum: ``(high,)``, sum over the runs that count at each length of the EAO curve.
        curve_runs: ``(high,)``, the number of these runs.
    """

    name: str
    frames: int
    runs: list[RunScores]
    curve_sum: np.ndarray
    curve_runs: np.ndarray

    @property
    def progress(self) -> int:
        """Frames before failure, of all runs."""
        return sum(run.progress for run in self.runs)

    @property
    def failures(self) -> int:
        """How many runs failed."""
        return sum(run.failed for run in self.runs)

    @property
    def A(self) -> float:
        overlap = sum(run.overlaps[: run.progress].sum() for run in self.runs)
        return float(overlap / self.progress) if self.progress else 0.0

    @property
    def R(self) -> float:
        return self.progress / sum(len(run.overlaps) for run in self.runs)

    @property
    def curve(self) -> np.ndarray:
        """The sequence's EAO curve; 0 where no run counts."""
        return self.curve_sum / np.maximum(self.curve_runs, 1)

    def eao(self, low: int, high: int) -> float:
        """Mean of the curve over the lengths between low and high at which a run counts.

        NaN if no run is that long. The EAO over all sequences is not the mean of these.
        """
        counts = self.curve_runs[low : high + 1] > 0
        return float(self.curve[low : high + 1][counts].mean()) if counts.any() else float("nan")


@dataclass(frozen=True, eq=False)
class MultistartScores:
    """Figures of a tracker.

    Attributes:
        low, high: bounds of the EAO.
        sequences: figures of each.
    """

    low: int
    high: int
    sequences: list[SequenceScores]

    @property
    def A(self) -> float:
        """Accuracy: sequences weighted by the frames before failure."""
        progress = sum(sequence.progress for sequence in self.sequences)
        total = sum(sequence.A * sequence.progress for sequence in self.sequences)
        return total / progress if progress else 0.0

    @property
    def R(self) -> float:
        """Robustness: sequences weighted by their length."""
        frames = sum(sequence.frames for sequence in self.sequences)
        return sum(sequence.R * sequence.frames for sequence in self.sequences) / frames

    @property
    def curve(self) -> np.ndarray:
        """EAO curve, ``(high,)``: at j the expected average overlap over j frames; 0 at 0."""
        total = np.sum([sequence.curve_sum for sequence in self.sequences], axis=0)
        runs = np.sum([sequence.curve_runs for sequence in self.sequences], axis=0)
        return total / np.maximum(runs, 1)

    @property
    def EAO(self) -> float:
        """Expected average overlap: mean of the curve from low to high."""
        return float(self.curve[self.low : self.high + 1].mean())

    @property
    def failures(self) -> int:
        """How many runs failed."""
        return sum(sequence.failures for sequence in self.sequences)

    def figures(self) -> dict[str, float]:
        """EAO, A and R by name."""
        return {"EAO": self.EAO, "A": self.A, "R": self.R}


def run_progress(overlaps: np.ndarray, present: np.ndarray) -> int:
    """Frames of a run before it fails; all of them if it does not.

    Args:
        overlaps: ``(n,)``.
        present: ``(n,)`` bool, frames that show the target.
    """
    lost = (overlaps <= FAILURE_OVERLAP) & present
    if len(lost) < FAILURE_FRAMES:
        return len(lost)
    streaks = np.convolve(lost, np.ones(FAILURE_FRAMES, int), mode="valid") == FAILURE_FRAMES
    return int(np.argmax(streaks)) if streaks.any() else len(lost)


def _curve(runs: list[RunScores], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the runs that count at each length of the EAO curve."""
    total, number = np.zeros(length), np.zeros(length)
    lengths = np.arange(length)
    for run in runs:
        kept = np.where(np.arange(len(run.overlaps)) < run.progress, run.overlaps, 0)
        sums = np.cumsum(kept[1:length])
        reached = len(sums) + 1
        total[1:reached] += sums / lengths[1:reached]
        number[1:reached] += 1
        if run.failed and reached < length:
            total[reached:] += sums[-1] / (lengths[reached:] - 1)
            number[reached:] += 1
    return total, number


def score_runs(
    sequences: Sequence[AnchoredSequence],
    trajectories: dict[str, list[Regions]],
    low: int = EAO_LOW,
    high: int = EAO_HIGH,
) -> MultistartScores:
    """Figures of a tracker.

        workspace = read_workspace("vot_workspace")
        runs = workspace.read_runs("DFAT")
        print(score_runs(workspace.sequences, runs).figures())

    Args:
        trajectories: by sequence, a `Regions` for each of its runs, in their order.
        low, high: bounds of the EAO, in frames.

    Raises:
        ValueError: no sequence, or trajectories that do not fit the runs.
    """
    if not sequences:
        raise ValueError("score_runs needs a sequence")
    starts = [(sequence, run) for sequence in sequences for run in sequence.runs]
    found = [regions for sequence in sequences for regions in trajectories[sequence.name]]
    lengths = [len(run.frames) for _, run in starts]
    if [len(regions) for regions in found] != lengths:
        raise ValueError("trajectories do not fit the runs of the sequences")

    # All frames of all runs at once.
    truth = concatenate(sequence.groundtruth.take(run.frames) for sequence, run in starts)
    sizes = np.repeat([sequence.size for sequence, _ in starts], lengths, axis=0)
    overlaps = region_overlaps(concatenate(found), truth, sizes)
    cuts = np.cumsum(lengths)[:-1]
    by_run = zip(starts, np.split(overlaps, cuts), np.split(truth.present(), cuts), strict=True)
    scores: dict[str, list[RunScores]] = {sequence.name: [] for sequence in sequences}
    for (sequence, run), overlap, present in by_run:
        scores[sequence.name].append(RunScores(run, overlap, run_progress(overlap, present)))
    return MultistartScores(
        low,
        high,
        [
            SequenceScores(
                sequence.name,
                len(sequence),
                scores[sequence.name],
                *_curve(scores[sequence.name], high),
            )
            for sequence in sequences
        ],
    )


@dataclass(frozen=True, eq=False)
class ScoredTracker:
    """The figures of a tracker, and the trajectories from which they were computed.

    Attributes:
        reference: name of the tracker in ``results/``.
        scores: scores over the sequences of the workspace.
        runs: trajectories by sequence, as from `Workspace.read_runs`.
    """

    reference: str
    scores: MultistartScores
    runs: dict[str, list[Regions]]


def score_trackers(
    workspace: Workspace, trackers: Sequence[str] = ()
) -> tuple[list[ScoredTracker], list[str]]:
    """Compute the figures of a workspace's trackers.

    Args:
        trackers: references; if empty, all trackers with results.

    Returns:
        The trackers, and one line per tracker whose results cannot be used.

    Raises:
        UserError: there are no results, or none of a named tracker.
    """
    known = workspace.trackers()
    unknown = [name for name in trackers if name not in known]
    if unknown:
        raise UserError(
            f"{workspace.folder / 'results'}: no results of {', '.join(unknown)}; there are "
            f"results of {', '.join(known)}"
        )
    experiment = workspace.experiment
    found, faults = [], []
    for name in dict.fromkeys(trackers or known):
        try:
            runs = workspace.read_runs(name)
        except UserError as error:
            faults.append(str(error))
            continue
        scores = score_runs(workspace.sequences, runs, experiment.low, experiment.high)
        found.append(ScoredTracker(name, scores, runs))
    return found, faults
