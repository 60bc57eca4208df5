"""One HTTP request to the server."""

from __future__ import annotations

import email.utils
import http.client
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from typing import IO

# Longer answers are not the server's.
MAX_ANSWER = 8 * 1024 * 1024
# A longer wait is not honoured.
MAX_RETRY_AFTER = 3600.0


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    # Seconds.
    retry_after: float | None = None


class Unreachable(Exception):
    """No answer was received."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET, and the token would reach another server."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


def post(url: str, token: str | None, body: bytes, timeout: float) -> Answer:
    """Sends JSON.

    Raises Unreachable.
    """
    headers = {"Content-Type": "application/json", "User-Agent": "pipewatch-python"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    # Only the variables: asking macOS for its proxies crashes forked processes.
    proxies = urllib.request.ProxyHandler(urllib.request.getproxies_environment())
    opener = urllib.request.build_opener(proxies, _NoRedirect)
    try:
        request = urllib.request.Request(url, data=body, headers=headers, method="POST")
        try:
            with opener.open(request, timeout=timeout) as response:
                return Answer(response.status, response.read(MAX_ANSWER))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read(MAX_ANSWER), _retry_after(error.headers.get("Retry-After")))
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise Unreachable(str(reason) or type(reason).__name__) from error


def _retry_after(text: str | None) -> float | None:
    """The seconds of a Retry-After header, which is a number or a date."""
    if not text:
        return None
    try:
        seconds = (
            float(text) if text.strip().isdigit() else email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        )
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)
