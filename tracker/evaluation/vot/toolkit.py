"""Access to the VOT toolkit (0.7.4, GPLv3); the only module that imports it.

Its download, its experiment on a sequence, and its analysis are wrapped in functions that take our
own `Workspace` or folder and raise one-line errors. The import is slow: import this module only
where it is used.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from vot.analysis import AnalysisProcessor
from vot.analysis.multistart import AverageAccuracyRobustness, EAOScore
from vot.dataset import download_dataset
from vot.stack import Stack, resolve_stack
from vot.tracker import TrackerException, TrackerRuntime
from vot.utilities import ThreadPoolExecutor
from vot.workspace import Workspace as ToolkitWorkspace

from fusion.base.errors import UserError
from fusion.base.files import read_text
from tracker.data.vot_files import read_vot_meta
from tracker.evaluation.vot.trackers_ini import UNTRAINED
from tracker.evaluation.vot.workspace import Workspace

#: Reports an event of a run; the first item is its name.
Report = Callable[[tuple], object]


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


def _open(folder: Path) -> ToolkitWorkspace:
    logging.getLogger("vot").setLevel(logging.ERROR)
    try:
        return ToolkitWorkspace.load(str(folder.resolve()))
    except Exception as error:  # the toolkit raises exceptions of all types here
        raise UserError(f"{folder}: the VOT toolkit cannot open it ({_one_line(error)})") from error


# --- Download -------------------------------------------------------------------------------------


def official_stack(name: str) -> Path | None:
    """The file of one of the toolkit's own stacks."""
    path = resolve_stack(name)
    return None if path is None else Path(path)


def official_url(stack: str) -> str:
    """The URL of the data of one of the toolkit's own stacks.

    Raises:
        UserError: the toolkit has no such stack, or no data for it.
    """
    path = official_stack(stack)
    dataset = None if path is None else Stack.read(str(path)).dataset
    if not dataset:
        raise UserError(f"--stack {stack}: not a stack of the toolkit with data to download")
    return dataset


def download(url: str, folder: Path, attempts: int = 3) -> list[str]:
    """Download a dataset through the toolkit, and check it.

    The toolkit resumes after a broken connection and skips complete sequences. It also skips
    sequences whose images were not downloaded; these are detected here and downloaded again.

    Args:
        url: address of the dataset's ``description.json``.
        folder: receives the sequences and ``list.txt``.
        attempts: maximum number of attempts.

    Returns:
        Names of the sequences.

    Raises:
        UserError: there is no connection, or sequences are still incomplete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    reason = ""
    for _ in range(attempts):
        try:
            download_dataset(url, str(folder))
        except Exception as error:  # from requests, zipfile or the toolkit
            reason = _one_line(error)
        listing = folder / "list.txt"
        names = read_text(listing).split() if listing.is_file() else []
        # Without a list, some sequences are missing; the others must be checked nevertheless.
        found = names or [path.parent.name for path in folder.glob("*/sequence")]
        faults = {name: fault for name in found if (fault := _lacking(folder / name))}
        if names and not faults:
            return names
        for name in faults:
            # Without this file, the toolkit downloads the sequence again.
            (folder / name / "sequence").unlink(missing_ok=True)
        listing.unlink(missing_ok=True)
        reason = next(iter(faults.values()), reason) or "the server lacks some of its files"
    raise UserError(
        f"{url}: the download is not complete ({reason}); run the command again to resume it, or "
        "give a local copy with --dataset or --rgbt234"
    )


def _lacking(folder: Path) -> str | None:
    """What is missing from a downloaded sequence; None if it is complete.

    Only the number of images is checked, because errors in complete data would be the same after
    another download. An evaluation checks the data in detail.
    """
    truth = folder / "groundtruth.txt"
    try:
        meta = read_vot_meta(folder)
        lines = len(read_text(truth).split()) if truth.is_file() else 0
    except UserError as error:
        return str(error)
    places = [(folder / value).parent for key, value in meta.items() if key.startswith("channels.")]
    counts = {place.name: len(list(place.glob("*.*"))) for place in places}
    if len(counts) > 1 and min(counts.values()) == max(counts.values()) >= lines > 0:
        return None
    shown = ", ".join(f"{count} pictures in {name}" for name, count in counts.items())
    return f"{folder.name}: {shown or 'no images'} for {lines} annotation lines"


# --- The experiment on a sequence -----------------------------------------------------------------


class SequenceRunner:
    """Runs trackers of a workspace by the toolkit's experiment, one sequence at a time.

    Args:
        folder: the workspace.
        experiment: the name of an experiment in its stack.

    Raises:
        UserError: the toolkit cannot open the workspace.
    """

    def __init__(self, folder: Path, experiment: str):
        self._workspace = _open(folder)
        self._experiment = self._workspace.stack.experiments[experiment]

    def run(self, reference: str, sequence: str, report: Report) -> tuple:
        """Run a tracker from all anchors of a sequence that have no trajectory yet.

        Args:
            report: called with ``("starting",)`` and ``("started",)`` around the start of the
                tracker's process, and with ``("run",)`` after each run.

        Returns:
            ``("done",)``, or ``("failed", reason, log)`` with a file of what the tracker wrote, or
            None.
        """
        try:
            tracker = self._workspace.registry[reference]
        except Exception as error:  # an unknown name is a bare ToolkitException
            return ("failed", _one_line(error), None)
        if tracker.version == UNTRAINED:
            os.environ["RGBT_UNTRAINED"] = "1"
        else:
            os.environ.pop("RGBT_UNTRAINED", None)
        # The experiment requests the tracker's runtime, which shows when the tracker starts.
        make_runtime = tracker.runtime
        tracker.runtime = lambda log=False: _WatchedRuntime(make_runtime(log), report)
        try:
            for part in self._experiment.transform([self._workspace.dataset[sequence]]):
                self._experiment.execute(tracker, part, callback=lambda _: report(("run",)))
        except TrackerException as error:
            log = error.log or ""
            path = None
            if log.strip():
                with self._experiment.log(tracker.identifier) as file:
                    file.write(log)
                    path = file.name
            return ("failed", _reason(error, log), path)
        except Exception as error:  # unreadable data, a full disk: the other sequences still run
            return ("failed", f"{type(error).__name__}: {_one_line(error)}", None)
        finally:
            del tracker.runtime
        return ("done",)


def _reason(error: TrackerException, log: str) -> str:
    """Why a tracker failed, in one line: the toolkit's timeout, or a crash's last output line."""
    if "did not reply" in str(error):
        return f"hangs: {_one_line(error)}"
    lines = [line.strip() for line in log.splitlines()]
    # Lines of the protocol and lines that the toolkit adds are ignored.
    spoken = [line for line in lines if line and not line.startswith(("@@TRAX:", "Process "))]
    return f"crashed: {spoken[-1] if spoken else _one_line(error)}"


class _WatchedRuntime(TrackerRuntime):
    """A runtime that reports when its tracker is being started and when it is ready."""

    def __init__(self, runtime: TrackerRuntime, report: Report):
        super().__init__(runtime.tracker)
        self._runtime = runtime
        self._report = report
        self._is_started = False

    @property
    def multiobject(self) -> bool:
        return self._runtime.multiobject

    def stop(self) -> None:
        self._runtime.stop()

    def restart(self) -> None:
        self._report(("starting",))
        self._runtime.restart()
        self._report(("started",))
        self._is_started = True

    def initialize(self, frame: Any, new: Any = None, properties: Any = None) -> Any:
        if not self._is_started:
            self.restart()
        return self._runtime.initialize(frame, new, properties)

    def update(self, frame: Any, new: Any = None, properties: Any = None) -> Any:
        return self._runtime.update(frame, new, properties)


# --- Analysis -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ToolkitScores:
    """A tracker's figures from the toolkit's analysis.

    Attributes:
        A, R, EAO: figures over all sequences.
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


def toolkit_scores(workspace: Workspace, trackers: Sequence[str]) -> dict[str, ToolkitScores]:
    """Compute figures by the toolkit's own analysis, with the settings of the workspace's stack.

    Nothing is cached on disk, because the toolkit's cache does not detect changed results.

    Args:
        trackers: references, as for `tracker.evaluation.vot.run.run_trackers`.

    Raises:
        UserError: a tracker is unknown, results are missing, or the stack lacks these analyses.
    """
    opened = _open(workspace.folder)
    experiment = opened.stack.experiments[workspace.experiment.name]
    found = [opened.registry[workspace.entry(name).reference] for name in trackers]
    analyses = {type(analysis): analysis for analysis in experiment.analyses}
    try:
        accuracy, score = analyses[AverageAccuracyRobustness], analyses[EAOScore]
    except KeyError as error:
        raise UserError(
            f"{workspace.folder}: the stack lacks multistart_average_ar or multistart_eao_score; "
            "start from the stack.yaml of tracker vot init"
        ) from error
    (by_sequence,), (curve,) = accuracy.dependencies(), score.dependencies()
    sequences = experiment.transform(opened.dataset)
    grids: dict[Any, Any] = {}
    cache: dict[Any, Any] = {}
    executor = ThreadPoolExecutor(1)
    try:
        for analysis in (by_sequence, accuracy, curve, score):
            with AnalysisProcessor(executor, cache) as processor:
                grids[analysis] = processor.run(analysis, experiment, found, sequences)
    except Exception as error:  # the toolkit's own types, which wrap the cause
        cause = getattr(error, "root_cause", None) or error
        raise UserError(
            f"{workspace.folder}: the toolkit's analysis failed ({type(cause).__name__} "
            f"{_one_line(cause)}); tracker vot evaluate completes missing results"
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
