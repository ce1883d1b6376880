"""Folder layouts of data sets, and how a folder's layout is recognised."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusion.base.errors import UserError


@dataclass(frozen=True)
class Layout:
    """How a dataset lays out a sequence: folders and annotations by modality.

    Attributes:
        rgb, ir: picture folders.
        annotations: for each modality the files that may hold its boxes, best first.
        corners: annotations are ``x1 y1 x2 y2``.
        step: every how many frames there is an annotation line.
        start: the number of the first frame's picture, where the layout fixes it.
    """

    name: str
    rgb: str
    ir: str
    annotations: dict[str, tuple[str, ...]]
    corners: bool = False
    step: int = 1
    start: int | None = None


def _layout(name: str, rgb: str, ir: str, rgb_files: str, ir_files: str, **options: Any) -> Layout:
    return Layout(
        name, rgb, ir, {"rgb": tuple(rgb_files.split()), "ir": tuple(ir_files.split())}, **options
    )


LAYOUTS = {
    layout.name: layout
    for layout in (
        _layout("gtot", "v", "i", "groundTruth_v.txt", "groundTruth_i.txt", corners=True),
        _layout("rgbt210", "visible", "infrared", "init.txt", "init.txt"),
        _layout("rgbt234", "visible", "infrared", "visible.txt init.txt", "infrared.txt init.txt"),
        _layout("lasher", "visible", "infrared", "visible.txt init.txt", "infrared.txt init.txt"),
        _layout("vtuav", "rgb", "ir", "rgb.txt", "ir.txt", step=10),
        _layout("vot", "color", "ir", "groundtruth.txt", "groundtruth.txt", start=1),
    )
}

# Still pairs with masks: a folder holds many unrelated pairs, not a sequence.
STILL_FOLDERS = ("RGB", "T", "GT")

DATASETS = {name: name for name in LAYOUTS} | {"vt821": "vt", "vt1000": "vt", "vt5000": "vt"}


def child_folder(folder: Path, name: str) -> Path | None:
    """``folder/name``, also where copies of a dataset have changed upper and lower case."""
    if (folder / name).exists():
        return folder / name
    matches = [path for path in folder.iterdir() if path.name.lower() == name.lower()]
    return matches[0] if matches else None


def list_folder(folder: Path) -> dict[str, bool]:
    """The names in a folder, and whether each is a folder itself.

    Raises:
        UserError: it cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.is_dir() for entry in entries}
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed ({error.strerror})") from error


def has_folders(folder: Path, names: tuple[str, ...]) -> bool:
    """Whether a folder has subfolders of all these names."""
    return all((folder / name).is_dir() for name in names)


def guess_layout(folder: str | Path) -> str | None:
    """The layout of a folder by the names in it, ``vt`` for still pairs; None if none fits.

    LasHeR and RGBT234 are laid out alike; LasHeR's visible pictures are named ``v...``.
    """
    folder = Path(folder)
    if has_folders(folder, STILL_FOLDERS):
        return "vt"
    if (folder / "sequence").is_file() or has_folders(folder, ("color", "ir")):
        return "vot"
    if has_folders(folder, ("v", "i")):
        return "gtot"
    if has_folders(folder, ("rgb", "ir")):
        return "vtuav"
    if has_folders(folder, ("visible", "infrared")):
        if not any((folder / name).is_file() for name in ("visible.txt", "infrared.txt")):
            return "rgbt210"
        names = list_folder(folder / "visible")
        first = next((name for name in names if name[0] != "."), "")
        return "lasher" if first.startswith("v") else "rgbt234"
    return None
