"""Apply a function to many jobs, in this process or in several."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

from tqdm import tqdm

from fusion.base.commandline import import_inherited

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")


def outcomes(
    function: Callable[[Job], Outcome], jobs: Sequence[Job], workers: int, unit: str
) -> Iterator[Outcome]:
    """Yield ``function(job)`` for every job, in order, with a progress bar.

    Jobs that have not started when the caller stops reading are cancelled.

    Args:
        function: defined at the top level of its module, so that other processes can import it.
        jobs: the arguments.
        workers: number of processes; 1 runs the jobs in this process.
        unit: name of a job, for the progress bar.
    """
    bar: dict[str, Any] = {"total": len(jobs), "unit": unit, "disable": None, "leave": False}
    if workers == 1:
        yield from tqdm(map(function, jobs), **bar)
        return
    # Forking would copy a process whose libraries may hold threads.
    pool = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=import_inherited
    )
    try:
        yield from tqdm(pool.map(function, jobs, chunksize=2), **bar)
    finally:
        pool.shutdown(cancel_futures=True)
