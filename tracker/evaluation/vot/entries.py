"""What the entries of a VOT workspace run: networks with their weights, and other trackers.

Used on both sides of the toolkit: by the server that it starts for a tracker, and by the commands
that say beforehand which entries can run. Nothing here loads slowly before a tracker is made.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fusion.base.commandline import IMPORTS, import_inherited
from fusion.base.errors import UserError
from tracker.data.frames import MODALITIES
from tracker.evaluation.baselines.nanotrack import FOLDER
from tracker.evaluation.origin import DEFAULT_PRECISION, DEFAULT_RUNTIME, describe_origin
from tracker.evaluation.trackers import TRACKERS, tracker_origin
from tracker.evaluation.trackers import make_tracker as make_registered
from tracker.model.pretrained import COMPACT, PUBLISHED_PRESETS, SHIPPED

if TYPE_CHECKING:
    import numpy as np

    from tracker.data.boxes import Box
    from tracker.model.network import TrackerNetwork
    from tracker.online.running import Tracker

WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".model", ".tar")


def entry_origin(
    name: str, workspace: Path, environment: Mapping[str, str], paths: Sequence[Path] = ()
) -> str:
    """What an entry's results depend on, in one line, for the note beside them.

    Args:
        name: the entry's RGBT_TRACKER.
        workspace: the folder of trackers.ini.
        environment: of the entry, the shell's included.
        paths: where its modules may be.

    Raises:
        UserError: the entry cannot run: a file, a module or a package is missing.
    """
    modality = environment.get("RGBT_MODALITY")
    settings = [modality] if modality else []
    if is_tracker(name):
        with _entry_environment(workspace, environment, paths):
            return " ".join([tracker_origin(name), *settings])
    if environment.get("RGBT_UNTRAINED") == "1":
        return " ".join(["untrained", name, *settings, *_search(environment).values()])
    weights = find_weights(name, workspace, environment)
    return describe_origin(weights, *settings, **_search(environment))


def is_tracker(name: str) -> bool:
    """Whether a name is a registered tracker's or ``module:factory``, not a network preset's."""
    return ":" in name or name in TRACKERS


@contextmanager
def _entry_environment(
    workspace: Path, environment: Mapping[str, str], paths: Sequence[Path] = ()
) -> Iterator[None]:
    """What a tracker of an entry finds around it: its variables, and modules that register parts.

    A relative RGBT_NANOTRACK starts in the workspace, whose ``weights`` is the default.
    """
    nanotrack = Path(environment.get(FOLDER) or "weights").expanduser()
    values = {FOLDER: str(workspace / nanotrack)}
    if IMPORTS in environment:
        values[IMPORTS] = environment[IMPORTS]
    before = {name: os.environ.get(name) for name in values}
    path = list(sys.path)
    os.environ.update(values)
    sys.path[:0] = map(str, paths)
    try:
        import_inherited()
        yield
    finally:
        sys.path[:] = path
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _search(environment: Mapping[str, str]) -> dict[str, str]:
    """Runtime and precision of an entry's network, as the keywords that take them."""
    return {
        "runtime": environment.get("RGBT_RUNTIME") or DEFAULT_RUNTIME,
        "precision": environment.get("RGBT_PRECISION") or DEFAULT_PRECISION,
    }


def find_weights(name: str, workspace: Path, environment: Mapping[str, str]) -> Path:
    """The weights file of an entry.

    RGBT_WEIGHTS names a file, or a folder with ``<name>.safetensors`` (or another suffix of
    `WEIGHTS_SUFFIXES`); relative paths start in the workspace, and its ``weights`` is the default.
    `SHIPPED` has those of the package if there are no others.

    Args:
        name: the entry's RGBT_TRACKER.
        workspace: the folder of trackers.ini.
        environment: of the entry, the shell's included.

    Raises:
        UserError: there is none; the line says where it would be looked for.
    """
    place = Path(workspace) / Path(environment.get("RGBT_WEIGHTS") or "weights").expanduser()
    if place.is_file():
        return place
    for suffix in WEIGHTS_SUFFIXES:
        if (place / f"{name}{suffix}").is_file():
            return place / f"{name}{suffix}"
    if name == SHIPPED:
        return COMPACT
    raise UserError(
        f"no weights for {name}: put {name}.safetensors or {name}.pth into {place}, name another "
        "folder or a file by RGBT_WEIGHTS, or run the network untrained (--untrained)"
    )


class OneModality:
    """A tracker one of whose cameras is dark all the time.

    Args:
        tracker: with ``init(rgb, ir, box)`` and ``track(rgb, ir) -> box, score``.
        modality: "rgb" or "ir", what it sees.
    """

    def __init__(self, tracker: "Tracker", modality: str):
        self.tracker, self.modality = tracker, modality

    def init(self, rgb: "np.ndarray | None", ir: "np.ndarray | None", box: "Box") -> None:
        """Start on a frame, see `tracker.online.running.Tracker`."""
        seen_rgb, seen_ir = self._seen(rgb, ir)
        self.tracker.init(seen_rgb, seen_ir, box)

    def track(self, rgb: "np.ndarray | None", ir: "np.ndarray | None") -> "tuple[Box, float]":
        """Box ``x, y, w, h`` and score in the next frame."""
        return self.tracker.track(*self._seen(rgb, ir))

    def _seen(
        self, rgb: "np.ndarray | None", ir: "np.ndarray | None"
    ) -> "tuple[np.ndarray | None, np.ndarray | None]":
        return (rgb, None) if self.modality == "rgb" else (None, ir)


def make_tracker(name: str, workspace: Path, environment: Mapping[str, str]) -> "Tracker":
    """The tracker of an entry.

    Args:
        name: a preset of `tracker.model.network.PRESETS`, `SHIPPED`, a registered tracker, or
            ``module:factory`` of a user's own, as ``--tracker`` of the commands.
        workspace: where relative paths start.
        environment: RGBT_WEIGHTS as in `find_weights`; RGBT_NANOTRACK: the folder of NanoTrack's
            files; RGBT_UNTRAINED: 1 for a network initialised from scratch, with a fixed seed;
            RGBT_DEVICE: as ``--device``, default auto; RGBT_MODALITY: rgb or ir, to see how it does
            with the other camera dark; RGBT_RUNTIME and RGBT_PRECISION: as ``--runtime`` and
            ``--precision``, for networks.

    Raises:
        UserError: no such name, no weights, weights of another network, or no such modality,
            runtime or precision.
    """
    modality = environment.get("RGBT_MODALITY")
    if not modality:
        return _make(name, workspace, environment)
    if modality not in MODALITIES:
        raise UserError(f"RGBT_MODALITY {modality}: unknown; give rgb or ir, or unset it")
    return OneModality(_make(name, workspace, environment), modality)


def _make(name: str, workspace: Path, environment: Mapping[str, str]) -> "Tracker":
    with _entry_environment(workspace, environment):
        if is_tracker(name):
            return make_registered(name)

    import torch

    from fusion.base.commandline import resolve_device
    from tracker.model.network import PRESETS, build
    from tracker.online.rgbt_tracker import RGBTTracker

    if name not in PRESETS and name != SHIPPED:
        raise UserError(
            f"RGBT_TRACKER {name or '(not set)'}: unknown; give one of "
            f"{', '.join([SHIPPED, *PRESETS, *TRACKERS])} as env_rgbt_tracker in trackers.ini"
        )
    if environment.get("RGBT_UNTRAINED") == "1":
        torch.manual_seed(0)
        network = build("compact_dfat_llrr" if name == SHIPPED else name).eval()
    else:
        network = _load(find_weights(name, workspace, environment), name)
    search = _search(environment)
    return RGBTTracker(
        network,
        device=resolve_device(environment.get("RGBT_DEVICE", "auto")),
        runtime=search["runtime"],
        precision=search["precision"],
    )


def _load(path: Path, name: str) -> "TrackerNetwork":
    """The network of a weights file, which must be of the preset's kind."""
    import torch

    from tracker.model.network import PRESETS, TrackerNetwork
    from tracker.model.weights import load_tracker

    # Only published checkpoints are put into a preset; an own file brings its architecture.
    network = load_tracker(path, preset=name if name in PUBLISHED_PRESETS else "dfat")
    if name == SHIPPED:
        return network
    with torch.device("meta"):
        expected = TrackerNetwork(**PRESETS[name]).architecture
    differing = [
        f"{key} {network.architecture[key]} instead of {expected[key]}"
        for key in ("branches", "fusion", "backbone")
        if network.architecture[key] != expected[key]
    ]
    if differing:
        raise UserError(
            f"{path}: not a network for {name} ({', '.join(differing)}); give this entry the "
            "weights of its own network"
        )
    return network
