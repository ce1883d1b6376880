"""Trackers by name: registered ones, and anything of a user's own as ``module:factory``.

A tracker is an object with ``init(rgb, ir, box)`` and ``track(rgb, ir) -> box, score``, see
`tracker.online.running.Tracker`. A factory makes one without arguments; a class is a factory:

    @TRACKERS.register("still")        # then --tracker still, with --import my_tracker
    class Still:                       # or, without a name, --tracker my_tracker:Still
        def init(self, rgb, ir, box): self.box = box
        def track(self, rgb, ir): return self.box, 1.0
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion.base.errors import UserError
from fusion.base.registry import Registry, import_object
from tracker.evaluation.origin import weights_digest

if TYPE_CHECKING:
    from tracker.online.running import Tracker

__all__ = ["TRACKERS", "find_factory", "make_tracker", "tracker_name", "tracker_origin"]

#: Factories by the name that ``--tracker`` takes.
TRACKERS = Registry("tracker", "tracker.evaluation.baselines:TRACKERS")


def find_factory(name: str) -> Callable[[], Any]:
    """The factory of a registered tracker, or what ``module:factory`` refers to.

    Raises:
        UserError: no tracker has this name, or there is no such module or name in it.
    """
    return import_object(name) if ":" in name else TRACKERS[name]


def make_tracker(name: str) -> "Tracker":
    """A tracker, ready for ``init``.

    Args:
        name: of `TRACKERS`, or ``module:factory``.

    Raises:
        UserError: as `find_factory`; or what the factory gives has not the two methods.
    """
    tracker = find_factory(name)()
    for method in ("init", "track"):
        if not callable(getattr(tracker, method, None)):
            raise UserError(
                f"tracker {name}: gives a {type(tracker).__name__} without {method}(); a tracker "
                "has init(rgb, ir, box) and track(rgb, ir) -> box, score"
            )
    return tracker


def tracker_name(name: str) -> str:
    """A name for tables and folders: the registered one, or the factory's."""
    return name.rpartition(":")[2].rpartition(".")[2] if ":" in name else name


def tracker_origin(name: str) -> str:
    """What results of a tracker depend on, for the note beside them: its name, the digest of the
    file that defines it (not for the package's own), and of the files that it reads.

    A factory names files, such as weights, by a method ``files()`` without arguments, which raises
    `UserError` where the tracker cannot be made; without it, they are not known.

    Raises:
        UserError: as `find_factory`, or of the factory's ``files()``.
    """
    factory = find_factory(name)
    files = [Path(path) for path in getattr(factory, "files", tuple)()]
    module = getattr(factory, "__module__", "")
    source = getattr(sys.modules.get(module), "__file__", None)
    if source and not module.startswith(f"{__package__}."):
        files.insert(0, Path(source))
    return " ".join([*map(weights_digest, files), name])
