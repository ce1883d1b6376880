"""One function over many jobs, in this process or in several."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

from tqdm import tqdm

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")


def outcomes(
    function: Callable[[Job], Outcome], jobs: Sequence[Job], workers: int, unit: str
) -> Iterator[Outcome]:
    """``function(job)`` of every job, in order, under a progress bar.

    Jobs that have not begun when the caller stops reading are given up.

    Args:
        function: at the top level of its module, where other processes find it.
        jobs: its arguments.
        workers: processes; 1 for this one alone.
        unit: what a job is, for the bar.
    """
    bar: dict[str, Any] = {"total": len(jobs), "unit": unit, "disable": None, "leave": False}
    if workers == 1:
        yield from tqdm(map(function, jobs), **bar)
        return
    # A fork would copy a process whose libraries may hold threads.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        yield from tqdm(pool.map(function, jobs, chunksize=2), **bar)
    finally:
        pool.shutdown(cancel_futures=True)
