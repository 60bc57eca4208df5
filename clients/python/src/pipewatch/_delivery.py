"""Delivers reports in the background.

Two threads: the writer puts reports into the spool, the sender sends the reports of the spool. A job waits only for the
writer, and only for a moment, so that a report survives when the process is killed.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import random
import sys
import threading
import time
import weakref
from collections import deque
from pathlib import Path
from typing import Any

from pipewatch._http import Unreachable, post
from pipewatch._spool import MAX_BYTES, MAX_FILES, Entry, Folder, Memory, SpoolFull, Store

logger = logging.getLogger("pipewatch")

# Per request.
MAX_ENTRIES = 500
MAX_BODY = 4 * 1024 * 1024
# Seconds.
STORE_PATIENCE = 0.05
END_PATIENCE = 0.5
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 60.0
# How often an idle process looks for reports of killed processes.
POLL = 10.0
# How often it tries to get the lock of another process that delivers.
BUSY = 0.1


class _Postponed(Exception):
    """The server did not take the reports. They stay in the store."""

    def __init__(self, reason: str, retry_after: float | None = None, is_setup: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        # Whether the address or the token is wrong, which a retry seldom mends.
        self.is_setup = is_setup


class _Busy(Exception):
    """Another process delivers."""


class _Item:
    def __init__(self, path: str, report: str) -> None:
        self.path = path
        self.report = report
        self.is_stored = threading.Event()


class Delivery:
    """The reports of this process to one server."""

    def __init__(self, url: str, token: str | None, root: Path | None, timeout: float, exit_timeout: float) -> None:
        """`root` is the root folder of the spool, `None` to keep reports in memory only."""
        self.url = url
        self._token = token
        self._root = root
        self._timeout = timeout
        self._exit_timeout = exit_timeout
        self._memory = Memory()
        # The number of reports that the server refused.
        self.refused = 0
        self._folder: Folder | None = None
        self._reset()
        _deliveries.add(self)

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._opening = threading.Lock()
        self._queue: deque[_Item] = deque()
        self._queued_bytes = 0
        # The number of reports that the writer has taken and not stored yet.
        self._storing = 0
        self._threads: tuple[threading.Thread, ...] = ()
        self._is_slow = False
        self._has_new = False
        self._is_hurried = False
        # Ends the threads.
        self._end = threading.Event()
        self._is_exiting = False
        self._failures = 0
        self._failed_attempts = 0
        self._not_before = 0.0
        self._logged: set[str] = set()

    def after_fork(self) -> None:
        """In the forked process, which has none of the threads and must not send its parent's reports."""
        self._reset()
        self._memory.after_fork()
        if self._folder:
            self._folder.after_fork()

    # What the job's threads call.

    def submit(self, path: str, report: dict[str, Any]) -> None:
        """Takes a report. Returns when it is stored, or after a moment."""
        item = _Item(path, json.dumps(report, allow_nan=False))
        with self._changed:
            if len(self._queue) >= MAX_FILES or self._queued_bytes + len(item.report) > MAX_BYTES:
                self._log_once("queue", "Pipewatch drops reports: the spool folder %s is too slow", self._root)
                return
            has_threads = self._start()
            if has_threads:
                self._queue.append(item)
                self._queued_bytes += len(item.report)
                self._changed.notify_all()
        if not has_threads:
            self._store(item)
        elif not self._is_slow and not item.is_stored.wait(STORE_PATIENCE):
            # A slow disk delays the job once, until the writer has caught up.
            self._is_slow = True

    def flush(self, timeout: float) -> bool:
        """Waits until the reports of this process are delivered; returns whether they are."""
        deadline = time.monotonic() + timeout
        self._hurry()
        while self._unsent():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            with self._changed:
                self._changed.wait(min(remaining, 0.05))
        return True

    def close(self) -> None:
        """Delivers what can be delivered within a short time, and ends the threads. The rest stays in the spool."""
        self.settle()
        if lost := self._unsafe():
            logger.warning("Pipewatch could not deliver %d reports to %s; they are lost", lost, self.url)
        elif self._folder and (waiting := self._folder.unsent()):
            logger.warning(
                "Pipewatch could not deliver %d reports to %s yet; they wait in %s for the next process that reports, or for "
                "`pipewatch spool flush`", waiting, self.url, self._folder.folder,
            )  # fmt: skip
        with self._changed:
            self._end.set()
            self._changed.notify_all()
            threads, self._threads = self._threads, ()
        for thread in threads:
            # A thread that waits for the server does not notice.
            thread.join(END_PATIENCE)

    def exit(self) -> None:
        """Closes at the end of the process. A thread that runs while the interpreter ends can crash it."""
        with self._changed:
            self._is_exiting = True
        self.close()

    def settle(self) -> None:
        """Waits until the reports are delivered, or are safe in the spool and an attempt has failed."""
        if not self._threads:
            if self._unsent():
                self._attempt()
            return
        deadline = time.monotonic() + self._exit_timeout
        failed_before = self._failed_attempts
        self._hurry()
        while self._unsent() or (self._folder and self._folder.has_any()):
            is_safe = self._unsafe() == 0
            is_hopeless = self._failed_attempts > failed_before or self._not_before > deadline
            remaining = deadline - time.monotonic()
            if remaining <= 0 or (is_safe and is_hopeless):
                break
            with self._changed:
                self._changed.wait(min(remaining, 0.02))

    def _unsent(self) -> int:
        return self._unsafe() + (self._folder.unsent() if self._folder else 0)

    def _unsafe(self) -> int:
        """The number of reports that would be lost if the process was killed."""
        return len(self._queue) + self._storing + self._memory.unsent()

    def _hurry(self) -> None:
        with self._changed:
            self._is_hurried = True
            self._changed.notify_all()

    def _start(self) -> bool:
        """Starts the threads; returns whether they run. Call it with the condition held."""
        if self._threads:
            return True
        if self._is_exiting:
            return False
        end = self._end = threading.Event()
        threads = (
            threading.Thread(target=self._write_all, args=(end,), name="pipewatch-writer", daemon=True),
            threading.Thread(target=self._send_all, args=(end,), name="pipewatch-sender", daemon=True),
        )
        try:
            for thread in threads:
                thread.start()
        except RuntimeError:
            # The interpreter ends, or the process may not have more threads.
            end.set()
            return False
        self._threads = threads
        _flush_at_exit_of_worker(self)
        return True

    # The writer.

    def _write_all(self, end: threading.Event) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or end.is_set())
                if not self._queue:
                    return
                item = self._queue.popleft()
                self._storing += 1
            try:
                self._store(item)
            except Exception:
                logger.exception("Pipewatch drops a report that it cannot store")
            with self._changed:
                self._storing -= 1
                self._queued_bytes -= len(item.report)
                self._is_slow = self._is_slow and bool(self._queue)
                self._has_new = True
                self._changed.notify_all()
            item.is_stored.set()

    def _store(self, item: _Item) -> None:
        for store in self._open():
            try:
                store.put(item.path, item.report)
                return
            except SpoolFull:
                where = store.folder if isinstance(store, Folder) else "memory"
                self._log_once("full", "Pipewatch drops reports: too many wait in %s", where)
                return
            except OSError as error:
                self._log_once(
                    "disk", "Pipewatch cannot write to its spool folder and keeps reports in memory: %s", error
                )

    def _open(self) -> list[Store]:
        # Both threads open the folder.
        with self._opening:
            if self._folder is None and self._root is not None:
                try:
                    self._folder = Folder(self._root, self.url)
                except OSError as error:
                    self._log_once(
                        "disk",
                        "Pipewatch cannot create its spool folder and keeps reports in memory; set PIPEWATCH_SPOOL to a "
                        "folder that this process can write: %s", error,
                    )  # fmt: skip
        return [self._folder, self._memory] if self._folder else [self._memory]

    # The sender.

    def _send_all(self, end: threading.Event) -> None:
        while not end.is_set():
            with self._changed:
                self._has_new = self._is_hurried = False
            delay = self._attempt()
            with self._changed:
                self._changed.notify_all()
                self._changed.wait_for(lambda: end.is_set() or self._is_awake(), delay)
                # The server asked to wait, so not even a flush hurries it.
                while not end.is_set() and (wait := self._not_before - time.monotonic()) > 0:
                    self._changed.wait(wait)

    def _is_awake(self) -> bool:
        return self._is_hurried or (self._has_new and self._failures == 0)

    def _attempt(self) -> float:
        """Delivers everything, if possible; returns the seconds until the next attempt."""
        try:
            for store in self._open():
                self._deliver(store)
        except _Busy:
            return BUSY if self._unsent() else POLL
        except _Postponed as postponed:
            return self._postpone(postponed)
        except Exception as error:
            if not isinstance(error, OSError):
                logger.exception("Pipewatch cannot deliver reports")
            return self._postpone(_Postponed(f"cannot read the spool folder: {error}"))
        if self._failures:
            logger.info("Pipewatch delivers reports to %s again", self.url)
            self._failures = 0
            self._logged.clear()
        return POLL

    def _postpone(self, postponed: _Postponed) -> float:
        where = self._folder.folder if self._folder else "memory"
        self._log_once(
            "away", "Pipewatch cannot deliver reports to %s and keeps them in %s: %s", self.url, where, postponed
        )
        delay = LONGEST_BACKOFF if postponed.is_setup else min(FIRST_BACKOFF * 2.0**self._failures, LONGEST_BACKOFF)
        delay *= random.uniform(0.5, 1.0)
        self._failures = min(self._failures + 1, 30)
        self._failed_attempts += 1
        if postponed.retry_after is not None:
            delay = postponed.retry_after + delay * 0.1
            self._not_before = time.monotonic() + delay
        return delay

    def _deliver(self, store: Store) -> None:
        """Raises _Postponed and _Busy."""
        if not store.has_any():
            return
        with store.lock() as is_locked:
            if not is_locked:
                raise _Busy
            while entries := store.oldest(MAX_ENTRIES, MAX_BODY):
                self._send(store, entries)
                with self._changed:
                    self._changed.notify_all()

    def _send(self, store: Store, entries: list[Entry]) -> None:
        body = "[" + ",".join(entry.report for entry in entries) + "]"
        try:
            answer = post(self.url + entries[0].path, self._token, body.encode(), self._timeout)
        except Unreachable as error:
            raise _Postponed(str(error)) from error
        is_single = len(entries) == 1
        detail = f"HTTP {answer.status}: {_detail(answer.body)}"
        if answer.status in (200, 201, 207, 409, 422):
            results = _results(answer.body, len(entries))
            if results is None:
                raise _Postponed("the answer is not from a Pipewatch server", is_setup=True)
            refused = []
            for entry, result in zip(entries, results, strict=True):
                if result["status"] != "refused":
                    store.remove(entry)
                elif is_single:
                    self._log_refused(entry, _errors(result))
                    store.remove(entry)
                else:
                    refused.append(entry)
            # Only the answer to a single report says whether a retry may succeed.
            for entry in refused:
                self._send(store, [entry])
        elif answer.status in (400, 413, 415):
            if is_single:
                self._log_refused(entries[0], detail)
                store.remove(entries[0])
            else:
                for entry in entries:
                    self._send(store, [entry])
        else:
            is_temporary = answer.status in (408, 429) or answer.status >= 500
            raise _Postponed(detail, answer.retry_after, is_setup=not is_temporary)

    def _log_refused(self, entry: Entry, errors: str) -> None:
        self.refused += 1
        report = json.loads(entry.report)
        where = f"{report.get('pipeline')}/{report.get('source')}"
        logger.error("Pipewatch refuses a report of %s, which is dropped: %s", where, errors)

    def _log_once(self, key: str, message: str, *values: object) -> None:
        """Logs once until reports are delivered again."""
        if key not in self._logged:
            self._logged.add(key)
            logger.warning(message, *values)


def _results(body: bytes, count: int) -> list[dict[str, Any]] | None:
    """The results of the items; `None` if this is not an answer of the server."""
    try:
        results = json.loads(body)["results"]
        are_valid = len(results) == count and all(it["status"] in ("stored", "duplicate", "refused") for it in results)
    except (ValueError, KeyError, TypeError):
        return None
    return results if are_valid else None


def _errors(result: dict[str, Any]) -> str:
    errors = [error for error in result.get("errors") or [] if isinstance(error, dict)]
    return "; ".join(f"{it.get('field')}: {it.get('message')} (expected {it.get('expected')})" for it in errors)


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")


# The ends of processes.

_deliveries: weakref.WeakSet[Delivery] = weakref.WeakSet()


def _at_exit() -> None:
    for delivery in list(_deliveries):
        try:
            delivery.exit()
        except Exception:
            logger.exception("Pipewatch cannot deliver reports")


def _after_fork() -> None:
    for delivery in list(_deliveries):
        delivery.after_fork()


def _flush_at_exit_of_worker(delivery: Delivery) -> None:
    """Workers of multiprocessing end without the handlers of atexit."""
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(delivery, delivery.exit, exitpriority=0)


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
