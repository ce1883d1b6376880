"""Reading and writing of single images."""

import base64
import io
import threading
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from fusion.base.errors import UserError
from fusion.base.files import whole_file
from fusion.images.pixels import luminance, scale_to_255

# Every failure is raised as UserError, so the warnings that OpenCV's decoders print are disabled.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

#: Suffixes of the image formats that can be read.
IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".avif"}
    | {".jp2", ".j2k", ".jpx", ".pgm", ".ppm", ".pnm", ".pbm", ".pfm", ".gif"}
)

#: Suffixes of the image formats that can be written.
WRITTEN_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})

_FORMATS = "PNG, JPEG, TIFF, BMP, WebP, AVIF, JPEG 2000, PGM or GIF"

# Pillow checks headers and detects truncated files. It decodes the formats that have 8 bits here
# (PGM: 16); OpenCV decodes those that may have deeper colour or floating point values.
_BY_PILLOW = {"JPEG", "BMP", "DIB", "WEBP", "AVIF", "PPM", "GIF"}
_BY_OPENCV = {"PNG", "TIFF", "JPEG2000"}
_MPO = "MPO"  # Pillow's name for a JPEG that contains further images

# Largest plausible number of pixels per byte: Deflate reaches 8256 for a blank 1-bit image.
_DENSEST = 10_000

# EXIF orientations that swap width and height.
_QUARTER_TURNS = {5, 6, 7, 8}


def read_image(path: str | Path) -> np.ndarray:
    """Read an image: PNG, JPEG, TIFF, BMP, WebP, AVIF, JPEG 2000, PGM and its relatives, GIF.

    If a file contains several images, the first is read. Data after the end of the image, such as
    the video clip of a phone's motion photo, is ignored.

    Returns:
        ``HxW`` (grey) or ``HxWx3`` (RGB); uint8, uint16 or float32 as stored. An alpha channel is
        dropped, a palette expanded, an EXIF rotation applied.

    Raises:
        UserError: the file is missing, truncated, damaged or not an image, or its header claims
            more pixels than the file can contain.
    """
    path = Path(path)
    data = _read_bytes(path)
    opened = _open(path, data)
    image: np.ndarray | None
    try:
        if opened is not None and opened.format in {*_BY_PILLOW, _MPO}:
            image = _decode_by_pillow(opened)
        else:
            if opened is not None and opened.format == "PNG":
                opened.verify()  # checksums of all chunks
            image = _decode_by_opencv(data)
    except Exception as error:  # decoders raise various exceptions on damaged data
        if isinstance(error, MemoryError):
            raise
        raise UserError(f"{path}: the picture is truncated or damaged; copy it again") from None
    if image is None:
        raise UserError(
            f"{path}: the picture is truncated or damaged; copy it again"
            if opened is not None
            else f"{path}: not a readable picture{_what_it_is(data)}; give {_FORMATS}"
        )
    return _as_read(path, image)


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: an impossible file name
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be read ({reason})") from error
    if not data:
        raise UserError(f"{path}: the file is empty; copy it again")
    return data


# Pillow's pixel limit is global to the process; `_open` replaces it by its own check.
_pillow_bound = threading.Lock()


def _open(path: Path, data: bytes) -> Any:
    """Read the header with Pillow; None if Pillow does not know the format.

    Raises:
        UserError: the header is damaged, or claims more pixels than the file can contain (checked
            before memory is allocated).
    """
    with _pillow_bound, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bound, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            opened = Image.open(io.BytesIO(data), formats=sorted(_BY_PILLOW | _BY_OPENCV))
        except UnidentifiedImageError:
            return None
        except Exception:  # a damaged header, by any of Pillow's readers
            raise UserError(f"{path}: the picture is truncated or damaged; copy it again") from None
        finally:
            Image.MAX_IMAGE_PIXELS = bound
    width, height = opened.size
    if width * height > _DENSEST * len(data):
        raise UserError(
            f"{path}: claims {width}x{height} pixels, which its {len(data)} bytes cannot hold; "
            "copy it again"
        )
    return opened


def _decode_by_pillow(opened: Any) -> np.ndarray:
    """Decode to RGB or grey pixels: uint8, or uint16 or float32 from PGM or PFM.

    Raises:
        OSError: the image is truncated (and whatever else a decoder raises on damage).
    """
    opened.seek(0)
    opened.load()
    turned = ImageOps.exif_transpose(opened)
    if turned.mode in ("I", "I;16"):
        return np.asarray(turned).astype(np.uint16)
    if turned.mode in ("F", "L", "RGB"):
        return np.array(turned)
    return np.array(turned.convert("L" if turned.mode in ("1", "LA") else "RGB"))


def _decode_by_opencv(data: bytes) -> np.ndarray | None:
    try:
        image = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
        )
    except cv2.error:
        return None
    if image is None:
        return None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.ndim == 3 else image


def _as_read(path: Path, image: np.ndarray) -> np.ndarray:
    if image.dtype.kind == "f" or image.dtype in (np.int16, np.int32, np.uint32):
        image = image.astype(np.float32)
        if not np.isfinite(image).all():
            raise UserError(f"{path}: contains NaN or infinite pixels; replace them")
    elif image.dtype not in (np.uint8, np.uint16):
        raise UserError(f"{path}: {image.dtype} pixels are not supported; save 8 or 16 bit")
    return image


def _what_it_is(data: bytes) -> str:
    """Name the file type if it is one that is often given by mistake; otherwise empty."""
    if data[4:8] == b"ftyp":
        kind = data[8:12]
        return (
            " but HEIC, as iPhones take it"
            if kind in (b"heic", b"heix", b"mif1")
            else " but a video"
        )
    for start, name in (
        (b"%PDF", "PDF"),
        (b"<svg", "SVG"),
        (b"PK", "a ZIP archive"),
        (b"8BPS", "Photoshop's"),
        (b"version https://git-lfs", "a pointer of Git LFS: run git lfs pull"),
        (b"<!DOCTYPE html", "a web page: download it again"),
        (b"<html", "a web page: download it again"),
    ):
        if data.startswith(start):
            return f" but {name}"
    return ""


def turned_by_exif(path: str | Path) -> bool:
    """Whether the EXIF orientation rotates an image by 90 degrees, swapping width and height."""
    try:
        with Image.open(path) as opened:
            return opened.getexif().get(ExifTags.Base.Orientation) in _QUARTER_TURNS
    except Exception:  # not an image, or without EXIF data
        return False


def picture_size(path: str | Path) -> tuple[int, int] | None:
    """Width and height that an image's header states, without decoding it; None if it is unknown.

    Raises:
        UserError: the file cannot be read, or its header is damaged or claims too much.
    """
    path = Path(path)
    opened = _open(path, _read_bytes(path))
    return None if opened is None else opened.size


def read_infrared(path: str | Path, percentiles: tuple[float, float] | None = None) -> np.ndarray:
    """An infrared image as ``HxW``, 0..255 (uint8, or float32 from deeper files).

    An image stored with three channels is converted to its luminance.
    """
    return scale_to_255(luminance(read_image(path)), percentiles)


def read_visible(path: str | Path) -> np.ndarray:
    """A visible image as ``HxW`` or RGB ``HxWx3``, 0..255; dtype as for infrared."""
    return scale_to_255(read_image(path))


def require_image_suffix(path: Path) -> None:
    """Refuse a file name whose suffix is not an image format that can be written.

    Raises:
        UserError: the suffix is not in `WRITTEN_SUFFIXES`.
    """
    if path.suffix.lower() not in WRITTEN_SUFFIXES:
        raise UserError(f"{path}: unknown picture format; end the name in .png, .jpg, .bmp or .tif")


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Write a uint8 image, ``HxW`` or RGB ``HxWx3``; a failure leaves no partial file.

    The suffix of ``path`` selects the format.

    Raises:
        UserError: the suffix is not an image format, the image is too large for the format, or the
            file cannot be written.
    """
    path = Path(path)
    require_image_suffix(path)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    fits, data = cv2.imencode(path.suffix, bgr)
    if not fits:
        raise UserError(
            f"{path}: the format cannot store {image.shape[1]}x{image.shape[0]} pixels; use .png"
        )
    with whole_file(path) as temporary:
        temporary.write_bytes(data.tobytes())


def jpeg(image: np.ndarray, quality: int = 85, sharp_colors: bool = False) -> bytes:
    """A uint8 image, ``HxW`` or RGB ``HxWx3``, as a JPEG file.

    Args:
        quality: 0..100.
        sharp_colors: keep the full resolution of colours, as thin lines need it.
    """
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if sharp_colors:
        settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    return cv2.imencode(".jpg", bgr, settings)[1].tobytes()


def data_address(data: bytes, kind: str = "image/jpeg") -> str:
    """A file as an address that contains it, for HTML pages."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
