"""Files: outputs that are complete or absent, and natural sorting of names."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fusion.base.errors import UserError


def natural_key(path: Path) -> list:
    """Sort key that places ``2.png`` before ``10.png``."""
    return [
        int(part) if part.isdecimal() else part.lower() for part in re.split(r"(\d+)", path.name)
    ]


def require_no_stream(path: str | Path) -> None:
    """Refuse the address of a network stream, which has no beginning to come back to.

    Raises:
        UserError: names the address and how to record it.
    """
    if re.match(r"[a-z][a-z0-9+.-]+:/{1,2}[^/]", str(path), re.IGNORECASE):
        raise UserError(
            f"{path}: a network address; give it to 'fusion live' or 'tracker live', which also "
            f"record it, or record it to a file first: ffmpeg -i {path} -c copy recording.mkv"
        )


def make_folder(folder: Path) -> Path:
    """Create ``folder`` and its parents if they do not exist.

    Raises:
        UserError: a file is in the way, or the folder cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot create this folder ({error.strerror})") from error
    return folder


def check_folder(folder: Path) -> Path:
    """Check that an output folder is not an existing file, before a long computation starts.

    Raises:
        UserError: a file of this name exists.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; give a folder")
    return folder


def check_apart(output: Path, inputs: Iterable[Path]) -> None:
    """Check that an output folder is not one of the input folders.

    Raises:
        UserError: it is one of them.
    """
    if output.resolve() in {path.resolve() for path in inputs}:
        raise UserError(f"{output}: the output folder holds the inputs; give another folder")


def named_paths(
    texts: Iterable[str], option: str, name_of: Callable[[Path], str]
) -> dict[str, Path]:
    """Paths by name, from ``NAME=PATH`` or ``PATH`` on a command line.

    A text that is itself an existing path is a ``PATH``: names of files may contain equals signs.

    Args:
        option: the name of the option, for the error message.
        name_of: the name of a path that is given without one.

    Raises:
        UserError: a name is empty, or given twice.
    """
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        path = Path(rest)
        if not equals or Path(text).exists():
            path = Path(text)
            name = name_of(path)
        if not name or name in found:
            what = f"another one is already named {name}" if name else "no name before ="
            raise UserError(f"{option} {text}: {what}; give NAME=PATH with names of your own")
        found[name] = path
    return found


def read_text(path: str | Path, fix: str = "") -> str:
    """Read a UTF-8 file, with or without a byte order mark.

    Args:
        fix: how to fix a file that cannot be used; appended to the error message.

    Raises:
        UserError: the file is missing, cannot be read, or is not UTF-8 text.
    """
    end = f"; {fix}" if fix else ""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}){end}") from error
    except ValueError as error:
        raise UserError(f"{path}: not a text file{end}") from error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write a file completely or not at all.

    Yields a temporary path in the same folder, with the same suffix. It is renamed to ``path`` when
    the block ends and removed if the block raises, so readers never see an incomplete file.

    Raises:
        UserError: the folder or file cannot be written, or the path is a folder or a device.
    """
    path = Path(path)
    make_folder(path.parent)
    if path.exists() and not path.is_file():  # renaming would replace a device by a file
        what = "a folder" if path.is_dir() else "no plain file"
        raise UserError(f"{path}: cannot be written (it is {what}); give a file's name")
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)
