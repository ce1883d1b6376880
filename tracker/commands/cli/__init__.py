"""The ``tracker`` command line. Modules that are slow to import are imported by the commands that
need them, so that ``--help`` responds at once."""

import sys
from collections.abc import Sequence

from fusion.base.commandline import (
    Parser,
    add_import_option,
    run_program,
)
from tracker.app.command import add_app
from tracker.commands.cli.ablation import add_ablation
from tracker.commands.cli.bench import add_bench
from tracker.commands.cli.data import add_data
from tracker.commands.cli.draw import add_draw
from tracker.commands.cli.export import add_export
from tracker.commands.cli.live import add_live
from tracker.commands.cli.parts import add_parts
from tracker.commands.cli.samples import add_samples
from tracker.commands.cli.synthetic import add_synthetic
from tracker.commands.cli.track import add_track
from tracker.commands.cli.train import add_distill, add_train, distill, train
from tracker.evaluation.ope.commands import add_evaluate
from tracker.evaluation.vot.commands import add_demo, add_vot

DESCRIPTION = "Track an object through visible and infrared video."

EXAMPLES = """\
'tracker COMMAND --help' describes a command, with examples. To begin with:

examples:
  tracker demo -o demo
  tracker track visible.mp4 thermal.mp4 --box 312,140,48,96 -o out --video out/seen.mp4
"""


def main(argv: list[str] | None = None) -> int:
    """Run ``tracker`` with arguments (default: those of the process) and return its exit code."""
    argv = _with_joined_box(sys.argv[1:] if argv is None else argv)
    return run_program("tracker", argv, _parser, {"train": train, "distill": distill})


def _with_joined_box(argv: list[str]) -> list[str]:
    """Join ``--box -3,5,20,20`` to ``--box=-3,5,20,20``, or argparse takes it for an option."""
    joined = list(argv)
    if "--box" in joined[:-1]:
        place = joined.index("--box")
        joined[place : place + 2] = [f"--box={joined[place + 1]}"]
    return joined


def _parser(_: Sequence[str] = ()) -> Parser:
    parser = Parser(prog="tracker", description=DESCRIPTION, epilog=EXAMPLES)
    add_import_option(parser)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_track(commands)
    add_live(commands)
    add_draw(commands)
    add_train(commands)
    add_distill(commands)
    add_ablation(commands)
    add_data(commands)
    add_parts(commands)
    add_samples(commands)
    add_synthetic(commands)
    add_export(commands)
    add_bench(commands)
    add_evaluate(commands)
    add_vot(commands)
    add_demo(commands)
    add_app(commands)
    return parser
