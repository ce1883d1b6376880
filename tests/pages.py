"""Fenced blocks of the documentation pages, and the files that they show."""

import re
from pathlib import Path


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of every fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.M | re.S)


def file_name(content: str) -> str | None:
    """The name of the file that a block shows, which its first line says."""
    found = re.match(r"# (\w+\.(?:py|yaml))\n", content)
    return found[1] if found else None


def write_files(text: str, folder: Path) -> None:
    """Write the files that a page shows."""
    for _, content in blocks(text):
        if name := file_name(content):
            (folder / name).write_text(content)
