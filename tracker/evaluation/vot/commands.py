"""``tracker vot`` and ``tracker demo``: workspaces of the VOT toolkit from the command line."""

import argparse
import sys
from pathlib import Path

from fusion.base.commandline import (
    EXIT_BAD_INPUT,
    Commands,
    add_device_option,
    add_number_option,
    add_output_option,
    positive_int,
    share_search_path,
)
from fusion.base.errors import UserError
from tracker.evaluation.vot.analysis import add_analyze
from tracker.online.options import add_experiment_option, add_workspace_option
from tracker.online.runtime import add_runtime_options

STACK = "vot2020/rgbtir"

VOT_DESCRIPTION = """\
VOT2020-RGBT: A, R and EAO in a workspace of the VOT toolkit. The toolkit's own commands (vot
evaluate, vot analysis, vot report) work in the same folder."""

INIT_EXAMPLES = f"""\
--stack downloads the official data through the toolkit; an interrupted download resumes.
--dataset links a local copy of it (with its list.txt and anchor.value), or converts the sequences
of another dataset; images are linked, not copied.
--rgbt234 takes the benchmark's 60 sequences from RGBT234, their source; the anchors are derived by
VOT2020's rule.
--synthetic generates a small set, whose figures are not comparable with others.

Put weights into DIR/weights, with the names given in DIR/trackers.ini.

examples:
  tracker vot init --stack {STACK}
  tracker vot init --rgbt234 /data/RGBT234 --workspace vot_workspace
  tracker vot init --synthetic --workspace try
"""

EVALUATE_EXAMPLES = """\
TRACKER is an entry of DIR/trackers.ini; by default, all that can run. The toolkit runs them, with
one sequence at a time in each of N processes. Runs that have a result are not repeated, so an
interrupted evaluation resumes. Damaged results are set aside and computed again. A tracker uses one
thread, so that figures do not depend on N; OMP_NUM_THREADS changes that.

Results belong to the weights that produced them: if these change, the results are set aside and
computed again; the same holds for another modality, runtime or precision. TRACKER@VERSION keeps
the results of several versions apart.

RGBT_RUNTIME and RGBT_PRECISION in the environment are --runtime and --precision of tracker track.
NANOTRACK entries use NanoTrack v2's ONNX files from --nanotrack, RGBT_NANOTRACK or weights/.

With --untrained, an entry without weights runs with random ones, under the name
TRACKER@untrained.

examples:
  tracker vot evaluate DFAT DFAT_LLRR --workers 2
  tracker vot evaluate DFAT_LLRR@epoch20 --weights runs/epoch20
  tracker vot evaluate --weights ~/weights --device cuda
  tracker vot evaluate compact_DFAT --untrained --workspace try
  tracker vot evaluate --tracker my_tracker:MyTracker --workspace try

exit code: 0 if every run has a result, 2 if one is missing or an input is invalid.
"""

TUNE_EXAMPLES = """\
Tries values of the cosine window, the rate of size, the penalty on change and the rate of template
updates, one setting at a time, and writes the weights with the settings of the best EAO; every
command that loads the file uses them. Use sequences on which figures are not reported.

example:
  tracker vot tune runs/weights.safetensors --workspace validation -o tuned.safetensors
"""

REPORT_EXAMPLES = """\
One HTML file that opens from disk: ranking, EAO curve, AR plot, bars for each sequence, and frames
where trackers failed.

examples:
  tracker vot report
  tracker vot report DFAT DFAT_LLRR -o dfat.html

exit code: 0, or 2 if an input is invalid or a tracker was left out.
"""


# --- tracker vot ----------------------------------------------------------------------------------


def add_vot(commands: Commands) -> None:
    """Register ``tracker vot`` with the subparsers of ``tracker``."""
    parser = commands.add_parser(
        "vot", help="A, R and EAO on VOT2020-RGBT", description=VOT_DESCRIPTION
    )
    vot_commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_init(vot_commands)
    _add_evaluate(vot_commands)
    add_analyze(vot_commands)
    _add_report(vot_commands)
    _add_tune(vot_commands)


# --- init ---


def _add_init(vot_commands: Commands) -> None:
    parser = vot_commands.add_parser(
        "init",
        help="create a workspace with its sequences",
        description="Create a workspace of the VOT toolkit with its sequences.",
        epilog=INIT_EXAMPLES,
    )
    parser.set_defaults(command=_init)
    add_workspace_option(parser)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--stack", metavar="NAME", choices=[STACK], help=f"download the data of {STACK}"
    )
    source.add_argument(
        "--dataset", metavar="DIR", type=Path, help="use a local copy, or another dataset"
    )
    source.add_argument(
        "--rgbt234", metavar="DIR", type=Path, help="use its sequences from a local RGBT234"
    )
    source.add_argument(
        "--synthetic", action="store_true", help="generate a small set of sequences"
    )


def _init(arguments: argparse.Namespace) -> int:
    from fusion.base.tables import counted
    from tracker.evaluation.vot.template import (
        copy_template,
        remove_template,
        require_trax_path,
    )

    folder = arguments.workspace
    made = copy_template(folder)
    try:
        names = _take_sequences(arguments)
        for name in names:
            require_trax_path(folder / "sequences" / name)
    except UserError:
        remove_template(folder, made)
        raise
    print(f"{counted(len(names), 'sequence')}: {folder / 'sequences'}")
    print(f"trackers: {folder / 'trackers.ini'}; next: tracker vot evaluate --workspace {folder}")
    return 0


def _take_sequences(arguments: argparse.Namespace) -> list[str]:
    """Fill the workspace from the source given by the options; returns the sequences' names."""
    from tracker.evaluation.vot import creation

    folder = arguments.workspace
    if arguments.stack:
        from tracker.evaluation.vot.toolkit import download, official_url

        creation.check_free_for_download(folder)
        names = download(official_url(arguments.stack), folder / "sequences")
        return creation.take_download(folder, names, arguments.stack)
    if arguments.rgbt234:
        return creation.take_rgbt234(folder, arguments.rgbt234)
    if arguments.dataset:
        return creation.take_dataset(folder, arguments.dataset)
    return creation.take_synthetic(folder)


# --- evaluate ---


def _add_evaluate(vot_commands: Commands) -> None:
    parser = vot_commands.add_parser(
        "evaluate",
        help="run trackers through the toolkit, in parallel, resumable",
        description="Run trackers of a workspace on its sequences through the VOT toolkit.",
        epilog=EVALUATE_EXAMPLES,
    )
    parser.set_defaults(command=_evaluate)
    parser.add_argument(
        "trackers",
        metavar="TRACKER",
        nargs="*",
        help="which entries to run (default: all that can run)",
    )
    parser.add_argument(
        "--tracker",
        metavar="NAME",
        help="run this tracker: your own as module:factory; it gets an entry in trackers.ini",
    )
    add_workspace_option(parser)
    add_experiment_option(parser)
    add_number_option(
        parser, "--workers", "number of processes, each with one sequence at a time", default=1
    )
    parser.add_argument(
        "--weights",
        metavar="PATH",
        type=Path,
        help="folder of weights files, or one file for all (default: the workspace's weights/)",
    )
    parser.add_argument(
        "--nanotrack",
        metavar="DIR",
        type=Path,
        help="folder of NanoTrack v2's ONNX files (default: the workspace's weights/)",
    )
    parser.add_argument("--untrained", action="store_true", help="also run entries without weights")
    parser.add_argument("--force", action="store_true", help="repeat runs that have a result")
    parser.add_argument(
        "--start-limit",
        metavar="S",
        type=positive_int,
        default=300,
        help="seconds a tracker may take to start (default: 300)",
    )
    add_device_option(parser)


def _evaluate(arguments: argparse.Namespace) -> int:
    from tracker.evaluation.trackers import make_tracker
    from tracker.evaluation.vot.run import choose_trackers, run_trackers
    from tracker.evaluation.vot.template import require_trax_path
    from tracker.evaluation.vot.trackers_ini import add_entry
    from tracker.evaluation.vot.workspace import read_workspace

    require_trax_path(arguments.workspace)
    environment = {"RGBT_DEVICE": arguments.device}
    for option, path in (("weights", arguments.weights), ("nanotrack", arguments.nanotrack)):
        if path is not None:
            _check_exists(f"--{option}", path)
            environment[f"RGBT_{option.upper()}"] = str(path.resolve())
    share_search_path()  # with the tracker's process, which the toolkit starts
    names = list(arguments.trackers)
    if arguments.tracker is not None:
        make_tracker(arguments.tracker, arguments.nanotrack)  # what cannot be made gets no entry
    workspace = read_workspace(arguments.workspace, arguments.experiment)
    if arguments.tracker is not None:
        names.append(add_entry(workspace.folder, arguments.tracker))
    trackers, left_out = choose_trackers(workspace, names, arguments.untrained, environment)
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    outcome = run_trackers(
        workspace,
        trackers,
        workers=arguments.workers,
        force=arguments.force,
        start_limit=arguments.start_limit,
        environment=environment,
    )
    for path in outcome.damaged:
        print(f"damaged, set aside as .old and run again: {path}", file=sys.stderr)
    for name in outcome.outdated:
        what = "of other weights or settings"
        print(f"{what}, set aside as .old and run again: {name}", file=sys.stderr)
    for name in trackers:
        missing = sum(map(len, outcome.missing[name].values()))
        done = f"{outcome.runs - missing} of {outcome.runs} runs"
        print(f"{name}: {done}, {outcome.new[name]} of them new")
    print(f"{outcome.seconds:.1f} s; next: tracker vot report --workspace {arguments.workspace}")
    for line in outcome.faults():
        print(f"tracker: {line}", file=sys.stderr)
    return 0 if outcome.complete else EXIT_BAD_INPUT


def _check_exists(option: str, path: Path) -> None:
    if not path.exists():
        raise UserError(f"{option} {path}: no such folder or file")


# --- report ---


def _add_report(vot_commands: Commands) -> None:
    parser = vot_commands.add_parser(
        "report",
        help="write an HTML report on the results",
        description="Write a report on the results of a workspace.",
        epilog=REPORT_EXAMPLES,
    )
    parser.set_defaults(command=_report)
    parser.add_argument(
        "trackers",
        metavar="TRACKER",
        nargs="*",
        help="which to show (default: all that have results)",
    )
    add_workspace_option(parser)
    add_experiment_option(parser)
    add_output_option(parser, "FILE", "output file (default: DIR/reports/report.html)")


def _report(arguments: argparse.Namespace) -> int:
    from tracker.evaluation.vot.report import write_report
    from tracker.evaluation.vot.workspace import read_workspace

    output = arguments.output or arguments.workspace / "reports" / "report.html"
    if output.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{output}: the report is HTML; end the name in .html")
    workspace = read_workspace(arguments.workspace, arguments.experiment)
    faults = write_report(workspace, output, arguments.trackers)
    for fault in faults:
        print(f"tracker: {fault}", file=sys.stderr)
    print(f"report: {output}")
    return EXIT_BAD_INPUT if faults else 0


# --- tracker vot tune -----------------------------------------------------------------------------


def _add_tune(vot_commands: Commands) -> None:
    parser = vot_commands.add_parser(
        "tune",
        help="choose a tracker's online settings on a workspace",
        description="Choose the settings of online tracking by EAO on a workspace.",
        epilog=TUNE_EXAMPLES,
    )
    parser.set_defaults(command=_tune)
    parser.add_argument(
        "weights", metavar="WEIGHTS", type=Path, help=".safetensors file of a tracker"
    )
    add_output_option(parser, "FILE", "the same weights with the settings found", required=True)
    add_number_option(parser, "--every", "use every N-th sequence only", default=1)
    add_workspace_option(parser)
    add_experiment_option(parser)
    add_device_option(parser)


def _tune(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from fusion.base.commandline import resolve_device
    from fusion.base.tables import format_table
    from tracker.evaluation.vot import tuning
    from tracker.evaluation.vot.workspace import read_workspace
    from tracker.model.weights import load_tracker, save_tracker

    workspace = read_workspace(arguments.workspace, arguments.experiment)
    workspace = replace(workspace, sequences=workspace.sequences[:: arguments.every])
    network = load_tracker(arguments.weights)
    device = resolve_device(arguments.device)

    def label(trial: tuning.Trial) -> str:
        chosen = tuning.differences(trial.settings)
        parts = (f"{k} {v}" if isinstance(v, str) else f"{k} {v:g}" for k, v in chosen.items())
        return ", ".join(parts) or "as published"

    def say(trial: tuning.Trial) -> None:
        print(f"EAO {trial.figures['EAO']:.3f}  {label(trial)}", file=sys.stderr, flush=True)

    trials = tuning.tune(workspace, network, device, report=say)
    rows = [[label(trial), *trial.figures.values()] for trial in trials]
    print(format_table(["settings", *trials[0].figures], rows))
    network.online = tuning.differences(trials[0].settings)
    save_tracker(network, arguments.output)
    print(f"weights with the first row's settings: {arguments.output}")
    return 0


# --- tracker demo ---------------------------------------------------------------------------------

DEMO_EXAMPLES = """\
Generates a small set of RGBT sequences, runs the included tracker, others that have weights and the
correlation baselines through the VOT toolkit, prints their figures, and writes a report and a
video. Takes a few minutes.

A second call resumes from the existing results.

examples:
  tracker demo
  tracker demo -o demo --weights ~/weights

exit code: 0, or 2 if an input is invalid or a tracker failed.
"""


def add_demo(commands: Commands) -> None:
    """Register ``tracker demo`` with the subparsers of ``tracker``."""
    parser = commands.add_parser(
        "demo",
        help="generate sequences, track, evaluate and report",
        description="Track and evaluate on a small generated set, and print which files to open.",
        epilog=DEMO_EXAMPLES,
    )
    parser.set_defaults(command=_demo)
    add_output_option(parser, "DIR", "output folder", default="demo")
    parser.add_argument(
        "--weights",
        metavar="PATH",
        type=Path,
        help="folder of weights files (default: only the included tracker)",
    )
    add_number_option(
        parser, "--workers", "number of processes, each with one sequence at a time", default=2
    )
    add_device_option(parser)
    add_runtime_options(parser)


def _demo(arguments: argparse.Namespace) -> int:
    from tracker.evaluation.vot.demo import run_demo

    if arguments.weights is not None:
        _check_exists("--weights", arguments.weights)
    run_demo(
        arguments.output,
        weights=arguments.weights,
        workers=arguments.workers,
        device=arguments.device,
        runtime=arguments.runtime,
        precision=arguments.precision,
    )
    return 0
