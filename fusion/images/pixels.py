"""Pixel values: scaling to 8 bit and to network values, colour, size, sheets of pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fusion.base.errors import UserError


def scale_to_255(image: np.ndarray, percentiles: tuple[float, float] | None = None) -> np.ndarray:
    """Bring any picture to the 0..255 range networks are fed from.

    Eight-bit pixels are returned as they are. Others (16-bit thermal, float radiometry) are
    stretched from `robust_range`, because cameras use a part of the range that nothing in the file
    tells.

    Args:
        image: uint8, uint16 or float32, any shape.
        percentiles: ``(low, high)`` in 0..100: stretch from these percentiles instead, clipping
            what lies outside; applied to eight-bit pixels too. Where both are one value, from the
            smallest and largest all the same.

    Returns:
        uint8 where nothing was to be done, else float32 in 0..255. A constant picture becomes 0.
    """
    if percentiles is None:
        if image.dtype == np.uint8:
            return image
        low, high = robust_range(image)
    else:
        low, high = (float(value) for value in np.percentile(image, percentiles))
        if high <= low:  # of a small hot target before an even background, both are the background
            low, high = float(image.min()), float(image.max())
    if high <= low:
        return np.zeros(image.shape, np.float32)
    scaled = (image.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    return np.clip(scaled, 0, 255, out=scaled)


def robust_range(image: np.ndarray) -> tuple[float, float]:
    """The smallest and largest value of a picture, without dead pixels.

    A dead or stuck pixel stands alone, a target does not. Where the extremes are so far out that
    the 5x5 median of the picture spans less than half of their range, values further from the
    median's range than half of it are left out: dead pixels, pairs of them, dead rows and columns
    and a line of telemetry at the edge no longer squeeze the picture into a few grey levels. A real
    target of a few pixels is clipped, and still the brightest.

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


#: Mean and deviation of ImageNet's colours, RGB on 0..1, as torchvision's networks know them.
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


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
            raise UserError(
                "the network's output is not finite though its input is: these weights are unusable"
            )
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


#: Aspect ratios that differ by no more are one: sizes are whole pixels, and sensors are cropped.
SAME_SHAPE = 0.02


def require_same_shape(
    what: str,
    ir: tuple[int, int],
    vis: tuple[int, int],
    resize: bool,
    stretch: bool,
    turned: Sequence[str] = (),
) -> None:
    """Refuse two sizes that `resize_to` must not bring together.

    Args:
        what: names the pictures.
        ir, vis: ``(width, height)``, which differ.
        resize: whether sizes of one aspect ratio may differ.
        stretch: whether aspect ratios may.
        turned: modalities that were turned by a quarter as their EXIF says.

    Raises:
        UserError: they may not; says what the shapes look like.
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
    # Bicubic overshoots, which uint8 saturates and float32 does not.
    return resized if resized.dtype == np.uint8 else np.clip(resized, 0, 255)


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
