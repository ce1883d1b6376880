"""Divide an image into windows whose results join without a seam."""

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Window", "windows"]


class Window(NamedTuple):
    """A range of rows or columns, and the larger range that it is computed from."""

    kept: slice  #: the range of the image that the result covers
    read: slice  #: the range of the image that it is computed from
    inner: slice  #: the position of the kept range within the read one


def windows(length: int, size: int, reach: int) -> Iterator[Window]:
    """Cover ``range(length)`` by windows of at most ``size``, read with a margin of ``reach``.

    ``reach`` is the receptive field of the layers to either side. Reflection at an inner edge of a
    window changes results up to ``reach`` pixels from that edge, and all of these are discarded; at
    the edge of the image, reflection is the same as without windows.
    """
    for begin in range(0, length, size):
        end = min(begin + size, length)
        first, last = max(0, begin - reach), min(length, end + reach)
        yield Window(slice(begin, end), slice(first, last), slice(begin - first, end - first))
