"""Create trackers by name: registered ones, and users' own trackers as ``module:factory``.

A tracker is an object with ``init(rgb, ir, box)`` and ``track(rgb, ir) -> box, score``, see
`tracker.online.running.Tracker`. A factory creates one; a class is a factory:

    @TRACKERS.register("still")        # then --tracker still, with --import my_tracker
    class Still:                       # or, without a name, --tracker my_tracker:Still
        def init(self, rgb, ir, box): self.box = box
        def track(self, rgb, ir): return self.box, 1.0

A factory is called without arguments. If it has an attribute ``files``, it is called with the paths
that ``files(folder)`` returns: the files it reads, such as weights. ``files`` raises an error if
they are missing; ``folder`` is the user's folder for them, or None. The note beside the results
contains the digests of these files.
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

#: Factories by their name for ``--tracker``.
TRACKERS = Registry("tracker", "tracker.evaluation.baselines:TRACKERS")


def is_tracker(name: str) -> bool:
    """Whether a name is in `TRACKERS` (ignoring case) or has the form ``module:factory``."""
    return ":" in name or name in TRACKERS or name.lower() in TRACKERS


def _find_factory(name: str) -> Callable[..., Any]:
    if ":" in name:
        return import_object(name)
    return TRACKERS[name if name in TRACKERS else name.lower()]


def tracker_files(name: str, folder: Path | None = None) -> Sequence[Path]:
    """The files that a tracker is created from; empty for most trackers.

    Args:
        name: a name from `TRACKERS`, or ``module:factory``.
        folder: the folder that contains the files.

    Raises:
        UserError: the tracker is unknown, a package it needs is not installed, or a file is
            missing.
    """
    files = getattr(_find_factory(name), "files", None)
    return files(folder) if callable(files) else ()


def make_tracker(name: str, folder: Path | None = None) -> "Tracker":
    """Create a tracker, ready for ``init``.

    Args:
        name, folder: as in `tracker_files`.

    Raises:
        UserError: as `tracker_files`, or the factory's result lacks one of the two methods.
    """
    factory = _find_factory(name)
    if not callable(factory):
        raise UserError(f"tracker {name}: not a function or class that creates a tracker")
    tracker = call(f"tracker {name}", factory, *tracker_files(name, folder))
    for method in ("init", "track"):
        if not callable(getattr(tracker, method, None)):
            raise UserError(
                f"tracker {name}: returns a {type(tracker).__name__} without {method}(); a tracker "
                "needs init(rgb, ir, box) and track(rgb, ir) -> box, score"
            )
    return tracker


def tracker_name(name: str) -> str:
    """A name for tables and folders: the registered one, or the factory's."""
    return name.replace(".", ":").rpartition(":")[2]


def tracker_origin(name: str, folder: Path | None = None) -> str:
    """One line with everything that a tracker's results depend on, for the note beside them.

    It contains the digests of the tracker's files and, unless the tracker belongs to this package,
    the digest of the file that defines it.

    Args:
        name, folder: as in `tracker_files`.

    Raises:
        UserError: as `tracker_files`.
    """
    files = list(tracker_files(name, folder))
    module = getattr(_find_factory(name), "__module__", "")
    if module.partition(".")[0] != __name__.partition(".")[0]:
        source = getattr(sys.modules.get(module), "__file__", None)
        files += [Path(source)] if source else []
    return " ".join([weights_digest(path) for path in files] or [name])
