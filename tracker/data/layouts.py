"""Folder layouts of datasets, and their detection."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from fusion.base.errors import UserError
from fusion.base.files import natural_key
from fusion.base.registry import Registry, unknown

#: Layouts of sequences by their name for ``--layout``; subclasses of `Layout`, which are used as
#: classes and never instantiated.
LAYOUTS = Registry("layout", "tracker.data:LAYOUTS")

# Still pairs with masks: a folder holds many unrelated pairs, not a sequence.
STILL_FOLDERS = ("RGB", "T", "GT")
STILL_LAYOUT = "vt"
STILL_DATASETS = ("vt821", "vt1000", "vt5000")


class Layout:
    """The layout of a dataset's sequences: folders and annotations by modality.

    A subclass sets the attributes and is registered in `LAYOUTS`.

    Attributes:
        rgb, ir: names of the image folders.
        annotations: for each modality, the files that may contain its boxes, best first.
        corners: annotations are ``x1 y1 x2 y2`` instead of ``x y w h``.
        step: number of frames per annotation line.
        start: number of the first frame's image, if the layout defines it.
    """

    rgb: ClassVar[str]
    ir: ClassVar[str]
    annotations: ClassVar[Mapping[str, tuple[str, ...]]]
    corners: ClassVar[bool] = False
    step: ClassVar[int] = 1
    start: ClassVar[int | None] = None

    @classmethod
    def holds(cls, folder: Path) -> bool:
        """Whether a folder can be a sequence of this layout: it has both image folders."""
        return has_folders(folder, (cls.rgb, cls.ir))

    @classmethod
    def is_recognised(cls, folder: Path) -> bool:
        """Whether a folder is detected as a sequence of this layout if none is named.

        If several layouts match, the one registered first is used, this package's before others.
        """
        return cls.holds(folder)


# --- The layouts ----------------------------------------------------------------------------------


@LAYOUTS.register("vot")
class Vot(Layout):
    """The layout of the VOT toolkit; a file ``sequence`` names the channels."""

    rgb, ir = "color", "ir"
    annotations: ClassVar = {"rgb": ("groundtruth.txt",), "ir": ("groundtruth.txt",)}
    start = 1

    @classmethod
    def holds(cls, folder: Path) -> bool:
        return (folder / "sequence").is_file() or super().holds(folder)


@LAYOUTS.register("gtot")
class Gtot(Layout):
    """GTOT, with boxes as corners."""

    rgb, ir = "v", "i"
    annotations: ClassVar = {"rgb": ("groundTruth_v.txt",), "ir": ("groundTruth_i.txt",)}
    corners = True


class _VisibleInfrared(Layout):
    rgb, ir = "visible", "infrared"

    @classmethod
    def _has_own_annotations(cls, folder: Path) -> bool:
        return any((folder / name).is_file() for name in ("visible.txt", "infrared.txt"))


@LAYOUTS.register("rgbt210")
class Rgbt210(_VisibleInfrared):
    """RGBT210, with one annotation for both modalities."""

    annotations: ClassVar = {"rgb": ("init.txt",), "ir": ("init.txt",)}

    @classmethod
    def is_recognised(cls, folder: Path) -> bool:
        return cls.holds(folder) and not cls._has_own_annotations(folder)


@LAYOUTS.register("rgbt234")
class Rgbt234(_VisibleInfrared):
    """RGBT234, with one annotation per modality."""

    annotations: ClassVar = {
        "rgb": ("visible.txt", "init.txt"),
        "ir": ("infrared.txt", "init.txt"),
    }

    @classmethod
    def is_recognised(cls, folder: Path) -> bool:
        return (
            cls.holds(folder)
            and cls._has_own_annotations(folder)
            and not cls._is_lasher(folder / cls.rgb)
        )

    @staticmethod
    def _is_lasher(pictures: Path) -> bool:
        """LasHeR has the same layout, but its visible images are named ``v...``."""
        first = next((name for name in list_folder(pictures) if name[0] != "."), "")
        return first.startswith("v")


@LAYOUTS.register("lasher")
class LasHeR(Rgbt234):
    """LasHeR."""

    @classmethod
    def is_recognised(cls, folder: Path) -> bool:
        return (
            cls.holds(folder)
            and cls._has_own_annotations(folder)
            and cls._is_lasher(folder / cls.rgb)
        )


@LAYOUTS.register("vtuav")
class Vtuav(Layout):
    """VTUAV, annotated every tenth frame."""

    rgb, ir = "rgb", "ir"
    annotations: ClassVar = {"rgb": ("rgb.txt",), "ir": ("ir.txt",)}
    step = 10


# --- Datasets and folders -------------------------------------------------------------------------


def dataset_names() -> tuple[str, ...]:
    """Names of datasets: those of `LAYOUTS`, and the datasets of still pairs."""
    return (*LAYOUTS.names(), *STILL_DATASETS)


def layout_of(dataset: str) -> str:
    """The name of a dataset's layout, `STILL_LAYOUT` for still pairs.

    Raises:
        UserError: the name is unknown.
    """
    if dataset in STILL_DATASETS:
        return STILL_LAYOUT
    if dataset not in LAYOUTS:
        raise UserError(unknown("dataset", dataset, dataset_names()))
    return dataset


def child_folder(folder: Path, name: str) -> Path | None:
    """``folder/name``, ignoring case, which some copies of datasets have changed."""
    if (folder / name).exists():
        return folder / name
    matches = [path for path in folder.iterdir() if path.name.lower() == name.lower()]
    return matches[0] if matches else None


def list_folder(folder: Path) -> dict[str, bool]:
    """The names in a folder, and whether each is a folder.

    Raises:
        UserError: the folder cannot be listed.
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
    """Detect the name of a folder's layout from its contents: `STILL_LAYOUT` for still pairs, None
    if no layout matches."""
    folder = Path(folder)
    if has_folders(folder, STILL_FOLDERS):
        return STILL_LAYOUT
    fitting = (name for name, layout in LAYOUTS.items() if layout.is_recognised(folder))
    return next(fitting, None)


def find_sequences(folder: Path, wanted: str | None, depth: int) -> Iterator[Path]:
    """The folders of sequences in a folder, or the folder itself, in natural order.

    Args:
        wanted: the name of their layout; None accepts any.
        depth: how many folders deep to search.
    """
    if _is_sequence(folder, wanted):
        yield folder
    elif depth > 0:
        names = [name for name, is_folder in list_folder(folder).items() if is_folder]
        # Hidden folders are skipped: an interrupted command may leave an incomplete one.
        children = [folder / name for name in names if name[0] != "."]
        for child in sorted(children, key=natural_key):
            yield from find_sequences(child, wanted, depth - 1)


def _is_sequence(folder: Path, wanted: str | None) -> bool:
    if wanted is None:
        return guess_layout(folder) is not None
    if wanted == STILL_LAYOUT:
        return has_folders(folder, STILL_FOLDERS)
    return LAYOUTS[wanted].holds(folder)
