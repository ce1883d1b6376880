"""Running a tracker over a dataset: one pass through each sequence, a results file each.

A results file is written whole when its sequence is done and never written again, so that a run
which was interrupted, even killed, is continued by starting it again.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path

from tqdm import tqdm

from fusion.base.commandline import import_inherited
from fusion.base.errors import UserError
from fusion.base.files import make_folder, whole_file
from fusion.base.threads import limited_threads, requested_threads
from tracker.data.sequences import Dataset
from tracker.evaluation.times import TIMES_SUFFIX
from tracker.online.running import Tracker, track


def result_path(folder: str | Path, sequence: str) -> Path:
    """The results file of a sequence; in its name, a sequence below a split has - for /."""
    return Path(folder) / f"{sequence.replace('/', '-')}.txt"


def run_dataset(
    make_tracker: Callable[[], Tracker],
    dataset: Dataset,
    folder: str | Path,
    names: Iterable[str] | None = None,
    workers: int = 1,
    threads: int | None = None,
) -> list[str]:
    """Track through the sequences of a dataset that have no results file yet.

    Each starts on its first annotated box, the visible one where there are two.

    Args:
        make_tracker: called once in each process; a function that can be pickled where there is
            more than one worker.
        folder: gets ``<sequence>.txt``, a line ``x,y,w,h`` for each frame, and
            ``<sequence>_time.value``, the seconds in the tracker for each.
        names: the sequences to run; all if None.
        workers: processes.
        threads: of PyTorch in each process; where None, OMP_NUM_THREADS, or one where that is not
            set: the last digits of a box depend on it, and must not depend on ``workers``.

    Returns:
        A line for each sequence that could not be tracked; the others are done.

    Raises:
        UserError: no place to write, an unknown sequence, or no tracker can be made.
    """
    folder = make_folder(Path(folder))
    names = list(dataset.names if names is None else names)
    unknown = [name for name in names if name not in dataset.names]
    if unknown:
        raise UserError(
            f"{dataset.root}: no sequence {unknown[0]}; see tracker data {dataset.root}"
        )
    todo = [name for name in names if not result_path(folder, name).exists()]
    failures = []
    threads = threads or requested_threads() or 1
    with tqdm(
        total=len(names), initial=len(names) - len(todo), unit="sequence", disable=None
    ) as progress:
        for failure in _outcomes(make_tracker, dataset, folder, todo, workers, threads):
            failures += [failure] if failure else []
            progress.update()
    return failures


def _outcomes(
    make_tracker: Callable[[], Tracker],
    dataset: Dataset,
    folder: Path,
    todo: list[str],
    workers: int,
    threads: int,
) -> Iterator[str | None]:
    """What went wrong, or None, a sequence as it is done."""
    if not todo:
        return
    with limited_threads(threads):
        # Also where workers make their own: it fails here with its message.
        tracker = make_tracker()
    if workers == 1:
        for name in todo:
            with limited_threads(threads):
                outcome = _run_sequence(tracker, dataset, name, folder)
            yield outcome
        return
    workers = min(workers, len(todo))
    # Spawned, not forked: a fork of a process with PyTorch's threads or CUDA may hang.
    pool = ProcessPoolExecutor(
        workers,
        mp_context=get_context("spawn"),
        initializer=_start_worker,
        initargs=(make_tracker, dataset, folder, threads),
    )
    try:
        tasks = {pool.submit(_work, name): name for name in todo}
        for task in as_completed(tasks):
            yield task.result()
    except BrokenProcessPool:
        raise UserError(
            f"{folder}: a worker process ended before its work (out of memory?); start again to "
            "continue, with fewer --workers"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


_worker: tuple[Tracker, Dataset, Path] | None = None  # what a worker process works with


def _start_worker(
    make_tracker: Callable[[], Tracker], dataset: Dataset, folder: Path, threads: int
) -> None:
    global _worker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read by PyTorch where it is loaded after this
    import_inherited()
    if "torch" in sys.modules:  # else the tracker may be one that does not need it
        sys.modules["torch"].set_num_threads(threads)
    _worker = (make_tracker(), dataset, folder)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work forever."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(name: str) -> str | None:
    assert _worker is not None  # set when the process started
    tracker, dataset, folder = _worker
    return _run_sequence(tracker, dataset, name, folder)


def _run_sequence(tracker: Tracker, dataset: Dataset, name: str, folder: Path) -> str | None:
    try:
        sequence = dataset[name]
        start = sequence.first_box()
        if start is None:
            raise UserError(
                "no box in the first frame's annotation; fix it or leave the sequence out"
            )
        steps = [(step.box, step.seconds) for step in track(tracker, sequence, start)]
    except UserError as error:
        return f"{name}: {error}"
    path = result_path(folder, name)
    # The times first: a sequence that has a results file is done.
    with whole_file(path.with_name(f"{path.stem}{TIMES_SUFFIX}")) as temporary:
        temporary.write_text("".join(f"{seconds:.6f}\n" for _, seconds in steps))
    with whole_file(path) as temporary:
        temporary.write_text("".join(",".join(f"{v:.4f}" for v in box) + "\n" for box, _ in steps))
    return None
