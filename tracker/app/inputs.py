"""What visitors upload: pictures, videos, and ZIP archives of a folder of pictures."""

import shutil
import zipfile
import zlib
from pathlib import Path

import numpy as np

from fusion.base.errors import UserError
from fusion.images.alignment import Calibration
from fusion.images.pixels import resize_to, to_8bit
from fusion.images.reading import IMAGE_SUFFIXES, read_infrared, read_visible, write_image
from fusion.images.video import VIDEO_SUFFIXES, Video
from tracker.app.limits import Limits
from tracker.app.visitors import Visitor, safe_name
from tracker.data.sequences import Sequence, load_sequence

#: What pictures on the page are reduced to; the results have their full size.
SHOWN_SIDE = 1400

#: Files of a sequence's annotation, which an archive may hold beside the pictures.
_ANNOTATIONS = {".txt", ".tag", ".value", ""}

# What zipfile raises on damaged or encrypted archives.
_DAMAGES = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError)

PICTURES, VIDEOS = ",".join(sorted(IMAGE_SUFFIXES)), ",".join(sorted(VIDEO_SUFFIXES))


def is_video(path: Path) -> bool:
    """Whether a file is a video by its name."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def check_file(path: Path, limits: Limits) -> None:
    """Refuse a picture or video that cannot be read or is too large.

    Raises:
        UserError: it is, or it is neither of the two.
    """
    if is_video(path):
        limits.check_video(path)
    elif path.suffix.lower() in IMAGE_SUFFIXES:
        limits.check_picture(path)
    else:
        raise UserError(f"{path.name}: not a picture or video that can be read")


def first_picture(path: Path, infrared: bool) -> np.ndarray:
    """A picture, or the first frame of a video, in 8 bits to look at."""
    if is_video(path):
        with Video(path, deep=infrared) as video:
            return to_8bit(next(iter(video)))
    return to_8bit(read_infrared(path) if infrared else read_visible(path))


def shown(visitor: Visitor, image: np.ndarray, name: str) -> str:
    """Write an image in a size for the page, and return its address.

    Args:
        image: uint8 ``HxW`` or RGB ``HxWx3``.
        name: file name; its suffix is the format.
    """
    path = visitor.new_folder() / name
    write_image(path, reduced(image))
    return visitor.offer(path)


def reduced(image: np.ndarray, side: int = SHOWN_SIDE) -> np.ndarray:
    """An image of at most ``side`` pixels in width and height."""
    longest = max(image.shape[:2])
    if longest <= side:
        return image
    height, width = (max(1, round(length * side / longest)) for length in image.shape[:2])
    return resize_to(image, np.empty((height, width), np.uint8))


# --- Sequences ------------------------------------------------------------------------------------


def open_sequence(
    visible: Path,
    infrared: Path | None,
    visitor: Visitor,
    calibration: Calibration | None = None,
) -> Sequence:
    """Open two videos or archives, or one archive with both modalities.

    Args:
        calibration: of the two cameras; without one, the infrared is brought to the visible's size.

    Raises:
        UserError: they cannot be read as a sequence, or are too large.
    """
    paths = [
        _unpack(path, visitor.new_folder(), visitor.limits) if _is_archive(path) else path
        for path in (visible, infrared)
        if path is not None
    ]
    for path in paths:
        if path.is_file():
            if not is_video(path):
                raise UserError(f"{path.name}: not a video, and no ZIP archive of pictures")
            visitor.limits.check_video(path)
    if infrared is None and paths[0].is_file():
        raise UserError(f"{paths[0].name}: give the infrared video too")
    sequence = load_sequence(
        paths if len(paths) == 2 else paths[0],
        resize=calibration is None,
        needs_boxes=False,
        calibration=calibration,
    )
    name = visible.name
    visitor.limits.check_frames(name, len(sequence))
    visitor.limits.check_size(name, *sequence.frame_size())
    sequence.check_sizes()
    return sequence


def _is_archive(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def _unpack(archive: Path, folder: Path, limits: Limits) -> Path:
    """Extract the pictures and annotations of an archive; the folder that holds them.

    Raises:
        UserError: it is no archive, or too large, or holds no picture.
    """
    name = archive.name
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if _is_wanted(member.filename)]
            pictures = [m for m in members if Path(m.filename).suffix.lower() in IMAGE_SUFFIXES]
            if not pictures:
                raise UserError(f"{name}: holds no pictures that can be read")
            limits.check_frames(name, len(pictures) // 2)  # it may hold both modalities
            limits.check_bytes(name, sum(member.file_size for member in members))
            for member in members:
                parts = [safe_name(part) for part in Path(member.filename).parts]
                target = folder.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as source, target.open("wb") as file:
                    shutil.copyfileobj(source, file)  # at most the stated size, which was checked
                if member in pictures:
                    limits.check_picture(target)
    except _DAMAGES as error:
        raise UserError(f"{name}: not a readable ZIP archive ({error})") from None
    return _innermost(folder)


def _is_wanted(name: str) -> bool:
    path = Path(name)
    hidden = any(part.startswith((".", "__")) for part in path.parts)
    return not (name.endswith("/") or hidden) and (
        path.suffix.lower() in IMAGE_SUFFIXES | _ANNOTATIONS
    )


def _innermost(folder: Path) -> Path:
    """The folder itself, or its only subfolder as long as it holds nothing else."""
    while len(inside := list(folder.iterdir())) == 1 and inside[0].is_dir():
        folder = inside[0]
    return folder
