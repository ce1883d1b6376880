"""Cutting a picture into windows whose results join without a seam."""

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Window", "windows"]


class Window(NamedTuple):
    """A stretch of rows or columns, and the larger one it is computed from."""

    kept: slice  #: where in the picture the result belongs
    read: slice  #: what of the picture it is computed from
    inner: slice  #: where in a result of the size of `read` it lies


def windows(length: int, size: int, reach: int) -> Iterator[Window]:
    """Cover ``range(length)`` by windows of at most ``size``, read with ``reach`` more either side.

    For layers of convolutions that reach ``reach`` pixels together. Reflection at a window's inner
    edge, where there is none in the picture, changes results up to ``reach`` pixels from the edge,
    all of which are dropped; at the picture's edge it is the picture's own.
    """
    for begin in range(0, length, size):
        end = min(begin + size, length)
        first, last = max(0, begin - reach), min(length, end + reach)
        yield Window(slice(begin, end), slice(first, last), slice(begin - first, end - first))
