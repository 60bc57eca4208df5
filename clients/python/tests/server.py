"""The `pipewatch` program in a separate process, with a folder and a database."""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[3]
BINARY = Path(os.environ.get("PIPEWATCH_BIN") or ROOT / "target/debug/pipewatch").absolute()
# Seconds. A debug build on a busy machine is slow.
PATIENCE = 60.0
T = TypeVar("T")

RUN = """id source state startedAt finishedAt error articlesCollected counts { name value } url tags attempt durationSeconds
  parent log geocodingAttempts geocodingSuccesses steps { name state itemsIn itemsOut }"""
METRIC = "id source metricType checks { name attempts passes } counts { name value }"


def eventually(read: Callable[[], T], is_done: Callable[[T], object]) -> T:
    """Reads until the condition holds; returns what was read."""
    deadline = time.monotonic() + PATIENCE
    while not is_done(value := read()):
        assert time.monotonic() < deadline, f"still {value!r}"
        time.sleep(0.02)
    return value


class Server:
    _started = 0

    def __init__(self, token: str | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="pipewatch-")
        self._token = token
        self._pipelines = 0
        # No other test listens on this loopback address, so its port stays free while the server is stopped.
        Server._started += 1
        self._host = f"127.{100 + (os.getpid() >> 8) % 100}.{os.getpid() & 255}.{Server._started}"
        self._port = "0"
        self.start()

    def start(self) -> None:
        """Starts the program, after a stop on the same port and database."""
        # The caller's settings must not reach the server.
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not re.fullmatch("PIPEWATCH_.*|DATABASE_URL|PORT", name)
        }
        own = {"PIPEWATCH_INTERVAL": "10m", "PIPEWATCH_SHUTDOWN_TIMEOUT": "2s"}
        if self._token:
            own["PIPEWATCH_TOKENS"] = self._token
        with open(Path(self._folder.name) / "log", "a") as log:
            self._process = subprocess.Popen(
                [BINARY, "serve", "--listen", f"{self._host}:{self._port}", "--database-url", "sqlite://pipewatch.db"],
                cwd=self._folder.name,
                env=inherited | own,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline() if selector.select(PATIENCE) else "nothing"
        address = re.fullmatch(r"pipewatch listening on (http://\S+:(\d+))\n", line)
        if not address:
            self.kill()
            raise AssertionError(f"{BINARY} printed {line!r}\n{self.log()}")
        self.url, self._port = address[1], address[2]

    def log(self) -> str:
        return (Path(self._folder.name) / "log").read_text()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)
        assert self._process.stdout
        self._process.stdout.close()

    def stop(self) -> None:
        """Stops the server with SIGTERM, unless it is killed; it must exit successfully."""
        is_killed = self._process.poll() == -signal.SIGKILL
        self._process.send_signal(signal.SIGTERM)
        code = 0 if is_killed else self._process.wait(PATIENCE)
        assert self._process.stdout
        self._process.stdout.close()
        log = self.log()
        assert code == 0 and "panicked" not in log, log
        self._folder.cleanup()

    def pipeline(self) -> str:
        """The key of a pipeline that no other test uses."""
        self._pipelines += 1
        return f"p{self._pipelines}"

    def query(self, document: str, **variables: Any) -> Any:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        body = json.dumps({"query": document, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                answer = json.load(error)
        codes = [error.get("extensions", {}).get("code") for error in answer.get("errors", [])]
        if codes == ["PIPELINE_NOT_FOUND"]:
            return None
        assert not codes, answer["errors"]
        return answer["data"]

    def runs(self, pipeline: str, outcome: str | None = None) -> list[dict[str, Any]]:
        """The finished runs of a pipeline, or those with an outcome; the newest first."""
        return self._rows("sourceRuns", RUN, pipeline, f"outcome: {outcome}" if outcome else "")

    def metrics(self, pipeline: str) -> list[dict[str, Any]]:
        """The data quality metrics of a pipeline."""
        return self._rows("dataQualityMetrics", METRIC, pipeline)

    def _rows(self, name: str, fields: str, pipeline: str, condition: str = "") -> list[dict[str, Any]]:
        document = f"""query ($pipeline: String!, $after: String) {{
            rows: {name}(pipeline: $pipeline, first: 100, after: $after {condition}) {{
                nodes {{ {fields} }} pageInfo {{ hasNextPage endCursor }} }} }}"""
        rows: list[dict[str, Any]] = []
        after = None
        while data := self.query(document, pipeline=pipeline, after=after):
            rows += data["rows"]["nodes"]
            if not data["rows"]["pageInfo"]["hasNextPage"]:
                break
            after = data["rows"]["pageInfo"]["endCursor"]
        return rows

    def wait_for_runs(self, pipeline: str, count: int = 1, outcome: str | None = None) -> list[dict[str, Any]]:
        runs = eventually(lambda: self.runs(pipeline, outcome), lambda runs: len(runs) >= count)
        assert len(runs) == count, runs
        return runs


def counts(run: dict[str, Any]) -> dict[str, int]:
    return {count["name"]: count["value"] for count in run["counts"]}


def checks(metric: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Passes and attempts of each check."""
    return {check["name"]: (check["passes"], check["attempts"]) for check in metric["checks"]}
