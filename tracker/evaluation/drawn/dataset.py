"""Results on all sequences of a dataset: one file per sequence, and an index of them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusion.base.errors import UserError
from tracker.data.annotations import read_regions, regions_to_boxes
from tracker.data.sequences import Dataset
from tracker.evaluation.drawn.runs import (
    Footage,
    annotation,
    compare,
    count_frames,
    of_length,
    start_filled,
)
from tracker.evaluation.ope.files import corners_to_boxes, find_trackers, result_paths
from tracker.evaluation.pages import write_html


@dataclass(frozen=True, eq=False)
class Drawn:
    """A sequence that was drawn: its footage, and the file.

    Attributes:
        footage: with the runs of all trackers.
        path: the written file.
    """

    footage: Footage
    path: Path


def draw_dataset(
    dataset: Dataset,
    folders: Iterable[Path],
    names: Iterable[str] | None,
    output: Path,
    suffix: str,
    write: Callable[[Footage, Path], object],
) -> tuple[list[Drawn], list[str]]:
    """Draw every sequence into ``output/<sequence><suffix>``.

    Args:
        folders: of results, as for ``tracker evaluate``.
        names: sequences to draw; None draws all.
        write: writes the file of one sequence.

    Returns:
        The sequences that were drawn, and one line for each problem: sequences that cannot be read
        or have a result of another length, and remarks about results.

    Raises:
        UserError: there is no tracker, or a tracker lacks the result of a sequence.
    """
    wanted = list(dataset.names if names is None else names)
    unknown = [name for name in wanted if name not in dataset.names]
    if unknown:
        raise UserError(f"{dataset.root}: no sequence {unknown[0]}; see tracker data for the names")
    # Sequences in deeper folders are named by their paths, results by the last part.
    short = {name: name.rsplit("/", 1)[-1] for name in wanted}
    trackers = {
        tracker: result_paths(folder, short.values())
        for tracker, folder in find_trackers(folders).items()
    }
    truths, lengths, faults = {}, {}, []
    for name in wanted:
        try:
            sequence = dataset[name]
            sequence.check_sizes()
            lengths[name] = count_frames(sequence)
            truths[name] = annotation(sequence, lengths[name])
        except UserError as error:
            faults.append(str(error))
    runs, remarks = _read(trackers, truths, lengths, short, faults)
    drawn = []
    for name, boxes in runs.items():
        frames, truth = lengths[name], truths[name]
        footage = Footage(dataset[name], frames, truth, compare(boxes, truth, frames))
        path = output / f"{name.replace('/', '_')}{suffix}"
        write(footage, path)
        drawn.append(Drawn(footage, path))
    return drawn, remarks + faults


def _read(
    trackers: Mapping[str, Mapping[str, Path]],
    truths: Mapping[str, Mapping[str, np.ndarray]],
    lengths: Mapping[str, int],
    short: Mapping[str, str],
    faults: list[str],
) -> tuple[dict[str, dict[str, np.ndarray]], list[str]]:
    """Boxes by sequence and tracker, and remarks; a sequence with a fault is left out."""
    runs: dict[str, dict[str, np.ndarray]] = {name: {} for name in truths}
    remarks = []
    annotations = {name: tuple(truth.values()) for name, truth in truths.items()}
    for tracker, paths in trackers.items():
        raw = {}
        for name in list(runs):
            path = paths[short[name]]
            try:
                raw[name] = of_length(path, read_regions(path), lengths[name], name)
            except UserError as error:
                faults.append(str(error))
                del runs[name]
        # All results of a tracker decide together whether they are corners.
        remarks += corners_to_boxes(tracker, raw, annotations)
        for name, regions in raw.items():
            runs[name][tracker] = start_filled(regions_to_boxes(regions), truths[name])
    return runs, remarks


# --- Index ----------------------------------------------------------------------------------------


def write_index(drawn: list[Drawn], path: Path) -> None:
    """Write an HTML page that links to the files, with mean overlaps and first losses.

    Raises:
        UserError: the file cannot be written.
    """
    write_html("index.html", path, drawn=drawn)
