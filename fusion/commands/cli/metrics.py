"""``fusion metrics``: its options and its output."""

import argparse

from fusion.base.commandline import Commands

METRICS_EXAMPLES = """\
examples:
  fusion metrics
  fusion metrics --convention cddfuse
"""


def add_metrics(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "metrics",
        help="list the metrics and the conventions they are computed by",
        description="The metrics of every convention: the name --metrics takes, the title and "
        "unit of the column,\nwhich values are better, and mistakes of the convention's programs "
        "that are reproduced.",
        epilog=METRICS_EXAMPLES,
    )
    parser.set_defaults(command=_metrics)
    parser.add_argument("--convention", metavar="NAME", help="one of them (default: all)")


def _metrics(arguments: argparse.Namespace) -> int:
    from fusion.base.tables import format_table
    from fusion.evaluation.metrics import create_all, find_convention, list_conventions

    names = [arguments.convention] if arguments.convention else list_conventions()
    for name in names:
        convention = find_convention(name)
        alias = f" (= {convention.name})" if name != convention.name else ""
        print(f"{name}{alias}: {convention.about}; grey: {convention.grey_name}")
        if alias and not arguments.convention:
            continue
        rows = [
            (m.name, m.heading, "higher" if m.higher_is_better else "lower", m.fault)
            for m in create_all(None, convention)
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        padded = [
            [f"{text:<{width}}" for text, width in zip(row, widths, strict=True)] for row in rows
        ]
        header = ("name", f"{'column':<{widths[1]}}", "better", f"{'fault':<{widths[3]}}")
        print(format_table(header, padded) + "\n")
    return 0
