"""The ``fusion`` command line. Modules that are slow to import are imported by the commands that
need them, so that ``--help`` responds at once."""

from collections.abc import Sequence

from fusion.base.commandline import (
    Parser,
    add_import_option,
    run_program,
)
from fusion.commands.cli.ablation import add_ablation
from fusion.commands.cli.align import add_align
from fusion.commands.cli.bench import add_bench
from fusion.commands.cli.costs import add_costs
from fusion.commands.cli.demo import add_demo
from fusion.commands.cli.evaluate import add_evaluate
from fusion.commands.cli.export import add_export
from fusion.commands.cli.fuse import add_fuse
from fusion.commands.cli.live import add_live
from fusion.commands.cli.methods import add_methods
from fusion.commands.cli.metrics import add_metrics
from fusion.commands.cli.plugins import add_plugged_in
from fusion.commands.cli.realtime import add_realtime
from fusion.commands.cli.reference import add_reference
from fusion.commands.cli.supervision import add_supervision
from fusion.commands.cli.train import add_train, train

DESCRIPTION = (
    "Fuse infrared and visible images with LRRNet (Li et al., TPAMI 2023) and other networks."
)

EXAMPLES = """\
'fusion COMMAND --help' describes a command, with examples. To begin with:

examples:
  fusion demo -o demo
  fusion fuse thermal.png visible.png -o fused.png
"""


def main(argv: list[str] | None = None) -> int:
    """Run ``fusion`` with arguments (default: those of the process) and return its exit code."""
    return run_program("fusion", argv, _parser, {"train": train})


def _parser(argv: Sequence[str] = ()) -> Parser:
    """The parser; with other packages' commands, unless the arguments name one of this package's,
    because looking for them takes time."""
    parser = Parser(prog="fusion", description=DESCRIPTION, epilog=EXAMPLES)
    add_import_option(parser)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_fuse(commands)
    add_live(commands)
    add_align(commands)
    add_methods(commands)
    add_evaluate(commands)
    add_metrics(commands)
    add_train(commands)
    add_ablation(commands)
    add_reference(commands)
    add_supervision(commands)
    add_export(commands)
    add_bench(commands)
    add_costs(commands)
    add_realtime(commands)
    add_demo(commands)
    if not argv or argv[0] not in commands.choices:
        add_plugged_in(commands)
    return parser
