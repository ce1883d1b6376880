"""Pictures and videos: reading, pairing, pixel scaling, colour, writing.

Inside the package a colour picture is RGB, ``HxWx3``, and a grey or infrared one ``HxW``. OpenCV's
BGR order ends here.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# FFmpeg inside OpenCV reads this when it is loaded: a damaged video is our one line, not its ten.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np

from fusion.errors import UserError
from fusion.files import natural_key, whole_file

cv2.utils.logging.setLogLevel(
    cv2.utils.logging.LOG_LEVEL_SILENT
)  # likewise for its picture readers; every failure is raised as UserError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm"})


# --- Reading ------------------------------------------------------------------------------------


def read_image(path: str | Path) -> np.ndarray:
    """Read a PNG, JPEG, BMP or TIFF file.

    Returns:
        ``HxW`` (grey) or ``HxWx3`` (RGB); uint8, uint16 or float32 as stored. An alpha channel is
        dropped, a palette expanded, an EXIF rotation applied.

    Raises:
        UserError: the file is missing, truncated, damaged, no picture, or claims more pixels than
            its bytes can hold.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a name no file can have
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be read ({reason})") from error
    if not data:
        raise UserError(f"{path}: the file is empty; copy it again")
    _check_complete(path, data)
    _check_claim(path, data)
    try:
        image = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
        )
    except cv2.error:
        image = None
    if image is None:
        raise UserError(f"{path}: not a readable picture; give PNG, JPEG, BMP or TIFF")
    if image.dtype.kind == "f":
        image = image.astype(np.float32)
        if not np.isfinite(image).all():
            raise UserError(f"{path}: holds NaN or infinite pixels; replace them")
    elif image.dtype not in (np.uint8, np.uint16):
        raise UserError(f"{path}: {image.dtype} pixels are not supported; save 8 or 16 bit")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.ndim == 3 else image


def _check_complete(path: Path, data: bytes) -> None:
    """Refuse truncated PNG, JPEG and BMP, which OpenCV decodes into a picture with a grey rest."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        complete = _png_is_complete(data)
    elif data.startswith(b"\xff\xd8"):
        # The end marker must come after the last scan: an embedded thumbnail has markers too.
        complete = data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    elif data.startswith(b"BM"):
        complete = len(data) >= 6 and len(data) >= struct.unpack_from("<I", data, 2)[0]
    else:
        return
    if not complete:
        raise UserError(f"{path}: the picture is truncated or damaged; copy it again")


def _png_is_complete(data: bytes) -> bool:
    position = 8
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 12 + length
        if end > len(data):
            return False
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(data[position + 4 : end - 4]) != checksum:
            return False
        if data[position + 4 : position + 8] == b"IEND":
            return True
        position = end
    return False


# Pixels a byte holds at most: of a blank picture of one bit, Deflate makes 8256.
_DENSEST = 10_000


def _check_claim(path: Path, data: bytes) -> None:
    """Refuse a header that claims a picture which the file cannot hold, before memory is taken."""
    try:
        width, height = _claimed_size(data) or (0, 0)
    except struct.error:
        return  # too short for a header: the decoder says so
    if width * height > _DENSEST * len(data):
        raise UserError(
            f"{path}: claims {width}x{height} pixels, which its {len(data)} bytes cannot hold; "
            "copy it again"
        )


def _claimed_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in a picture's header; None where none is found."""
    if data.startswith(b"\x89PNG"):
        return struct.unpack_from(">II", data, 16)
    if data.startswith(b"BM"):
        (header,) = struct.unpack_from("<I", data, 14)
        width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
        return abs(width), abs(height)  # a negative height counts from the top
    if data.startswith(b"\xff\xd8"):
        return _jpeg_size(data)
    if data.startswith((b"II*\0", b"MM\0*")):
        return _tiff_size(data, "<" if data.startswith(b"II") else ">")
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, position)
        if marker == 0xFFFF:  # filling
            position += 1
            continue
        if marker < 0xFF00:  # no marker: the file is damaged, as the decoder will say
            return None
        if 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):  # a frame
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height
        position += 2 + length
    return None


def _tiff_size(data: bytes, order: str) -> tuple[int, int] | None:
    (directory,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, directory)
    sides = {}
    for entry in range(count):
        tag, kind = struct.unpack_from(f"{order}HH", data, directory + 2 + 12 * entry)
        if tag in (256, 257):
            layout = "H" if kind == 3 else "I"
            (sides[tag],) = struct.unpack_from(
                f"{order}{layout}", data, directory + 10 + 12 * entry
            )
    return (sides[256], sides[257]) if len(sides) == 2 else None


def scale_to_255(image: np.ndarray, percentiles: tuple[float, float] | None = None) -> np.ndarray:
    """Bring any picture to the 0..255 range networks are fed from.

    Eight-bit pixels are returned as they are. Others (16-bit thermal, float radiometry) are
    stretched from their own smallest and largest value, because cameras use a part of the range
    that nothing in the file tells.

    Args:
        image: uint8, uint16 or float32, any shape.
        percentiles: ``(low, high)`` in 0..100: stretch from these percentiles instead, clipping
            what lies outside; applied to eight-bit pixels too. Robust to a few dead pixels. Where
            both are one value, from the smallest and largest all the same.

    Returns:
        uint8 where nothing was to be done, else float32 in 0..255. A constant picture becomes 0.
    """
    if percentiles is None:
        if image.dtype == np.uint8:
            return image
        low, high = float(image.min()), float(image.max())
    else:
        low, high = (float(value) for value in np.percentile(image, percentiles))
        if high <= low:  # of a small hot target before an even background, both are the background
            low, high = float(image.min()), float(image.max())
    if high <= low:
        return np.zeros(image.shape, np.float32)
    scaled = (image.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    return np.clip(scaled, 0, 255, out=scaled)


def to_8bit(image: np.ndarray, percentiles: tuple[float, float] | None = None) -> np.ndarray:
    """`scale_to_255`, rounded to uint8."""
    scaled = scale_to_255(image, percentiles)
    return scaled if scaled.dtype == np.uint8 else np.rint(scaled).astype(np.uint8)


def read_infrared(path: str | Path, percentiles: tuple[float, float] | None = None) -> np.ndarray:
    """An infrared picture as ``HxW``, 0..255 (uint8, or float32 from deeper files).

    A picture stored with three channels gives its luminance.
    """
    return scale_to_255(luminance(read_image(path)), percentiles)


def read_visible(path: str | Path) -> np.ndarray:
    """A visible picture as ``HxW`` or RGB ``HxWx3``, 0..255; dtype as for infrared."""
    return scale_to_255(read_image(path))


#: Mean and deviation of ImageNet's colours, RGB on 0..1, as torchvision's networks know them.
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# --- Colour -------------------------------------------------------------------------------------


def luminance(image: np.ndarray) -> np.ndarray:
    """BT.601 luma of an RGB picture, ``HxW`` in the same dtype; a grey picture is returned."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image


def is_color(image: np.ndarray) -> bool:
    """Whether a picture has three channels that are not all equal."""
    # Row by row ends at the first that has colour, and needs no array of the picture's size.
    return image.ndim == 3 and any((row[:, :1] != row[:, 1:]).any() for row in image)


def with_luminance(rgb: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """Replace the luminance of ``rgb`` and keep its chroma.

    Chroma are the scaled differences ``R - Y`` and ``B - Y``, so that the exchange of Y by Y' adds
    ``Y' - Y`` to every channel.

    Args:
        rgb: ``HxWx3``, 0..255.
        luma: ``HxW``, 0..255.

    Returns:
        RGB uint8 ``HxWx3``.
    """
    rgb = rgb.astype(np.float32)
    change = luma.astype(np.float32) - luminance(rgb)
    return np.clip(np.rint(rgb + change[..., None]), 0, 255).astype(np.uint8)


# --- Pixels to network values and back ------------------------------------------------------------


@dataclass(frozen=True)
class PixelScaling:
    """How pixels become network values, and network values pixels again.

    Weights are made for one convention, so it is stored with them. The default is LRRNet's as
    published: the input stretched to 0..1 by its own range, the output stretched to 0..255 by its
    own range and truncated.

    Args:
        input: ``min-max``, ``(x - min) / (max - min + 1e-5)`` a picture, or ``unit``, ``x / 255``.
        output: ``min-max``, stretched likewise, or ``clamp``, clipped to 0..1.
        gain: factor on the output before a clamp.
        rounding: ``truncate`` or ``round`` to whole grey levels.
    """

    input: str = "min-max"
    output: str = "min-max"
    gain: float = 1.0
    rounding: str = "truncate"

    EPSILON = 1e-5  # as published, on inputs in 0..255 and on outputs alike

    def __post_init__(self) -> None:
        for name, choices in (
            ("input", ("min-max", "unit")),
            ("output", ("min-max", "clamp")),
            ("rounding", ("truncate", "round")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"PixelScaling.{name} is {' or '.join(choices)}, got {getattr(self, name)!r}"
                )
        if not 0 < self.gain < float("inf"):
            raise ValueError(f"PixelScaling.gain is positive, got {self.gain!r}")

    def to_network(
        self, image: np.ndarray, value_range: tuple[float, float] | None = None
    ) -> np.ndarray:
        """Grey picture ``HxW`` in 0..255 to float32 in 0..1.

        Args:
            value_range: smallest and largest value of the picture that ``image`` is a part of; its
                own where None.
        """
        image = image.astype(np.float32)
        if self.input == "unit":
            return image / np.float32(255)
        return _stretch(image, self.EPSILON, value_range)

    def to_pixels(
        self, output: np.ndarray, value_range: tuple[float, float] | None = None
    ) -> np.ndarray:
        """Network output ``HxW``, float32, to uint8.

        Args:
            value_range: as in `to_network`, of the output.

        Raises:
            UserError: the output holds NaN or infinity.
        """
        if not np.isfinite(output).all():
            raise UserError("the network's output is not finite: these weights are unusable")
        if self.output == "min-max":
            output = _stretch(output, self.EPSILON, value_range)
        else:
            output = np.clip(output * np.float32(self.gain), 0, 1)
        output = output * np.float32(255)
        return (np.rint(output) if self.rounding == "round" else output).astype(np.uint8)


def _stretch(
    image: np.ndarray, epsilon: float, value_range: tuple[float, float] | None
) -> np.ndarray:
    low, high = map(np.float32, value_range or (image.min(), image.max()))
    return (image - low) / (high - low + np.float32(epsilon))


# --- Pairing ------------------------------------------------------------------------------------


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


def pair_folders(infrared: str | Path, visible: str | Path) -> Pairing:
    """Match the pictures of two folders by file stem (``7.png`` with ``7.jpg``).

    Raises:
        UserError: a folder is missing or empty, a stem is there twice, or nothing matches.
    """
    by_stem = []
    for folder in (infrared, visible):
        stems: dict[str, Path] = {}
        for path in list_images(folder):
            twin = stems.setdefault(path.stem, path)
            if twin is not path:
                raise UserError(f"{path}: same stem as {twin.name}; keep one of the two")
        by_stem.append(stems)
    ir, vis = by_stem
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


def resize_to(image: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Resize to the height and width of ``like``: area average to shrink, bicubic to grow."""
    (height, width), (old_height, old_width) = like.shape[:2], image.shape[:2]
    shrinks = height * width < old_height * old_width
    resized = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )
    # Bicubic overshoots, which uint8 saturates and float32 does not.
    return resized if resized.dtype == np.uint8 else np.clip(resized, 0, 255)


# --- Writing ------------------------------------------------------------------------------------


def require_image_suffix(path: Path) -> None:
    """Refuse a picture's name whose suffix is no format that can be written.

    Raises:
        UserError: it is none.
    """
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise UserError(f"{path}: unknown picture format; end the name in .png, .jpg, .bmp or .tif")


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Write a uint8 picture, ``HxW`` or RGB ``HxWx3``, whole or not at all.

    The suffix of ``path`` is the format.

    Raises:
        UserError: the suffix is no picture format, the format cannot hold so large a picture, or
            the place cannot be written.
    """
    path = Path(path)
    require_image_suffix(path)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    fits, data = cv2.imencode(path.suffix, bgr)
    if not fits:
        raise UserError(
            f"{path}: its format cannot hold {image.shape[1]}x{image.shape[0]} pixels; give .png"
        )
    with whole_file(path) as temporary:
        temporary.write_bytes(data.tobytes())


# --- Videos -------------------------------------------------------------------------------------


class Video:
    """A video file read frame by frame.

    Attributes:
        fps: frames a second the file states.
        frame_count: frames the file states, which a damaged file may not hold; 0 if it states none.
        size: ``(width, height)``.

    Raises:
        UserError: no such file, or no video OpenCV can decode.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise UserError(f"{path}: no such file")
        self._capture = cv2.VideoCapture(str(path))
        ok = self._capture.isOpened() and self._capture.grab()
        if not ok:
            self._capture.release()
            raise UserError(f"{path}: not a readable video; re-encode it, for example to MP4")
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
        self.fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.frame_count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.size = (
            int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        )

    def __iter__(self) -> Iterator[np.ndarray]:
        """RGB uint8 ``HxWx3`` frames from the first on."""
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
        while True:
            ok, frame = self._capture.read()
            if not ok:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        self._capture.release()

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def require_video_suffix(path: Path) -> None:
    """Refuse a video's name whose suffix is no format that can be written.

    Raises:
        UserError: names the formats.
    """
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise UserError(
            f"{path}: unknown video format; end the name in {', '.join(sorted(VIDEO_SUFFIXES))}"
        )


class VideoWriter:
    """Write frames of one size to a video file, whole or not at all.

    A context manager; the file appears under its name when the block ends without an exception.

    Args:
        path: ends in one of `VIDEO_SUFFIXES`.
        fps: frames a second.
    """

    def __init__(self, path: str | Path, fps: float):
        self.path = Path(path)
        require_video_suffix(self.path)
        self.fps = fps if fps > 0 else 25.0
        self._writer: cv2.VideoWriter | None = None
        self._count = 0

    def __enter__(self) -> "VideoWriter":
        self._whole = whole_file(self.path)
        self._temporary = self._whole.__enter__()
        return self

    def write(self, frame: np.ndarray) -> None:
        """Append a uint8 frame, ``HxW`` or RGB ``HxWx3``; all frames have the first one's size."""
        if self._writer is None:
            suffix = self.path.suffix.lower()
            codec = {".avi": "MJPG", ".webm": "VP80"}.get(suffix, "mp4v")
            self._writer = cv2.VideoWriter(
                str(self._temporary),
                cv2.VideoWriter.fourcc(*codec),
                self.fps,
                (frame.shape[1], frame.shape[0]),
            )
            if not self._writer.isOpened():
                raise UserError(
                    f"{self.path}: cannot be written as video; try a name ending in .mp4"
                )
        code = cv2.COLOR_GRAY2BGR if frame.ndim == 2 else cv2.COLOR_RGB2BGR
        self._writer.write(cv2.cvtColor(frame, code))
        self._count += 1

    def __exit__(self, *exception: Any) -> None:
        if self._writer is not None:
            self._writer.release()
        if self._writer is not None and exception[0] is None:
            try:
                self._check()
            except UserError as error:
                self._whole.__exit__(UserError, error, error.__traceback__)
                raise
        self._whole.__exit__(*exception)

    def _check(self) -> None:
        """Make sure that all frames arrived: OpenCV does not say where a disk was full."""
        try:
            with Video(self._temporary) as video:
                held = video.frame_count
        except UserError:
            held = -1
        # Where a container states a duration alone, frames come out of it rounded; 0: not stated.
        if held != 0 and held < self._count - 1:
            raise UserError(f"{self.path}: cannot be written whole (is the disk full?)")


# --- Side by side ---------------------------------------------------------------------------------


def tile(rows: Sequence[Sequence[tuple[str, np.ndarray]]]) -> np.ndarray:
    """A contact sheet of captioned pictures.

    Args:
        rows: rows of ``(caption, uint8 picture)``, all pictures of one size.

    Returns:
        RGB uint8, captions in a bar above each picture.
    """
    height, width = rows[0][0][1].shape[:2]
    gap = max(2, width // 160)
    bar = max(16, height // 14)
    scale = cv2.getFontScaleFromHeight(cv2.FONT_HERSHEY_SIMPLEX, int(bar * 0.55), 1)
    columns = max(len(row) for row in rows)
    sheet = np.full(
        (len(rows) * (height + bar + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8
    )
    for i, row in enumerate(rows):
        for j, (caption, image) in enumerate(row):
            y, x = i * (height + bar + gap), j * (width + gap)
            rgb = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
            sheet[y + bar : y + bar + height, x : x + width] = rgb
            cell = np.full((bar, width, 3), 255, np.uint8)
            origin = (2, int(bar * 0.75))
            cv2.putText(
                cell, caption, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 1, cv2.LINE_AA
            )
            sheet[y : y + bar, x : x + width] = cell
    return sheet
