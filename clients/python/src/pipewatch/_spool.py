"""The spool: a folder with one file per report that is not delivered yet.

The `pipewatch` program uses the same format and folder. The order of the file names is the order of delivery. The
process that holds the lock delivers the reports of all processes.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

logger = logging.getLogger("pipewatch")

VERSION = 1
MAX_FILES = 10_000
MAX_BYTES = 64 * 1024 * 1024
# Seconds after which an unfinished file belongs to a process that was killed.
UNFINISHED = 3600
# Seconds between two counts of the folder, whose files other processes add and remove.
RECOUNT = 1.0
_NAME = re.compile(r"[0-9]{20}-[0-9a-f]{8}\.json")


class SpoolFull(Exception):
    """The bounds are reached."""


@dataclass(frozen=True)
class Entry:
    """A report that waits for its delivery."""

    name: str
    # The route, relative to the server's URL.
    path: str
    # The report as JSON.
    report: str


class Store(Protocol):
    """Where reports wait."""

    def put(self, path: str, report: str) -> None:
        """Adds a report. Raises SpoolFull and OSError."""

    def oldest(self, max_entries: int, max_bytes: int) -> list[Entry]:
        """The oldest entries with one path. Call it with the lock held."""

    def remove(self, entry: Entry) -> None: ...

    def unsent(self) -> int:
        """The number of reports of this process that wait."""

    def has_any(self) -> bool:
        """Whether any report waits, of any process."""

    @contextmanager
    def lock(self) -> Iterator[bool]:
        """Tries to become the only deliverer; yields whether this succeeded."""

    def after_fork(self) -> None:
        """Forgets what belongs to the parent process."""


class Memory:
    """A store within the process, where no folder can be written."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._bytes = 0

    def put(self, path: str, report: str) -> None:
        if len(self._entries) >= MAX_FILES or self._bytes + len(report) > MAX_BYTES:
            raise SpoolFull
        self._bytes += len(report)
        self._entries.append(Entry("", path, report))

    def oldest(self, max_entries: int, max_bytes: int) -> list[Entry]:
        entries: list[Entry] = []
        for entry in list(self._entries)[:max_entries]:
            max_bytes -= len(entry.report)
            if entries and (max_bytes < 0 or entry.path != entries[0].path):
                break
            entries.append(entry)
        return entries

    def remove(self, entry: Entry) -> None:
        self._entries.remove(entry)
        self._bytes -= len(entry.report)

    def unsent(self) -> int:
        return len(self._entries)

    def has_any(self) -> bool:
        return bool(self._entries)

    @contextmanager
    def lock(self) -> Iterator[bool]:
        yield True

    def after_fork(self) -> None:
        self.__init__()  # type: ignore[misc]


class Folder:
    """The store on disk."""

    def __init__(self, root: Path, url: str) -> None:
        """Raises OSError if the folder cannot be created."""
        self.folder = root / urllib.parse.quote(url, safe="").replace("~", "%7E")
        # The mode of `mkdir` does not apply to the parents.
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._own: set[str] = set()
        self._guard = threading.Lock()
        self._last = 0
        self._counted: float | None = None
        self._files = 0
        self._bytes = 0
        self._lock_file: int | None = None

    def put(self, path: str, report: str) -> None:
        content = f'{{"version":{VERSION},"path":{json.dumps(path)},"report":{report}}}'.encode()
        with self._guard:
            # An administrator may have removed it.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._count()
            if self._files >= MAX_FILES or self._bytes + len(content) > MAX_BYTES:
                raise SpoolFull
            self._last = max(time.time_ns() // 1000, self._last + 1)
            name = f"{self._last:020}-{os.urandom(4).hex()}.json"
            unfinished = self.folder / f".{name}.tmp"
            try:
                with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(content)
                self._own.add(name)
                os.replace(unfinished, self.folder / name)
            except OSError:
                self._own.discard(name)
                unfinished.unlink(missing_ok=True)
                raise
            self._files += 1
            self._bytes += len(content)

    def _count(self) -> None:
        """Updates the size of the folder."""
        if self._counted is not None and time.monotonic() - self._counted < RECOUNT:
            return
        self._files = self._bytes = 0
        with os.scandir(self.folder) as files:
            for file in files:
                try:
                    if _NAME.fullmatch(file.name):
                        self._bytes += file.stat().st_size
                        self._files += 1
                except FileNotFoundError:
                    continue  # Delivered in the meantime.
        self._counted = time.monotonic()

    def _names(self) -> list[str]:
        try:
            return [name for name in os.listdir(self.folder) if _NAME.fullmatch(name)]
        except FileNotFoundError:
            return []

    def oldest(self, max_entries: int, max_bytes: int) -> list[Entry]:
        self._remove_unfinished()
        entries: list[Entry] = []
        for name in sorted(self._names()):
            entry = self._read(name)
            if entry is None:
                continue
            max_bytes -= len(entry.report)
            if entries and (max_bytes < 0 or entry.path != entries[0].path):
                break
            entries.append(entry)
            if len(entries) == max_entries:
                break
        return entries

    def _read(self, name: str) -> Entry | None:
        file = self.folder / name
        try:
            data = json.loads(file.read_bytes())
            if data["version"] != VERSION or not data["path"].startswith("/") or not isinstance(data["report"], dict):
                raise ValueError
            return Entry(name, data["path"], json.dumps(data["report"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            os.replace(file, self.folder / f"{name}.invalid")
            self._own.discard(name)
            logger.error("Pipewatch cannot read the spooled report %s and renames it to %s.invalid", file, name)
            return None

    def _remove_unfinished(self) -> None:
        for name in os.listdir(self.folder):
            if name.startswith(".") and name.endswith(".tmp"):
                file = self.folder / name
                try:
                    if time.time() - file.stat().st_mtime > UNFINISHED:
                        file.unlink()
                except FileNotFoundError:
                    continue

    def remove(self, entry: Entry) -> None:
        (self.folder / entry.name).unlink(missing_ok=True)
        self._own.discard(entry.name)

    def unsent(self) -> int:
        # Another process may have delivered them.
        with self._guard:
            if self._own:
                self._own.intersection_update(self._names())
            return len(self._own)

    def has_any(self) -> bool:
        return bool(self._names())

    @contextmanager
    def lock(self) -> Iterator[bool]:
        file = self._lock_file = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        is_locked = _try_lock(file)
        try:
            yield is_locked
        finally:
            if is_locked:
                # Closing is not enough: a process forked meanwhile has a copy of the file.
                _unlock(file)
            self._lock_file = None
            os.close(file)

    def after_fork(self) -> None:
        self._guard = threading.Lock()
        self._own = set()
        if self._lock_file is not None:
            # The copy would keep the parent's lock for as long as this process runs.
            os.close(self._lock_file)
            self._lock_file = None


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: int) -> bool:
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


def default_root() -> Path | None:
    """The root folder by the environment, `None` without a home folder."""
    if path := os.environ.get("PIPEWATCH_SPOOL"):
        return Path(path).absolute()
    if path := os.environ.get("XDG_STATE_HOME"):
        return Path(path, "pipewatch", "spool")
    try:
        return Path.home() / ".local" / "state" / "pipewatch" / "spool"
    except RuntimeError:
        return None
