"""Run a tracker on a dataset: one pass through each sequence, one results file per sequence.

A results file is written atomically when its sequence is finished, and is never rewritten. An
interrupted or killed run therefore resumes when it is started again.
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
    """The results file of a sequence; a / in the sequence's name (below a split) becomes -."""
    return Path(folder) / f"{sequence.replace('/', '-')}.txt"


def run_dataset(
    make_tracker: Callable[[], Tracker],
    dataset: Dataset,
    folder: str | Path,
    names: Iterable[str] | None = None,
    workers: int = 1,
    threads: int | None = None,
) -> list[str]:
    """Track the sequences of a dataset that have no results file yet.

    Each run starts from the annotated box of the first frame, the visible one if there are two.

    Args:
        make_tracker: creates the tracker, called once per process; must be picklable if there is
            more than one worker.
        folder: the folder for ``<sequence>.txt``, one line ``x,y,w,h`` per frame, and
            ``<sequence>_time.value``, the seconds in the tracker per frame.
        names: the sequences to run; None runs all.
        workers: number of processes.
        threads: number of PyTorch threads per process. None: OMP_NUM_THREADS, or 1 if that is not
            set. The last digits of a box depend on it, so it must not depend on ``workers``.

    Returns:
        One line per sequence that could not be tracked; the others are finished.

    Raises:
        UserError: the folder cannot be written, a sequence is unknown, or the tracker cannot be
            created.
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
    """Yield an error message or None for each sequence as it finishes."""
    if not todo:
        return
    with limited_threads(threads):
        # Even if workers create their own: errors are then reported here with their message.
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
            f"{folder}: a worker process ended unexpectedly (out of memory?); start again "
            "with fewer --workers to continue"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


_worker: tuple[Tracker, Dataset, Path] | None = None  # the state of a worker process


def _start_worker(
    make_tracker: Callable[[], Tracker], dataset: Dataset, folder: Path, threads: int
) -> None:
    global _worker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read by PyTorch if it is imported after this
    import_inherited()
    if "torch" in sys.modules:  # not imported for trackers that do not need it
        sys.modules["torch"].set_num_threads(threads)
    _worker = (make_tracker(), dataset, folder)


def _end_with_parent() -> None:
    """End this worker if its parent is killed; it would otherwise wait for work forever."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(name: str) -> str | None:
    assert _worker is not None  # set when the process starts
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
    # The times are written first, because the results file marks a sequence as finished.
    with whole_file(path.with_name(f"{path.stem}{TIMES_SUFFIX}")) as temporary:
        temporary.write_text("".join(f"{seconds:.6f}\n" for _, seconds in steps))
    with whole_file(path) as temporary:
        temporary.write_text("".join(",".join(f"{v:.4f}" for v in box) + "\n" for box, _ in steps))
    return None
