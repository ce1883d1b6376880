"""Records what produced a results folder, in a note beside the results, so that results of other
weights or of another way to compute are not reused."""

import hashlib
from pathlib import Path

from fusion.base.errors import UserError
from fusion.base.files import read_text, whole_file

NOTE = "weights.sha256"

#: The default runtime and precision, which the note does not mention.
DEFAULT_RUNTIME, DEFAULT_PRECISION = "eager", "float32"


def weights_digest(weights: Path) -> str:
    """The SHA-256 of a weights file.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        return hashlib.sha256(weights.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{weights}: cannot be read ({error.strerror})") from error


def describe_origin(
    weights: Path,
    *settings: str,
    runtime: str = DEFAULT_RUNTIME,
    precision: str = DEFAULT_PRECISION,
) -> str:
    """The line for `write_origin` and `is_of_other_origin`: everything that results depend on.

    Args:
        weights: the weights file; the line contains its `weights_digest`.
        settings: other relevant words, such as the preset, the benchmark or a single modality.
        runtime, precision: as ``--runtime`` and ``--precision``. They change results, sometimes
            only in the last digits and sometimes by whole boxes.

    Raises:
        UserError: the weights cannot be read.
    """
    words = [weights_digest(weights), *settings]
    words += [f"runtime={runtime}"] if runtime != DEFAULT_RUNTIME else []
    words += [f"precision={precision}"] if precision != DEFAULT_PRECISION else []
    return " ".join(words)


def write_origin(results: Path, origin: str) -> None:
    """Write the note of a results folder.

    Raises:
        UserError: the folder cannot be written.
    """
    with whole_file(results / NOTE) as temporary:
        temporary.write_text(f"{origin}\n")


def is_of_other_origin(results: Path, origin: str) -> bool | None:
    """Whether the note of a folder states another origin; None if there is no note.

    Raises:
        UserError: the note cannot be read.
    """
    note = results / NOTE
    return read_text(note).strip() != origin if note.exists() else None
