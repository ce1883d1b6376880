"""Training configurations: YAML files that may extend other files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fusion.base.errors import UserError
from fusion.base.files import read_text, whole_file


def with_bases(argv: list[str], folder: Path) -> list[str]:
    """Replace each ``--config FILE`` whose FILE names a ``base`` by a file with the merged keys.

    ``base: other.yaml`` names another configuration, relative to FILE, whose keys apply unless FILE
    overrides them. The ``config.yaml`` of a run contains the complete, merged configuration.

    Args:
        argv: the command's arguments.
        folder: where the merged files are written.

    Raises:
        UserError: see `read_config`.
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
    """Read a configuration and merge it with its bases.

    Raises:
        UserError: the file, or one of its bases, is missing or not a mapping.
    """
    keys = _read(path)
    chain = [path]
    while "base" in keys:
        name = keys.pop("base")
        if not isinstance(name, str):
            raise UserError(f"{chain[-1]}: base is {name!r}; give the name of a configuration")
        base = chain[-1].parent / name
        if base in chain:
            raise UserError(f"{path}: base {base} refers back to this file")
        try:
            keys = merged(_read(base), keys)
        except UserError as error:
            raise UserError(f"{chain[-1]}: its base {error}") from error
        chain.append(base)
    return keys


def write_config(path: Path, keys: Mapping[str, Any], comment: str = "") -> None:
    """Write a configuration completely or not at all, with an optional comment line at the top.

    Raises:
        UserError: the file cannot be written.
    """
    text = yaml.safe_dump(dict(keys), sort_keys=False)
    with whole_file(path) as temporary:
        temporary.write_text(f"# {comment}\n{text}" if comment else text, encoding="utf-8")


def merged(base: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` updated with ``keys``; mappings are merged, other values replaced.

    If ``keys`` selects a different part than ``base``, such as another ``fusion``, the arguments of
    the base's part (``fusion_args``) are dropped.
    """
    left_out = {f"{key}_args" for key in keys if keys[key] != base.get(key)}
    result = {key: value for key, value in base.items() if key not in left_out}
    for key, value in keys.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def nested(dotted: str, value: Any) -> dict[str, Any]:
    """``a.b.c`` and a value as the mapping ``{a: {b: {c: value}}}``."""
    for part in reversed(dotted.split(".")):
        value = {part: value}
    return value


def read_yaml(path: Path, fix: str) -> dict[str, Any]:
    """Read the mapping in a YAML file.

    Args:
        fix: what the file should contain; appended to the error message.

    Raises:
        UserError: the file is missing, not YAML, or not a mapping.
    """
    try:
        # YAML's own errors, and those of its constructors for invalid numbers and dates.
        keys = yaml.safe_load(read_text(path, fix))
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise UserError(f"{path}: not YAML ({' '.join(str(error).split())}); {fix}") from error
    if not isinstance(keys, dict):
        raise UserError(f"{path}: contains no keys with values; {fix}")
    if not _is_bounded(keys):
        raise UserError(f"{path}: expands to more than {_MOST_VALUES} values; {fix}")
    return keys


_MOST_VALUES = 100_000


def _is_bounded(tree: dict[str, Any]) -> bool:
    """Whether a tree stays small when aliases are expanded; nested aliases grow exponentially."""
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
    return read_yaml(path, "a configuration contains keys such as model and data")
