"""Convert the inputs of metrics, one or several arrays or tensors, to uint8 images.

    ========================  ===========================  =========================
    images                    arrays                       tensors
    ========================  ===========================  =========================
    one, grey                 ``HxW``                      ``HxW``, ``1xHxW``
    one, RGB                  ``HxWx3``                    ``3xHxW``
    several, grey             ``NxHxW``                    ``Nx1xHxW``
    several, RGB              ``NxHxWx3``                  ``Nx3xHxW``
    ========================  ===========================  =========================

uint8 images have levels 0..255. Floating point images have values in 0..1 and are rounded to
levels, half to even. Other values are refused, because an image in 0..255 or -1..1 would silently
give wrong results.
"""

from typing import Any

import cv2
import numpy as np

#: Tolerance for floating point values outside 0..1 due to rounding.
_SLACK = 1e-5


def to_levels(title: str, pictures: Any) -> tuple[list[np.ndarray], bool]:
    """Convert to uint8 images, ``HxW`` or RGB ``HxWx3`` each; also tell if the input was a batch.

    Args:
        title: what error messages call the images.
        pictures: images as listed in the module's docstring.

    Raises:
        ValueError: the type, the shape or the values are not supported.
    """
    if isinstance(pictures, np.ndarray):
        array, is_batch = _batch_of_array(title, pictures)
    elif hasattr(pictures, "detach"):
        array, is_batch = _batch_of_tensor(title, pictures)
    else:
        raise ValueError(f"{title}: images are arrays or tensors, got {type(pictures).__name__}")
    return [_levels(title, picture) for picture in array], is_batch


def _batch_of_array(title: str, array: np.ndarray) -> tuple[np.ndarray, bool]:
    is_color = array.ndim >= 3 and array.shape[-1] == 3
    if array.ndim == 2 or (array.ndim == 3 and is_color):
        return array[None], False
    if array.ndim == 3 or (array.ndim == 4 and is_color):
        return array, True
    raise ValueError(f"{title}: arrays are HxW, HxWx3, NxHxW or NxHxWx3, got {_shape(array)}")


def _batch_of_tensor(title: str, tensor: Any) -> tuple[np.ndarray, bool]:
    if tensor.ndim == 2:
        tensor = tensor[None]
    if tensor.ndim not in (3, 4) or tensor.shape[-3] not in (1, 3):
        raise ValueError(
            f"{title}: tensors are HxW, CxHxW or NxCxHxW with 1 or 3 channels, got {_shape(tensor)}"
        )
    is_batch = tensor.ndim == 4
    tensor = tensor.detach() if is_batch else tensor.detach()[None]
    if tensor.is_floating_point():
        tensor = tensor.double()  # so that bfloat16 has an array and rounding is as for arrays
    array = tensor.permute(0, 2, 3, 1).cpu().numpy()
    return array[..., 0] if array.shape[-1] == 1 else array, is_batch


def _levels(title: str, picture: np.ndarray) -> np.ndarray:
    if picture.size == 0:
        raise ValueError(f"{title}: the image is empty, {_shape(picture)}")
    if picture.dtype == np.uint8:
        return np.ascontiguousarray(picture)
    if not np.issubdtype(picture.dtype, np.floating):
        raise ValueError(f"{title}: images are uint8 or floating point, got {picture.dtype}")
    low, high = float(picture.min()), float(picture.max())
    if not (low >= -_SLACK and high <= 1 + _SLACK):  # NaN too
        raise ValueError(
            f"{title}: floating-point images are on 0..1, got {low:.6g}..{high:.6g}; "
            "divide by the largest level or pass uint8"
        )
    return np.rint(np.clip(picture, 0, 1).astype(np.float64) * 255).astype(np.uint8)


def _shape(array: Any) -> str:
    return "x".join(map(str, array.shape))


def require_one_size(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> None:
    """Raise `ValueError` if a source differs in height or width from the fused image."""
    for title, image in (("infrared", ir), ("visible", vis)):
        if image.shape[:2] != fused.shape[:2]:
            raise ValueError(
                f"{title} is {image.shape[1]}x{image.shape[0]}, "
                f"fused {fused.shape[1]}x{fused.shape[0]}; all must have one size"
            )


# --- Grey -----------------------------------------------------------------------------------------


def grey_opencv(image: np.ndarray) -> np.ndarray:
    """BT.601 luma in OpenCV's fixed-point arithmetic, as this package reads images."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image


def grey_float(image: np.ndarray) -> np.ndarray:
    """``0.299 R + 0.587 G + 0.114 B`` in float32, rounded half to even."""
    if image.ndim == 2:
        return image
    red, green, blue = (image[..., k].astype(np.float32) for k in range(3))
    luma = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    return np.rint(luma).astype(np.uint8)


def grey_pillow(image: np.ndarray) -> np.ndarray:
    """``(19595 R + 38470 G + 7471 B + 32768) >> 16``, Pillow's mode L."""
    if image.ndim == 2:
        return image
    red, green, blue = (image[..., k].astype(np.int64) for k in range(3))
    return ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16).astype(np.uint8)


def grey_matlab(image: np.ndarray) -> np.ndarray:
    """MATLAB's ``rgb2gray``: weights of 15 digits, rounded half up."""
    if image.ndim == 2:
        return image
    red, green, blue = (image[..., k].astype(np.float64) for k in range(3))
    luma = 0.298936021293775 * red + 0.587043074451121 * green + 0.114020904255103 * blue
    return np.floor(luma + 0.5).astype(np.uint8)
