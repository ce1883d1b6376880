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

__all__ = ["UNTRAINED", "Entry", "add_entry", "parse_reference", "read_trackers"]

UNTRAINED = "untrained"
"""Version of an entry that runs without weights: ``DFAT@untrained`` has results of its own."""

_IDENTIFIER = r"[a-zA-Z0-9_-]+"


@dataclass(frozen=True)
class Entry:
    """A tracker of a workspace.

    Attributes:
        identifier: its section in ``trackers.ini``.
        label: its name for people.
        variables: the environment that its ``env_`` keys give it, as they stand there.
        version: tells results of several versions apart.
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
        """The same entry in another version; in its own where None."""
        return replace(self, version=version) if version else self

    def environment(self, outside: Mapping[str, str]) -> dict[str, str]:
        """What its process sees: the environment outside, and the entry's own variables over it."""

        def expand(value: str) -> str:  # as `os.path.expandvars`, of another environment
            return re.sub(
                r"\$(?:(\w+)|\{(\w+)\})",
                lambda match: outside.get(match[1] or match[2], match[0]),
                value,
            )

        return {**outside, **{name: expand(value) for name, value in self.variables.items()}}


def parse_reference(reference: str) -> tuple[str, str | None]:
    """Identifier and version of ``IDENTIFIER`` or ``IDENTIFIER@VERSION``.

    Raises:
        UserError: it is neither.
    """
    match = re.fullmatch(f"({_IDENTIFIER})(?:@({_IDENTIFIER}))?", reference)
    if match is None:
        raise UserError(
            f"tracker {reference}: not NAME or NAME@VERSION of letters, digits, - and _"
        )
    return match[1], match[2]


def add_entry(folder: Path, tracker: str) -> str:
    """The identifier of a workspace's entry for a tracker, which is added where there is none.

    Args:
        folder: the workspace, whose ``trackers.ini`` gets the entry.
        tracker: a name of `tracker.evaluation.trackers.TRACKERS`, or ``module:factory``.

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
    """The entries of a workspace, by identifier in the order of the alphabet.

    Args:
        folder: the workspace.
        registry: what its ``config.yaml`` lists: files, or folders with a ``trackers.ini``. Those
            that are not there have no entries.

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
