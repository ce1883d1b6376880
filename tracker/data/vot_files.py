"""Files of a sequence in VOT's layout beside its annotation: ``sequence``, tags and values."""

from pathlib import Path

import numpy as np

from fusion.base.errors import UserError
from fusion.base.files import read_text


def read_vot_meta(folder: Path) -> dict[str, str]:
    """The ``key=value`` lines of a VOT ``sequence`` file; empty without one.

    Raises:
        UserError: the file cannot be read.
    """
    path = folder / "sequence"
    if not path.is_file():
        return {}
    pairs = (line.split("=", 1) for line in read_text(path).splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def other_length(meta: dict[str, str], length: int) -> str | None:
    """The number of frames stated in `read_vot_meta`, if it differs from the real one."""
    # Compared as text, because Python refuses to convert numbers of thousands of digits.
    stated = meta.get("length", "")
    return f"{stated:.20}" if stated.isdecimal() and stated.lstrip("0") != str(length) else None


def read_rate(meta: dict[str, str]) -> float | None:
    """Frames per second stated in `read_vot_meta`; None without a usable number."""
    try:
        value = float(meta.get("fps", ""))
    except ValueError:
        return None
    return value if 0 < value < 1e6 else None


def read_vot_attributes(folder: Path, length: int, problems: list[str]) -> dict[str, np.ndarray]:
    """Per-frame numbers by name, from ``*.tag`` and ``*.value``.

    Args:
        length: the number of frames.
        problems: a line is appended for each file that cannot be used.
    """
    attributes = {}
    for path in sorted([*folder.glob("*.tag"), *folder.glob("*.value")]):
        try:
            values = np.array([float(line) for line in read_text(path).split()])
        except UserError as error:
            problems.append(f"{error}; ignored")
            continue
        except ValueError:
            problems.append(f"{path.name}: not one number per line; ignored")
            continue
        if len(values) != length:
            problems.append(f"{path.name}: {len(values)} lines for {length} frames; ignored")
            continue
        attributes[path.stem] = values
    return attributes
