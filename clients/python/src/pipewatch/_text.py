"""Texts of a report: times, names, errors."""

from __future__ import annotations

import os
import re
import traceback
from datetime import datetime, timezone
from types import TracebackType

# Bytes of `error` and `log` that the server keeps.
MAX_TEXT = 16 * 1024
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def rfc3339(time: datetime) -> str:
    return time.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def now() -> str:
    return rfc3339(datetime.now(timezone.utc))


def format_error(error: BaseException, internal: tuple[str, ...] = ()) -> str:
    """The exception in one line, an empty line, and its traceback without leading frames of this package and of the
    folders `internal`."""
    skipped = (_PACKAGE, *internal)
    frames: TracebackType | None = error.__traceback__
    while frames and frames.tb_next and frames.tb_frame.f_code.co_filename.startswith(skipped):
        frames = frames.tb_next
    summary = "".join(traceback.format_exception_only(type(error), error)).strip().splitlines()
    details = "".join(traceback.format_exception(type(error), error, frames)).rstrip()
    return cut_middle((summary[0] if summary else type(error).__name__) + "\n\n" + details)


def cut_middle(text: str) -> str:
    """Shortens a text that the server would cut at its end: the end of a traceback is its most useful part."""
    data = clean(text).encode()
    if len(data) <= MAX_TEXT:
        return data.decode()
    head, room = MAX_TEXT // 4, 100
    tail = MAX_TEXT - head - room
    mark = f"\n… {len(data) - head - tail} bytes are cut …\n"
    return data[:head].decode(errors="ignore") + mark + data[-tail:].decode(errors="ignore")


def clean(text: str) -> str:
    """Replaces what JSON or the server does not accept: lone surrogates and U+0000."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def is_name(name: str) -> bool:
    """Whether this is a name of a check, a step or a count."""
    return re.fullmatch("[a-z0-9][a-z0-9_-]{0,63}", name) is not None
