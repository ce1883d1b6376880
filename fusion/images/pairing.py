"""Which infrared picture belongs to which visible one."""

from dataclasses import dataclass
from pathlib import Path

from fusion.base.errors import UserError
from fusion.base.files import natural_key
from fusion.images.reading import IMAGE_SUFFIXES


@dataclass(frozen=True)
class Pairing:
    """Two folders matched by file stem: pairs ``(infrared, visible)`` and what has no partner."""

    pairs: list[tuple[Path, Path]]
    only_infrared: list[Path]
    only_visible: list[Path]


def list_images(folder: str | Path) -> list[Path]:
    """Picture files of a folder (not of its subfolders), in natural order.

    Raises:
        UserError: no such folder, or no picture in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    images = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]
    if not images:
        raise UserError(f"{folder}: holds no pictures (PNG, JPEG, BMP or TIFF)")
    return sorted(images, key=natural_key)


def images_by_stem(folder: str | Path) -> dict[str, Path]:
    """Picture files of a folder by their stem, in natural order.

    Raises:
        UserError: as `list_images`, or two files have the same stem.
    """
    stems: dict[str, Path] = {}
    for path in list_images(folder):
        twin = stems.setdefault(path.stem, path)
        if twin is not path:
            raise UserError(f"{path}: same stem as {twin.name}; keep one of the two")
    return stems


def pair_folders(infrared: str | Path, visible: str | Path) -> Pairing:
    """Match the pictures of two folders by file stem (``7.png`` with ``7.jpg``).

    Raises:
        UserError: a folder is missing or empty, a stem is there twice, or nothing matches.
    """
    ir, vis = images_by_stem(infrared), images_by_stem(visible)
    if not ir.keys() & vis.keys():
        raise UserError(
            f"{infrared} and {visible}: no file stem in common ({next(iter(ir))} there, "
            f"{next(iter(vis))} here); give both pictures of a pair the same name"
        )
    return Pairing(
        pairs=[(path, vis[stem]) for stem, path in ir.items() if stem in vis],
        only_infrared=[path for stem, path in ir.items() if stem not in vis],
        only_visible=[path for stem, path in vis.items() if stem not in ir],
    )
