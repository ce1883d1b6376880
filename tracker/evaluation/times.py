"""Files of the time that a tracker took for each frame: a number of seconds per line.

The VOT toolkit writes them beside its trajectories as ``*_time.value``; runs over a dataset write
the same.
"""

import math
from collections.abc import Iterable
from pathlib import Path

__all__ = ["frame_rate"]


def frame_rate(files: Iterable[Path]) -> float | None:
    """Frames per second over files of times, without the first frame of each (the start).

    Files that are damaged and times that are none, such as 0 for a frame that real time skipped,
    are left out.

    Returns:
        None where no time is recorded.
    """
    seconds: list[float] = []
    for path in files:
        try:
            values = [float(line) for line in path.read_text().split()[1:]]
        except (OSError, ValueError):
            continue
        seconds += [value for value in values if 0 < value < math.inf]
    return len(seconds) / sum(seconds) if seconds else None
