"""``tracker ablation``: its options and its output."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion.base.commandline import Commands, positive_int
from fusion.base.errors import UserError
from tracker.commands.cli.samples import FOLDERS, name_and_folder

if TYPE_CHECKING:
    from tracker.commands.ablation.runs import Ablation
    from tracker.data.sequences import Sequence

ABLATION_EXAMPLES = """\
Every configuration starts from the same trained network, keeps its backbone, and trains what joins
the modalities (parts: join), or the head with it (parts: head). What the backbone makes of the
training pairs is computed once, so that a run takes a minute. All configurations have the same
steps, pairs and rates to choose from; each is trained with every rate under the first seed and with
the rate of least loss on held-out pairs under the others. Sequences to evaluate on are tracked as
they are, and with each modality failing in the middle third.

OUT receives figures.csv (AUC, deviation over seeds, kept, and the difference to the baseline with a
95 % interval of a paired bootstrap over sequences and seeds), costs.csv, report.json, and
differences.png. Running the command again resumes it; more configurations, seeds and failing
modalities are added, another plan is refused.

examples:
  tracker ablation --config experiments/tracker/ablation_llrr.yaml --masked-video DAVIS \\
      --sequences synthetic=train_sequences --evaluate real=sequences generated=tests -o out
  tracker ablation --config experiments/tracker/ablation_llrr.yaml --masked-video DAVIS \\
      --evaluate real=sequences --only gate llrr --steps 100 --seeds 0 1 --workers 2 -o quick

exit code: 0 if all is trained and evaluated, 2 if an input is invalid.
"""


def add_ablation(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "ablation",
        help="compare ways to join the modalities, under one budget",
        description="Train and evaluate a list of configurations of a network's join under one "
        "budget.",
        epilog=ABLATION_EXAMPLES,
    )
    parser.set_defaults(command=_ablation)
    parser.add_argument(
        "--config", metavar="FILE", type=Path, required=True, help="YAML file of the plan"
    )
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help="folder to write"
    )
    parser.add_argument(
        "--start",
        metavar="W",
        type=Path,
        help="weights of the joint network to start from (default: the included tracker)",
    )
    data = parser.add_argument_group("training pairs, as for tracker samples")
    for name, text in FOLDERS.items():
        data.add_argument(f"--{name.replace('_', '-')}", metavar="DIR", help=text)
    data.add_argument(
        "--sequences",
        metavar="NAME=DIR",
        nargs="+",
        default=[],
        help="annotated sequences and their layout: lasher, gtot, rgbt234, vot, synthetic, ...",
    )
    data.add_argument("--cache", metavar="DIR", help="folder that keeps decoded frames")
    parser.add_argument(
        "--evaluate",
        metavar="NAME=DIR",
        nargs="+",
        default=[],
        help="datasets to evaluate on; without one, the command only trains",
    )
    parser.add_argument(
        "--look",
        metavar="DATASET/SEQUENCE:FRAME",
        nargs="+",
        default=[],
        help="also draw the low-rank and sparse parts of these frames' correlation maps, by the "
        "first configuration with LLRR fusion, as parts.png",
    )
    change = parser.add_argument_group("changes of the plan")
    change.add_argument(
        "--only", metavar="NAME", nargs="+", help="some of the configurations, and the baseline"
    )
    change.add_argument("--seeds", metavar="N", type=int, nargs="+", help="seeds")
    change.add_argument("--rates", metavar="R", type=float, nargs="+", help="learning rates")
    change.add_argument("--parts", metavar="PARTS", help="what trains: join or head")
    change.add_argument("--steps", metavar="N", type=positive_int, help="steps of a run")
    change.add_argument("--pairs", metavar="N", type=positive_int, help="training pairs of a seed")
    change.add_argument(
        "--validation", metavar="N", type=positive_int, help="held-out pairs to choose a rate by"
    )
    change.add_argument(
        "--frames", metavar="N", type=positive_int, help="frames of a sequence at most"
    )
    change.add_argument(
        "--every", metavar="N", type=positive_int, help="evaluate on every N-th frame"
    )
    change.add_argument(
        "--failing",
        metavar="MODALITY",
        nargs="*",
        help="modalities that fail in further trials, none if nothing follows",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=positive_int,
        default=1,
        help="number of processes (default: 1)",
    )


def _ablation(arguments: argparse.Namespace) -> int:
    from fusion.base.files import check_folder
    from tracker.commands.ablation.plan import read_plan

    budget = ("seeds", "rates", "parts", "steps", "pairs", "validation")
    changes = (*budget, "frames", "every", "failing")
    plan = read_plan(arguments.config, {name: getattr(arguments, name) for name in changes})
    plan = _only(plan, arguments.only)
    plan.data.update(_data(arguments))
    check_folder(arguments.output)
    roots = {}
    for text in arguments.evaluate:
        name, folder = name_and_folder("--evaluate", text)
        roots[name] = Path(folder)

    # Only now torch.
    from tracker.commands.ablation.report import write_report
    from tracker.commands.ablation.runs import Ablation
    from tracker.model.pretrained import INCLUDED_WEIGHTS

    start = arguments.start or INCLUDED_WEIGHTS
    ablation = Ablation(plan, arguments.output, start, roots, arguments.workers)
    looks = [_look(ablation, text) for text in arguments.look]
    ablation.prepare()
    ablation.train()
    if looks:
        _draw_parts(ablation, looks)
    if not roots:
        print(f"trained: {arguments.output / 'runs'}")
        return 0
    ablation.evaluate()
    print(write_report(ablation))
    print(f"tables and plot: {arguments.output}", file=sys.stderr)
    return 0


def _look(ablation: "Ablation", text: str) -> tuple["Sequence", int]:
    """The sequence and the frame, from 0, that ``DATASET/SEQUENCE:FRAME`` names."""
    where, colon, number = text.rpartition(":")
    dataset, slash, name = where.partition("/")
    if not colon or not slash or not number.isdecimal():
        raise UserError(f"--look {text}: give DATASET/SEQUENCE:FRAME, such as real/car:40")
    trials = ablation.trials()
    if dataset not in trials or name not in trials[dataset].names:
        raise UserError(f"--look {text}: no such sequence in the datasets of --evaluate")
    sequence = trials[dataset][name]
    if not 1 <= int(number) <= len(sequence):
        raise UserError(f"--look {text}: the sequence has frames 1 to {len(sequence)}")
    return sequence, int(number) - 1


def _draw_parts(ablation: "Ablation", looks: list[tuple["Sequence", int]]) -> None:
    from tracker.commands.ablation.parts import look, parts_figure
    from tracker.evaluation.plots import save_figure
    from tracker.model.weights import load_tracker

    rows = ablation.plan.configurations.items()
    able = [
        name
        for name, row in rows
        if row.network.get("fusion") == "llrr" and row.network.get("tap", "maps") == "maps"
    ]
    if not able:
        raise UserError("--look: no configuration has LLRR fusion of correlation maps")
    network: Any = load_tracker(ablation.chosen(able[0])[0].weights)
    found = [
        (f"{sequence.name}, frame {index + 1}", look(network, sequence, index))
        for sequence, index in looks
    ]
    save_figure(parts_figure(found), ablation.out / "parts.png")


def _data(arguments: argparse.Namespace) -> dict[str, Any]:
    keys = {name: value for name in FOLDERS if (value := getattr(arguments, name)) is not None}
    if arguments.sequences:
        pairs = (name_and_folder("--sequences", text) for text in arguments.sequences)
        keys["sequences"] = dict(pairs)
    if arguments.cache is not None:
        keys["cache"] = arguments.cache
    return keys


def _only(plan: Any, names: list[str] | None) -> Any:
    """The plan with some of its configurations, in its order."""
    from dataclasses import replace

    if names is None:
        return plan
    for name in names:
        if name not in plan.configurations:
            known = ", ".join(plan.configurations)
            raise UserError(f"--only: no configuration {name}; known are {known}")
    wanted = {plan.baseline, *names}
    kept = {name: row for name, row in plan.configurations.items() if name in wanted}
    return replace(plan, configurations=kept)
