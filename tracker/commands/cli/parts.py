"""``tracker parts``: lists all registered parts by name."""

import argparse

from fusion.base.commandline import Commands

PARTS_EXAMPLES = """\
A part of your own is registered by a decorator beside its class, see docs/extending.md.

examples:
  tracker parts
  tracker parts --import my_parts
"""


def add_parts(commands: Commands) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "parts",
        help="list backbones, heads, fusion modules, layouts and trackers by name",
        description="List the names of networks, backbones, heads, joins, fusion "
        "modules and\ntheir losses, dataset layouts, and trackers to compare with.",
        epilog=PARTS_EXAMPLES,
    )
    parser.set_defaults(command=_parts)


def _parts(arguments: argparse.Namespace) -> int:
    import inspect

    from fusion.llrr.registry import FUSIONS
    from tracker.data.layouts import LAYOUTS
    from tracker.evaluation.trackers import TRACKERS
    from tracker.model.registry import BACKBONES, HEADS, JOINS, NETWORKS
    from tracker.training.registry import FUSION_LOSSES

    for registry in (
        NETWORKS,
        BACKBONES,
        HEADS,
        JOINS,
        FUSIONS,
        FUSION_LOSSES,
        LAYOUTS,
        TRACKERS,
    ):
        print(f"{registry.kind}:")
        for name, part in registry.items():
            about = (inspect.getdoc(part) or "").partition("\n")[0]
            print(f"  {name:<14}{about}".rstrip())
    return 0
