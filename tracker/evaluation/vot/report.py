"""Write a report on the trackers of a VOT workspace as one self-contained HTML file.

Images and plots are embedded, so the file opens without a network connection and can be sent by
mail. The figures are those of `tracker.evaluation.vot.figures`.
"""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from matplotlib.figure import Figure

from fusion.base.errors import UserError
from fusion.base.files import whole_file
from fusion.base.tables import counted
from tracker.data.drawing import draw_frame
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
    parts = [
        _heading(workspace, rows, faults),
        _ranking(rows),
        _plots(rows),
        _sequences(workspace, rows),
        _failures(workspace, rows),
    ]
    page = _PAGE.format(style=_STYLE, body="\n".join(parts))
    with whole_file(Path(output)) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return faults


# --- Parts of the page ----------------------------------------------------------------------------

_text = html.escape


def _heading(workspace: Workspace, trackers: list[ReportedTracker], faults: list[str]) -> str:
    sequences = workspace.sequences
    experiment = workspace.experiment
    notes = [
        f"{counted(len(sequences), 'sequence')}, {sum(map(len, sequences))} frames, "
        f"{workspace.num_runs} runs from anchors. "
        f"EAO is the expected average overlap, a mean over lengths of {experiment.low} to "
        f"{experiment.high} frames; A the overlap before failure; R the share of frames before it."
    ]
    warnings = [f"Left out: {fault}" for fault in faults]
    if any(tracker.reference.endswith(f"@{UNTRAINED}") for tracker in trackers):
        warnings.append(UNTRAINED_NOTE)
    paragraphs = [f"<p>{_text(note)}</p>" for note in notes]
    paragraphs += [f'<p class="warning">{_text(warning)}</p>' for warning in warnings]
    return "<h1>RGBT tracking</h1>\n" + "\n".join(paragraphs)


def _ranking(trackers: list[ReportedTracker]) -> str:
    best = {key: max(t.scores.figures()[key] for t in trackers) for key in ("EAO", "A", "R")}
    rows = []
    for rank, tracker in enumerate(trackers, start=1):
        cells = [f"<td>{rank}</td>", f"<th>{_text(tracker.title)}</th>"]
        for key, value in tracker.scores.figures().items():
            mark = ' class="best"' if value == best[key] and len(trackers) > 1 else ""
            cells.append(f"<td{mark}>{value:.3f}</td>")
        failed = sum(sequence.failures for sequence in tracker.scores.sequences)
        total = sum(len(sequence.runs) for sequence in tracker.scores.sequences)
        cells.append(f"<td>{failed} of {total}</td>")
        cells.append(f"<td>{'-' if tracker.speed is None else f'{tracker.speed:.1f}'}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    head = "".join(
        f"<th>{name}</th>" for name in ("", "tracker", "EAO", "A", "R", "failed runs", "frames/s")
    )
    return (
        '<h2>Ranking</h2>\n<table class="ranking"><thead><tr>'
        f"{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody></table>"
    )


def _plots(trackers: list[ReportedTracker]) -> str:
    scores = {tracker.title: tracker.scores for tracker in trackers}
    pictures = [
        f'<img alt="{alt}" src="{_svg(figure)}">'
        for alt, figure in (("EAO curve", eao_plot(scores)), ("AR plot", ar_plot(scores)))
    ]
    return '<h2>Curves</h2>\n<div class="plots">\n' + "\n".join(pictures) + "\n</div>"


def _svg(figure: Figure) -> str:
    """Encode a figure as a data URL; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "report"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return _data_address("image/svg+xml", buffer.getvalue())


def _data_address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _sequences(workspace: Workspace, trackers: list[ReportedTracker]) -> str:
    """Bars of A and R, one row per sequence and two columns per tracker."""
    names = "".join(f'<th colspan="2">{_text(tracker.title)}</th>' for tracker in trackers)
    figures = "".join("<th>A</th><th>R</th>" for _ in trackers)
    rows = []
    for index, sequence in enumerate(workspace.sequences):
        cells = [f"<th>{_text(sequence.name)}</th>", f"<td>{len(sequence)}</td>"]
        for tracker in trackers:
            scores = tracker.scores.sequences[index]
            for kind, value in (("a", scores.A), ("r", scores.R)):
                cells.append(f'<td class="bar {kind}" style="--v:{value:.4f}">{value:.2f}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        '<h2>Sequences</h2>\n<div class="wide"><table class="sequences"><thead>'
        f"<tr><th></th><th></th>{names}</tr>\n<tr><th>sequence</th><th>frames</th>{figures}</tr>"
        "</thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody></table></div>"
    )


# --- Failures -------------------------------------------------------------------------------------


FAILURES_SHOWN = 6  # per tracker, at most one per sequence


def _failures(workspace: Workspace, trackers: list[ReportedTracker]) -> str:
    parts = [
        "<h2>Failures</h2>",
        "<p>The earliest failures of each tracker: the first lost frame, one run per sequence. "
        '<span class="result">Orange</span> is the tracker\'s box, '
        '<span class="truth">cyan</span> the annotation.</p>',
    ]
    for tracker in trackers:
        cards = []
        for sequence, number in _worst_runs(tracker)[:FAILURES_SHOWN]:
            cards.append(_failure_card(workspace, tracker, sequence, number))
        body = f'<div class="cards">{"".join(cards)}</div>' if cards else "<p>No run failed.</p>"
        parts.append(f"<h3>{_text(tracker.title)}</h3>\n{body}")
    return "\n".join(parts)


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


def _failure_card(workspace: Workspace, tracker: ReportedTracker, index: int, number: int) -> str:
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
    picture = _failure_picture(sequence, frame, box)
    content = f'<img alt="{_text(caption)}" src="{picture}">' if picture else "<p>No image.</p>"
    return f"<figure>{content}<figcaption>{_text(caption)}</figcaption></figure>"


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
    # No chroma subsampling, which would remove the colour of the thin box lines.
    quality = [cv2.IMWRITE_JPEG_QUALITY, 85]
    quality += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, encoded = cv2.imencode(".jpg", image[..., ::-1], quality)
    return _data_address("image/jpeg", encoded.tobytes())


# --- The page -------------------------------------------------------------------------------------

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>RGBT tracking</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2733; background: #fff;
       max-width: 1180px; margin: 2rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.8rem; margin-bottom: .25rem; }
h2 { font-size: 1.25rem; margin-top: 2.25rem; border-bottom: 1px solid #dde3ea; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p { max-width: 52rem; }
.warning { background: #fff4e0; border-left: 4px solid #e69f00; padding: .5rem .8rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; text-align: right; }
thead th { color: #5b6875; font-weight: 600; border-bottom: 1px solid #dde3ea; }
tbody th { text-align: left; font-weight: 600; }
tbody tr:nth-child(even) { background: #f7f9fb; }
.ranking th:nth-child(2) { text-align: left; }
.best { font-weight: 700; color: #006b4d; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 1rem; }
.plots img { width: 100%; }
.wide { overflow-x: auto; }
.sequences { font-size: .85rem; }
.sequences th, .sequences td { padding: .15rem .6rem; white-space: nowrap; }
.sequences thead th[colspan] { text-align: center; border-left: 1px solid #dde3ea;
       white-space: normal; }
.sequences thead tr:last-child th:first-child { text-align: left; }
.bar { min-width: 3.5rem; background: linear-gradient(to right, var(--c) calc(var(--v) * 100%),
       transparent 0) no-repeat 0 50% / 100% 70%; }
.a { --c: #a9d3f0; border-left: 1px solid #dde3ea; }
.r { --c: #a5dcc8; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 1rem; }
figure { margin: 0; }
figure img { width: 100%; border-radius: 4px; }
figcaption { font-size: .85rem; color: #5b6875; }
.result, .truth { font-weight: 700; }
.result { color: #c77f00; }
.truth { color: #0093b8; }
@media print { body { margin: 0; max-width: none; } figure, tr { break-inside: avoid; } }
"""
