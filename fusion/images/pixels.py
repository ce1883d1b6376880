"""Pixel values: scaling to 8 bit and to network values, colour, resizing, contact sheets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fusion.base.errors import UserError


def scale_to_255(image: np.ndarray, percentiles: tuple[float, float] | None = None) -> np.ndarray:
    """Scale any image to the range 0..255, from which network inputs are made.

    Eight-bit pixels are returned unchanged. Other types (16-bit thermal, floating point
    radiometry) are stretched from `robust_range`, because cameras use only a part of the range and
    the file does not say which.

    Args:
        image: uint8, uint16 or float32, any shape.
        percentiles: ``(low, high)`` in 0..100. Stretch from these percentiles instead and clip
            values outside; this also applies to eight-bit pixels. If both percentiles have the
            same value, the smallest and largest value are used.

    Returns:
        uint8 if the image was unchanged, otherwise float32 in 0..255. A constant image becomes 0.
    """
    if percentiles is None:
        if image.dtype == np.uint8:
            return image
        low, high = robust_range(image)
    else:
        low, high = (float(value) for value in np.percentile(image, percentiles))
        if high <= low:  # with a small target on a uniform background, both are the background
            low, high = float(image.min()), float(image.max())
    if high <= low:
        return np.zeros(image.shape, np.float32)
    scaled = (image.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    return np.clip(scaled, 0, 255, out=scaled)


def robust_range(image: np.ndarray) -> tuple[float, float]:
    """The smallest and largest value of an image, ignoring dead pixels.

    A dead or stuck pixel is isolated, a target is not. The range of the 5x5 median-filtered image
    is compared with the range of all values. If it is less than half as wide, values that lie
    outside the median's range by more than half its width are ignored. Dead pixels, pairs of them,
    dead rows and columns, and a line of telemetry at the edge then no longer compress the image
    into a few grey levels. A real target of a few pixels is clipped but remains the brightest.

    Args:
        image: uint16 or float32, ``HxW`` or ``HxWxC``.
    """
    low, high = float(image.min()), float(image.max())
    if image.ndim not in (2, 3) or min(image.shape[:2]) < 9 or not low < high:
        return low, high
    filtered = cv2.medianBlur(np.ascontiguousarray(image), 5)[2:-2, 2:-2]
    first, last = float(filtered.min()), float(filtered.max())
    spread = last - first
    if not 0 < 2 * spread < high - low:
        return low, high
    kept = image[(image >= first - spread / 2) & (image <= last + spread / 2)]
    return float(kept.min()), float(kept.max())


def to_8bit(image: np.ndarray, percentiles: tuple[float, float] | None = None) -> np.ndarray:
    """`scale_to_255`, rounded to uint8."""
    scaled = scale_to_255(image, percentiles)
    return scaled if scaled.dtype == np.uint8 else np.rint(scaled).astype(np.uint8)


#: Mean and standard deviation of ImageNet's RGB values in 0..1, as torchvision's networks use them.
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def luminance(image: np.ndarray) -> np.ndarray:
    """BT.601 luma of an RGB image, ``HxW``, same dtype; a grey image is returned unchanged."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image


def is_color(image: np.ndarray) -> bool:
    """Whether an image has three channels that are not all equal."""
    # Comparing block by block stops at the first colour and needs no temporary of the full size.
    return image.ndim == 3 and any(
        not all(np.array_equal(channel, channels[0]) for channel in channels[1:])
        for channels in map(cv2.split, _blocks(image))
    )


def _blocks(image: np.ndarray, rows: int = 64) -> Iterator[np.ndarray]:
    """Successive rows of an image, few enough for temporaries that stay in the cache."""
    return (image[row : row + rows] for row in range(0, len(image), rows))


def with_luminance(rgb: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """Replace the luminance of ``rgb`` and keep its chroma.

    Chroma is defined by the scaled differences ``R - Y`` and ``B - Y``, so replacing Y by Y' adds
    ``Y' - Y`` to every channel.

    Args:
        rgb: ``HxWx3``, 0..255.
        luma: ``HxW``, 0..255.

    Returns:
        RGB uint8 ``HxWx3``.
    """
    result = np.empty(rgb.shape, np.uint8)
    for source, grey, out in zip(_blocks(rgb), _blocks(luma), _blocks(result), strict=True):
        source = source.astype(np.float32)
        change = cv2.subtract(grey.astype(np.float32), luminance(source))
        cv2.add(source, cv2.merge([change] * 3), out, dtype=cv2.CV_8U)  # rounds and clips
    return result


@dataclass(frozen=True)
class PixelScaling:
    """How pixels are converted to network values and back.

    Weights are trained for one convention, so it is stored with them. The default is the published
    convention of LRRNet: the input is stretched to 0..1 by its own range; the output is stretched
    to 0..255 by its own range and truncated.

    Args:
        input: ``min-max``, ``(x - min) / (max - min + 1e-5)`` per image, or ``unit``, ``x / 255``.
        output: ``min-max``, stretched in the same way, or ``clamp``, clipped to 0..1.
        gain: factor applied to the output before it is clamped.
        rounding: ``truncate`` or ``round`` to whole grey levels.
        epsilon: added to the range by which an output is stretched; programs that add nothing
            have 0.
    """

    input: str = "min-max"
    output: str = "min-max"
    gain: float = 1.0
    rounding: str = "truncate"
    epsilon: float = 1e-5

    EPSILON = 1e-5  # LRRNet's, for inputs in 0..255

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
        if not 0 <= self.epsilon < float("inf"):
            raise ValueError(f"PixelScaling.epsilon is at least 0, got {self.epsilon!r}")

    def to_network(
        self, image: np.ndarray, value_range: tuple[float, float] | None = None
    ) -> np.ndarray:
        """Convert a grey image ``HxW`` in 0..255 to float32 in 0..1.

        Args:
            value_range: smallest and largest value of the whole image, if ``image`` is a part of
                it. None: the range of ``image``.
        """
        image = image.astype(np.float32)
        if self.input == "unit":
            return image / np.float32(255)
        return _stretch(image, self.EPSILON, value_range)

    def to_pixels(
        self, output: np.ndarray, value_range: tuple[float, float] | None = None
    ) -> np.ndarray:
        """Convert a float32 network output ``HxW`` to uint8.

        Args:
            value_range: smallest and largest value of the whole output, as in `to_network`.

        Raises:
            UserError: the output contains NaN or infinite values.
        """
        if not np.isfinite(output).all():
            raise UserError(
                "the network's output is not finite though its input is: these weights are unusable"
            )
        if self.output == "min-max":
            output = _stretch(output, self.epsilon, value_range)
        else:
            output = np.clip(output * np.float32(self.gain), 0, 1)
        output = output * np.float32(255)
        return (np.rint(output) if self.rounding == "round" else output).astype(np.uint8)


def _stretch(
    image: np.ndarray, epsilon: float, value_range: tuple[float, float] | None
) -> np.ndarray:
    low, high = map(np.float32, value_range or (image.min(), image.max()))
    span = high - low + np.float32(epsilon)
    return (image - low) / (span or np.float32(1))  # a constant image becomes 0


#: Largest relative difference of two aspect ratios that count as equal, because sizes are rounded
#: to whole pixels and sensors are cropped.
SAME_SHAPE = 0.02


def require_same_shape(
    what: str,
    ir: tuple[int, int],
    vis: tuple[int, int],
    resize: bool,
    stretch: bool,
    turned: Sequence[str] = (),
) -> None:
    """Refuse two image sizes that `resize_to` must not make equal.

    Args:
        what: what error messages call the image pair.
        ir, vis: the two different sizes ``(width, height)``.
        resize: whether the sizes may differ if the aspect ratio is the same.
        stretch: whether the aspect ratios may differ.
        turned: modalities that were rotated by 90 degrees according to their EXIF orientation.

    Raises:
        UserError: the difference is not allowed; the message suggests a likely cause.
    """
    sizes = f"infrared {ir[0]}x{ir[1]}, visible {vis[0]}x{vis[1]}"
    ratio = ir[0] * vis[1] / (ir[1] * vis[0])
    same = abs(ratio - 1) <= SAME_SHAPE
    if stretch or (resize and same):
        return
    rotated = f"; {' and '.join(turned)} turned by the EXIF rotation" if turned else ""
    if same:
        raise UserError(
            f"{what}: sizes differ, {sizes}{rotated}; register them, or give --resize if they show "
            "the same view"
        )
    if abs(ir[1] * vis[1] / (ir[0] * vis[0]) - 1) <= SAME_SHAPE or (ir[0] > ir[1]) != (
        vis[0] > vis[1]
    ):
        cause = "is one of them turned?"
    else:
        cause = "is one of them cropped?"
    raise UserError(
        f"{what}: shapes differ, {sizes}{rotated}: {cause} Turn, crop or register them, or give "
        "--stretch to change the infrared's aspect ratio"
    )


def resize_to(image: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Resize to the height and width of ``like``: area average to shrink, bicubic to grow."""
    (height, width), (old_height, old_width) = like.shape[:2], image.shape[:2]
    shrinks = height * width < old_height * old_width
    resized = cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )
    # Bicubic interpolation overshoots; uint8 saturates, float32 has to be clipped.
    return resized if resized.dtype == np.uint8 else np.clip(resized, 0, 255)


def narrowed(image: np.ndarray, width: int) -> np.ndarray:
    """An image scaled down to ``width`` pixels in width, if it is wider."""
    if image.shape[1] <= width:
        return image
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def tile(rows: Sequence[Sequence[tuple[str, np.ndarray]]]) -> np.ndarray:
    """A contact sheet of captioned images.

    Args:
        rows: rows of ``(caption, uint8 image)``; all images have the same size.

    Returns:
        RGB uint8, captions in a bar above each image.
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
