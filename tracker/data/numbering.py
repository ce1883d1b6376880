"""Assign the lines of an annotation to frames.

**The rule.** Line k (from 0) belongs to the image with the number base + step k, where step is 1,
or 10 in VTUAV. The base is defined by the layout if it fixes one (VOT: 1); otherwise it is the
number of the first image if that is 0 or 1.

Images may be missing. If there are as many lines as numbers from the first to the last image, the
annotation also covers the missing images. If there are as many lines as images, it was written
without them. If the first number is above 1, either the sequence begins there or the images before
it are missing; exactly one of the two must agree with the number of lines.

Ambiguous cases are refused, because a box on the wrong frame is worse than no box. If the file
names have no counter (see `fusion.images.pairing`), there must be one line per frame.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fusion.base.errors import UserError
from tracker.data.annotations import read_regions, regions_to_boxes
from tracker.data.frames import MODALITIES, MODALITY_NAMES, ImageFrames, number_ranges
from tracker.data.layouts import Layout, child_folder

#: A file with only the first frame's box, which some releases of every dataset contain.
FIRST_BOX = "init.txt"


def frames_of_lines(
    lines: int,
    numbers: Sequence[int] | None,
    present: np.ndarray,
    own: np.ndarray | None = None,
    step: int = 1,
    start: int | None = None,
) -> np.ndarray:
    """The frame of each line of an annotation, by the rule in the module's docstring.

    Args:
        lines: number of lines of the annotation.
        numbers: the number of each frame, ascending; None if the names have no counter.
        present: ``(N,)`` bool: frames with an image in any modality.
        own: the same for the annotation's own modality; None if it annotates both.
        step: number of frames from one line to the next.
        start: number of the first line's frame, if the layout fixes it.

    Returns:
        ``(lines,)`` int: the frame index of each line, -1 if its image is missing.

    Raises:
        UserError: the frame numbers are ambiguous.
    """
    count = len(present)
    if numbers is None:
        if step == 1 and lines == count:
            return np.arange(count)
        if step == 1 and own is not None and lines == own.sum():
            return np.flatnonzero(own)
        raise UserError(
            f"{lines} lines for {count} frames whose names have no number, so it is unknown "
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
                f"{lines} lines, one every {step} frames, and images whose numbers increase by "
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
    # The annotation ends early. Before the first gap, number and order agree.
    whole = present if own is None else present & own
    gapless = next((i for i in range(count) if numbers[i] != first + i or not whole[i]), count)
    if first <= 1 and (lines <= gapless or gapless == count):
        return np.arange(lines)
    raise UserError(
        f"{lines} lines for {pictures} images numbered from {first} to {last}: neither one line "
        "per image nor one per number"
    )


def _only(bases: set[int], first: int, last: int, what: str) -> int:
    """The only possible base.

    Raises:
        UserError: no base is possible, or several are.
    """
    if len(bases) == 1:
        return bases.pop()
    several = " and ".join(map(str, sorted(bases)))
    raise UserError(
        f"{what} and images numbered from {first} to {last}: "
        + (f"the lines fit if counted from {several}" if bases else "they do not fit")
    )


class _Places:
    """Frames by their numbers."""

    def __init__(self, numbers: Sequence[int]):
        self._places = {number: place for place, number in enumerate(numbers)}

    def of(self, numbers: np.ndarray) -> np.ndarray:
        return np.array([self._places.get(int(number), -1) for number in numbers], int)


# --- A sequence's annotation files ----------------------------------------------------------------

#: Boxes ``(N, 4)``, one row per line, by file name.
Annotations = dict[str, np.ndarray]


def read_sequence_annotations(
    folder: Path, layout: type[Layout], problems: list[str], needed: bool = True
) -> Annotations:
    """Read the boxes of the best file of each modality, and report missing files.

    Args:
        needed: whether an unreadable file is an error; otherwise it is reported as a problem.

    Raises:
        UserError: a file is unreadable and ``needed`` is set.
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
        f"{name}: missing, so the boxes on {' and '.join(modalities)} frames are unknown"
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
    """Boxes ``(N, 4)`` by modality, and ``(N,)`` bool: the frames that are annotated.

    Args:
        annotations: the result of `read_sequence_annotations`.
        sources: the frames' files by modality, all of the same length.
        numbers, start: see `frames_of_lines`.
        problems: a line is appended for each file with lines that have no image.
        needed: whether lines that cannot be assigned to frames are an error; otherwise they are
            reported as a problem.

    Raises:
        UserError: lines cannot be assigned to frames and ``needed`` is set.
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
                raise UserError(f"{name}: {error}; give --box, or the missing images") from None
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
                f"{name}: {len(rows)} lines for {length} frames{every}; no image for lines {lost}"
            )
        elif len(rows) not in (expected, length, own.sum()):
            problems.append(f"{name}: {len(rows)} lines for {length} frames{every}")
    return boxes, annotated
