"""How many threads PyTorch computes with, and how they wait for each other.

OpenMP's threads spin while they wait, unless told otherwise before the library is loaded. Beside
another busy process they then hold the processor that the thread they wait for would need.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["limited_threads", "requested_threads", "wait_passively"]


def wait_passively() -> None:
    """Let OpenMP's threads sleep while they wait.

    Both packages call this when they are imported. It has no effect where PyTorch was imported
    before, and a policy that is set already stays.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def requested_threads() -> int | None:
    """The number of threads that the environment asks for (OMP_NUM_THREADS); None for none."""
    text = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(text) if text.isdecimal() and int(text) > 0 else None


@contextmanager
def limited_threads(number: int | None) -> Iterator[None]:
    """Compute with this number of PyTorch's threads inside, and with the former number afterwards.

    Args:
        number: of the calling thread's operations; None to leave it as it is.
    """
    import torch

    before = torch.get_num_threads()
    if number in (None, before):
        yield
        return
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
