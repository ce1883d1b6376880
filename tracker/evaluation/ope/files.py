"""Read the files of one-pass evaluation: annotations, attributes and trackers' raw results."""

import glob
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from fusion.base.errors import UserError
from fusion.base.files import natural_key, read_text
from tracker.data.annotations import read_regions, regions_to_boxes
from tracker.data.boxes import xywh_to_xyxy, xyxy_to_xywh
from tracker.data.layouts import list_folder
from tracker.evaluation.ope.figures import Protocol

# --- Annotations ----------------------------------------------------------------------------------


def read_sequence_list(path: str | Path) -> list[str]:
    """Read sequence names from a file with one name per line.

    Raises:
        UserError: the file does not exist or contains no name.
    """
    names = read_text(path, "give a file of names").split()
    if not names:
        raise UserError(f"{path}: contains no name; give one sequence per line")
    return list(dict.fromkeys(names))


def read_annotations(
    folder: str | Path, protocol: Protocol, names: Iterable[str] | None = None
) -> dict[str, tuple[np.ndarray, ...]]:
    """Read the annotations below a folder, as the protocol uses them.

    The folder is the dataset itself, or contains only ``<sequence>/<file>.txt`` up to three levels
    deep. If sequences have a single annotation, it may also contain ``<sequence>.txt``.

    Args:
        names: sequences to read; None reads all that are found.

    Returns:
        By sequence, one ``(N, 4)`` array of ``x, y, w, h`` per annotation, with unchanged numbers
        (for an absent target they are NaN, or the width or height is 0).

    Raises:
        UserError: the folder does not exist or has no annotation, a name has no annotation, a file
            is unreadable, or the annotations of a sequence differ in length.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the benchmark, or its annotations")
    names = None if names is None else list(names)
    found: dict[str, tuple[Path, ...]] = {}
    for name, paths in _find_annotations(folder, protocol):
        if name in found and (names is None or name in names):
            raise UserError(
                f"{paths[0].parent}: a second sequence named {name} (the first is "
                f"{found[name][0].parent}); give the folder of one split"
            )
        found[name] = paths
    if not found:
        files = " and ".join(candidates[0] for candidates in protocol.annotations)
        raise UserError(
            f"{folder}: no {protocol.title} annotations; expected folders with {files}"
            + ("" if protocol.is_maximum else ", or one file per sequence")
        )
    if names is not None:
        lacking = [name for name in names if name not in found]
        if lacking:
            raise UserError(f"{folder}: no annotation for {_listed(lacking)}")
        found = {name: found[name] for name in names}
    return {name: _read_boxes(paths, protocol) for name, paths in found.items()}


def _find_annotations(
    folder: Path, protocol: Protocol, depth: int = 3
) -> Iterator[tuple[str, tuple[Path, ...]]]:
    children = list_folder(folder)
    # Some copies of the datasets have changed the case of names.
    spelling = {name.lower(): name for name in children}
    paths = []
    for candidates in protocol.annotations:
        name = next((name for name in candidates if name.lower() in spelling), None)
        if name is not None:
            paths.append(folder / spelling[name.lower()])
    if len(paths) == len(protocol.annotations):
        yield folder.resolve().name, tuple(paths)
        return
    inner = sorted((folder / name for name in children), key=natural_key)
    if not protocol.is_maximum:
        flat = [
            path
            for path in inner
            if path.suffix == ".txt" and path.is_file() and _looks_like_boxes(path)
        ]
        yield from ((path.stem, (path,)) for path in flat)
    if depth > 0:
        for path in inner:
            if children[path.name] and not path.name.startswith("."):
                yield from _find_annotations(path, protocol, depth - 1)


def _looks_like_boxes(path: Path) -> bool:
    """Whether the first line of a file is numbers, unlike in lists of names and attributes."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as lines:
            fields = lines.readline().replace(",", " ").replace(";", " ").split()
        return len([float(field) for field in fields]) in (4, 8)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError:
        return False


def _read_boxes(paths: tuple[Path, ...], protocol: Protocol) -> tuple[np.ndarray, ...]:
    annotations = []
    for path in paths:
        regions = read_regions(path)
        if protocol.corners and regions.shape[1] == 4:
            annotations.append(xyxy_to_xywh(regions))
        elif protocol.tracked_only and regions.shape[1] == 8:
            annotations.append(regions_to_boxes(regions))  # VOT's polygons may be rotated
        else:
            annotations.append(polygon_boxes(regions))
    if protocol.tracked_only and not np.isfinite(annotations[0][1:]).all(axis=1).any():
        raise UserError(
            f"{paths[0]}: no target in any frame after the first; leave the sequence out"
        )
    if len({len(boxes) for boxes in annotations}) > 1:
        counts = [f"{len(b)} lines in {p.name}" for p, b in zip(paths, annotations, strict=True)]
        raise UserError(f"{paths[0].parent}: {', '.join(counts)}; each needs one line per frame")
    return tuple(annotations)


# --- Results --------------------------------------------------------------------------------------


def polygon_boxes(regions: np.ndarray, rounded: bool = False) -> np.ndarray:
    """Convert regions to boxes as the benchmarks' programs do, for axis-aligned polygons.

    A polygon ``x1 y1 x2 y1 x2 y2 x1 y2`` becomes the box ``x1, y1, x2 - x1, y2 - y1``.

    Args:
        regions: ``(N, 4)`` boxes, returned unchanged, or ``(N, 8)`` polygons.
        rounded: round the boxes of polygons to integers, halves away from zero (GTOT).
    """
    if regions.shape[1] == 4:
        return regions
    boxes = xyxy_to_xywh(regions[:, [0, 1, 2, 5]])
    return np.sign(boxes) * np.floor(np.abs(boxes) + 0.5) if rounded else boxes


def find_trackers(folders: Iterable[str | Path]) -> dict[str, Path]:
    """Find the folders of raw results, by tracker; the folder's name is the tracker's name.

    Args:
        folders: each contains one text file per sequence, or one such folder per tracker.

    Raises:
        UserError: a folder does not exist or has no results, or two trackers have the same name.
    """
    trackers: dict[str, Path] = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; give the folder of a tracker's results")
        found = [folder] if any(folder.glob("*.txt")) else []
        if not found:
            names = [name for name, is_folder in list_folder(folder).items() if is_folder]
            inner = sorted((folder / name for name in names), key=natural_key)
            found = [path for path in inner if any(path.glob("*.txt"))]
        if not found:
            raise UserError(f"{folder}: no results in it; expected one .txt file per sequence")
        for path in found:
            name = path.resolve().name
            if name in trackers:
                raise UserError(
                    f"{path}: a second tracker named {name} (the first is {trackers[name]}); "
                    "rename its folder"
                )
            trackers[name] = path
    return trackers


def result_paths(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """The files of a tracker's raw results, by sequence; see `read_results` for their names.

    Raises:
        UserError: a sequence has no result.
    """
    names = list(names)
    files = {path.name for path in folder.glob("*.txt")}
    prefix = _common_prefix(files, names)
    lacking = [name for name in names if f"{prefix}{name}.txt" not in files]
    if lacking:
        raise UserError(
            f"{folder}: no result for {_listed(lacking)} ({len(lacking)} of {len(names)} "
            "sequences); add them, or list the sequences to compare with --sequences FILE"
        )
    return {name: folder / f"{prefix}{name}.txt" for name in names}


def read_results(
    folder: str | Path,
    protocol: Protocol,
    annotations: Mapping[str, tuple[np.ndarray, ...]],
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Read the raw results of a tracker.

    There is one file per sequence, ``<sequence>.txt``, possibly with a prefix that is the same for
    all, such as ``DFAT_<sequence>.txt``. Each has one line of 4 or 8 numbers per frame.

    Returns:
        Boxes ``(N, 4)`` by sequence, and remarks: one line per result that is longer than its
        sequence or one frame shorter (as in DFAT's published results for RGBT234's ``orangeman1``),
        and one line if results were read as corners ``x1, y1, x2, y2``. The first line shows this,
        because it must equal the start box.

    Raises:
        UserError: a sequence has no result, a result lacks more than one frame, or a file is
            unreadable.
    """
    folder = Path(folder)
    results, truncated = {}, []
    raw = {name: read_regions(path) for name, path in result_paths(folder, annotations).items()}
    remarks = corners_to_boxes(folder.name, raw, annotations)
    for name, boxes in annotations.items():
        regions = raw[name]
        results[name] = polygon_boxes(regions, rounded=protocol.rounds_polygons)
        frames, lines = len(boxes[0]), len(regions)
        if lines < frames - 1:
            truncated.append(f"{name} ({lines} of {frames} lines)")
        elif lines != frames:
            remarks.append(
                f"{folder.name}: {name}: {lines} lines for {frames} frames; "
                f"the first {min(lines, frames)} are compared"
            )
    if truncated:
        raise UserError(f"{folder}: results end early: {_listed(truncated)}; run these again")
    return results, remarks


# Tolerance in pixels: some trackers round their start box, or count pixels from 1.
_SAME_START = 1.5


def corners_to_boxes(
    tracker: str, raw: dict[str, np.ndarray], annotations: Mapping[str, tuple[np.ndarray, ...]]
) -> list[str]:
    """Replace results that are corners by boxes; return remarks about them.

    Args:
        tracker: its name, for the remarks.
        raw: by sequence, what `read_regions` returned; modified in place.
        annotations: by sequence, the boxes ``(N, 4)`` of every annotation.

    A run starts from the annotation, so the first line of a result shows whether it is the start
    box or its corners. If it does not (a box at the origin equals its corners), the tracker's other
    results decide.
    """
    corners, others, unclear = [], [], []
    for name, regions in raw.items():
        starts = [np.asarray(boxes[0], float) for boxes in annotations[name] if len(boxes)]
        if regions.shape[1] != 4 or not len(regions):
            others.append(name)
            continue
        as_box = any(_same(regions[0], start) for start in starts)
        as_corners = any(_same(regions[0], xywh_to_xyxy(start)) for start in starts)
        present = regions[np.isfinite(regions).all(axis=1)]
        possible = bool((present[:, 2:] >= present[:, :2]).all())
        if as_corners and possible and not as_box:
            corners.append(name)
        elif possible and (as_corners or not as_box):
            unclear.append(name)
        else:
            others.append(name)
    if corners and not others:
        corners += unclear
    for name in corners:
        raw[name] = xyxy_to_xywh(raw[name])
    if not corners:
        return []
    return [
        f"{tracker}: results are corners x1,y1,x2,y2, by their first lines, and are read as such: "
        f"{_listed(sorted(corners))}"
    ]


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((np.abs(one - other) <= _SAME_START).all())


def _common_prefix(files: set[str], names: Iterable[str]) -> str:
    """The most frequent prefix before the sequence name in file names; the shortest of equals."""
    names = list(names)
    candidates = {""} | {
        file.removesuffix(f"{name}.txt")
        for name in names[:1] + names[-1:]
        for file in files
        if file.endswith(f"{name}.txt")
    }
    return max(
        sorted(candidates, key=len),
        key=lambda prefix: sum(f"{prefix}{name}.txt" in files for name in names),
    )


def _listed(items: list[str], limit: int = 8) -> str:
    rest = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + rest


# --- Attributes -----------------------------------------------------------------------------------

# fmt: off
LASHER_ATTRIBUTES = (
    "NO", "PO", "TO", "HO", "MB", "LI", "HI", "AIV", "LR", "DEF",
    "BC", "SA", "CM", "TC", "FL", "OV", "FM", "SV", "ARC",
)
# fmt: on


def read_attributes(folder: str | Path, names: Iterable[str]) -> dict[str, list[str]] | None:
    """Read which sequences show which challenge (occlusion, low illumination, ...).

    Two published formats are supported, in ``folder`` or next to it, and VOT's:

    - LasHeR: ``AttriSeqsTxt/<sequence>.txt``, a row of 0 and 1 in the order of
      ``Attributes_order.txt`` (without that file, in LasHeR's order).
    - RGBT210 and RGBT234: ``attr_txt/<attribute>.txt``, one 0 or 1 per line of
      ``attr_txt/SequencesName.txt``.
    - VOT: ``<sequence>/<attribute>.tag``, one 0 or 1 per frame. A sequence has the attributes of
      which one of its frames is tagged.

    GTOT publishes its attributes as a MATLAB file, which is not read. Convert it to one of the two
    formats.

    Args:
        folder: the folder of the annotations.
        names: the sequences to look up.

    Returns:
        Names of sequences by attribute; None if there are no attribute files.

    Raises:
        UserError: a file is missing, or its contents do not match the sequences or attributes.
    """
    names = list(names)
    for root in (Path(folder), Path(folder).resolve().parent):
        if (root / "AttriSeqsTxt").is_dir():
            return _attributes_by_sequence(root, names)
        if (root / "attr_txt").is_dir():
            return _attributes_by_name(root / "attr_txt", names)
    return _attributes_by_frame(Path(folder), names) or None


def _attributes_by_sequence(root: Path, names: list[str]) -> dict[str, list[str]]:
    order = root / "Attributes_order.txt"
    attributes: tuple[str, ...] = LASHER_ATTRIBUTES
    if order.is_file():
        attributes = tuple(read_text(order).replace(",", " ").split())
    table: dict[str, list[str]] = {attribute: [] for attribute in attributes}
    for name in names:
        path = root / "AttriSeqsTxt" / f"{name}.txt"
        flags = _read_flags(path)
        if len(flags) != len(attributes):
            raise UserError(f"{path}: {len(flags)} values for {len(attributes)} attributes")
        for attribute, flag in zip(attributes, flags, strict=True):
            if flag:
                table[attribute].append(name)
    return table


def _attributes_by_name(folder: Path, names: list[str]) -> dict[str, list[str]]:
    rows = read_sequence_list(folder / "SequencesName.txt")
    table = {}
    for path in sorted(folder.glob("*.txt"), key=natural_key):
        if path.name == "SequencesName.txt":
            continue
        flags = _read_flags(path)
        if len(flags) != len(rows):
            raise UserError(
                f"{path}: {len(flags)} values for {len(rows)} names in SequencesName.txt"
            )
        marked = {name for name, flag in zip(rows, flags, strict=True) if flag}
        table[path.stem] = [name for name in names if name in marked]
    return table


def _attributes_by_frame(folder: Path, names: list[str]) -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for name in names:
        # Sequences are up to three folders deep, as for their annotations.
        places = (f"{'*/' * depth}{glob.escape(name)}/*.tag" for depth in range(4))
        for path in sorted(path for place in places for path in folder.glob(place)):
            if any(_read_flags(path)):
                table.setdefault(path.stem, []).append(name)
    return dict(sorted(table.items()))


def _read_flags(path: Path) -> list[bool]:
    fields = read_text(path, "add it").replace(",", " ").split()
    if not set(fields) <= {"0", "1"}:
        raise UserError(f"{path}: contains more than 0 and 1; give one per attribute or sequence")
    return [field == "1" for field in fields]
