"""``tracker train``: LightningCLI on `tracker.training`; configurations may build on others."""

import tempfile
from pathlib import Path

import yaml

from fusion.errors import UserError
from fusion.training import run_lightning


def main(argv: list[str]) -> None:
    """Train as the arguments say.

    Raises:
        UserError: an option or a configuration key is wrong, or the data cannot be used.
    """
    from tracker.training import TargetData, TrackerTraining

    with tempfile.TemporaryDirectory() as folder:
        argv = with_bases(argv, Path(folder))
        run_lightning("tracker train", TrackerTraining, TargetData, argv)


def with_bases(argv: list[str], folder: Path) -> list[str]:
    """Replace each ``--config FILE`` whose FILE names a ``base`` by a file that has both.

    ``base: other.yaml``, beside FILE, is another configuration, whose keys hold where FILE has
    none. What a run was made with stands complete in its own ``config.yaml``.

    Args:
        argv: of the command.
        folder: for files that are made.
    """
    joined = [
        part for a in argv for part in (a.split("=", 1) if a.startswith("--config=") else [a])
    ]
    for place, option in enumerate(joined[:-1]):
        if option not in ("--config", "-c"):
            continue
        path = Path(joined[place + 1])
        keys = read_config(path)
        if keys is not None:
            whole = folder / f"{place}_{path.name}"
            whole.write_text(yaml.safe_dump(keys, sort_keys=False))
            joined[place + 1] = str(whole)
    return joined


def read_config(path: Path) -> dict | None:
    """The keys of a configuration together with its bases'; None if it has no base.

    Raises:
        UserError: the file, or one it is based on, is missing or no mapping of keys.
    """
    keys = _read(path)
    chain = [path]
    if "base" not in keys:
        return None
    while "base" in keys:
        base = chain[-1].parent / str(keys.pop("base"))
        if base in chain:
            raise UserError(f"{path}: base {base} comes back to itself")
        chain.append(base)
        keys = _merged(_read(base), keys)
    return keys


def _read(path: Path) -> dict:
    try:
        keys = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(keys, dict):
        raise UserError(f"{path}: not a configuration; it should hold keys such as model and data")
    return keys


def _merged(base: dict, keys: dict) -> dict:
    """``base`` with ``keys`` over it; mappings are merged, all else is replaced."""
    result = dict(base)
    for key, value in keys.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result
