"""``tracker evaluate``: PR, NPR and SR as tables and plots."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion.base.commandline import EXIT_BAD_INPUT, Commands, add_device_option, positive_int
from fusion.base.errors import UserError
from fusion.base.tables import MARKS, counted, format_table, write_csv, write_json
from tracker.online.options import add_output_options, add_preset_option
from tracker.online.runtime import add_runtime_options

if TYPE_CHECKING:
    from tracker.evaluation.ope.figures import Protocol
    from tracker.online.rgbt_tracker import RGBTTracker

EVALUATE_DESCRIPTION = """\
PR, NPR and SR of trackers as GTOT, RGBT210, RGBT234 or LasHeR define them, from raw results, or by
running a tracker over the dataset."""

EVALUATE_EXAMPLES = """\
Raw results: --results names the folder of a tracker, with a text file for each sequence, or a
folder of such folders; lines are x,y,w,h or the 8 numbers of corners. --annotations names the
dataset, or its annotation files alone (<sequence>/visible.txt and so on, or <sequence>.txt for
LasHeR).

Run: --root names the dataset, --weights the tracker, --results the folder for the results of all
trackers on this benchmark (default: results/gtot and so on). Sequences that have a results file
are not run again; those of other weights or another benchmark are refused.

On GTOT and RGBT234, PR and SR are MPR and MSR, of the better of two annotations in each frame.
GTOT's PR is at 5 pixels and all its frames count alike; elsewhere it is at 20 pixels, and
sequences count alike. Figures of different benchmarks cannot be compared.

OUT gets success.png and .pdf, precision.png and .pdf (and normalized), sequences.csv and, with
--attributes, attributes.csv.

examples:
  tracker evaluate --dataset rgbt234 --results results/DFAT results/APFNet --annotations RGBT234/
  tracker evaluate --dataset lasher --results results/ --annotations annos/ --attributes -o report
  tracker evaluate --dataset gtot --root GTOT/ --weights w.safetensors --workers 2 --json gtot.json

exit code: 0 when all figures are there, 2 when an input is bad or a sequence could not be run.
"""

# Of `tracker.evaluation.ope.figures`, which loads slower.
DATASETS = ("gtot", "rgbt210", "rgbt234", "lasher")


def add_evaluate(commands: Commands) -> None:
    """Register ``tracker evaluate`` with the subparsers of ``tracker``."""
    parser = commands.add_parser(
        "evaluate",
        help="PR, NPR and SR on GTOT, RGBT210, RGBT234 or LasHeR",
        description=EVALUATE_DESCRIPTION,
        epilog=EVALUATE_EXAMPLES,
    )
    parser.set_defaults(command=_evaluate)
    parser.add_argument(
        "--dataset",
        metavar="NAME",
        choices=DATASETS,
        required=True,
        help=f"the benchmark's protocol: {', '.join(DATASETS)}",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--annotations",
        metavar="DIR",
        type=Path,
        help="the benchmark's annotations, for results that are there",
    )
    source.add_argument(
        "--root", metavar="DIR", type=Path, help="the dataset, to run a tracker over it"
    )
    parser.add_argument(
        "--results",
        metavar="DIR",
        type=Path,
        nargs="+",
        help="raw results: a tracker's folder, or a folder of them",
    )
    parser.add_argument(
        "--sequences",
        metavar="FILE",
        type=Path,
        help="take these alone, a name a line (default: all that are annotated)",
    )
    parser.add_argument(
        "--attributes",
        action="store_true",
        help="print figures by challenge attribute, from the benchmark's files",
    )
    add_output_options(parser)
    run = parser.add_argument_group("to run a tracker (with --root)")
    run.add_argument("--weights", metavar="W", type=Path, help="as for tracker track")
    add_preset_option(run)
    run.add_argument(
        "--name",
        metavar="NAME",
        help="the tracker's name, and its results folder's (default: the weights file's)",
    )
    run.add_argument(
        "--workers",
        metavar="N",
        type=positive_int,
        default=1,
        help="processes that run sequences side by side (default: 1)",
    )
    add_device_option(run)
    add_runtime_options(run)


def _evaluate(arguments: argparse.Namespace) -> int:
    from tracker.evaluation.ope.figures import PROTOCOLS
    from tracker.evaluation.ope.files import read_annotations, read_sequence_list

    if arguments.annotations is not None and arguments.results is None:
        raise UserError("--results is missing: give the folders of raw results, or --root to run")
    if arguments.root is not None and arguments.results and len(arguments.results) > 1:
        raise UserError("--results: one folder with --root, which gets the results")
    protocol = PROTOCOLS[arguments.dataset]
    names = None if arguments.sequences is None else read_sequence_list(arguments.sequences)
    root = arguments.annotations or arguments.root
    annotations = read_annotations(root, protocol, names)
    attributes = _find_attributes(root, annotations) if arguments.attributes else {}

    faults = []
    folders = arguments.results
    if arguments.root is not None:
        folders = arguments.results or [Path("results") / arguments.dataset]
        faults = _run_tracker(arguments, folders[0], list(annotations))
    scores, single, found = _score(protocol, folders, annotations)
    faults += found
    for fault in faults:
        print(f"tracker: {fault}", file=sys.stderr)
    if not scores:
        raise UserError(f"no tracker could be evaluated ({len(faults)} problems, see above)")

    if arguments.json is not None:
        content = _scores_json(scores, single, attributes, arguments.per_sequence)
        write_json(arguments.json, content)
    if arguments.json != "-":
        print(_evaluate_text(scores, single, attributes, arguments.per_sequence))
    if arguments.output is not None:
        _write_evaluation(scores, attributes, arguments.output)
    return EXIT_BAD_INPUT if faults else 0


def _find_attributes(root: Path, annotations: Mapping) -> dict[str, list[str]]:
    from tracker.evaluation.ope.files import read_attributes

    attributes = read_attributes(root, annotations)
    if attributes is None:
        raise UserError(
            f"--attributes: neither AttriSeqsTxt nor attr_txt in {root} or beside it; put the "
            "benchmark's attribute files there"
        )
    return {name: members for name, members in attributes.items() if members}


def _run_tracker(arguments: argparse.Namespace, results: Path, names: list[str]) -> list[str]:
    from tracker.data.sequences import load_dataset
    from tracker.evaluation.ope.run import run_dataset
    from tracker.evaluation.origin import is_of_other_origin, weights_digest, write_origin
    from tracker.model.pretrained import COMPACT

    weights = arguments.weights or COMPACT
    if not weights.is_file():
        raise UserError(f"{weights}: no such file; give a weights file")
    dataset = load_dataset(arguments.root, arguments.dataset)
    name = arguments.name or weights.stem
    folder = results / name
    origin = f"{weights_digest(weights)} {arguments.preset} {arguments.dataset}"
    if any(folder.glob("*.txt")):
        other = is_of_other_origin(folder, origin)
        if other is not False:
            what = "other weights, another preset or another benchmark"
            what = what if other else "weights that no note names"
            raise UserError(f"{folder}: has results of {what}; give --name, or remove them")
    write_origin(folder, origin)
    make = partial(
        _load_tracker,
        weights,
        arguments.preset,
        arguments.device,
        runtime=arguments.runtime,
        precision=arguments.precision,
    )
    failures = run_dataset(make, dataset, folder, names, arguments.workers)
    return [f"{name} could not run {failure}" for failure in failures]


def _load_tracker(weights: Path, preset: str, device: str, **search: Any) -> "RGBTTracker":
    """Module level, so that worker processes find it."""
    from fusion.base.commandline import resolve_device
    from tracker.model.weights import load_tracker
    from tracker.online.rgbt_tracker import RGBTTracker

    network = load_tracker(weights, preset=preset)
    return RGBTTracker(network, device=resolve_device(device), **search)


def _score(
    protocol: "Protocol", folders: Sequence[Path], annotations: Mapping
) -> tuple[dict[str, Any], dict[str, dict[str, Any]], list[str]]:
    """Scores by tracker, the same on each annotation alone, and trackers' faults."""
    from tracker.data.frames import MODALITY_NAMES
    from tracker.evaluation.ope import figures as ope
    from tracker.evaluation.ope import files as ope_files

    scores: dict[str, Any] = {}
    single: dict[str, dict[str, Any]] = {}
    faults: list[str] = []
    for name, folder in ope_files.find_trackers(folders).items():
        try:
            results, remarks = ope_files.read_results(folder, protocol, annotations)
        except UserError as error:
            faults.append(str(error))
            continue
        for remark in remarks:
            print(f"tracker: {remark}", file=sys.stderr)
        scores[name] = ope.evaluate(protocol, results, annotations)
        if protocol.is_maximum:
            single[name] = {
                modality: ope.evaluate(
                    protocol, results, {key: boxes[i : i + 1] for key, boxes in annotations.items()}
                )
                for i, modality in enumerate(MODALITY_NAMES.values())
            }
    return scores, single, faults


def _scores_json(scores: Mapping, single: Mapping, attributes: Mapping, per_sequence: bool) -> dict:
    content = {}
    for name, tracker in scores.items():
        content[name] = tracker.figures()
        for modality, alone in single.get(name, {}).items():
            content[name][modality] = {"PR": alone.PR, "SR": alone.SR}
        if attributes:
            content[name]["attributes"] = {
                attribute: {"sequences": len(members), **tracker.subset(members).figures()}
                for attribute, members in attributes.items()
            }
        if per_sequence:
            content[name]["sequences"] = {
                sequence: {"frames": rates.frames, **tracker.subset([sequence]).figures()}
                for sequence, rates in tracker.rates.items()
            }
    return content


def _columns(protocol: "Protocol") -> list[str]:
    """Keys of `ope.Scores.figures` that the benchmark has."""
    return ["PR", "NPR", "SR"] if protocol.normalized else ["PR", "SR"]


def _heading(protocol: "Protocol", key: str) -> str:
    return f"M{key}" if protocol.is_maximum else key


def _evaluate_text(
    scores: Mapping, single: Mapping, attributes: Mapping, per_sequence: bool
) -> str:
    first = next(iter(scores.values()))
    protocol, keys = first.protocol, _columns(first.protocol)
    frames = sum(rates.frames for rates in first.rates.values())
    header = ["tracker", *(_heading(protocol, key) for key in keys)]
    rows = []
    for name in sorted(scores, key=lambda name: -scores[name].SR):
        figures = scores[name].figures()
        row = [name, *(figures[key] for key in keys)]
        for alone in single.get(name, {}).values():
            row += [alone.PR, alone.SR]
        rows.append(row)
    for modality in next(iter(single.values()), {}):
        header += [f"PR {modality}", f"SR {modality}"]
    marks = f"\n{MARKS}" if len(scores) > 1 else ""
    parts = [
        f"{protocol.title}: {counted(len(first.rates), 'sequence')}, {frames} frames; "
        f"PR at {protocol.precision_at:g} px",
        format_table(header, rows, marked=True) + marks,
    ]
    ranking = [row[0] for row in rows]
    columns = [f"{name} {_heading(protocol, key)}" for name in ranking for key in keys]
    if attributes:
        table = [
            [f"{attribute} ({len(members)})", *_flat(scores, ranking, keys, members)]
            for attribute, members in attributes.items()
        ]
        parts.append(format_table(["attribute", *columns], table))
    if per_sequence:
        table = [[name, *_flat(scores, ranking, keys, [name])] for name in first.rates]
        parts.append(format_table(["sequence", *columns], table))
    return "\n\n".join(parts)


def _flat(scores: Mapping, ranking: list[str], keys: list[str], members: list[str]) -> list[float]:
    """Figures over some sequences, tracker by tracker."""
    figures = (scores[name].subset(members).figures() for name in ranking)
    return [values[key] for values in figures for key in keys]


def _write_evaluation(scores: Mapping, attributes: Mapping, folder: Path) -> None:
    from tracker.evaluation.plots import rate_plot, save_figures

    first = next(iter(scores.values()))
    plots = ["success", "precision", *(["normalized"] if first.protocol.normalized else [])]
    save_figures({plot: rate_plot(scores, plot) for plot in plots}, folder)
    keys = _columns(first.protocol)
    write_csv(
        folder / "sequences.csv",
        ["tracker", "sequence", "frames", *keys],
        [
            [name, sequence, rates.frames, *_flat(scores, [name], keys, [sequence])]
            for name, tracker in scores.items()
            for sequence, rates in tracker.rates.items()
        ],
    )
    if attributes:
        write_csv(
            folder / "attributes.csv",
            ["tracker", "attribute", "sequences", *keys],
            [
                [name, attribute, len(members), *_flat(scores, [name], keys, members)]
                for name in scores
                for attribute, members in attributes.items()
            ],
        )
    print(f"plots and tables: {folder}", file=sys.stderr)
