"""``tracker evaluate``: PR, NPR and SR as tables and plots."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion.base.commandline import EXIT_BAD_INPUT, Commands, add_device_option, positive_int
from fusion.base.errors import UserError
from fusion.base.tables import MARKS, counted, format_table, show_or_write, write_csv
from tracker.evaluation.trackers import TRACKERS, tracker_name
from tracker.online.options import add_output_options, add_preset_option, online_setting
from tracker.online.runtime import add_runtime_options, add_threads_option

if TYPE_CHECKING:
    import numpy as np

    from tracker.evaluation.ope.figures import OPEScores, Protocol
    from tracker.online.rgbt_tracker import RGBTTracker
    from tracker.online.running import Tracker

EVALUATE_DESCRIPTION = """\
Compute PR, NPR and SR of trackers as defined by GTOT, RGBT210, RGBT234 or LasHeR, or AUC, P20 and
kept on any sequences in VOT's layout, from raw results or by running trackers on the dataset."""

EVALUATE_EXAMPLES = """\
Evaluating raw results: --results is the results folder of a tracker, with one text file per
sequence, or a folder of such folders. Each line is x,y,w,h or the 8 numbers of four corners.
--annotations is the dataset, or a folder with only its annotation files (<sequence>/visible.txt and
so on, or <sequence>.txt for LasHeR).

Running trackers: --root is the dataset, --weights the tracker, and --results the folder for the
results of all trackers on this benchmark (default: results/gtot and so on). Sequences that already
have a results file are not run again; results of other weights or settings are refused. --baselines
also runs other trackers, so that one table compares them. frames/s counts only the time in the
tracker.

On GTOT and RGBT234, PR and SR are MPR and MSR, which use the better of two annotations per frame.
GTOT's PR is at 5 pixels, and all its frames have equal weight. On the other benchmarks PR is at 20
pixels, and all sequences have equal weight. On vot, the first frame and frames without the target
do not count, and kept is the share of frames before the first loss (an overlap of at most .1 for 5
frames). Figures of different benchmarks are not comparable.

The output folder contains success.png and .pdf, precision.png and .pdf (and normalized),
sequences.csv and, with --attributes, attributes.csv and a radar plot of SR by attribute, radar.png
and .pdf, if there are at least three attributes.

examples:
  tracker evaluate --dataset rgbt234 --results results/DFAT results/APFNet --annotations RGBT234/
  tracker evaluate --dataset lasher --results results/ --annotations annos/ --attributes -o report
  tracker evaluate --dataset gtot --root GTOT/ --weights w.safetensors --workers 2 --json gtot.json
  tracker evaluate --dataset gtot --root GTOT/ --tracker my_tracker:MyTracker --workers 2
  tracker evaluate --dataset vot --root sequences/ --baselines csrt_mix nanotrack_mix \\
      --nanotrack nanotrack/ --sheet sheet.png

exit code: 0 if all figures were computed, 2 if an input is invalid or a sequence could not be run.
"""

# The keys of `tracker.evaluation.ope.figures.PROTOCOLS`, which would be slow to import here.
DATASETS = ("gtot", "rgbt210", "rgbt234", "lasher", "vot")


def add_evaluate(commands: Commands) -> None:
    """Register ``tracker evaluate`` with the subparsers of ``tracker``."""
    parser = commands.add_parser(
        "evaluate",
        help="PR, NPR and SR on GTOT, RGBT210, RGBT234 or LasHeR, or on sequences in VOT's layout",
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
        help="the benchmark's annotations, to evaluate existing results",
    )
    source.add_argument(
        "--root", metavar="DIR", type=Path, help="the dataset, to run trackers on it"
    )
    parser.add_argument(
        "--results",
        metavar="DIR",
        type=Path,
        nargs="+",
        help="raw results: the folder of one tracker, or a folder of such folders",
    )
    parser.add_argument(
        "--sequences",
        metavar="FILE",
        type=Path,
        help="evaluate only the sequences in this file, one name per line (default: all annotated)",
    )
    parser.add_argument(
        "--attributes",
        action="store_true",
        help="print figures by challenge attribute, from the benchmark's files",
    )
    add_output_options(parser)
    run = parser.add_argument_group("running trackers (with --root)")
    run.add_argument("--weights", metavar="W", type=Path, help="as for tracker track")
    run.add_argument(
        "--tracker",
        metavar="NAME",
        help="run this tracker instead of the network: your own as module:factory, or a name as "
        "for --baselines",
    )
    add_preset_option(run)
    run.add_argument(
        "--baselines",
        metavar="NAME",
        nargs="+",
        type=str.lower,
        choices=TRACKERS,
        default=[],
        help=f"trackers to compare with: {', '.join(TRACKERS)}",
    )
    run.add_argument(
        "--nanotrack", metavar="DIR", type=Path, help="folder of NanoTrack v2's ONNX files"
    )
    run.add_argument(
        "--variants",
        metavar="NAME=VALUE",
        nargs="+",
        type=online_setting,
        default=[],
        help="ablation: also run the network with each of these online settings changed, such as "
        "border=mean velocity=0",
    )
    run.add_argument(
        "--sheet",
        metavar="FILE",
        type=Path,
        help="write a picture with frames of every sequence and all trackers' boxes",
    )
    run.add_argument(
        "--name",
        metavar="NAME",
        help="name of the tracker and of its results folder (default: the name of the weights file "
        "or of the factory)",
    )
    run.add_argument(
        "--workers",
        metavar="N",
        type=positive_int,
        default=1,
        help="number of processes that run sequences in parallel (default: 1)",
    )
    add_device_option(run)
    add_runtime_options(run)
    add_threads_option(run)


def _evaluate(arguments: argparse.Namespace) -> int:
    from tracker.evaluation.ope.figures import PROTOCOLS
    from tracker.evaluation.ope.files import read_annotations, read_sequence_list

    if arguments.annotations is not None and arguments.results is None:
        raise UserError(
            "--results is missing: give folders of raw results, or --root to run trackers"
        )
    if arguments.root is not None and arguments.results and len(arguments.results) > 1:
        raise UserError(
            "--results: give only one folder with --root; the results are written to it"
        )
    if arguments.tracker is not None and arguments.weights is not None:
        raise UserError("--tracker: replaces the network; leave --weights out")
    if arguments.tracker is not None and arguments.root is None:
        raise UserError("--tracker: requires a dataset; give --root")
    if arguments.sheet is not None:
        from fusion.images.reading import require_image_suffix

        require_image_suffix(arguments.sheet)
        if arguments.root is None:
            raise UserError("--sheet: requires the images; give --root")
    protocol = PROTOCOLS[arguments.dataset]
    names = None if arguments.sequences is None else read_sequence_list(arguments.sequences)
    root = arguments.annotations or arguments.root
    annotations = read_annotations(root, protocol, names)
    attributes = _find_attributes(root, annotations) if arguments.attributes else {}

    faults = []
    folders = arguments.results
    entrants = []
    if arguments.root is not None:
        folders = arguments.results or [Path("results") / arguments.dataset]
        entrants = _entrants(arguments)
        faults = _run_trackers(arguments, folders[0], list(annotations), entrants)
    table, found = _score(protocol, folders, annotations)
    faults += found
    for fault in faults:
        print(f"tracker: {fault}", file=sys.stderr)
    if not table:
        raise UserError(f"no tracker could be evaluated ({len(faults)} problems, see above)")

    chosen = table, attributes, arguments.per_sequence
    show_or_write(_table_json(*chosen), _evaluate_text(*chosen), arguments.json)
    scores = {name: row.scores for name, row in table.items()}
    if arguments.output is not None:
        _write_evaluation(scores, attributes, arguments.output)
    if arguments.sheet is not None:
        _write_sheet(arguments, annotations, table, [entrant.name for entrant in entrants])
    return EXIT_BAD_INPUT if faults else 0


def _write_sheet(
    arguments: argparse.Namespace, annotations: Mapping, table: Mapping, first: list[str]
) -> None:
    """Write the contact sheet, trackers of this run first; the first one sets the worst frame."""
    from fusion.images.reading import write_image
    from tracker.data.frames import MODALITIES
    from tracker.data.sequences import load_dataset
    from tracker.evaluation.drawn.pictures import overview
    from tracker.evaluation.drawn.runs import Footage, compare, for_frames

    names = [name for name in dict.fromkeys([*first, *table]) if name in table]
    dataset = load_dataset(arguments.root, arguments.dataset)
    footages = []
    for sequence, truths in annotations.items():
        frames = len(truths[0])
        truth = dict(zip(MODALITIES, [*truths, truths[0]][: len(MODALITIES)], strict=True))
        boxes = {name: for_frames(table[name].results[sequence], frames) for name in names}
        runs = compare(boxes, truth, frames)
        footages.append(Footage(dataset[sequence], frames, truth, runs))
    write_image(arguments.sheet, overview(footages))
    print(f"contact sheet: {arguments.sheet}", file=sys.stderr)


def _find_attributes(root: Path, annotations: Mapping) -> dict[str, list[str]]:
    from tracker.evaluation.ope.files import read_attributes

    attributes = read_attributes(root, annotations)
    if attributes is None:
        raise UserError(
            f"--attributes: neither AttriSeqsTxt nor attr_txt in {root} or next to it, nor .tag "
            "files beside its annotations; put the benchmark's attribute files there"
        )
    return {name: members for name, members in attributes.items() if members}


@dataclass(frozen=True)
class _Entrant:
    """A tracker to run.

    Attributes:
        name: name of its folder below the results folder.
        make: creates the tracker; can be pickled.
        origin: what its results depend on.
    """

    name: str
    make: "Callable[[], Tracker]"
    origin: str


def _entrants(arguments: argparse.Namespace) -> list[_Entrant]:
    """The trackers to run: the network or the one from ``--tracker``, and the baselines.

    Raises:
        UserError: weights are missing, a tracker is unknown, or something that it needs is missing.
    """
    from tracker.evaluation.trackers import make_tracker, tracker_origin

    named = arguments.nanotrack or os.environ.get("RGBT_NANOTRACK")
    folder = Path(named) if named else None
    entrants = [] if arguments.tracker is not None else _network_entrants(arguments)
    for name in dict.fromkeys([arguments.tracker, *arguments.baselines]):
        if name is not None:
            own = arguments.name if name == arguments.tracker else None
            origin = f"{tracker_origin(name, folder)} {arguments.dataset}"
            make = partial(make_tracker, name, folder)
            entrants.append(_Entrant(own or tracker_name(name), make, origin))
    names = [entrant.name for entrant in entrants]
    if len(set(names)) < len(names):
        raise UserError(f"two trackers are named {max(names, key=names.count)}; give --name")
    return entrants


def _network_entrants(arguments: argparse.Namespace) -> list[_Entrant]:
    """The network with the settings of its weights, and its variants."""
    from tracker.evaluation.origin import describe_origin
    from tracker.model.pretrained import INCLUDED_WEIGHTS

    weights = arguments.weights or INCLUDED_WEIGHTS
    if not weights.is_file():
        raise UserError(f"{weights}: no such file; give a weights file")
    search = {"runtime": arguments.runtime, "precision": arguments.precision}
    make = partial(
        _load_tracker,
        weights,
        arguments.preset,
        arguments.device,
        threads=arguments.threads,
        **search,
    )
    origin = describe_origin(weights, arguments.preset, arguments.dataset, **search)
    entrants = [_Entrant(arguments.name or weights.stem, make, origin)]
    for name, value in arguments.variants:
        word = f"{name}={value}"
        changed = partial(make, online={name: value})
        entrants.append(_Entrant(f"{entrants[0].name} {word}", changed, f"{origin} {word}"))
    return entrants


def _run_trackers(
    arguments: argparse.Namespace, results: Path, names: list[str], entrants: list[_Entrant]
) -> list[str]:
    """Run trackers on the sequences without results; return one line per failure.

    Raises:
        UserError: a folder has results of another origin; raised before any tracker runs.
    """
    from tracker.data.sequences import load_dataset
    from tracker.evaluation.ope.run import run_dataset
    from tracker.evaluation.origin import is_of_other_origin, write_origin

    for entrant in entrants:
        folder = results / entrant.name
        other = is_of_other_origin(folder, entrant.origin)
        if other is not False and any(folder.glob("*.txt")):
            what = "other weights, preset, benchmark, runtime or precision"
            what = what if other else "weights that no note names"
            raise UserError(f"{folder}: contains results of {what}; give --name, or remove them")
    dataset = load_dataset(arguments.root, arguments.dataset)
    failures = []
    for entrant in entrants:
        folder = results / entrant.name
        write_origin(folder, entrant.origin)
        found = run_dataset(
            entrant.make, dataset, folder, names, arguments.workers, arguments.threads
        )
        failures += [f"{entrant.name} could not run {failure}" for failure in found]
    return failures


def _load_tracker(
    weights: Path,
    preset: str,
    device: str,
    online: Mapping[str, Any] | None = None,
    **search: Any,
) -> "RGBTTracker":
    """Defined at module level, so that worker processes can unpickle it."""
    from fusion.base.commandline import resolve_device
    from tracker.model.weights import load_tracker
    from tracker.online.rgbt_tracker import RGBTTracker

    network = load_tracker(weights, preset=preset)
    network.online = network.online | dict(online or {})
    return RGBTTracker(network, device=resolve_device(device), **search)


@dataclass(frozen=True)
class _Row:
    """A tracker in the table.

    Attributes:
        scores: its scores on all annotations.
        results: its boxes by sequence.
        single: its scores on each single annotation, if there are two.
        speed: frames per second in the tracker, if its times are recorded.
    """

    scores: "OPEScores"
    results: dict[str, "np.ndarray"]
    single: dict[str, "OPEScores"]
    speed: float | None


def _score(
    protocol: "Protocol", folders: Sequence[Path], annotations: Mapping
) -> tuple[dict[str, _Row], list[str]]:
    """The table by tracker, and one line per tracker whose results cannot be used."""
    from tracker.data.frames import MODALITY_NAMES
    from tracker.evaluation.ope import figures as ope
    from tracker.evaluation.ope import files as ope_files
    from tracker.evaluation.times import frame_rate

    table: dict[str, _Row] = {}
    faults: list[str] = []
    for name, folder in ope_files.find_trackers(folders).items():
        try:
            results, remarks = ope_files.read_results(folder, protocol, annotations)
        except UserError as error:
            faults.append(str(error))
            continue
        for remark in remarks:
            print(f"tracker: {remark}", file=sys.stderr)
        single = {
            modality: ope.score_results(
                protocol, results, {key: boxes[i : i + 1] for key, boxes in annotations.items()}
            )
            for i, modality in enumerate(MODALITY_NAMES.values())
            if protocol.is_maximum
        }
        scores = ope.score_results(protocol, results, annotations)
        table[name] = _Row(scores, results, single, frame_rate(folder))
    return table, faults


def _table_json(table: Mapping[str, _Row], attributes: Mapping, per_sequence: bool) -> dict:
    content: dict[str, dict] = {}
    for name, row in table.items():
        content[name] = dict(row.scores.figures())
        if row.speed is not None:
            content[name]["frames per second"] = row.speed
        for modality, alone in row.single.items():
            content[name][modality] = {"PR": alone.PR, "SR": alone.SR}
        if attributes:
            content[name]["attributes"] = {
                attribute: {"sequences": len(members), **row.scores.subset(members).figures()}
                for attribute, members in attributes.items()
            }
        if per_sequence:
            content[name]["sequences"] = {
                sequence: {"frames": rates.frames, **row.scores.subset([sequence]).figures()}
                for sequence, rates in row.scores.rates.items()
            }
    return content


def _columns(protocol: "Protocol") -> list[str]:
    """The keys of `figures.OPEScores.figures` that the benchmark defines."""
    if protocol.tracked_only:
        return ["SR", "PR", "kept"]
    return ["PR", "NPR", "SR"] if protocol.normalized else ["PR", "SR"]


def _heading(protocol: "Protocol", key: str) -> str:
    if protocol.tracked_only:
        return {"SR": "AUC", "PR": f"P{protocol.precision_at:g}"}.get(key, key)
    return f"M{key}" if protocol.is_maximum else key


def _evaluate_text(table: Mapping[str, _Row], attributes: Mapping, per_sequence: bool) -> str:
    scores = {name: row.scores for name, row in table.items()}
    first = next(iter(scores.values()))
    protocol, keys = first.protocol, _columns(first.protocol)
    frames = sum(rates.frames for rates in first.rates.values())
    has_speed = any(row.speed is not None for row in table.values())
    header = ["tracker", *(_heading(protocol, key) for key in keys)]
    rows: list[list] = []
    for name in sorted(scores, key=lambda name: -scores[name].SR):
        figures = scores[name].figures()
        row = [name, *(figures[key] for key in keys)]
        for alone in table[name].single.values():
            row += [alone.PR, alone.SR]
        speed = table[name].speed
        rows.append([*row, *(["-" if speed is None else f"{speed:.0f}"] if has_speed else [])])
    for modality in next(iter(table.values())).single:
        header += [f"PR {modality}", f"SR {modality}"]
    header += ["frames/s"] if has_speed else []
    marks = f"\n{MARKS}" if len(scores) > 1 else ""
    parts = [
        f"{protocol.title}: {counted(len(first.rates), 'sequence')}, {frames} frames; "
        f"PR at {protocol.precision_at:g} px",
        format_table(header, rows, marked=True) + marks,
    ]
    ranking = [row[0] for row in rows]
    columns = [f"{name} {_heading(protocol, key)}" for name in ranking for key in keys]
    if attributes:
        cells = [
            [f"{attribute} ({len(members)})", *_flat(scores, ranking, keys, members)]
            for attribute, members in attributes.items()
        ]
        parts.append(format_table(["attribute", *columns], cells))
    if per_sequence:
        cells = [[name, *_flat(scores, ranking, keys, [name])] for name in first.rates]
        parts.append(format_table(["sequence", *columns], cells))
    return "\n\n".join(parts)


def _flat(scores: Mapping, ranking: list[str], keys: list[str], members: list[str]) -> list[float]:
    """Figures over some sequences, for one tracker after another."""
    figures = (scores[name].subset(members).figures() for name in ranking)
    return [values[key] for values in figures for key in keys]


def _write_evaluation(scores: Mapping, attributes: Mapping, folder: Path) -> None:
    from tracker.evaluation.plots import radar_plot, rate_plot, save_figures

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
        if len(attributes) > 2:
            title = f"{first.protocol.title}: {_heading(first.protocol, 'SR')} by attribute"
            save_figures({"radar": radar_plot(scores, attributes, title)}, folder)
    print(f"plots and tables: {folder}", file=sys.stderr)
