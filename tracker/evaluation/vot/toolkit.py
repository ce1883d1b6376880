"""The VOT toolkit's own workspace object and its trackers, with errors of one line."""

import logging
from pathlib import Path

from vot.tracker import Tracker
from vot.workspace import Workspace

from fusion.base.errors import UserError
from tracker.evaluation.vot.workspace import sequences_folder

__all__ = ["one_line", "open_workspace", "resolve_tracker"]


def one_line(error: object) -> str:
    """An error's text on one line."""
    return " ".join(str(error).split())


def open_workspace(folder: Path) -> Workspace:
    """Open a workspace with the toolkit.

    Raises:
        UserError: the folder is no workspace, or the toolkit refuses it.
    """
    logging.getLogger("vot").setLevel(logging.ERROR)
    sequences_folder(folder)  # says what is missing better than the toolkit does
    try:
        return Workspace.load(str(folder))
    except Exception as error:  # the toolkit raises of every kind here
        raise UserError(f"{folder}: the VOT toolkit cannot open it ({one_line(error)})") from error


def resolve_tracker(workspace: Workspace, folder: Path, reference: str) -> Tracker:
    """The workspace's tracker of that name.

    Raises:
        UserError: there is no such tracker.
    """
    try:
        return workspace.registry[reference]
    except Exception as error:  # an unknown name is a bare ToolkitException
        known = ", ".join(sorted(workspace.registry.identifiers())) or "none"
        raise UserError(
            f"tracker {reference}: not in {folder / 'trackers.ini'}; it has: {known}"
        ) from error
