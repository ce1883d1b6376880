"""Which frame each line of an annotation belongs to.

**The rule.** A line belongs to the picture of its number: line k (from 0) to number base + step k,
where step is 1, or 10 in VTUAV. The base is the layout's where it fixes one (VOT: 1), else the
first picture's number where that is 0 or 1.

Pictures may be missing. An annotation of as many lines as there are numbers from the first picture
to the last speaks of the missing ones too; one of as many lines as there are pictures was written
without them. A first number above 1 is either the sequence's own beginning, or the pictures before
it are lost: the number of lines must leave one of these possible, and only one.

Whatever the numbers do not decide is refused: a box on another frame than its own is worse than no
box. Names without a counter (see `fusion.images.pairing`) need a line for each frame.
"""

from collections.abc import Sequence

import numpy as np

from fusion.base.errors import UserError

__all__ = ["frames_of_lines"]


def frames_of_lines(
    lines: int,
    numbers: Sequence[int] | None,
    present: np.ndarray,
    own: np.ndarray | None = None,
    step: int = 1,
    start: int | None = None,
) -> np.ndarray:
    """The frame of each line of an annotation, by this module's rule.

    Args:
        lines: how many the annotation has.
        numbers: each frame's number, rising; None where names have no counter.
        present: ``(N,)`` bool: frames with a picture in any modality.
        own: the same for the annotation's own modality; None where it is of both.
        step: frames from one line to the next.
        start: the number of the first line's frame, where the layout fixes it.

    Returns:
        ``(lines,)`` int: a frame's index for each line, -1 where its picture is not there.

    Raises:
        UserError: the numbers do not tell.
    """
    count = len(present)
    if numbers is None:
        if step == 1 and lines == count:
            return np.arange(count)
        if step == 1 and own is not None and lines == own.sum():
            return np.flatnonzero(own)
        raise UserError(
            f"{lines} lines for {count} frames whose names have no number, so that it is unknown "
            "which are missing"
        )
    first, last = numbers[0], numbers[-1]
    places = _Places(numbers)
    span = last - first + 1
    pictures = int(present.sum())
    if step > 1 and lines not in (span, pictures):
        base = first if start is None else start
        if start is None and first > 1:
            base = _only(
                {
                    candidate
                    for candidate in (0, 1, first)
                    if -(-(last - candidate + 1) // step) == lines
                },
                first,
                last,
                f"{lines} lines, one every {step} frames,",
            )
        return places.of(base + step * np.arange(lines))
    if start is not None and not (first < start and lines == span):
        return places.of(start + np.arange(lines))
    if lines == span:
        return places.of(first + np.arange(lines))
    if lines > span:
        base = first
        if first > 1:
            bases = {candidate for candidate in (0, 1) if last <= candidate + lines - 1}
            base = _only(bases, first, last, f"{lines} lines")
        return places.of(base + np.arange(lines))
    if lines == pictures:
        return np.flatnonzero(present)
    if own is not None and lines == own.sum():
        return np.flatnonzero(own)
    # The annotation ends early. Before the first gap, number and order are one.
    whole = present if own is None else present & own
    gapless = next((i for i in range(count) if numbers[i] != first + i or not whole[i]), count)
    if first <= 1 and (lines <= gapless or gapless == count):
        return np.arange(lines)
    raise UserError(
        f"{lines} lines for {pictures} pictures numbered from {first} to {last}: neither a line "
        "for each picture nor one for each number"
    )


def _only(bases: set[int], first: int, last: int, what: str) -> int:
    """The one base that is possible."""
    if len(bases) == 1:
        return bases.pop()
    several = " and ".join(map(str, sorted(bases)))
    raise UserError(
        f"{what} and pictures numbered from {first} to {last}: "
        + (f"counted from {several} the lines would fit alike" if bases else "they do not fit")
    )


class _Places:
    """Frames by their numbers."""

    def __init__(self, numbers: Sequence[int]):
        self._places = {number: place for place, number in enumerate(numbers)}

    def of(self, numbers: np.ndarray) -> np.ndarray:
        return np.array([self._places.get(int(number), -1) for number in numbers], int)
