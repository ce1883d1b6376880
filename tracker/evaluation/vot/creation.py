"""Sequences for a workspace: linked, converted from another dataset, or generated.

Each `take_*` fills ``sequences/`` completely or not at all, and adapts the stack to the sequences.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fusion.base.errors import UserError
from tracker.data.frames import ImageFrames
from tracker.data.sequences import Sequence as RGBTSequence
from tracker.data.sequences import load_dataset
from tracker.evaluation.vot.sequences import (
    anchor_directions,
    check_sequences,
    list_sequences,
    read_sequence,
    toolkit_faults,
)
from tracker.evaluation.vot.stack import check_fits, fit_stack, is_fitted
from tracker.evaluation.vot.template import VOT2020_RGBT, refuse_template, template_folder


def check_free_for_download(workspace: Path) -> None:
    """Check that a download will not be mixed with sequences other than those of an earlier one.

    Raises:
        UserError: the workspace has other sequences, or a link to some.
    """
    folder = workspace / "sequences"
    names = list_sequences(folder) if (folder / "list.txt").is_file() else []
    if folder.is_symlink() or set(names) - set(VOT2020_RGBT):
        _claim(workspace)


def take_download(workspace: Path, names: Sequence[str], title: str) -> list[str]:
    """Use sequences that were downloaded into ``sequences/``.

    Returns:
        Their names.
    """
    root = workspace / "sequences"
    choose_stack(workspace, {name: len(read_sequence(root / name)) for name in names}, title)
    return list(names)


def take_dataset(workspace: Path, dataset: Path) -> list[str]:
    """Use a local dataset: linked if it is complete in VOT layout, converted otherwise.

    Returns:
        The names of its sequences.

    Raises:
        UserError: the workspace has sequences already, or a sequence is missing or unusable.
    """
    title = dataset.resolve().name
    names = list_sequences(dataset) if (dataset / "list.txt").is_file() else []
    if not names or not all((dataset / name / "anchor.value").is_file() for name in names):
        refuse_template(workspace)
        lengths = _lay_out(workspace, dataset)
    else:
        refuse_template(workspace, names)
        sequences = [read_sequence(dataset / name) for name in names]
        check_sequences(sequences)
        _check_stack(workspace, names)
        _link(workspace, dataset)
        lengths = {sequence.name: len(sequence) for sequence in sequences}
    choose_stack(workspace, lengths, title)
    return list(lengths)


def take_rgbt234(workspace: Path, dataset: Path) -> list[str]:
    """Convert the benchmark's 60 sequences from a local RGBT234.

    Returns:
        Their names.

    Raises:
        UserError: see `take_dataset`.
    """
    lengths = _lay_out(workspace, dataset, "rgbt234", VOT2020_RGBT)
    choose_stack(workspace, lengths)
    return list(lengths)


def take_synthetic(workspace: Path, count: int = 12, length: int = 120) -> list[str]:
    """Fill a workspace with sequences of `tracker.synthetic`, the embedded default.

    An interrupted call resumes.

    Args:
        count: number of sequences, from the test split.
        length: frames per sequence.

    Returns:
        Their names.

    Raises:
        UserError: the workspace has sequences already, or is the template.
    """
    from tracker.synthetic import write_dataset

    refuse_template(workspace)
    target = _claim(workspace)
    _check_stack(workspace)
    partial = workspace / "sequences.partial"
    folders = write_dataset(partial, count=count, length=length, progress=True)
    partial.rename(target)
    lengths = {folder.name: length for folder in folders}
    choose_stack(workspace, lengths, "Synthetic RGBT sequences")
    return list(lengths)


def choose_stack(workspace: Path, lengths: Mapping[str, int], title: str = "") -> None:
    """Give a workspace the benchmark's stack, or one for other sequences.

    Args:
        lengths: lengths of the sequences, by name. For the benchmark's sequences, an existing stack
            is kept.
        title: title of a stack for other sequences.
    """
    path = workspace / "stack.yaml"
    if set(lengths) != set(VOT2020_RGBT):
        fit_stack(path, lengths.values(), title)
    elif is_fitted(path):
        shutil.copy(template_folder() / "stack.yaml", path)


def _check_stack(workspace: Path, names: Sequence[str] = ()) -> None:
    """Check that `choose_stack` will succeed, before sequences are written."""
    if set(names) != set(VOT2020_RGBT):
        check_fits(workspace / "stack.yaml")


def _claim(workspace: Path) -> Path:
    """The folder for the sequences, which must not exist."""
    folder = workspace / "sequences"
    if folder.is_symlink() or (folder.exists() and any(folder.iterdir())):
        raise UserError(
            f"{folder}: sequences already exist; remove them (and results/ and cache/, which "
            "belong to them), or give another --workspace"
        )
    if folder.exists():
        folder.rmdir()
    return folder


def _link(workspace: Path, dataset: Path) -> None:
    """Link a dataset in VOT layout, with its list and anchors, without copying.

    The link, rather than the toolkit's ``sequences`` setting, keeps the machine's path out of
    ``config.yaml``. If the file system does not support links, the setting is used.
    """
    folder = _claim(workspace)
    try:
        folder.symlink_to(dataset.resolve(), target_is_directory=True)
    except OSError:
        with (workspace / "config.yaml").open("a") as config:
            config.write(f"sequences: {dataset.resolve()}\n")


# --- Laying out -----------------------------------------------------------------------------------


def _lay_out(
    workspace: Path, dataset: Path, layout: str | None = None, names: Sequence[str] | None = None
) -> dict[str, int]:
    """Convert sequences of any dataset for the toolkit: images as links, annotations as files.

    The ground truth is the infrared annotation, as in VOT2020-RGBT. Anchors follow
    `anchor_directions`, unless the dataset has its own.

    Args:
        workspace: receives ``sequences/``, completely or not at all.
        dataset: a folder with sequences of a layout that `tracker.data.sequences` supports.
        layout: its name; None detects it.
        names: the sequences to use, in this order; None uses all.

    Returns:
        Lengths by name.

    Raises:
        UserError: a sequence is missing or unusable; the message names it.
    """
    target = _claim(workspace)
    found = load_dataset(dataset, layout)
    if names is not None:
        # Copies of RGBT234 differ in the case of some names.
        spelling = {name.lower(): name for name in found.names}
        missing = [name for name in names if name.lower() not in spelling]
        if missing:
            raise UserError(
                f"{dataset}: {len(missing)} of {len(names)} sequences are missing "
                f"({', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}); "
                "give the folder that contains them all"
            )
        sources = {name: spelling[name.lower()] for name in names}
    else:
        sources = {name.replace("/", "-"): name for name in found.names}
    _check_stack(workspace, list(sources))
    partial = workspace / "sequences.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        lengths = {}
        for name, source in tqdm(sources.items(), unit="sequence", disable=None):
            _write_sequence(partial / name, found[source])
            lengths[name] = len(found[source])
        (partial / "list.txt").write_text("".join(f"{name}\n" for name in sources))
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return lengths


def _write_sequence(folder: Path, sequence: RGBTSequence) -> None:
    """Write one sequence in VOT layout."""
    length = len(sequence)
    faults = toolkit_faults(sequence)
    if faults:
        raise UserError(f"{sequence.name}: {faults[0]}; fix it, or leave the sequence out")
    sequence.check_sizes()
    size = sequence.size("rgb")
    if size is None:
        raise UserError(f"{sequence.name}: no visible frame is readable; leave the sequence out")
    meta: dict[str, object] = {
        "name": folder.name,
        "fps": round(sequence.fps or 30),
        "format": "default",
        "channel.default": "color",
        "width": size[0],
        "height": size[1],
        "length": length,
    }
    for channel, frames in (("color", sequence.rgb), ("ir", sequence.ir)):
        assert isinstance(frames, ImageFrames)  # checked by `toolkit_faults`
        meta[f"channels.{channel}"] = f"{channel}/%08d{_link_pictures(folder / channel, frames)}"
    (folder / "sequence").write_text("".join(f"{key}={value}\n" for key, value in meta.items()))

    boxes = sequence.boxes_ir
    present = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)
    rows = [
        ",".join(f"{number:g}" for number in box) if is_present else "0"  # 0: no region
        for box, is_present in zip(boxes, present, strict=True)
    ]
    (folder / "groundtruth.txt").write_text("".join(f"{row}\n" for row in rows))
    anchors = sequence.attributes.get("anchor")
    if anchors is None:
        anchors = np.where(present, anchor_directions(length), 0)
    if not np.any(anchors):
        raise UserError(f"{sequence.name}: the target is in none of the anchor frames")
    (folder / "anchor.value").write_text("".join(f"{int(value)}\n" for value in anchors))


def _link_pictures(folder: Path, frames: ImageFrames) -> str:
    """Number a modality's images from 1, as links or copies; returns their suffix."""
    paths = [frames.path(index) for index in range(len(frames))]
    pictures = [path for path in paths if path is not None]  # all, checked by `toolkit_faults`
    suffixes = {path.suffix.lower() for path in pictures}
    if len(suffixes) > 1 or suffixes - {".jpg", ".png"}:
        raise UserError(
            f"{frames.folder}: {', '.join(sorted(suffixes))} pictures; the toolkit reads folders "
            "of either .jpg or .png"
        )
    folder.mkdir(parents=True)
    (suffix,) = suffixes
    for number, picture in enumerate(pictures, start=1):
        source = picture.resolve()
        place = folder / f"{number:08d}{suffix}"
        try:
            os.symlink(source, place)
        except OSError:
            shutil.copy(source, place)
    return suffix
