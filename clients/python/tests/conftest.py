"""The server of all tests, and an environment without the user's settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pipewatch
from pipewatch import _client
from server import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def start_server() -> Iterator[Callable[..., Server]]:
    """Starts servers of the test's own, which it may kill and start again."""
    servers: list[Server] = []

    def start(token: str | None = None) -> Server:
        servers.append(Server(token))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test delivers the reports of another one."""
    for name in [name for name in os.environ if name.startswith("PIPEWATCH_")]:
        if name != "PIPEWATCH_BIN":
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIPEWATCH_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setattr(_client, "_default", None)


@pytest.fixture
def client(server: Server) -> Iterator[pipewatch.Client]:
    """A client of the server with a spool folder of its own."""
    with pipewatch.Client(server.url) as client:
        yield client
