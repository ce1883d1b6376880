"""Reading and writing of single pictures."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from fusion.base.errors import UserError
from fusion.base.files import whole_file
from fusion.images.pixels import luminance, scale_to_255

# Picture readers of OpenCV print warnings of their own; every failure is raised as UserError.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})


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


def read_infrared(path: str | Path, percentiles: tuple[float, float] | None = None) -> np.ndarray:
    """An infrared picture as ``HxW``, 0..255 (uint8, or float32 from deeper files).

    A picture stored with three channels gives its luminance.
    """
    return scale_to_255(luminance(read_image(path)), percentiles)


def read_visible(path: str | Path) -> np.ndarray:
    """A visible picture as ``HxW`` or RGB ``HxWx3``, 0..255; dtype as for infrared."""
    return scale_to_255(read_image(path))


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
