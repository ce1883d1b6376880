"""Convert arrays and tensors from other libraries into images as this package uses them.

Values are interpreted by data type:

- ``uint8``: 0..255, unchanged.
- ``uint16``: infrared counts or deep colour, stretched in the same way as 16-bit files
  (`fusion.images.pixels.scale_to_255`).
- floating point: 0..1 if no value exceeds 1, otherwise 0..255. Other ranges are refused, except
  for infrared images if the caller accepts any range.

Accepted shapes are ``HxW``, ``HxWx1``, ``HxWx3`` and ``HxWx4``; the fourth channel (alpha) is
dropped. Tensors may also be ``1xHxW``, ``3xHxW`` or ``4xHxW``, alone or as a batch of one.
"""

from typing import Any

import numpy as np

from fusion.images.pixels import scale_to_255


def as_array(image: Any, name: str) -> np.ndarray:
    """Convert an array or tensor to ``HxW`` or ``HxWx3`` without changing its data type.

    Args:
        image: an array or tensor of a shape listed in the module's docstring.
        name: what error messages call the image.

    Raises:
        ValueError: ``image`` is not an array or tensor, or has an unsupported shape.
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
    """Whether an array is floating point with values in 0..1 (see the module's docstring)."""
    return array.dtype.kind == "f" and bool(array.max() <= 1)


def as_picture(image: Any, name: str, any_range: bool = False) -> np.ndarray:
    """Convert an array or tensor to ``HxW`` or ``HxWx3``, uint8 or float32 in 0..255.

    Args:
        image: an array or tensor as described in the module's docstring.
        name: what error messages call the image.
        any_range: accept floating point values outside 0..255 and leave them unchanged.

    Raises:
        ValueError: the shape, data type or range is not supported, or values are NaN or infinite.
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
        raise ValueError(f"{name} contains NaN or infinite values; replace them, or give another")
    if low >= 0 and high <= 1:
        return array * np.float32(255)
    if not any_range and not (low >= 0 and high <= 255):
        raise ValueError(
            f"{name} must be in 0..1 or 0..255, got values from {low:g} to {high:g}; "
            "stretch radiometric values with fusion.images.pixels.scale_to_255"
        )
    return array
