"""Figures by the VOT toolkit's own analysis."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from vot.analysis import AnalysisProcessor
from vot.analysis.multistart import AverageAccuracyRobustness, EAOScore
from vot.utilities import ThreadPoolExecutor

from fusion.base.errors import UserError
from tracker.evaluation.vot import files as vot_files
from tracker.evaluation.vot.toolkit import one_line, open_workspace, resolve_tracker

__all__ = ["ToolkitScores", "toolkit_scores"]


@dataclass(frozen=True)
class ToolkitScores:
    """A tracker's figures by the toolkit's analysis.

    Attributes:
        A, R, EAO: over all sequences.
        curve: ``(high,)``, the EAO curve.
        sequences: A and R by sequence.
    """

    A: float
    R: float
    EAO: float
    curve: np.ndarray
    sequences: dict[str, tuple[float, float]]

    def figures(self) -> dict[str, float]:
        """EAO, A and R by name."""
        return {"EAO": self.EAO, "A": self.A, "R": self.R}


def toolkit_scores(
    folder: str | Path, trackers: Sequence[str], experiment: str | None = None
) -> dict[str, ToolkitScores]:
    """Figures of trackers by the toolkit's own analysis, in the settings of the workspace's stack.

    Nothing is cached on disk: the toolkit's cache does not notice results that changed.

    Args:
        folder: the workspace.
        trackers: references, as `evaluate` takes them.
        experiment: a multistart experiment of the stack; needed where it has several.

    Raises:
        UserError: no workspace or tracker, missing results, or a stack without these analyses.
    """
    folder = Path(folder).resolve()
    name = vot_files.read_workspace(folder, experiment).experiment
    workspace = open_workspace(folder)
    chosen = workspace.stack.experiments[name]
    found = [resolve_tracker(workspace, folder, reference) for reference in trackers]
    analyses = {type(analysis): analysis for analysis in chosen.analyses}
    try:
        accuracy, score = analyses[AverageAccuracyRobustness], analyses[EAOScore]
    except KeyError as error:
        raise UserError(
            f"{folder}: the stack lacks multistart_average_ar or multistart_eao_score; "
            "start from the stack.yaml of tracker vot init"
        ) from error
    (by_sequence,), (curve,) = accuracy.dependencies(), score.dependencies()
    sequences = chosen.transform(workspace.dataset)
    grids: dict[Any, Any] = {}
    cache: dict[Any, Any] = {}
    executor = ThreadPoolExecutor(1)
    try:
        for analysis in (by_sequence, accuracy, curve, score):
            with AnalysisProcessor(executor, cache) as processor:
                grids[analysis] = processor.run(analysis, chosen, found, sequences)
    except Exception as error:  # of the toolkit's own kinds, around whatever was the cause
        cause = getattr(error, "root_cause", None) or error
        raise UserError(
            f"{folder}: the toolkit's analysis failed ({type(cause).__name__} "
            f"{one_line(cause)}); tracker vot evaluate completes missing results"
        ) from error
    finally:
        executor.shutdown()
    return {
        reference: ToolkitScores(
            A=float(grids[accuracy][row, 0][0]),
            R=float(grids[accuracy][row, 0][1]),
            EAO=float(grids[score][row, 0][0]),
            curve=np.array(grids[curve][row, 0][0], float),
            sequences={
                sequence.name: (
                    float(grids[by_sequence][row, column][0]),
                    float(grids[by_sequence][row, column][1]),
                )
                for column, sequence in enumerate(sequences)
            },
        )
        for row, reference in enumerate(trackers)
    }
