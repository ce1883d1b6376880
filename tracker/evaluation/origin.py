"""Records what produced a results folder, in a note beside the results, so that results of other
weights or of another way to compute are not reused."""

import hashlib
from pathlib import Path

from fusion.base.errors import UserError
from fusion.base.files import read_text, whole_file

__all__ = ["describe_origin", "is_of_other_origin", "weights_digest", "write_origin"]

NOTE = "weights.sha256"

#: What a tracker computes by unless told otherwise; a note does not mention it.
DEFAULT_RUNTIME, DEFAULT_PRECISION = "eager", "float32"


def weights_digest(weights: Path) -> str:
    """The SHA-256 of a weights file.

    Raises:
        UserError: it cannot be read.
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
    """The line for `write_origin` and `is_of_other_origin`: everything that figures depend on.

    Args:
        weights: the weights file, of which the line holds the `weights_digest`.
        settings: other words that matter, such as the preset, the benchmark or the only modality.
        runtime, precision: as ``--runtime`` and ``--precision``; results differ by them, from the
            last digits to whole boxes.

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
    """Whether a folder's note says another origin; None where there is no note.

    Raises:
        UserError: the note cannot be read.
    """
    note = results / NOTE
    return read_text(note).strip() != origin if note.exists() else None
