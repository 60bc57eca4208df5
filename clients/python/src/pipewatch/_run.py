"""A run: what it counts and checks, and its two reports."""

from __future__ import annotations

import functools
import logging
import operator
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Literal, Protocol, SupportsIndex, TypeVar

from pipewatch._text import clean, cut_middle, format_error, is_name, now

logger = logging.getLogger("pipewatch")

Outcome = Literal["ok", "failed", "aborted"]
MAX_COUNT = 2**53 - 1
# The server's limits per report.
MAX_COUNTS, MAX_CHECKS, MAX_STEPS, MAX_TAGS = 32, 50, 50, 16
# Characters of the log kept in memory. The server keeps the last 16 KiB.
MAX_LOG = 32 * 1024
# Checks with fields of their own in a report.
_BUILT_IN = {
    "geocoding": ("geocoding_attempts", "geocoding_successes"),
    "validation": ("validation_attempts", "validation_passes"),
}

_current: ContextVar[Run | None] = ContextVar("pipewatch_run", default=None)
_F = TypeVar("_F", bound=Callable[..., Any])


class Reporter(Protocol):
    """Takes finished reports."""

    def report_run(self, report: dict[str, Any]) -> None: ...


def current_run() -> Run | None:
    """The innermost run that is open in this thread or task."""
    return _current.get()


def _never_raises(method: _F) -> _F:
    """Logs an error of reporting, which must not become an error of the job."""

    @functools.wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except Exception:
            logger.exception("Pipewatch ignores %s%r", method.__name__, args)
            return None

    return guarded  # type: ignore[return-value]


class Run:
    """A run of a source. Use it as a context manager: it reports the start when entered, and the end when left.

    An exception makes the run `failed` and is reported with its traceback; KeyboardInterrupt, GeneratorExit and
    asyncio.CancelledError make it `aborted`. Exceptions are never suppressed. The methods may be called from any thread.
    Invalid values are logged and left out.
    """

    def __init__(
        self,
        reporter: Reporter,
        pipeline: str,
        source: str,
        *,
        id: str | None = None,
        parent: str | None = None,
        attempt: int | None = None,
        url: str | None = None,
        tags: Iterable[str] = (),
        report_start: bool = True,
    ) -> None:
        self._reporter = reporter
        self._head = {"pipeline": clean(str(pipeline)), "source": clean(str(source))}
        #: The run's id, unique within its pipeline and source.
        self.id = clean(str(id)) if id is not None else str(uuid.uuid4())
        self._parent = parent
        self._report_start = report_start
        self._attempt: int | None = None
        self._url: str | None = None
        self._tags: list[str] = []
        self._counts: dict[str, int] = {}
        self._checks: dict[str, tuple[int, int]] = {}
        self._steps: list[Step] = []
        self._log = ""
        self._outcome: Outcome | None = None
        self._error: str | None = None
        self._started: float | None = None
        self._pid: int | None = None
        self._ended = False
        self._lock = threading.Lock()
        self._token: Token[Run | None] | None = None
        if attempt is not None:
            self.attempt(attempt)
        if url is not None:
            self.url(url)
        self.tag(*([tags] if isinstance(tags, str) else tags))

    # What the job says about the run.

    @_never_raises
    def count(self, **counts: SupportsIndex) -> None:
        """Adds to counts: `run.count(rows=120, bytes=4096)`."""
        for name, value in counts.items():
            number = _whole(value)
            if not is_name(name) or number is None or (name not in self._counts and len(self._counts) >= MAX_COUNTS):
                logger.warning(
                    "Pipewatch ignores the count %s=%r: expected at most %d counts with names of 1 to 64 characters of "
                    "a-z, 0-9, '_' and '-', and whole numbers from 0 to 2^53-1",
                    name, value, MAX_COUNTS,
                )  # fmt: skip
                continue
            with self._lock:
                self._counts[name] = min(self._counts.get(name, 0) + number, MAX_COUNT)

    @_never_raises
    def check(self, name: str, passes: SupportsIndex, attempts: SupportsIndex = 1) -> None:
        """Adds to a check: `run.check("not_null", 119, 120)` or `run.check("has_header", True)`."""
        passed, tried = _whole(passes), _whole(attempts)
        is_full = name not in self._checks and len(self._checks) >= MAX_CHECKS
        if not is_name(name) or passed is None or tried is None or passed > tried or is_full:
            logger.warning(
                "Pipewatch ignores the check %s with %r of %r: expected at most %d checks with names of 1 to 64 "
                "characters of a-z, 0-9, '_' and '-', and 0 <= passes <= attempts <= 2^53-1",
                name, passes, attempts, MAX_CHECKS,
            )  # fmt: skip
            return
        with self._lock:
            before = self._checks.get(name, (0, 0))
            if before[1] + tried <= MAX_COUNT:
                self._checks[name] = (before[0] + passed, before[1] + tried)

    def step(self, name: str) -> Step:
        """A step of the run, as a context manager: `with run.step("extract") as step: step.items(9, 8)`."""
        name = str(name)
        step = Step(name)
        if is_name(name) and len(self._steps) < MAX_STEPS and name not in {other.name for other in self._steps}:
            self._steps.append(step)
        else:
            logger.warning(
                "Pipewatch ignores the step %r: expected at most %d steps, each once, with names of 1 to 64 characters "
                "of a-z, 0-9, '_' and '-'", name, MAX_STEPS,
            )  # fmt: skip
        return step

    @_never_raises
    def tag(self, *tags: str) -> None:
        """Adds tags, at most 16."""
        for tag in tags:
            text = clean(str(tag))[:255]
            if text and text not in self._tags and len(self._tags) < MAX_TAGS:
                self._tags.append(text)

    @_never_raises
    def url(self, url: str) -> None:
        """Sets the link to the run's logs or to its orchestrator, http or https."""
        if url.startswith(("http://", "https://")) and len(url) <= 2048:
            self._url = clean(url)
        else:
            logger.warning("Pipewatch ignores the url %r: expected http or https, and at most 2,048 characters", url)

    @_never_raises
    def attempt(self, number: SupportsIndex) -> None:
        """Sets the number of this attempt, from 1."""
        attempt = _whole(number)
        if attempt is not None and 1 <= attempt <= 1_000_000:
            self._attempt = attempt
        else:
            logger.warning("Pipewatch ignores the attempt %r: expected a whole number from 1 to 1,000,000", number)

    @_never_raises
    def log(self, text: str) -> None:
        """Adds to the log of the run. The server keeps the last 16 KiB."""
        with self._lock:
            self._log = (self._log + clean(str(text)).rstrip("\n") + "\n")[-MAX_LOG:]

    @_never_raises
    def fail(self, error: str | BaseException) -> None:
        """Marks the run as failed. The job continues."""
        self._outcome = "failed"
        self._error = format_error(error) if isinstance(error, BaseException) else cut_middle(str(error))

    @_never_raises
    def abort(self, reason: str | None = None) -> None:
        """Marks the run as aborted. The job continues."""
        self._outcome = "aborted"
        self._error = None if reason is None else cut_middle(str(reason))

    # Start and end.

    @_never_raises
    def start(self) -> None:
        """Reports the start. Entering the context does this."""
        outer = _current.get()
        if self._parent is None and outer is not None:
            self._parent = outer.id
        self._token = _current.set(self)
        self._started = time.monotonic()
        self._pid = os.getpid()
        if self._report_start:
            self._reporter.report_run({**self._common(), "outcome": "running"})

    @_never_raises
    def finish(self, error: BaseException | None = None, internal: tuple[str, ...] = ()) -> None:
        """Reports the end, once. Leaving the context does this.

        Frames of `error` in the folders `internal` are left out of the beginning of the traceback.
        """
        self._leave()
        # A forked process inherits open runs, which its parent reports.
        if self._ended or (self._pid is not None and self._pid != os.getpid()):
            return
        self._ended = True
        if error is not None:
            self._judge(error, internal)
        report = {**self._common(), "outcome": self._outcome or "ok"}
        if self._started is not None:
            report["duration"] = round(time.monotonic() - self._started, 6)
        with self._lock:
            if self._counts:
                report["counts"] = dict(self._counts)
            checks = []
            for name, (passes, attempts) in self._checks.items():
                if name in _BUILT_IN:
                    report.update(zip(_BUILT_IN[name], (attempts, passes), strict=True))
                else:
                    checks.append({"name": name, "attempts": attempts, "passes": passes})
            if checks:
                report["checks"] = checks
            if self._log:
                report["log"] = self._log
        if self._steps:
            report["steps"] = [step._report() for step in self._steps]
        if self._error:
            report["error"] = self._error
        self._reporter.report_run(report)

    def _judge(self, error: BaseException, internal: tuple[str, ...]) -> None:
        """Sets the outcome by the exception that ended the run."""
        if isinstance(error, SystemExit) and error.code in (None, 0):
            return
        self._outcome = "aborted" if _is_abort(error) else "failed"
        self._error = format_error(error, internal)

    def _common(self) -> dict[str, Any]:
        """The fields of both reports."""
        optional = {"parent": self._parent, "attempt": self._attempt, "url": self._url, "tags": list(self._tags)}
        return {"id": self.id, **self._head, "timestamp": now(), **{key: it for key, it in optional.items() if it}}

    def _leave(self) -> None:
        if self._token is not None:
            token, self._token = self._token, None
            try:
                _current.reset(token)
            except ValueError:
                # The run ends in another context than it started in.
                if _current.get() is self:
                    _current.set(None)

    def __enter__(self) -> Run:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.finish(error)

    async def __aenter__(self) -> Run:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.finish(error)

    def __repr__(self) -> str:
        return f"Run({self._head['pipeline']!r}, {self._head['source']!r}, id={self.id!r})"


class Step:
    """A step of a run, as a context manager. An exception makes it `failed`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._state = "pending"
        self._items: dict[str, int] = {}
        self._started_at: str | None = None
        self._ended_at: str | None = None

    @_never_raises
    def items(self, items_in: SupportsIndex | None = None, items_out: SupportsIndex | None = None) -> None:
        """Sets the number of items that enter and leave the step."""
        for name, value in (("items_in", items_in), ("items_out", items_out)):
            number = None if value is None else _whole(value)
            if number is not None:
                self._items[name] = number
            elif value is not None:
                logger.warning("Pipewatch ignores %s=%r of step %s: expected a whole number", name, value, self.name)

    @_never_raises
    def skip(self) -> None:
        """Marks the step as skipped."""
        self._state = "skipped"

    def __enter__(self) -> Step:
        self._state = "running"
        self._started_at = now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self._ended_at = now()
        if error is not None:
            self._state = "failed"
        elif self._state == "running":
            self._state = "ok"

    def _report(self) -> dict[str, Any]:
        # In a finished run no step is running.
        state = "failed" if self._state == "running" else self._state
        times = {"started_at": self._started_at, "ended_at": self._ended_at}
        return {"name": self.name, "state": state, **self._items, **{key: it for key, it in times.items() if it}}


def _is_abort(error: BaseException) -> bool:
    # Importing asyncio would slow down jobs that do not use it.
    module = sys.modules.get("asyncio.exceptions")
    cancelled = () if module is None else (module.CancelledError,)
    return isinstance(error, (KeyboardInterrupt, GeneratorExit, *cancelled))


def _whole(value: object) -> int | None:
    """A whole number from 0 to 2^53-1, also of NumPy's types and of a float without fraction."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        if not isinstance(value, float) or not value.is_integer():
            return None
        number = int(value)
    return number if 0 <= number <= MAX_COUNT else None
