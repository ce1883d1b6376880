"""Write a report on the trackers of a VOT workspace as one self-contained HTML file.

Images and plots are embedded, so the file opens without a network connection and can be sent by
mail. The figures are those of `tracker.evaluation.vot.figures`.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from fusion.base.errors import UserError
from fusion.base.tables import counted
from fusion.images.reading import data_address, jpeg
from tracker.data.drawing import draw_frame
from tracker.evaluation.pages import write_html
from tracker.evaluation.plots import ar_plot, eao_plot
from tracker.evaluation.times import frame_rate
from tracker.evaluation.vot.figures import ScoredTracker, score_trackers
from tracker.evaluation.vot.sequences import AnchoredSequence
from tracker.evaluation.vot.trackers_ini import UNTRAINED
from tracker.evaluation.vot.workspace import Workspace

UNTRAINED_NOTE = (
    "Networks marked untrained have random weights. Their figures show that the evaluation works, "
    "and nothing else."
)


@dataclass(frozen=True, eq=False)
class ReportedTracker(ScoredTracker):
    """A tracker in the report.

    Attributes:
        title: display name, unique in the report.
        speed: frames per second, without the first frame of each run; None if times are not
            recorded.
    """

    title: str
    speed: float | None


def read_reported(
    workspace: Workspace, trackers: Sequence[str] = ()
) -> tuple[list[ReportedTracker], list[str]]:
    """Compute the figures of a workspace's trackers, best EAO first.

    Args:
        trackers: references; if empty, all trackers with results.

    Returns:
        The trackers, and one line per tracker whose results cannot be used.

    Raises:
        UserError: there are no results, or none of a named tracker.
    """
    scored, faults = score_trackers(workspace, trackers)
    titles = [workspace.title(tracker.reference) for tracker in scored]

    def reported(tracker: ScoredTracker, title: str) -> ReportedTracker:
        reference = tracker.reference
        title = f"{title} [{reference}]" if titles.count(title) > 1 else title
        speed = frame_rate(workspace.results(reference))
        return ReportedTracker(reference, tracker.scores, tracker.runs, title, speed)

    rows = [reported(tracker, title) for tracker, title in zip(scored, titles, strict=True)]
    return sorted(rows, key=lambda row: -row.scores.EAO), faults


def write_report(
    workspace: Workspace, output: str | Path, trackers: Sequence[str] = ()
) -> list[str]:
    """Write the report on a workspace's results.

    Args:
        output: the HTML file; a failure leaves no partial file.
        trackers: references; if empty, all trackers with results.

    Returns:
        One line per tracker that was left out because its results are missing or damaged.

    Raises:
        UserError: no tracker has usable results.
    """
    rows, faults = read_reported(workspace, trackers)
    if not rows:
        raise UserError(faults[0])
    experiment = workspace.experiment
    warnings = [f"Left out: {fault}" for fault in faults]
    if any(tracker.reference.endswith(f"@{UNTRAINED}") for tracker in rows):
        warnings.append(UNTRAINED_NOTE)
    figures = [tracker.scores.figures() for tracker in rows]
    scores = {tracker.title: tracker.scores for tracker in rows}
    write_html(
        "report.html",
        output,
        summary=f"{counted(len(workspace.sequences), 'sequence')}, "
        f"{sum(map(len, workspace.sequences))} frames, {workspace.num_runs} runs from anchors. "
        "EAO is the expected average overlap, a mean over lengths of "
        f"{experiment.low} to {experiment.high} frames; A the overlap before failure; R the share "
        "of frames before it.",
        warnings=warnings,
        trackers=rows,
        best={key: max(f[key] for f in figures) for key in figures[0]} if len(rows) > 1 else {},
        num_runs=workspace.num_runs,
        plots={"EAO curve": _svg(eao_plot(scores)), "AR plot": _svg(ar_plot(scores))},
        sequences=workspace.sequences,
        failures=[(tracker.title, _failures(workspace, tracker)) for tracker in rows],
    )
    return faults


def _svg(figure: Figure) -> str:
    """Encode a figure as a data address; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "report"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return data_address(buffer.getvalue(), "image/svg+xml")


# --- Failures -------------------------------------------------------------------------------------


FAILURES_SHOWN = 6  # per tracker, at most one per sequence


def _failures(workspace: Workspace, tracker: ReportedTracker) -> list[tuple[str, str | None]]:
    """Captions and pictures of the earliest failures, as data addresses."""
    return [
        _failure(workspace, tracker, sequence, number)
        for sequence, number in _worst_runs(tracker)[:FAILURES_SHOWN]
    ]


def _worst_runs(tracker: ReportedTracker) -> list[tuple[int, int]]:
    """The earliest failure of each sequence, ordered by the number of frames before it."""
    found = []
    for index, sequence in enumerate(tracker.scores.sequences):
        failed = [
            (run.progress / len(run.overlaps), index, number)
            for number, run in enumerate(sequence.runs)
            if run.failed
        ]
        if failed:
            found.append(min(failed))
    return [(index, number) for _, index, number in sorted(found)]


def _failure(
    workspace: Workspace, tracker: ReportedTracker, index: int, number: int
) -> tuple[str, str | None]:
    sequence = workspace.sequences[index]
    run = tracker.scores.sequences[index].runs[number]
    frame = run.failure_frame
    assert frame is not None  # of the runs that failed
    direction = "backward" if run.run.is_backward else "forward"
    caption = (
        f"{sequence.name}, frame {frame + 1}: {run.progress} of {len(run.overlaps)} frames after "
        f"the start at {run.run.anchor + 1}, {direction}"
    )
    box = tracker.runs[sequence.name][number].boxes[run.progress]
    return caption, _failure_picture(sequence, frame, box)


def _failure_picture(sequence: AnchoredSequence, frame: int, box: np.ndarray) -> str | None:
    """A frame of both modalities with boxes, as a data URL; None if images are missing."""
    try:
        shown = sequence.pictures.frame(frame)
    except (UserError, IndexError):
        return None
    if shown.rgb is None and shown.ir is None:
        return None
    truth = sequence.groundtruth.boxes[frame]
    image = draw_frame(shown, box, truth={"rgb": truth, "ir": truth}, panel_width=(320, 480))
    return data_address(jpeg(image, sharp_colors=True))
