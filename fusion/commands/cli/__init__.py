"""The ``fusion`` command line. Modules that take long to load are loaded by the command that needs
them, so that ``--help`` answers at once."""

import sys

from fusion.base.commandline import Parser, is_lightning, run
from fusion.commands.cli.ablation import add_ablation
from fusion.commands.cli.bench import add_bench
from fusion.commands.cli.demo import add_demo
from fusion.commands.cli.evaluate import add_evaluate
from fusion.commands.cli.export import add_export
from fusion.commands.cli.fuse import add_fuse
from fusion.commands.cli.methods import add_methods
from fusion.commands.cli.reference import add_reference
from fusion.commands.cli.train import add_train, train

DESCRIPTION = (
    "Fuse infrared and visible pictures with LRRNet (Li et al., TPAMI 2023) and other networks."
)

EXAMPLES = """\
'fusion COMMAND --help' says what a command takes, with examples. To begin with:

examples:
  fusion demo -o demo
  fusion fuse thermal.png visible.png -o fused.png
"""


def main(argv: list[str] | None = None) -> int:
    """Run ``fusion`` with arguments, the process's own where None; returns its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["train"] and is_lightning(argv[1:]):  # a program of its own
        return run("fusion train", lambda: train(argv[1:]))
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if "training" in arguments:  # what the command does not know is for each training it starts
        arguments.training = rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return run("fusion", lambda: arguments.command(arguments))


def _parser() -> Parser:
    parser = Parser(prog="fusion", description=DESCRIPTION, epilog=EXAMPLES)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_fuse(commands)
    add_methods(commands)
    add_evaluate(commands)
    add_train(commands)
    add_ablation(commands)
    add_reference(commands)
    add_export(commands)
    add_bench(commands)
    add_demo(commands)
    return parser
