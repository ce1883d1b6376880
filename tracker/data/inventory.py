"""List the contents and problems of a folder of sequences, for ``tracker data``."""

from collections import Counter
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fusion.base.errors import UserError
from fusion.images.alignment import Calibration
from fusion.images.alignment.watch import Watch
from tracker.data.boxes import box_iou, clip_box
from tracker.data.frames import MODALITIES, MODALITY_NAMES, VideoFrames, number_ranges
from tracker.data.sequences import Sequence, load_dataset, load_sequence

_TABLE_ROWS = 40


def inspect_sequence(sequence: Sequence, all_frames: bool = False) -> dict:
    """Collect facts about a sequence and all its problems.

    Args:
        all_frames: decode every frame instead of only the first.

    Returns:
        A dictionary for JSON. The sequence can be used despite its ``problems``, but not with
        ``errors``.
    """
    problems, errors = list(sequence.problems), []
    try:
        sequence.check_sizes()
    except UserError as error:
        errors.append(str(error).removeprefix(f"{sequence.name}: "))
    decoded = range(len(sequence) if all_frames else 1)
    incidents: dict[tuple[str, str], list[int]] = {}
    for index in decoded:
        frame = sequence.frame(index)
        if index == 0 and frame.rgb is None and frame.ir is None:
            errors.append("the first frame has no readable image")
        for modality, problem in frame.problems.items():
            # The sequence's own problems already list missing files.
            if problem.kind != "missing":
                incidents.setdefault((modality, problem.kind), []).append(frame.number)
    for (modality, kind), numbers in incidents.items():
        problems.append(f"{MODALITY_NAMES[modality]}: frames {kind}: {number_ranges(numbers)}")
    facts: dict = {}
    for modality, source, boxes in (
        ("rgb", sequence.rgb, sequence.boxes_rgb),
        ("ir", sequence.ir, sequence.boxes_ir),
    ):
        present = np.isfinite(boxes).all(axis=1)
        size = sequence.size(modality)
        facts[modality] = {
            "pictures": len(source) - len(source.missing()),
            "size": size,
            "boxes": int(present.sum()),
            "absent": int((sequence.annotated & ~present).sum()),
        }
        if size is not None:
            if sequence.calibration is not None:
                size = sequence.frame_size()
            outside = present & (np.prod(clip_box(boxes, *size)[:, 2:], axis=1) == 0)
            if outside.any():
                problems.append(
                    f"{MODALITY_NAMES[modality]}: boxes outside the frame of {size[0]}x{size[1]}: "
                    f"frames {number_ranges(np.flatnonzero(outside) + 1)}"
                )
    both = np.isfinite(sequence.boxes_rgb).all(axis=1) & np.isfinite(sequence.boxes_ir).all(axis=1)
    apart = both & (box_iou(sequence.boxes_rgb, sequence.boxes_ir) == 0)
    if apart.any():
        problems.append(
            "visible and infrared boxes do not overlap: frames "
            + number_ranges(np.flatnonzero(apart) + 1)
        )
    if not errors and (doubt := _misaligned(sequence)):
        problems.append(doubt)
    if sequence.annotated.any() and sequence.first_box() is None:
        problems.append("the first frame has no box to start a tracker from")
    return {
        "name": sequence.name,
        "layout": sequence.layout,
        "frames": len(sequence),
        "fps": sequence.fps,
        "annotated": int(sequence.annotated.sum()),
        **facts,
        "problems": problems,
        "errors": errors,
    }


def _misaligned(sequence: Sequence) -> str:
    """The warning of `Watch` for a few frames; empty if there is nothing to report."""
    # Going forward a little is fast in videos; folders are read anywhere.
    last = min(len(sequence), 25) if isinstance(sequence.rgb, VideoFrames) else len(sequence)
    watch = Watch(min(last, 3))
    for index in {0, last // 2, last - 1}:
        frame = sequence.frame(index)
        if frame.rgb is not None and frame.ir is not None and not frame.problems:
            watch.see(frame.ir, frame.rgb)
    return watch.doubt()


def take_inventory(
    paths: list[Path],
    layout: str | None = None,
    all_frames: bool = False,
    calibration: Calibration | None = None,
) -> dict:
    """Inspect all sequences below a folder, or one sequence of two folders or videos.

    Args:
        paths: one folder, or two paths as for `load_sequence`.
        layout: a name from `tracker.data.layouts.dataset_names`; None detects the layout.
        calibration: of all sequences, see `Sequence.aligned`.

    Returns:
        A dictionary for JSON: ``sequences`` as from `inspect_sequence`, totals, ``problems`` of the
        folder itself, and ``errors`` for sequences that cannot be read.

    Raises:
        UserError: there is nothing to inspect.
    """
    problems: list[str] = []
    errors: list[str] = []
    entries: list[dict] = []
    if len(paths) == 1:
        dataset = load_dataset(paths[0], layout, calibration=calibration)
        problems += dataset.problems
        for name in tqdm(dataset.names, unit="sequence", disable=None, leave=False):
            try:
                entries.append(inspect_sequence(dataset[name], all_frames))
            except UserError as error:
                errors.append(f"{name}: {error}")
    else:
        entries.append(
            inspect_sequence(load_sequence(paths, layout, calibration=calibration), all_frames)
        )
    return {
        "path": " ".join(map(str, paths)),
        "layouts": dict(Counter(entry["layout"] for entry in entries)),
        "frames": sum(entry["frames"] for entry in entries),
        "boxes": {m: sum(entry[m]["boxes"] for entry in entries) for m in MODALITIES},
        "absent": {m: sum(entry[m]["absent"] for entry in entries) for m in MODALITIES},
        "all_frames_decoded": all_frames,
        "sequences": entries,
        "problems": problems,
        "errors": errors,
    }


def count_faults(inventory: dict) -> tuple[int, int]:
    """The number of problems and the number of errors in an inventory."""
    parts = [inventory, *inventory["sequences"]]
    return sum(len(p["problems"]) for p in parts), sum(len(p["errors"]) for p in parts)


def describe(inventory: dict) -> list[str]:
    """Format the inventory as text lines: totals, a table, problems, errors, a summary."""
    entries = inventory["sequences"]
    layouts = ", ".join(f"{count} {name}" for name, count in inventory["layouts"].items())
    lines = [
        f"{inventory['path']}: {len(entries)} readable ({layouts or 'none'}), "
        f"{inventory['frames']} frames, boxes: {inventory['boxes']['rgb']} visible and "
        f"{inventory['boxes']['ir']} infrared, target absent: {inventory['absent']['rgb']} and "
        f"{inventory['absent']['ir']}"
    ]
    if entries:
        width = max(4, *(len(entry["name"]) for entry in entries[:_TABLE_ROWS]))
        lines.append(
            f"  {'name':{width}}  layout   frames  visible             infrared            boxes"
        )
    for entry in entries[:_TABLE_ROWS]:
        columns = "  ".join(f"{_pictures(entry[modality]):18}" for modality in MODALITIES)
        lines.append(
            f"  {entry['name']:{width}}  {entry['layout']:7}  {entry['frames']:6}  {columns}  "
            f"{entry['rgb']['boxes']}/{entry['ir']['boxes']}"
        )
    if len(entries) > _TABLE_ROWS:
        lines.append(f"  ... and {len(entries) - _TABLE_ROWS} more (--json lists all)")
    for kind in ("problems", "errors"):
        label = kind.removesuffix("s")
        lines += [f"{label}: {line}" for line in inventory[kind]]
        lines += [f"{label}: {entry['name']}: {line}" for entry in entries for line in entry[kind]]
    problems, errors = count_faults(inventory)
    looked = (
        "every frame" if inventory["all_frames_decoded"] else "first frames (--all-frames: all)"
    )
    verdict = (
        f"{problems} problem{'s' * (problems != 1)}, {errors} error{'s' * (errors != 1)}"
        if problems + errors
        else "nothing wrong"
    )
    lines.append(f"{verdict}; decoded: {looked}")
    return lines


def _pictures(facts: dict) -> str:
    size = facts["size"]
    return f"{facts['pictures']} of " + (f"{size[0]}x{size[1]}" if size else "unknown size")
