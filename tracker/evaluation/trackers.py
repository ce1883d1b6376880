"""Trackers by name: registered ones, and anything of a user's own as ``module:factory``.

A tracker is an object with ``init(rgb, ir, box)`` and ``track(rgb, ir) -> box, score``, see
`tracker.online.running.Tracker`. A factory makes one; a class is a factory:

    @TRACKERS.register("still")        # then --tracker still, with --import my_tracker
    class Still:                       # or, without a name, --tracker my_tracker:Still
        def init(self, rgb, ir, box): self.box = box
        def track(self, rgb, ir): return self.box, 1.0

A factory is called without arguments, or, where it has an attribute ``files``, with the paths that
``files(folder)`` gives: the files it reads, such as weights, or an error where they are missing.
``folder`` is where the user says they are, or None. Results note the digests of these files.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion.base.errors import UserError
from fusion.base.registry import Registry, call, import_object
from tracker.evaluation.origin import weights_digest

if TYPE_CHECKING:
    from tracker.online.running import Tracker

__all__ = [
    "TRACKERS",
    "is_tracker",
    "make_tracker",
    "tracker_files",
    "tracker_name",
    "tracker_origin",
]

#: Factories by the name that ``--tracker`` takes.
TRACKERS = Registry("tracker", "tracker.evaluation.baselines:TRACKERS")


def is_tracker(name: str) -> bool:
    """Whether a name is of `TRACKERS`, in upper or lower case, or has the form
    ``module:factory``."""
    return ":" in name or name in TRACKERS or name.lower() in TRACKERS


def _find_factory(name: str) -> Callable[..., Any]:
    if ":" in name:
        return import_object(name)
    return TRACKERS[name if name in TRACKERS else name.lower()]


def tracker_files(name: str, folder: Path | None = None) -> Sequence[Path]:
    """The files that a tracker is made from; none for most.

    Args:
        name: of `TRACKERS`, or ``module:factory``.
        folder: where they are.

    Raises:
        UserError: no such tracker; or what it needs is not installed, or a file is missing.
    """
    files = getattr(_find_factory(name), "files", None)
    return files(folder) if callable(files) else ()


def make_tracker(name: str, folder: Path | None = None) -> "Tracker":
    """A tracker, ready for ``init``.

    Args:
        name, folder: as `tracker_files`.

    Raises:
        UserError: as `tracker_files`; or what the factory gives has not the two methods.
    """
    factory = _find_factory(name)
    if not callable(factory):
        raise UserError(f"tracker {name}: is no function or class that makes a tracker")
    tracker = call(f"tracker {name}", factory, *tracker_files(name, folder))
    for method in ("init", "track"):
        if not callable(getattr(tracker, method, None)):
            raise UserError(
                f"tracker {name}: gives a {type(tracker).__name__} without {method}(); a tracker "
                "has init(rgb, ir, box) and track(rgb, ir) -> box, score"
            )
    return tracker


def tracker_name(name: str) -> str:
    """A name for tables and folders: the registered one, or the factory's."""
    return name.replace(".", ":").rpartition(":")[2]


def tracker_origin(name: str, folder: Path | None = None) -> str:
    """What results of a tracker depend on, in one line, for the note beside them.

    These are the digests of its files and, of a tracker that is not this package's, of the file
    that defines it.

    Args:
        name, folder: as `tracker_files`.

    Raises:
        UserError: as `tracker_files`.
    """
    files = list(tracker_files(name, folder))
    module = getattr(_find_factory(name), "__module__", "")
    if module.partition(".")[0] != __name__.partition(".")[0]:
        source = getattr(sys.modules.get(module), "__file__", None)
        files += [Path(source)] if source else []
    return " ".join([weights_digest(path) for path in files] or [name])
