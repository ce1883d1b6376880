"""Pictures as other libraries give them: arrays and tensors of any layout, to what networks take.

The rule for values, by type:

- ``uint8``: 0..255, as they are.
- ``uint16``: infrared counts or deep colour, stretched as 16-bit files are
  (`fusion.images.pixels.scale_to_255`).
- floating point: 0..1 where no value is above 1, else 0..255. Anything else is refused, but for
  infrared where the caller takes any range.

And by shape: ``HxW``, ``HxWx1``, ``HxWx3`` and ``HxWx4``, of which the last channel, alpha, is
dropped. Tensors may also be ``1xHxW``, ``3xHxW`` or ``4xHxW``, alone or as a batch of one.
"""

from typing import Any

import numpy as np

from fusion.images.pixels import scale_to_255

__all__ = ["as_array", "as_picture", "is_unit_range"]


def as_array(image: Any, name: str) -> np.ndarray:
    """An array or tensor as ``HxW`` or ``HxWx3``, of its own type.

    Args:
        image: see this module.
        name: of the picture, for messages.

    Raises:
        ValueError: no array or tensor, or of another shape.
    """
    is_tensor = hasattr(image, "detach") and hasattr(image, "cpu")
    if is_tensor:
        tensor = image.detach().cpu()
        array = (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
        if array.ndim == 4 and array.shape[0] == 1:
            array = array[0]
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            array = array.transpose(1, 2, 0)
    elif isinstance(image, np.ndarray):
        array = image
    else:
        raise ValueError(f"{name} must be an array or tensor, got {type(image).__name__}")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    elif array.ndim == 3 and array.shape[2] == 4:
        array = np.ascontiguousarray(array[..., :3])
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)) or not array.size:
        raise ValueError(
            f"{name} must be HxW, HxWx1, HxWx3 or HxWx4 (tensors: also channels first), got shape "
            f"{tuple(image.shape)}"
        )
    return np.ascontiguousarray(array)


def is_unit_range(array: np.ndarray) -> bool:
    """Whether floating point values are 0..1, by this module's rule."""
    return array.dtype.kind == "f" and bool(array.max() <= 1)


def as_picture(image: Any, name: str, any_range: bool = False) -> np.ndarray:
    """An array or tensor as ``HxW`` or ``HxWx3``, uint8 or float32 in 0..255.

    Args:
        image: see this module.
        name: of the picture, for messages.
        any_range: leave floating point values beyond 0..255 as they are.

    Raises:
        ValueError: another shape, type or range than this module describes, NaN or infinity.
    """
    array = as_array(image, name)
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return scale_to_255(array)
    if array.dtype.kind != "f":
        raise ValueError(
            f"{name} must be uint8, uint16 or floating point, got {array.dtype}; convert it, for "
            "example with fusion.images.pixels.to_8bit"
        )
    array = array.astype(np.float32)
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"{name} holds NaN or infinite values; replace them, or give another")
    if low >= 0 and high <= 1:
        return array * np.float32(255)
    if not any_range and not (low >= 0 and high <= 255):
        raise ValueError(
            f"{name} must be in 0..1 or 0..255, got values from {low:g} to {high:g}; "
            "fusion.images.pixels.scale_to_255 stretches radiometry"
        )
    return array
