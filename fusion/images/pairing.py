"""Match infrared and visible images by their file names.

The same rules apply to folders of still images and to the frames of a sequence. A wrong pair is
worse than no pair, so ambiguous names are refused.

1. **Order.** The images of each folder are sorted in natural order of their names (2 before 10).
2. **Counter.** The counter of a folder is the first run of digits that differs between every two
   consecutive names, while everything before it is the same in all names. The count of
   ``frame_0002_640x512`` and of ``000002_mono16`` is 2. Text after the counter, such as a hash, is
   ignored. Names that also differ before the counter or in other ways, such as dates with times or
   different words, have no counter.
3. **Match by counter.** If both folders have a counter, images with equal counts form a pair. The
   prefix, the suffix and the zero padding may differ between the modalities. An image without a
   partner stays unpaired. At least half of the counts of the smaller folder must also occur in the
   other folder.
4. **Match by name.** Otherwise images with equal names form a pair. If no names are equal, one
   prefix and one suffix per modality are removed first; they are cut only between words and
   numbers, never inside one.
5. **Refused.** The error names two files that differ. Names are refused if nothing matches; if
   shifting one folder's counts would match more images than the counts as they are (one camera may
   count from 0 and the other from 1, or one folder may lack its beginning and the other its end,
   and the names do not tell which); if two ways to remove prefixes and suffixes match equally many
   images; or if rules 3 and 4 contradict each other.
6. **Decided by the user.** In the cases that rule 5 refuses, the user can choose to pair by order
   if no image is missing on either side (``index``), or by equal counts or names as they are
   (``name``). If both folders have a counter, an annotation with one line per image of both
   folders also shows that no image is missing.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from fusion.base.errors import UserError
from fusion.base.files import natural_key
from fusion.images.reading import IMAGE_SUFFIXES


@dataclass(frozen=True)
class Pairing:
    """Two folders matched by name: pairs ``(infrared, visible)`` and the images without partner."""

    pairs: list[tuple[Path, Path]]
    only_infrared: list[Path]
    only_visible: list[Path]


@dataclass(frozen=True)
class Matching:
    """The matched file names of two folders, in order.

    Attributes:
        rows: tuples ``(visible, infrared)``; None stands for a missing image.
        numbers: the count of each row, ascending; None if the names have no counter.
        how: what the names were matched by: ``counter``, ``name`` or ``order``.
    """

    rows: list[tuple[str | None, str | None]]
    numbers: list[int] | None
    how: str


def list_images(folder: str | Path) -> list[Path]:
    """Image files of a folder (not of its subfolders), in natural order.

    Raises:
        UserError: the folder does not exist or contains no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    images, others = [], set()
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.suffix.lower() in IMAGE_SUFFIXES:
            images.append(path)
        elif path.suffix and path.is_file():
            others.add(path.suffix.lower())
    if not images:
        found = f"; {', '.join(sorted(others)[:4])} files are not read" if others else ""
        raise UserError(f"{folder}: contains no images (PNG, JPEG, TIFF, WebP, ...){found}")
    return sorted(images, key=natural_key)


def images_by_stem(folder: str | Path) -> dict[str, Path]:
    """Image files of a folder by their stem, in natural order.

    Raises:
        UserError: as `list_images`, or two files have the same stem.
    """
    images = list_images(folder)
    _require_distinct((path.name for path in images), Path(folder))
    return {path.stem: path for path in images}


def pair_folders(infrared: str | Path, visible: str | Path, pair: str | None = None) -> Pairing:
    """Match the images of two folders by the rules in the module's docstring.

    Args:
        pair: ``name`` or ``index``, see `match_names`.

    Raises:
        UserError: a folder is missing or empty, two files of a folder have the same stem, or the
            names do not tell which images belong together.
    """
    ir, vis = (Path(infrared), Path(visible))
    names = [[path.name for path in list_images(folder)] for folder in (ir, vis)]
    for folder, found in zip((ir, vis), names, strict=True):
        _require_distinct(found, folder)
    try:
        matching = match_names(names[1], names[0], pair)
    except UserError as error:
        raise UserError(f"{ir} and {vis}: {error}") from None
    return Pairing(
        pairs=[(ir / b, vis / a) for a, b in matching.rows if a is not None and b is not None],
        only_infrared=[ir / b for a, b in matching.rows if a is None and b is not None],
        only_visible=[vis / a for a, b in matching.rows if b is None and a is not None],
    )


def match_names(
    visible: Sequence[str],
    infrared: Sequence[str],
    pair: str | None = None,
    complete: bool = False,
) -> Matching:
    """Match the file names of two folders by the rules in the module's docstring.

    Args:
        visible, infrared: file names in natural order.
        pair: ``index`` pairs the k-th visible with the k-th infrared name. ``name`` pairs by equal
            counts or names, even if a shift would match more. None applies rules 1 to 5.
        complete: whether it is known that no image is missing on either side.

    Raises:
        UserError: the names are ambiguous, ``index`` is given for folders with different numbers
            of images, or ``time``, which is for videos.
    """
    if pair == "time":
        raise UserError(
            "--pair time: works for two videos only; give name or index for two folders"
        )
    stems = [[_stem(name) for name in side] for side in (visible, infrared)]
    counts = [counter(side) for side in stems]
    numbers = counts[0] if counts[0] is not None and counts[0] == counts[1] else None
    if pair == "index":
        if len(visible) != len(infrared):
            raise UserError(
                f"--pair index: needs equally many images on both sides, not {len(visible)} "
                f"visible and {len(infrared)} infrared ones"
            )
        return Matching(list(zip(visible, infrared, strict=True)), numbers, "order")
    why = "no names are equal, even without a prefix or suffix per folder"
    if counts[0] is not None and counts[1] is not None:
        shared = len(set(counts[0]) & set(counts[1]))
        shift = _better_shift(counts[0], counts[1], shared)
        enough = shift is None and 2 * shared >= min(len(visible), len(infrared))
        if shared and (pair == "name" or enough):
            by_counter = _join(visible, infrared, counts[0], counts[1], "counter")
            _require_equal_names_together(by_counter, stems[0], stems[1], visible, infrared)
            return by_counter
        why = (
            f"visible images are numbered {counts[0][0]} to {counts[0][-1]}, infrared images "
            f"{counts[1][0]} to {counts[1][-1]}"
            + (
                f", and more of them would match if one side were shifted by {abs(shift)}"
                if shared and shift
                else ""
            )
            + (f", and only {shared} numbers are in both" if shared and not shift else "")
        )
    else:
        by_name = _match_by_name(stems, visible, infrared)
        if by_name is not None:
            return by_name
    counted = counts[0] is not None and counts[1] is not None
    if complete and counted and len(visible) == len(infrared):
        return Matching(list(zip(visible, infrared, strict=True)), numbers, "order")
    first = next(
        ((a, b) for a, b, x, y in zip(visible, infrared, *stems, strict=False) if x != y),
        (visible[0], infrared[0]),
    )
    fix = "give both images of a pair the same name"
    if len(visible) == len(infrared):
        fix += ", or use --pair index if no image is missing on either side"
    if counts[0] is not None and counts[1] is not None and set(counts[0]) & set(counts[1]):
        fix += ", or use --pair name if equal numbers belong together"
    raise UserError(
        f"the names do not tell which images belong together ({first[0]} and {first[1]}): "
        f"{why}; {fix}"
    )


# --- Counters -------------------------------------------------------------------------------------


def _stem(name: str) -> str:
    return unicodedata.normalize("NFC", Path(name).stem)


def _tokens(stem: str) -> list[str]:
    """Split a stem into alternating text and digits, text first: ``a1b`` to ``a``, ``1``, ``b``."""
    return re.split(r"([0-9]+)", stem)


def counter(stems: Sequence[str]) -> list[int] | None:
    """The count in each name (rule 2 of this module); None if the names have no counter.

    Args:
        stems: names without suffix, in natural order. The counter of a single name is its only
            run of digits; a name with several runs has none.
    """
    tokens = [_tokens(stem) for stem in stems]
    if len(tokens) == 1:
        return [int(tokens[0][1])] if len(tokens[0]) == 3 else None
    place = None
    for before, after in pairwise(tokens):
        differing = next(
            (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), None
        )
        if differing is None or differing % 2 == 0 or (place is not None and differing != place):
            return None
        place = differing
    assert place is not None
    counts = [int(token[place]) for token in tokens]
    return counts if all(a < b for a, b in pairwise(counts)) else None


def _better_shift(first: Sequence[int], second: Sequence[int], shared: int) -> int | None:
    """The shift of the first counts that matches more of the second ones; None if there is none."""
    known = set(second)
    ends = range(min(3, len(first), len(second)))
    shifts = {second[i] - first[j] for i in ends for j in ends}
    shifts |= {second[-1 - i] - first[-1 - j] for i in ends for j in ends}
    shifts |= {-1, 1}
    matches = {
        shift: sum(count + shift in known for count in first) for shift in shifts if shift != 0
    }
    best = max(matches, key=lambda shift: (matches[shift], -abs(shift)), default=None)
    return best if best is not None and (matches[best] > shared or not shared) else None


def _join(
    visible: Sequence[str],
    infrared: Sequence[str],
    visible_keys: Sequence[int],
    infrared_keys: Sequence[int],
    how: str,
) -> Matching:
    sides = (
        dict(zip(visible_keys, visible, strict=True)),
        dict(zip(infrared_keys, infrared, strict=True)),
    )
    numbers = sorted({*visible_keys, *infrared_keys})
    rows = [(sides[0].get(number), sides[1].get(number)) for number in numbers]
    return Matching(rows, numbers, how)


def _require_equal_names_together(
    matching: Matching,
    visible_stems: Sequence[str],
    infrared_stems: Sequence[str],
    visible: Sequence[str],
    infrared: Sequence[str],
) -> None:
    twins = dict(zip(infrared_stems, infrared, strict=True))
    partners = {a: b for a, b in matching.rows if a is not None}
    for stem, name in zip(visible_stems, visible, strict=True):
        if stem in twins and partners[name] != twins[stem]:
            raise UserError(
                f"the names do not tell which images belong together: by its number {name} matches "
                f"{partners[name]}, by its name {twins[stem]}; give both images of a pair the same "
                "name"
            )


# --- Names ----------------------------------------------------------------------------------------


def _match_by_name(
    stems: Sequence[Sequence[str]], visible: Sequence[str], infrared: Sequence[str]
) -> Matching | None:
    """Match by name (rule 4); None if too few names match.

    Raises:
        UserError: two ways to cut the names match equally many images.
    """
    shared = set(stems[0]) & set(stems[1])
    if shared:
        return _join_names(list(stems[0]), list(stems[1]), visible, infrared)
    found: dict[int, dict[tuple[tuple[str, str], ...], tuple[list[str], list[str]]]] = {}
    cuts = [(list(_cuts(side)), side) for side in stems]
    for head_a, tail_a in cuts[0][0]:
        cores_a = [stem[head_a : len(stem) - tail_a] for stem in stems[0]]
        known = set(cores_a)
        for head_b, tail_b in cuts[1][0]:
            cores_b = [stem[head_b : len(stem) - tail_b] for stem in stems[1]]
            matched = known & set(cores_b)
            if 2 * len(matched) > min(len(known), len(cores_b)):
                partner = dict(zip(cores_b, infrared, strict=True))
                pairs = tuple(
                    (name, partner[core])
                    for name, core in zip(visible, cores_a, strict=True)
                    if core in matched
                )
                found.setdefault(len(matched), {}).setdefault(pairs, (cores_a, cores_b))
    if not found:
        return None
    best = found[max(found)]
    if len(best) > 1:
        one, other, *_ = best
        a, b = next((a, b) for a, b in zip(one, other, strict=True) if a != b)
        raise UserError(
            f"the names do not tell which images belong together: {a[0]} could match {a[1]}, "
            f"or {b[0]} could match {b[1]}; give both images of a pair the same name"
        )
    return _join_names(*next(iter(best.values())), visible, infrared)


def _cuts(stems: Sequence[str]) -> Iterable[tuple[int, int]]:
    """Lengths of a prefix and a suffix that all names share, cut between words and numbers."""
    first = stems[0]
    heads = [end for end in _word_ends(first) if all(s.startswith(first[:end]) for s in stems)]
    tails = [
        len(first) - start
        for start in [0, *_word_ends(first)]
        if all(s.endswith(first[start:]) for s in stems)
    ]
    shortest = min(map(len, stems))
    for head in [0, *heads]:
        for tail in {0, *tails}:
            if head + tail < shortest and _cut_between_words(stems, head, tail):
                yield head, tail


def _word_ends(text: str) -> list[int]:
    return [match.end() for match in re.finditer(r"[0-9]+|[^\W\d_]+|[\W_]+", text)]


def _cut_between_words(stems: Sequence[str], head: int, tail: int) -> bool:
    """Whether the cuts split no number and no word of any name."""
    return all(
        not _is_within_word(stem, head) and not _is_within_word(stem, len(stem) - tail)
        for stem in stems
    )


def _is_within_word(text: str, place: int) -> bool:
    if not 0 < place < len(text):
        return False
    before, after = text[place - 1], text[place]
    return (before.isdecimal() and after.isdecimal()) or (before.isalpha() and after.isalpha())


def _join_names(
    visible_keys: list[str],
    infrared_keys: list[str],
    visible: Sequence[str],
    infrared: Sequence[str],
) -> Matching:
    sides = (
        dict(zip(visible_keys, visible, strict=True)),
        dict(zip(infrared_keys, infrared, strict=True)),
    )
    keys = sorted({*visible_keys, *infrared_keys}, key=lambda key: natural_key(Path(key)))
    return Matching([(sides[0].get(key), sides[1].get(key)) for key in keys], None, "name")


def _require_distinct(names: Iterable[str], folder: Path) -> None:
    """Refuse two images with the same stem, because either may be meant."""
    known: dict[str, str] = {}
    for name in names:
        twin = known.setdefault(_stem(name), name)
        if twin != name:
            raise UserError(f"{folder / name}: has the same stem as {twin}; keep only one of them")
