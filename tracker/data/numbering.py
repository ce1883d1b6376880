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
from pathlib import Path

import numpy as np

from fusion.base.errors import UserError
from tracker.data.annotations import read_regions, regions_to_boxes
from tracker.data.frames import MODALITIES, MODALITY_NAMES, ImageFrames, number_ranges
from tracker.data.layouts import Layout, child_folder

__all__ = ["Annotations", "frames_of_lines", "place_annotations", "read_annotations"]

#: A file of the first frame's box alone, in some releases of every dataset.
FIRST_BOX = "init.txt"


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
        if lines < -(-(last - base + 1) // step) and (np.diff(numbers) > 1).all():
            raise UserError(
                f"{lines} lines, one every {step} frames, and pictures whose numbers go up by "
                f"{min(np.diff(numbers))}: it is unknown what the lines count"
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


# --- A sequence's annotation files ----------------------------------------------------------------

#: Boxes ``(N, 4)`` line by line, by the file's name.
Annotations = dict[str, np.ndarray]


def read_annotations(
    folder: Path, layout: type[Layout], problems: list[str], needed: bool = True
) -> Annotations:
    """Boxes line by line of each modality's best file; says which files are missing.

    Args:
        needed: whether an unreadable file is an error; else it is a problem.

    Raises:
        UserError: an unreadable file, where they are needed.
    """
    boxes: Annotations = {}
    missing: dict[str, list[str]] = {}
    for modality, candidates in layout.annotations.items():
        for name in dict.fromkeys((*candidates, FIRST_BOX)):
            path = child_folder(folder, name)
            if path is not None:
                try:
                    if name not in boxes:
                        corners = layout.corners and name != FIRST_BOX
                        boxes[name] = regions_to_boxes(read_regions(path), corners)
                except UserError as error:
                    if needed:
                        raise
                    problems.append(f"{error}; left out")
                break
        else:
            missing.setdefault(candidates[0], []).append(MODALITY_NAMES[modality])
    problems += [
        f"{name}: missing, so that no boxes are known on {' and '.join(modalities)} frames"
        for name, modalities in missing.items()
    ]
    return boxes


def place_annotations(
    annotations: Annotations,
    layout: type[Layout],
    sources: dict[str, ImageFrames],
    numbers: Sequence[int] | None,
    start: int | None,
    problems: list[str],
    needed: bool = True,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Boxes ``(N, 4)`` by modality, and ``(N,)`` bool, which frames the annotations speak of.

    Args:
        annotations: of `read_annotations`.
        sources: the frames' files by modality, of one length.
        numbers, start: see `frames_of_lines`.
        problems: gets a line for each file whose lines do not all have a picture.
        needed: whether lines that cannot be placed are an error; else they are a problem.

    Raises:
        UserError: they cannot be placed, where they are needed.
    """
    length = len(sources["rgb"])
    boxes = {modality: np.full((length, 4), np.nan) for modality in MODALITIES}
    annotated = np.zeros(length, bool)
    there = {m: np.array([name is not None for name in sources[m].names]) for m in MODALITIES}
    users: dict[str, list[str]] = {}
    for modality, candidates in layout.annotations.items():
        name = next((n for n in (*candidates, FIRST_BOX) if n in annotations), None)
        if name is not None:
            users.setdefault(name, []).append(modality)
    for name, modalities in users.items():
        rows = annotations[name]
        own = there[modalities[0]] if len(modalities) == 1 else there["rgb"] & there["ir"]
        step = 1 if name == FIRST_BOX else layout.step
        try:
            frames = frames_of_lines(
                len(rows), numbers, there["rgb"] | there["ir"], own, step, start
            )
        except UserError as error:
            if needed:
                raise UserError(f"{name}: {error}; give --box, or the missing pictures") from None
            problems.append(f"{name}: {error}; left out")
            continue
        known = frames >= 0
        for modality in modalities:
            boxes[modality][frames[known]] = rows[known]
        annotated[frames[known]] = True
        lost = number_ranges(np.flatnonzero(~known) + 1)
        every = f" (one every {step} frames expected)" if step > 1 else ""
        expected = -(-length // step)
        if lost:
            problems.append(
                f"{name}: {len(rows)} lines for {length} frames{every}; no picture for lines {lost}"
            )
        elif len(rows) not in (expected, length, own.sum()):
            problems.append(f"{name}: {len(rows)} lines for {length} frames{every}")
    return boxes, annotated
