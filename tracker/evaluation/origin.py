"""Of what results are: a note beside them names the weights, so that others' are not reused."""

import hashlib
from pathlib import Path

from fusion.base.errors import UserError
from fusion.base.files import read_text, whole_file

__all__ = ["is_of_other_origin", "weights_digest", "write_origin"]

NOTE = "weights.sha256"


def weights_digest(weights: Path) -> str:
    """The SHA-256 of a weights file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return hashlib.sha256(weights.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{weights}: cannot be read ({error.strerror})") from error


def write_origin(results: Path, origin: str) -> None:
    """Note of what a folder's results are, in a line that begins with their `weights_digest`.

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
