"""The ``tracker`` command line. Modules that take long to load are loaded by the command that needs
them, so that ``--help`` answers at once."""

import sys

from fusion.base.commandline import Parser, is_lightning, run
from tracker.commands.cli.bench import add_bench
from tracker.commands.cli.data import add_data
from tracker.commands.cli.export import add_export
from tracker.commands.cli.synthetic import add_synthetic
from tracker.commands.cli.track import add_track
from tracker.commands.cli.train import add_distill, add_train, distill, train
from tracker.evaluation.ope.commands import add_evaluate
from tracker.evaluation.vot.commands import add_demo, add_vot

DESCRIPTION = "Follow an object through visible and infrared video."

EXAMPLES = """\
'tracker COMMAND --help' says what a command takes, with examples. To begin with:

examples:
  tracker demo -o demo
  tracker track visible.mp4 thermal.mp4 --box 312,140,48,96 -o out --video out/seen.mp4
"""


def main(argv: list[str] | None = None) -> int:
    """Run ``tracker`` with arguments, the process's own where None; returns its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["train"] and is_lightning(argv[1:]):  # a program of its own
        return run("tracker train", lambda: train(argv[1:]))
    if argv[:1] == ["distill"] and is_lightning(argv[1:]):
        return run("tracker distill", lambda: distill(argv[1:]))
    arguments = _parser().parse_args(_with_joined_box(argv))
    return run("tracker", lambda: arguments.command(arguments))


def _with_joined_box(argv: list[str]) -> list[str]:
    """``--box -3,5,20,20`` as ``--box=-3,5,20,20``: argparse takes the former for an option."""
    joined = list(argv)
    if "--box" in joined[:-1]:
        place = joined.index("--box")
        joined[place : place + 2] = [f"--box={joined[place + 1]}"]
    return joined


def _parser() -> Parser:
    parser = Parser(prog="tracker", description=DESCRIPTION, epilog=EXAMPLES)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_track(commands)
    add_train(commands)
    add_distill(commands)
    add_data(commands)
    add_synthetic(commands)
    add_export(commands)
    add_bench(commands)
    add_evaluate(commands)
    add_vot(commands)
    add_demo(commands)
    return parser
