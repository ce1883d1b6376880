"""The number of PyTorch's threads, and how they wait for each other.

By default, OpenMP's threads spin while they wait. Beside another busy process, they then occupy the
processor that the thread they are waiting for needs.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def wait_passively() -> None:
    """Make OpenMP's threads sleep while they wait.

    Both packages call this when they are imported. It has no effect if PyTorch was imported before,
    and it does not change a policy that is already set.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def requested_threads() -> int | None:
    """The number of threads set in the environment (OMP_NUM_THREADS), or None."""
    text = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(text) if text.isdecimal() and int(text) > 0 else None


@contextmanager
def limited_threads(number: int | None) -> Iterator[None]:
    """Context with this number of PyTorch threads; the previous number is restored afterwards.

    Args:
        number: threads for operations of the calling thread; None leaves it unchanged.
    """
    if number is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
