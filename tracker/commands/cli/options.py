"""Options that several commands share."""

import argparse
from collections.abc import Iterable


def add_layout_option(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Add ``--layout`` with these names."""
    parser.add_argument(
        "--layout",
        metavar="NAME",
        help=f"layout of the folder, instead of detecting it: {', '.join(names)}",
    )
