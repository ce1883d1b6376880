"""The entries of a workspace's ``trackers.ini``, as the VOT toolkit reads them."""

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from fusion.base.errors import UserError
from fusion.base.files import read_text, whole_file
from tracker.evaluation.trackers import tracker_name

UNTRAINED = "untrained"
"""Version of an entry that runs without weights: ``DFAT@untrained`` has separate results."""

_IDENTIFIER = r"[a-zA-Z0-9_-]+"


@dataclass(frozen=True)
class Entry:
    """A tracker of a workspace.

    Attributes:
        identifier: its section in ``trackers.ini``.
        label: its display name.
        variables: the environment variables from its ``env_`` keys, without expansion.
        version: distinguishes the results of several versions.
    """

    identifier: str
    label: str
    variables: Mapping[str, str]
    version: str | None = None

    @property
    def reference(self) -> str:
        """``IDENTIFIER``, or ``IDENTIFIER@VERSION``: the name of its results."""
        return f"{self.identifier}@{self.version}" if self.version else self.identifier

    @property
    def title(self) -> str:
        """The label with the version."""
        return f"{self.label} ({self.version})" if self.version else self.label

    def at(self, version: str | None) -> "Entry":
        """The same entry in another version; None keeps its version."""
        return replace(self, version=version) if version else self

    def environment(self, outside: Mapping[str, str]) -> dict[str, str]:
        """The environment of its process: the outer one, overridden by the entry's variables."""

        def expand(value: str) -> str:  # like `os.path.expandvars`, for another environment
            return re.sub(
                r"\$(?:(\w+)|\{(\w+)\})",
                lambda match: outside.get(match[1] or match[2], match[0]),
                value,
            )

        return {**outside, **{name: expand(value) for name, value in self.variables.items()}}


def parse_reference(reference: str) -> tuple[str, str | None]:
    """Split ``IDENTIFIER`` or ``IDENTIFIER@VERSION`` into identifier and version.

    Raises:
        UserError: the reference has neither form.
    """
    match = re.fullmatch(f"({_IDENTIFIER})(?:@({_IDENTIFIER}))?", reference)
    if match is None:
        raise UserError(
            f"tracker {reference}: not NAME or NAME@VERSION of letters, digits, - and _"
        )
    return match[1], match[2]


def add_entry(folder: Path, tracker: str) -> str:
    """The identifier of a workspace's entry for a tracker; a missing entry is added.

    Args:
        folder: the workspace, to whose ``trackers.ini`` the entry is added.
        tracker: a name from `tracker.evaluation.trackers.TRACKERS`, or ``module:factory``.

    Raises:
        UserError: the file cannot be read or written.
    """
    entries = read_trackers(folder, ["trackers.ini"])
    for entry in entries.values():
        if entry.variables.get("RGBT_TRACKER") == tracker and len(entry.variables) == 1:
            return entry.identifier
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", tracker_name(tracker))
    numbered = (name if n == 1 else f"{name}_{n}" for n in count(1))
    identifier = next(candidate for candidate in numbered if candidate not in entries)
    path = folder / "trackers.ini"
    before = read_text(path).rstrip() + "\n\n" if path.exists() else ""
    with whole_file(path) as temporary:
        temporary.write_text(
            f"{before}[{identifier}]\nlabel = {tracker_name(tracker)}\nprotocol = traxpython\n"
            f"command = rgbt_trax\npaths = .\ntimeout = 60\nenv_rgbt_tracker = {tracker}\n",
            encoding="utf-8",
        )
    return identifier


def read_trackers(folder: Path, registry: object) -> dict[str, Entry]:
    """Read the entries of a workspace, by identifier in alphabetical order.

    Args:
        folder: the workspace.
        registry: paths from its ``config.yaml``: files, or folders with a ``trackers.ini``. Missing
            files are skipped.

    Raises:
        UserError: a file cannot be read.
    """
    entries: dict[str, Entry] = {}
    for place in registry if isinstance(registry, list) else []:
        path = folder / Path(str(place)).expanduser()
        path = path / "trackers.ini" if path.is_dir() else path
        parser = configparser.ConfigParser()
        try:
            parser.read(path, encoding="utf-8")
            sections = {name: dict(parser[name]) for name in parser.sections()}
        except (configparser.Error, OSError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{path}: cannot be read ({reason})") from error
        for name, keys in sections.items():
            if name not in entries and re.fullmatch(_IDENTIFIER, name):
                variables = {k[4:].upper(): v for k, v in keys.items() if k[:4] == "env_" and k[4:]}
                label = keys.get("label", name)
                entries[name] = Entry(name, label, variables, keys.get("version"))
    return dict(sorted(entries.items()))
