"""The files of every open page: apart from those of others, and removed when it is closed.

A page gets a key that cannot be guessed. Its files are stored in a folder of its own, and are
served under addresses that contain the key, so that only the browser with this page can ask for
them. What is served was offered by name before; no path comes from a browser.
"""

import contextlib
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fusion.base.errors import UserError
from fusion.base.files import make_folder
from tracker.app.jobs import Job, Worker
from tracker.app.limits import Limits

#: Beginnings of the addresses under which files are served and received.
FILES, UPLOADS = "/files", "/upload"


class Visitor:
    """One open page.

    Attributes:
        key: the secret part of its addresses.
        limits: how large its files may be.
    """

    def __init__(self, folder: Path, limits: Limits, worker: Worker):
        self.key = secrets.token_urlsafe(24)
        self.limits = limits
        self._folder = folder
        self._worker = worker
        self._count = 0
        self._offered: dict[str, tuple[Path, str]] = {}
        self._uploads: dict[str, Path] = {}
        self._slots: set[str] = set()
        self._arriving: set[str] = set()
        self._result: dict[str, Path] = {}
        self._jobs: list[Job] = []
        self._closed = False
        self._at_close: list[Callable[[], object]] = []

    def new_folder(self) -> Path:
        """An empty folder."""
        self._count += 1
        return make_folder(self._folder / str(self._count))

    def remove(self, folder: Path) -> None:
        """Remove a folder when no job can use it any more."""
        self._worker.afterwards(lambda: shutil.rmtree(folder, ignore_errors=True))

    def keep(self, tab: str, folder: Path) -> None:
        """Keep a folder as the result of a tab, and remove the one before it."""
        before, self._result[tab] = self._result.get(tab), folder
        if before is not None:
            self.remove(before)

    # --- To the browser ---

    def offer(self, path: Path, name: str | None = None) -> str:
        """Serve a file to this visitor from now on.

        Args:
            name: what the browser calls it when it saves it; None for the file's own name.

        Returns:
            The address, which is new each time, so that browsers never show an older file.
        """
        self._count += 1
        self._offered[str(self._count)] = (path, name or path.name)
        return f"{FILES}/{self.key}/{self._count}/{quote(name or path.name)}"

    def offered(self, number: str) -> Path | None:
        """The file of an address."""
        return self._offered.get(number, (None,))[0]

    def message(self, error: Exception) -> str:
        """An error's line with the visitor's own names of the files instead of their paths."""
        return re.sub(rf"{re.escape(str(self._folder))}/\d+/", "", str(error))

    # --- From the browser ---

    def upload_address(self, slot: str) -> str:
        """Where the browser sends the file of a slot, which is accepted from now on."""
        self._slots.add(slot)
        return f"{UPLOADS}/{self.key}/{slot}"

    async def receive(self, slot: str, name: str, chunks: AsyncIterator[bytes]) -> None:
        """Store an uploaded file, in place of an earlier one of the slot.

        Raises:
            UserError: it is empty or exceeds the limit, another one of the slot is still arriving,
                or there is no such slot. Nothing of it is kept.
        """
        if slot not in self._slots or slot in self._arriving:
            raise UserError(f"{safe_name(name)}: not expected now; load the page again")
        self._arriving.add(slot)
        try:
            await self._receive(slot, name, chunks)
        finally:
            self._arriving.remove(slot)

    async def _receive(self, slot: str, name: str, chunks: AsyncIterator[bytes]) -> None:
        path = self.new_folder() / safe_name(name)
        size = 0
        try:
            with path.open("wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    self.limits.check_bytes(path.name, size)
                    file.write(chunk)
            if not size:
                raise UserError(f"{path.name}: the file is empty")
            if self._closed:
                raise UserError(f"{path.name}: the page was closed")
        except BaseException:
            shutil.rmtree(path.parent, ignore_errors=True)
            raise
        self.forget(slot)
        self._uploads[slot] = path

    def uploaded(self, slot: str) -> Path | None:
        """The file of a slot."""
        return self._uploads.get(slot)

    def forget(self, slot: str) -> None:
        """Remove the file of a slot."""
        if (path := self._uploads.pop(slot, None)) is not None:
            self.remove(path.parent)

    # --- Work ---

    def start(self, work: Callable[[Job], Any]) -> Job:
        """Start a job, which ends when the visitor leaves."""
        self._jobs = [job for job in self._jobs if not job.has_ended]
        job = self._worker.start(work)
        self._jobs.append(job)
        if self._closed:
            job.stop()
        return job

    def at_close(self, call: Callable[[], object]) -> None:
        """Call a function when the visitor leaves."""
        self._at_close.append(call)

    def close(self) -> None:
        """Stop the visitor's jobs, and remove the files after them."""
        self._closed = True
        for job in self._jobs:
            job.stop()
        for call in self._at_close:
            call()
        self._offered.clear()
        with contextlib.suppress(RuntimeError):  # the worker has ended: the server removes all
            self.remove(self._folder)


class Visitors:
    """All open pages by their keys."""

    def __init__(self, folder: Path, limits: Limits, worker: Worker):
        self._folder, self._limits, self._worker = folder, limits, worker
        self._open: dict[str, Visitor] = {}
        self._count = 0

    def enter(self) -> Visitor:
        """A new visitor."""
        self._count += 1
        visitor = Visitor(self._folder / f"visitor-{self._count}", self._limits, self._worker)
        self._open[visitor.key] = visitor
        return visitor

    def leave(self, visitor: Visitor) -> None:
        """Close a visitor, once."""
        if self._open.pop(visitor.key, None) is not None:
            visitor.close()

    def get(self, key: str) -> Visitor | None:
        """The visitor of a key."""
        return self._open.get(key)


def safe_name(name: str) -> str:
    """A file name from a browser without folders, hidden beginnings and unusual characters.

    >>> safe_name("../../etc/pass wd.PNG")
    'pass wd.PNG'
    >>> safe_name("..")
    'file'
    """
    last = re.split(r"[/\\]", name)[-1]
    kept = re.sub(r"[^\w .()+,=@-]", "_", last).strip(" .")
    stem, dot, suffix = kept.rpartition(".")
    return f"{stem[:80]}{dot}{suffix[:12]}" if stem else kept[:80] or "file"
