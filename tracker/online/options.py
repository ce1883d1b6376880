"""Options that several commands share."""

from argparse import ArgumentParser, ArgumentTypeError, _ActionsContainer
from pathlib import Path

from tracker.model.pretrained import PUBLISHED_PRESETS

#: The default folder of a workspace.
WORKSPACE = Path("vot_workspace")


def add_workspace_option(parser: ArgumentParser) -> None:
    """Add ``--workspace DIR``."""
    parser.add_argument(
        "--workspace",
        metavar="DIR",
        type=Path,
        default=WORKSPACE,
        help=f"the workspace's folder (default: {WORKSPACE})",
    )


def add_experiment_option(parser: ArgumentParser) -> None:
    """Add ``--experiment NAME``."""
    parser.add_argument(
        "--experiment",
        metavar="NAME",
        help="required if the stack has several multistart experiments",
    )


def add_output_options(parser: ArgumentParser) -> None:
    """Add ``-o OUT``, ``--json FILE`` and ``--per-sequence``."""
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, help="folder for plots and tables"
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write the figures as JSON; - for stdout, without tables"
    )
    parser.add_argument("--per-sequence", action="store_true", help="add a row for each sequence")


def add_preset_option(parser: _ActionsContainer) -> None:
    """``--preset NAME``."""
    parser.add_argument(
        "--preset",
        metavar="NAME",
        choices=PUBLISHED_PRESETS,
        default="dfat",
        help="the network into which a published checkpoint is loaded: dfat, rgb or ir; for "
        "NanoTrack v3's nanotrack (both modalities joined), nanotrack_mean, nanotrack_rgb or "
        "nanotrack_ir (default: dfat, or nanotrack)",
    )


def online_setting(text: str) -> tuple[str, float | str]:
    """An option's online setting ``NAME=VALUE``, such as ``window=0.4``; for argparse."""
    from tracker.model.settings import check_online

    name, _, shown = text.partition("=")
    value: float | str
    try:
        value = float(shown)
        value = int(value) if value.is_integer() else value
    except ValueError:
        value = shown
    try:
        check_online({name: value})
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r}: {error}") from error
    return name, value
