"""The client: settings, runs, and the way to the server."""

from __future__ import annotations

import logging
import os
import threading
import urllib.parse
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

from pipewatch._delivery import Delivery
from pipewatch._monitored import monitored
from pipewatch._run import Run
from pipewatch._spool import default_root
from pipewatch._text import now

logger = logging.getLogger("pipewatch")

DEFAULT_URL = "http://127.0.0.1:8000"
RUNS = "/api/v1/source-runs"
METRICS = "/api/v1/data-quality-metrics"
_F = TypeVar("_F", bound=Callable[..., object])


class Client:
    """Reports to one server.

    `url`, `token` and `spool` default to the variables PIPEWATCH_URL, PIPEWATCH_TOKEN and PIPEWATCH_SPOOL. With
    `PIPEWATCH_URL=off` nothing is reported. `spool=False` keeps reports in memory only. `timeout` is the limit of one
    request and `exit_timeout` that of the delivery at the end of the process, in seconds.

    Raises ValueError if the argument `url` is not valid. Nothing else raises: an invalid variable is logged.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        spool: str | os.PathLike[str] | Literal[False] | None = None,
        timeout: float = 10.0,
        exit_timeout: float = 2.0,
    ) -> None:
        self._delivery: Delivery | None = None
        if url is None:
            url = os.environ.get("PIPEWATCH_URL") or DEFAULT_URL
            if url.lower() == "off":
                return
            try:
                base = base_url(url)
            except ValueError as error:
                logger.error("Pipewatch reports nothing: PIPEWATCH_URL %s", error)
                return
        else:
            base = base_url(url)
        if token is None:
            token = os.environ.get("PIPEWATCH_TOKEN")
        if token is not None and not _is_header(token):
            logger.error("Pipewatch sends no token: it has characters that are not allowed in a token")
            token = None
        root: Path | None = None
        try:
            root = None if spool is False else default_root() if spool is None else Path(spool).absolute()
        except OSError as error:  # The working directory does not exist.
            logger.warning("Pipewatch keeps reports in memory, because the spool folder is not known: %s", error)
        self._delivery = Delivery(base, token or None, root, timeout, exit_timeout)

    @property
    def url(self) -> str | None:
        """The server's URL; `None` if nothing is reported."""
        return self._delivery.url if self._delivery else None

    def run(
        self,
        pipeline: str,
        source: str,
        *,
        id: str | None = None,
        parent: str | None = None,
        attempt: int | None = None,
        url: str | None = None,
        tags: Iterable[str] = (),
        report_start: bool = True,
    ) -> Run:
        """A run of a source, as a context manager.

        `id` is any text of at most 250 characters, unique within the pipeline and source; a retry of the job needs another
        one. `parent` is the id of the run that started this one: the surrounding run, if there is one. Without
        `report_start` only the end is reported, so that the server does not notice when the job is killed.
        """
        return Run(
            self, pipeline, source, id=id, parent=parent, attempt=attempt, url=url, tags=tags, report_start=report_start
        )

    def monitored(
        self, pipeline: str, source: str, *, tags: Iterable[str] = (), report_start: bool = True
    ) -> Callable[[_F], _F]:
        """Reports each call of a function or coroutine function as a run.

        `current_run()` in the function is the run. Raises TypeError for a generator function.
        """
        return monitored(lambda: self.run(pipeline, source, tags=tags, report_start=report_start))

    def report_run(self, report: dict[str, Any]) -> None:
        """Reports a run as the item of `POST /api/v1/source-runs`. Missing `id` and `timestamp` are added."""
        self._submit(RUNS, report)

    def report_metric(self, report: dict[str, Any]) -> None:
        """Reports counts without a run, as the item of `POST /api/v1/data-quality-metrics`."""
        self._submit(METRICS, report)

    def _submit(self, path: str, report: dict[str, Any]) -> None:
        if self._delivery is None:
            return
        try:
            # The id makes retries safe: the server recognises a repeated report.
            complete = {"id": str(uuid.uuid4()), "pipeline": "default", "timestamp": now(), **report}
            self._delivery.submit(path, complete)
        except Exception:
            logger.exception("Pipewatch cannot report")

    @property
    def refused(self) -> int:
        """The number of reports that the server refused. Each is logged with its errors."""
        return self._delivery.refused if self._delivery else 0

    def flush(self, timeout: float = 10.0) -> bool:
        """Waits until all reports of this process are delivered, at most `timeout` seconds; returns whether they are."""
        try:
            return self._delivery is None or self._delivery.flush(timeout)
        except OSError as error:
            logger.warning("Pipewatch cannot read its spool folder: %s", error)
            return False

    def _settle(self) -> None:
        """Delivers what can be delivered within `exit_timeout`, but does not wait for a server that is away."""
        try:
            if self._delivery is not None:
                self._delivery.settle()
        except OSError as error:
            logger.warning("Pipewatch cannot read its spool folder: %s", error)

    def close(self) -> None:
        """Delivers what can be delivered within `exit_timeout`, and ends the background threads."""
        try:
            if self._delivery is not None:
                self._delivery.close()
        except OSError as error:
            logger.warning("Pipewatch cannot read its spool folder: %s", error)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.close()


def base_url(text: str) -> str:
    """The URL in the form that names the spool's folder. Raises ValueError."""
    try:
        parts = urllib.parse.urlsplit(text.strip())
        port = parts.port
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"is {text!r}: expected http://HOST:PORT or https://HOST")
    if parts.username is not None or parts.password is not None:
        raise ValueError("contains a user name or password: use PIPEWATCH_TOKEN for a token")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"


def _is_header(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)


_default: Client | None = None
_default_lock = threading.Lock()


def _replace_lock() -> None:
    """Another thread may hold the lock while a process is forked."""
    global _default_lock
    _default_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_replace_lock)


def default_client() -> Client:
    """The client of the module's functions, configured by the environment when it is first used."""
    global _default
    if _default is None:
        with _default_lock:
            if _default is None:
                _default = Client()
    return _default
