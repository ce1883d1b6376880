"""What the entries of a VOT workspace run: networks with their weights, and other trackers.

Used on both sides of the toolkit: by the server that it starts for a tracker, and by the commands
that say beforehand which entries can run. Nothing here loads slowly before a tracker is made.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fusion.base.commandline import import_inherited
from fusion.base.errors import UserError
from fusion.base.registry import unknown
from tracker.data.frames import MODALITIES
from tracker.evaluation import trackers
from tracker.evaluation.origin import DEFAULT_PRECISION, DEFAULT_RUNTIME, describe_origin
from tracker.model.pretrained import INCLUDED_TRACKER, INCLUDED_WEIGHTS, PUBLISHED_PRESETS

if TYPE_CHECKING:
    import numpy as np

    from tracker.data.boxes import Box
    from tracker.model.weights import Network
    from tracker.online.running import Tracker

WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".model", ".tar")


def entry_origin(name: str, workspace: Path, environment: Mapping[str, str]) -> str:
    """What an entry's results depend on, in one line, for the note beside them.

    Args:
        name: the entry's RGBT_TRACKER.
        workspace: the folder of trackers.ini.
        environment: of the entry, the shell's included.

    Raises:
        UserError: the entry cannot run: a file or a package is missing; the line says where it
            would be looked for.
    """
    _import_parts(workspace, environment)
    modality = environment.get("RGBT_MODALITY")
    settings = [modality] if modality else []
    if trackers.is_tracker(name):
        folder = _nanotrack_folder(workspace, environment)
        return " ".join([trackers.tracker_origin(name, folder), *settings])
    if environment.get("RGBT_UNTRAINED") == "1":
        return " ".join(["untrained", name, *settings, *_search(environment).values()])
    weights = find_weights(name, workspace, environment)
    return describe_origin(weights, *settings, **_search(environment))


def _import_parts(workspace: Path, environment: Mapping[str, str]) -> None:
    """Import RGBT_IMPORT's modules; modules of a user's own may lie in the workspace, which the
    toolkit puts on the path of the tracker's process too."""
    folder = str(Path(workspace).resolve())
    if folder not in sys.path:
        sys.path.append(folder)
    import_inherited(environment)


def _search(environment: Mapping[str, str]) -> dict[str, str]:
    """Runtime and precision of an entry's network, as the keywords that take them."""
    return {
        "runtime": environment.get("RGBT_RUNTIME") or DEFAULT_RUNTIME,
        "precision": environment.get("RGBT_PRECISION") or DEFAULT_PRECISION,
    }


def _nanotrack_folder(workspace: Path, environment: Mapping[str, str]) -> Path:
    """NanoTrack's folder: what RGBT_NANOTRACK names, else the workspace's ``weights``."""
    named = environment.get("RGBT_NANOTRACK") or "weights"
    return workspace / Path(named).expanduser()


def find_weights(name: str, workspace: Path, environment: Mapping[str, str]) -> Path:
    """The weights file of an entry.

    RGBT_WEIGHTS names a file, or a folder with ``<name>.safetensors`` (or another suffix of
    `WEIGHTS_SUFFIXES`); relative paths start in the workspace, and its ``weights`` is the default.
    `INCLUDED_TRACKER` has those of the package if there are no others.

    Args:
        name: the entry's RGBT_TRACKER.
        workspace: the folder of trackers.ini.
        environment: of the entry, the shell's included.

    Raises:
        UserError: there is none; the message names the places that were searched.
    """
    place = Path(workspace) / Path(environment.get("RGBT_WEIGHTS") or "weights").expanduser()
    if place.is_file():
        return place
    for suffix in WEIGHTS_SUFFIXES:
        if (place / f"{name}{suffix}").is_file():
            return place / f"{name}{suffix}"
    if name == INCLUDED_TRACKER:
        return INCLUDED_WEIGHTS
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
        name: a preset of `tracker.model.presets.ALL_PRESETS`, a name of
            `tracker.evaluation.trackers.TRACKERS`, or ``module:factory``.
        workspace: where relative paths start.
        environment: RGBT_WEIGHTS as in `find_weights`; RGBT_NANOTRACK: the folder of NanoTrack's
            files; RGBT_IMPORT: modules that register parts; RGBT_UNTRAINED: 1 for a network
            initialised from scratch, with a fixed seed; RGBT_DEVICE: as ``--device``, default auto;
            RGBT_MODALITY: rgb or ir, to run without the other camera; RGBT_RUNTIME
            and RGBT_PRECISION: as ``--runtime`` and ``--precision``, for networks.

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
    _import_parts(workspace, environment)
    if trackers.is_tracker(name):
        return trackers.make_tracker(name, _nanotrack_folder(workspace, environment))

    import torch

    from fusion.base.commandline import resolve_device
    from tracker.model.presets import ALL_PRESETS, build_network
    from tracker.online.rgbt_tracker import RGBTTracker

    if name not in ALL_PRESETS:
        known = (*ALL_PRESETS, *trackers.TRACKERS)
        raise UserError(
            f"RGBT_TRACKER: {unknown('tracker', name or '(not set)', known)}; or module:factory of "
            "your own, as env_rgbt_tracker in trackers.ini"
        )
    if environment.get("RGBT_UNTRAINED") == "1":
        torch.manual_seed(0)
        network = build_network(name).eval()
    else:
        network = _load(find_weights(name, workspace, environment), name)
    search = _search(environment)
    return RGBTTracker(
        network,
        device=resolve_device(environment.get("RGBT_DEVICE", "auto")),
        runtime=search["runtime"],
        precision=search["precision"],
    )


def _load(path: Path, name: str) -> "Network":
    """The network of a weights file, which must be of the preset's kind."""
    import torch

    from tracker.model.presets import build_network
    from tracker.model.weights import load_tracker

    # Only published checkpoints are put into a preset; an own file brings its architecture.
    network = load_tracker(path, preset=name if name in PUBLISHED_PRESETS else "dfat")
    if name == INCLUDED_TRACKER:
        return network
    with torch.device("meta"):
        expected = build_network(name).architecture
    differing = [
        f"{key} {network.architecture.get(key)} instead of {expected[key]}"
        for key in ("branches", "modalities", "join", "fusion", "backbone")
        if key in expected and network.architecture.get(key) != expected[key]
    ]
    if differing:
        raise UserError(
            f"{path}: not a network for {name} ({', '.join(differing)}); give this entry the "
            "weights of its own network"
        )
    return network
