"""A report on the trackers of a VOT workspace: one HTML file that holds everything it shows.

Pictures and plots are inside the file, so that it opens from disk, without a network, and can be
sent by mail. The figures are those of `tracker.evaluation.vot.figures`.
"""

import base64
import html
import io
import math
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
from tracker.data.sequences import load_sequence
from tracker.evaluation.plots import ar_plot, eao_plot
from tracker.evaluation.vot import figures as multistart
from tracker.evaluation.vot import files as vot_files
from tracker.evaluation.vot.regions import Regions
from tracker.evaluation.vot.workspace import UNTRAINED, tracker_labels

__all__ = ["Entry", "read_entries", "write_report"]

UNTRAINED_NOTE = (
    "Networks marked untrained have random weights. Their figures show that the evaluation works, "
    "and nothing else."
)


@dataclass(frozen=True)
class Entry:
    """A tracker of the report.

    Attributes:
        reference: its name in ``results/``.
        label: its name for people, unique in the report.
        scores: its figures.
        runs: its trajectories by sequence, as `vot_files.read_runs` has them.
        speed: frames a second, without the first of each run; None where times are not recorded.
    """

    reference: str
    label: str
    scores: multistart.Scores
    runs: dict[str, list[Regions]]
    speed: float | None


def read_entries(
    workspace: vot_files.Workspace, trackers: Sequence[str] = ()
) -> tuple[list[Entry], list[str]]:
    """Figures of a workspace's trackers, the best EAO first.

    Args:
        trackers: references; all with results where there is none.

    Returns:
        The entries, and a line for each tracker whose results cannot be used.

    Raises:
        UserError: no results, or none of a tracker that was named.
    """
    label_of = tracker_labels(workspace.folder)
    found, faults = multistart.score_trackers(workspace, trackers)
    labels = {reference: label_of(reference) for reference in found}
    entries = []
    for reference, (scores, runs) in found.items():
        label = labels[reference]
        if list(labels.values()).count(label) > 1:
            label = f"{label} [{reference}]"
        speed = _speed(workspace.results(reference))
        entries.append(Entry(reference, label, scores, runs, speed))
    return sorted(entries, key=lambda entry: -entry.scores.EAO), faults


def _speed(folder: Path) -> float | None:
    """Frames a second, from the times that the toolkit records beside the trajectories."""
    seconds = []
    for path in folder.glob("*/*_time.value"):
        try:
            values = [float(line) for line in path.read_text().split()[1:]]
        except (OSError, ValueError):
            continue  # damaged: what it cannot say is left out, as where there is none
        # 0: a frame real time skipped
        seconds += [value for value in values if 0 < value < math.inf]
    return len(seconds) / sum(seconds) if seconds else None


def write_report(
    folder: str | Path,
    output: str | Path,
    trackers: Sequence[str] = (),
    *,
    experiment: str | None = None,
) -> list[str]:
    """Write the report on a workspace's results.

    Args:
        folder: the workspace.
        output: the HTML file; whole or not at all.
        trackers: references; all with results where there is none.
        experiment: a multistart experiment of the stack; needed where it has several.

    Returns:
        A line for each tracker that was left out because results are missing or damaged.

    Raises:
        UserError: no workspace, or no tracker with usable results.
    """
    workspace = vot_files.read_workspace(folder, experiment)
    entries, faults = read_entries(workspace, trackers)
    if not entries:
        raise UserError(faults[0])
    parts = [
        _heading(workspace, entries, faults),
        _ranking(entries),
        _plots(entries),
        _sequences(workspace, entries),
        _failures(workspace, entries),
    ]
    page = _PAGE.format(style=_STYLE, body="\n".join(parts))
    with whole_file(Path(output)) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return faults


# --- Parts of the page ----------------------------------------------------------------------------

_text = html.escape


def _heading(workspace: vot_files.Workspace, entries: list[Entry], faults: list[str]) -> str:
    sequences = workspace.sequences
    runs = sum(len(sequence.runs) for sequence in sequences)
    notes = [
        f"{counted(len(sequences), 'sequence')}, {sum(map(len, sequences))} frames, {runs} runs "
        "from anchors. "
        f"EAO is the expected average overlap, a mean over lengths of {workspace.low} to "
        f"{workspace.high} frames; A the overlap before failure; R the share of frames before it."
    ]
    warnings = [f"Left out: {fault}" for fault in faults]
    if any(entry.reference.endswith(f"@{UNTRAINED}") for entry in entries):
        warnings.append(UNTRAINED_NOTE)
    paragraphs = [f"<p>{_text(note)}</p>" for note in notes]
    paragraphs += [f'<p class="warning">{_text(warning)}</p>' for warning in warnings]
    return "<h1>RGBT tracking</h1>\n" + "\n".join(paragraphs)


def _ranking(entries: list[Entry]) -> str:
    best = {key: max(e.scores.figures()[key] for e in entries) for key in ("EAO", "A", "R")}
    rows = []
    for rank, entry in enumerate(entries, start=1):
        cells = [f"<td>{rank}</td>", f"<th>{_text(entry.label)}</th>"]
        for key, value in entry.scores.figures().items():
            mark = ' class="best"' if value == best[key] and len(entries) > 1 else ""
            cells.append(f"<td{mark}>{value:.3f}</td>")
        failed = sum(sequence.failures for sequence in entry.scores.sequences)
        total = sum(len(sequence.runs) for sequence in entry.scores.sequences)
        cells.append(f"<td>{failed} of {total}</td>")
        cells.append(f"<td>{'-' if entry.speed is None else f'{entry.speed:.1f}'}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    head = "".join(
        f"<th>{name}</th>" for name in ("", "tracker", "EAO", "A", "R", "failed runs", "frames/s")
    )
    return (
        '<h2>Ranking</h2>\n<table class="ranking"><thead><tr>'
        f"{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody></table>"
    )


def _plots(entries: list[Entry]) -> str:
    scores = {entry.label: entry.scores for entry in entries}
    pictures = [
        f'<img alt="{alt}" src="{_svg(figure)}">'
        for alt, figure in (("EAO curve", eao_plot(scores)), ("AR plot", ar_plot(scores)))
    ]
    return '<h2>Curves</h2>\n<div class="plots">\n' + "\n".join(pictures) + "\n</div>"


def _svg(figure: Figure) -> str:
    """A figure as a data address; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "report"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return _data_address("image/svg+xml", buffer.getvalue())


def _data_address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _sequences(workspace: vot_files.Workspace, entries: list[Entry]) -> str:
    """Bars of A and R, a row a sequence and two columns a tracker."""
    names = "".join(f'<th colspan="2">{_text(entry.label)}</th>' for entry in entries)
    figures = "".join("<th>A</th><th>R</th>" for _ in entries)
    rows = []
    for index, sequence in enumerate(workspace.sequences):
        cells = [f"<th>{_text(sequence.name)}</th>", f"<td>{len(sequence)}</td>"]
        for entry in entries:
            scores = entry.scores.sequences[index]
            for kind, value in (("a", scores.A), ("r", scores.R)):
                cells.append(f'<td class="bar {kind}" style="--v:{value:.4f}">{value:.2f}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        '<h2>Sequences</h2>\n<div class="wide"><table class="sequences"><thead>'
        f"<tr><th></th><th></th>{names}</tr>\n<tr><th>sequence</th><th>frames</th>{figures}</tr>"
        "</thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody></table></div>"
    )


# --- Failures -------------------------------------------------------------------------------------


FAILURES_SHOWN = 6  # for each tracker, of one sequence each


def _failures(workspace: vot_files.Workspace, entries: list[Entry]) -> str:
    parts = [
        "<h2>Failures</h2>",
        "<p>Where each tracker fails soonest: the first lost frame of a run, one a sequence. "
        '<span class="result">Orange</span> is the tracker\'s box, '
        '<span class="truth">cyan</span> the annotation.</p>',
    ]
    for entry in entries:
        cards = []
        for sequence, number in _worst_runs(entry)[:FAILURES_SHOWN]:
            cards.append(_failure_card(workspace, entry, sequence, number))
        body = f'<div class="cards">{"".join(cards)}</div>' if cards else "<p>No run failed.</p>"
        parts.append(f"<h3>{_text(entry.label)}</h3>\n{body}")
    return "\n".join(parts)


def _worst_runs(entry: Entry) -> list[tuple[int, int]]:
    """Sequence and number of the soonest failure in each sequence, the soonest first."""
    found = []
    for index, sequence in enumerate(entry.scores.sequences):
        failed = [
            (run.progress / len(run.overlaps), index, number)
            for number, run in enumerate(sequence.runs)
            if run.failed
        ]
        if failed:
            found.append(min(failed))
    return [(index, number) for _, index, number in sorted(found)]


def _failure_card(workspace: vot_files.Workspace, entry: Entry, index: int, number: int) -> str:
    sequence = workspace.sequences[index]
    run = entry.scores.sequences[index].runs[number]
    frame = run.failure_frame
    assert frame is not None  # of the runs that failed
    direction = "backward" if run.run.is_backward else "forward"
    caption = (
        f"{sequence.name}, frame {frame + 1}: {run.progress} of {len(run.overlaps)} frames after "
        f"the start at {run.run.anchor + 1}, {direction}"
    )
    box = entry.runs[sequence.name][number].boxes[run.progress]
    picture = _failure_picture(sequence, frame, box)
    content = f'<img alt="{_text(caption)}" src="{picture}">' if picture else "<p>No picture.</p>"
    return f"<figure>{content}<figcaption>{_text(caption)}</figcaption></figure>"


def _failure_picture(
    sequence: vot_files.AnchoredSequence, frame: int, box: np.ndarray
) -> str | None:
    """A frame of both modalities with boxes, as a data address; None where pictures are missing."""
    try:
        pictures = load_sequence(sequence.folder, "vot")
        shown = pictures.frame(frame)
    except (UserError, IndexError):
        return None
    if shown.rgb is None and shown.ir is None:
        return None
    truth = sequence.groundtruth.boxes[frame]
    image = draw_frame(shown, box, truth={"rgb": truth, "ir": truth}, panel_width=(320, 480))
    # Without colour subsampling, which would grey the thin lines of the boxes.
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
