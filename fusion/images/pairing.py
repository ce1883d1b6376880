"""Which infrared picture belongs to which visible one, by the names of their files.

The rule, for still pairs and for the frames of a sequence alike. A wrong pair is worse than none,
so whatever a name does not tell is refused.

1. Pictures keep the **natural order** of their names (2 before 10) in both folders.
2. The **counter** of a folder is the first run of digits in which every name differs from the one
   before it, everything in front of it being the same: ``frame_0002_640x512`` counts 2, and so does
   ``000002_mono16``; what follows the counter (a hash) says nothing. Names that differ elsewhere
   too, such as dates with times or words, have no counter.
3. Where both folders have a counter, equal counts pair, whatever prefix, suffix or padding either
   modality has; a picture without partner stays alone. At least half of the counts of the smaller
   folder must be among the other's.
4. Else equal names pair, or names equal but for one prefix and one suffix of each modality, cut
   between words and numbers.
5. **Refused**, with the names that differ: nothing matches; a shift of one folder's counts would
   match more pictures than the counts themselves (one camera counts from 0 and the other from 1, or
   one folder lacks the beginning and the other the end: the names do not tell which); two ways to
   cut names match equally many; rules 3 and 4 contradict each other.
6. What rule 5 refuses can be decided by whoever knows: by order, if nothing is missing on either
   side (``index``), or by equal names alone (``name``). An annotation with a line for each picture
   of both folders knows that nothing is missing, where both have a counter.
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

__all__ = [
    "Matching",
    "Pairing",
    "counter",
    "images_by_stem",
    "list_images",
    "match_names",
    "pair_folders",
]


@dataclass(frozen=True)
class Pairing:
    """Two folders matched by name: pairs ``(infrared, visible)`` and what has no partner."""

    pairs: list[tuple[Path, Path]]
    only_infrared: list[Path]
    only_visible: list[Path]


@dataclass(frozen=True)
class Matching:
    """Two folders' names side by side, in their order.

    Attributes:
        rows: ``(visible, infrared)``, None where a side has no picture.
        numbers: a row's count, rising; None where the names have no counter.
        how: ``counter``, ``name`` or ``order``.
    """

    rows: list[tuple[str | None, str | None]]
    numbers: list[int] | None
    how: str


def list_images(folder: str | Path) -> list[Path]:
    """Picture files of a folder (not of its subfolders), in natural order.

    Raises:
        UserError: no such folder, or no picture in it.
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
        raise UserError(f"{folder}: holds no pictures (PNG, JPEG, TIFF, WebP, ...){found}")
    return sorted(images, key=natural_key)


def images_by_stem(folder: str | Path) -> dict[str, Path]:
    """Picture files of a folder by their stem, in natural order.

    Raises:
        UserError: as `list_images`, or two files have the same stem.
    """
    images = list_images(folder)
    _require_distinct((path.name for path in images), Path(folder))
    return {path.stem: path for path in images}


def pair_folders(infrared: str | Path, visible: str | Path, pair: str | None = None) -> Pairing:
    """Match the pictures of two folders by this module's rule.

    Args:
        pair: ``name`` or ``index``, see `match_names`.

    Raises:
        UserError: a folder is missing or empty, a stem is there twice, or the names do not tell
            which pictures belong together.
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
    """Match two folders' file names by this module's rule.

    Args:
        visible, infrared: names in natural order.
        pair: ``index``: the k-th with the k-th; ``name``: counters or names at their word, even
            where a shift would match more. None: as the rule says.
        complete: it is known that neither side lacks a picture.

    Raises:
        UserError: the names do not tell, or ``index`` for folders of different counts.
    """
    if pair == "time":
        raise UserError("--pair time: goes with two videos; give name or index for two folders")
    stems = [[_stem(name) for name in side] for side in (visible, infrared)]
    counts = [counter(side) for side in stems]
    numbers = counts[0] if counts[0] is not None and counts[0] == counts[1] else None
    if pair == "index":
        if len(visible) != len(infrared):
            raise UserError(
                f"--pair index: needs as many pictures on both sides, not {len(visible)} visible "
                f"and {len(infrared)} infrared ones"
            )
        return Matching(list(zip(visible, infrared, strict=True)), numbers, "order")
    why = "they share no name, also without a prefix or suffix of their own"
    if counts[0] is not None and counts[1] is not None:
        shared = len(set(counts[0]) & set(counts[1]))
        shift = _better_shift(counts[0], counts[1], shared)
        enough = shift is None and 2 * shared >= min(len(visible), len(infrared))
        if shared and (pair == "name" or enough):
            by_counter = _join(visible, infrared, counts[0], counts[1], "counter")
            _require_equal_names_together(by_counter, stems[0], stems[1], visible, infrared)
            return by_counter
        why = (
            f"visible pictures count from {counts[0][0]} to {counts[0][-1]}, infrared ones from "
            f"{counts[1][0]} to {counts[1][-1]}"
            + (
                f", and shifted by {abs(shift)} more of them would match"
                if shared and shift
                else ""
            )
            + (f", and only {shared} are the same" if shared and not shift else "")
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
    mend = "give both pictures of a pair the same name"
    if len(visible) == len(infrared):
        mend += ", or --pair index if none is missing on either side"
    if counts[0] is not None and counts[1] is not None and set(counts[0]) & set(counts[1]):
        mend += ", or --pair name if equal numbers belong together"
    raise UserError(
        f"the names do not tell which pictures belong together ({first[0]} and {first[1]}): "
        f"{why}; {mend}"
    )


# --- Counters -------------------------------------------------------------------------------------


def _stem(name: str) -> str:
    return unicodedata.normalize("NFC", Path(name).stem)


def _tokens(stem: str) -> list[str]:
    """Text and digits in turn, text first: ``a1b`` as ``a``, ``1``, ``b``."""
    return re.split(r"([0-9]+)", stem)


def counter(stems: Sequence[str]) -> list[int] | None:
    """The count in each name (rule 2 of this module); None where there is none.

    Args:
        stems: names without suffix, in natural order. Of a single name, its only digits.
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
    """A shift of the first counts by which more of them are among the second ones."""
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
                f"the names do not tell which pictures belong together: by its number {name} goes "
                f"with {partners[name]}, by its name with {twins[stem]}; give both pictures of a "
                "pair the same name"
            )


# --- Names ----------------------------------------------------------------------------------------


def _match_by_name(
    stems: Sequence[Sequence[str]], visible: Sequence[str], infrared: Sequence[str]
) -> Matching | None:
    """Rule 4; None where too little matches.

    Raises:
        UserError: two ways to cut the names match equally many.
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
            f"the names do not tell which pictures belong together: {a[0]} could go with {a[1]}, "
            f"or {b[0]} with {b[1]}; give both pictures of a pair the same name"
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
    """Whether no name's number or word is cut in two."""
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
    """Refuse two pictures of one stem: either may be meant."""
    known: dict[str, str] = {}
    for name in names:
        twin = known.setdefault(_stem(name), name)
        if twin != name:
            raise UserError(f"{folder / name}: same stem as {twin}; keep one of the two")
