"""Options that several commands have."""

from argparse import ArgumentParser, _ActionsContainer
from pathlib import Path

from tracker.model.pretrained import PUBLISHED_PRESETS

#: Where a workspace is, unless said otherwise.
WORKSPACE = Path("vot_workspace")


def add_workspace_option(parser: ArgumentParser) -> None:
    """``--workspace DIR``."""
    parser.add_argument(
        "--workspace",
        metavar="DIR",
        type=Path,
        default=WORKSPACE,
        help=f"the workspace's folder (default: {WORKSPACE})",
    )


def add_experiment_option(parser: ArgumentParser) -> None:
    """``--experiment NAME``."""
    parser.add_argument(
        "--experiment",
        metavar="NAME",
        help="needed where the stack has several multistart experiments",
    )


def add_output_options(parser: ArgumentParser) -> None:
    """``-o OUT``, ``--json FILE`` and ``--per-sequence``."""
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, help="folder for plots and tables"
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write the figures as JSON; - for the terminal, alone"
    )
    parser.add_argument("--per-sequence", action="store_true", help="a row for each sequence too")


def add_preset_option(parser: _ActionsContainer) -> None:
    """``--preset NAME``."""
    parser.add_argument(
        "--preset",
        metavar="NAME",
        choices=PUBLISHED_PRESETS,
        default="dfat",
        help="the network a published checkpoint is put into: dfat, rgb or ir (default: dfat)",
    )
