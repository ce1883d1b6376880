"""``tracker vot analyze``: A, R and EAO as tables and plots."""

import argparse
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fusion.base.commandline import EXIT_BAD_INPUT, Commands
from fusion.base.errors import UserError
from fusion.base.tables import MARKS, counted, format_table, show_or_write, write_csv
from tracker.online.options import add_experiment_option, add_output_options, add_workspace_option

if TYPE_CHECKING:
    from tracker.evaluation.vot.figures import MultistartScores
    from tracker.evaluation.vot.workspace import Workspace

DESCRIPTION = """\
A, R and EAO of the trackers in a VOT workspace, by the definition of VOT2020 (multistart)."""

EXAMPLES = """\
Computed here from the toolkit's trajectory files, without opening an image.

The EAO of a sequence is the mean of its own curve over the lengths that its runs reach (- if none
is long enough); the EAO over all sequences is not the mean of these.

DFAT's published figures (EAO 0.390 in the VOT2020 report, 0.4079 in the LRRNet paper) cannot be
reproduced from its published raw results, which give EAO 0.3705, A 0.6782, R 0.7430, in the VOT
toolkit too: they resemble the real-time experiment's (see the docstring of
tracker.evaluation.vot.figures).

OUT receives eao.png and .pdf, ar.png and .pdf, sequences.csv and curve.csv.

examples:
  tracker vot analyze
  tracker vot analyze DFAT DFAT_LLRR --workspace vot_workspace --per-sequence -o report
  tracker vot analyze --json -

exit code: 0 if all figures were computed, 2 if results are missing or truncated.
"""


def add_analyze(vot_commands: Commands) -> None:
    """Register ``tracker vot analyze`` with the subparsers of ``tracker vot``."""
    parser = vot_commands.add_parser(
        "analyze",
        help="A, R and EAO of the trackers in a workspace",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    parser.set_defaults(command=_analyze)
    parser.add_argument(
        "trackers",
        metavar="TRACKER",
        nargs="*",
        help="trackers to analyse (default: all that have results in the workspace)",
    )
    add_workspace_option(parser)
    add_experiment_option(parser)
    add_output_options(parser)
    parser.add_argument(
        "--toolkit",
        action="store_true",
        help="also run the VOT toolkit's own analysis; print both, the difference and the times",
    )


def _analyze(arguments: argparse.Namespace) -> int:
    from tracker.evaluation.vot.figures import score_trackers
    from tracker.evaluation.vot.workspace import read_workspace

    start = time.perf_counter()
    workspace = read_workspace(arguments.workspace, arguments.experiment)
    found, faults = score_trackers(workspace, arguments.trackers)
    scores = {tracker.reference: tracker.scores for tracker in found}
    seconds = time.perf_counter() - start
    for fault in faults:
        print(f"tracker: {fault}", file=sys.stderr)
    if not scores:
        raise UserError(f"no tracker could be analysed ({len(faults)} problems, see above)")

    figures = {name: _analysis_json(tracker) for name, tracker in scores.items()}
    show_or_write(figures, _analysis_text(scores, arguments.per_sequence), arguments.json)
    if arguments.toolkit:
        # JSON goes to the terminal alone.
        where = sys.stderr if arguments.json == "-" else sys.stdout
        print(f"\n{_toolkit_text(workspace, scores, seconds)}", file=where)
    if arguments.output is not None:
        _write_analysis(scores, arguments.output)
    return EXIT_BAD_INPUT if faults else 0


def _analysis_json(scores: "MultistartScores") -> dict:
    return {
        **scores.figures(),
        "sequences": {
            sequence.name: {
                "EAO": sequence.eao(scores.low, scores.high),
                "A": sequence.A,
                "R": sequence.R,
                "runs": len(sequence.runs),
                "failures": sequence.failures,
            }
            for sequence in scores.sequences
        },
        "curve": scores.curve.tolist(),
    }


def _sequence_rows(scores: Mapping) -> list[list]:
    return [
        [
            name,
            sequence.name,
            sequence.frames,
            len(sequence.runs),
            sequence.failures,
            sequence.eao(tracker.low, tracker.high),
            sequence.A,
            sequence.R,
        ]
        for name, tracker in scores.items()
        for sequence in tracker.sequences
    ]


SEQUENCE_HEADER = ["tracker", "sequence", "frames", "runs", "failures", "EAO", "A", "R"]


def _analysis_text(scores: Mapping, per_sequence: bool) -> str:
    first = next(iter(scores.values()))
    runs = [run for sequence in first.sequences for run in sequence.runs]
    rows = []
    for name in sorted(scores, key=lambda name: -scores[name].EAO):
        rows.append([name, *scores[name].figures().values(), scores[name].failures])
    marks = f"\n{MARKS}" if len(scores) > 1 else ""
    parts = [
        f"{counted(len(first.sequences), 'sequence')}, "
        f"{sum(s.frames for s in first.sequences)} frames, "
        f"{len(runs)} runs; EAO over {first.low} to {first.high} frames",
        format_table(["tracker", "EAO", "A", "R", "failures"], rows, marked=True) + marks,
    ]
    if per_sequence:
        parts.append(format_table(SEQUENCE_HEADER, _sequence_rows(scores)))
    return "\n\n".join(parts)


def _toolkit_text(workspace: "Workspace", scores: Mapping, seconds: float) -> str:
    """Both computations side by side: figures, largest differences, and times.

    Args:
        scores: `tracker.evaluation.vot.figures.MultistartScores` by tracker.
        seconds: time of our computation, including files.
    """
    from tracker.evaluation.vot.toolkit import toolkit_scores

    start = time.perf_counter()
    theirs = toolkit_scores(workspace, list(scores))
    toolkit_seconds = time.perf_counter() - start
    rows = []
    for name, ours in scores.items():
        other = theirs[name]
        for key, value in ours.figures().items():
            toolkit = other.figures()[key]
            difference = f"{abs(value - toolkit):.1e}"
            rows.append([f"{name} {key}", f"{value:.6f}", f"{toolkit:.6f}", difference])
        curve = _largest_difference(ours.curve, other.curve)
        figures = max(
            _largest_difference((s.A, s.R), other.sequences[s.name]) for s in ours.sequences
        )
        rows.append([f"{name} curve", "", "", f"{curve:.1e}"])
        rows.append([f"{name} A, R of sequences", "", "", f"{figures:.1e}"])
    ratio = f"{toolkit_seconds / seconds:.0f}x"
    rows.append(["seconds", f"{seconds:.2f}", f"{toolkit_seconds:.2f}", ratio])
    return format_table(["", "here", "VOT toolkit", "difference"], rows)


def _largest_difference(ours: Iterable[float], theirs: Iterable[float]) -> float:
    return max(abs(a - b) for a, b in zip(ours, theirs, strict=True))


def _write_analysis(scores: Mapping, folder: Path) -> None:
    from tracker.evaluation.plots import ar_plot, eao_plot, save_figures

    save_figures({"eao": eao_plot(scores), "ar": ar_plot(scores)}, folder)
    write_csv(folder / "sequences.csv", SEQUENCE_HEADER, _sequence_rows(scores))
    curves = [tracker.curve for tracker in scores.values()]
    write_csv(
        folder / "curve.csv",
        ["frames", *scores],
        [[frames, *values] for frames, values in enumerate(zip(*curves, strict=True))],
    )
    print(f"plots and tables: {folder}", file=sys.stderr)
