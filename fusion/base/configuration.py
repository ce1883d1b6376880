"""Configurations of training: YAML files that may build on others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fusion.base.errors import UserError
from fusion.base.files import read_text, whole_file

__all__ = ["merged", "nested", "read_config", "read_yaml", "with_bases", "write_config"]


def with_bases(argv: list[str], folder: Path) -> list[str]:
    """Replace each ``--config FILE`` whose FILE names a ``base`` by a file that has both.

    ``base: other.yaml``, beside FILE, is another configuration, whose keys hold where FILE has
    none. What a run was made with stands complete in its own ``config.yaml``.

    Args:
        argv: of the command.
        folder: for files that are made.

    Raises:
        UserError: as `read_config`.
    """
    joined = [
        part for a in argv for part in (a.split("=", 1) if a.startswith("--config=") else [a])
    ]
    for place, option in enumerate(joined[:-1]):
        if option not in ("--config", "-c"):
            continue
        path = Path(joined[place + 1])
        if "base" in _read(path):
            whole = folder / f"{place}_{path.name}"
            write_config(whole, read_config(path))
            joined[place + 1] = str(whole)
    return joined


def read_config(path: Path) -> dict[str, Any]:
    """The keys of a configuration together with its bases'.

    Raises:
        UserError: the file, or one it is based on, is missing or no mapping of keys.
    """
    keys = _read(path)
    chain = [path]
    while "base" in keys:
        name = keys.pop("base")
        if not isinstance(name, str):
            raise UserError(f"{chain[-1]}: base is {name!r}; give the name of a configuration")
        base = chain[-1].parent / name
        if base in chain:
            raise UserError(f"{path}: base {base} comes back to itself")
        try:
            keys = merged(_read(base), keys)
        except UserError as error:
            raise UserError(f"{chain[-1]}: its base {error}") from error
        chain.append(base)
    return keys


def write_config(path: Path, keys: Mapping[str, Any], comment: str = "") -> None:
    """Write a configuration whole or not at all, below a line of comment where one is given.

    Raises:
        UserError: the place cannot be written.
    """
    text = yaml.safe_dump(dict(keys), sort_keys=False)
    with whole_file(path) as temporary:
        temporary.write_text(f"# {comment}\n{text}" if comment else text, encoding="utf-8")


def merged(base: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``keys`` over it; mappings are merged, all else is replaced."""
    result = dict(base)
    for key, value in keys.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def nested(dotted: str, value: Any) -> dict[str, Any]:
    """``a.b.c`` and a value as the mapping ``{a: {b: {c: value}}}``."""
    for part in reversed(dotted.split(".")):
        value = {part: value}
    return value


def read_yaml(path: Path, mend: str) -> dict[str, Any]:
    """The mapping in a YAML file.

    Args:
        mend: what the file should be; closes the line of an error.

    Raises:
        UserError: the file is missing, not YAML, or no mapping.
    """
    try:
        # YAML's own kinds of error, and its constructors' of numbers and dates that are none.
        keys = yaml.safe_load(read_text(path, mend))
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise UserError(f"{path}: not YAML ({' '.join(str(error).split())}); {mend}") from error
    if not isinstance(keys, dict):
        raise UserError(f"{path}: holds no keys with values; {mend}")
    if not _is_bounded(keys):
        raise UserError(f"{path}: holds more than {_MOST_VALUES} values, by its aliases; {mend}")
    return keys


_MOST_VALUES = 100_000


def _is_bounded(tree: dict[str, Any]) -> bool:
    """Whether a tree is small written out; aliases of aliases grow beyond all memory."""
    seen, waiting = 0, [tree]
    while waiting and seen <= _MOST_VALUES:
        value = waiting.pop()
        seen += 1
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return not waiting


def _read(path: Path) -> dict[str, Any]:
    return read_yaml(path, "a configuration holds keys such as model and data")
