"""Files of the time that a tracker took for each frame: a number of seconds per line.

The VOT toolkit writes them beside its trajectories; runs over a dataset write the same.
"""

import math
from pathlib import Path

TIMES_SUFFIX = "_time.value"
"""How the names of files of times end."""


def frame_rate(folder: Path) -> float | None:
    """Frames per second over the files of times below a folder, without the first frame of each.

    Files that are damaged and times that are none, such as 0 for a frame that real time skipped,
    are left out.

    Returns:
        None where no time is recorded.
    """
    seconds: list[float] = []
    for path in sorted(folder.rglob(f"*{TIMES_SUFFIX}")):
        try:
            values = [float(line) for line in path.read_text().split()[1:]]
        except (OSError, ValueError):
            continue
        seconds += [value for value in values if 0 < value < math.inf]
    return len(seconds) / sum(seconds) if seconds else None
