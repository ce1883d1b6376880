"""Files on disk: outputs that are whole or absent, and the order people expect names in."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fusion.errors import UserError


def natural_key(path: Path) -> list:
    """Sort key by which ``2.png`` comes before ``10.png``."""
    return [int(part) if part.isdigit() else part.lower() for part in re.split(r"(\d+)", path.name)]


def make_folder(folder: Path) -> Path:
    """Create ``folder`` and its parents where missing.

    Raises:
        UserError: a file is in the way, or the place cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot create this folder ({error.strerror})") from error
    return folder


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all.

    Yields a temporary path in the same folder, with the same suffix. It is renamed to ``path`` when
    the block ends, and removed when the block raises, so that no reader ever meets half a file.

    Raises:
        UserError: the folder or the file cannot be written.
    """
    path = Path(path)
    make_folder(path.parent)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)
