"""The program in a separate process, with a folder and a database."""

import json
import os
import re
import selectors
import signal
import subprocess
import tempfile
import urllib.request
from datetime import datetime, timezone
from pathlib import Path

BINARY = Path(
    os.environ.get("PIPEWATCH_BIN") or Path(__file__).parents[3] / "target/debug/pipewatch"
).absolute()

# A debug build on a busy machine is slow.
PATIENCE = 20


class Server:
    """The program, with its settings as environment variables."""

    def __init__(self, **settings):
        self._folder = tempfile.TemporaryDirectory(prefix="pipewatch-")
        self._log = open(Path(self._folder.name) / "log", "w+")
        # The caller's settings must not reach the server. The interval is longer than any test, so every status after
        # the first is due to a change.
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not re.fullmatch("PIPEWATCH_.*|DATABASE_URL|PORT", name)
        }
        self._process = subprocess.Popen(
            [BINARY, "serve", "--listen", "127.0.0.1:0", "--database-url", "sqlite://pipewatch.db"],
            cwd=self._folder.name,
            env=inherited | {"PIPEWATCH_INTERVAL": "10m", "PIPEWATCH_SHUTDOWN_TIMEOUT": "2s"} | settings,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.url = self._address()
        self._pipelines = 0

    def _address(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline() if selector.select(PATIENCE) else "nothing"
        address = re.fullmatch(r"pipewatch listening on (http://\S+)\n", line)
        if not address:
            self._process.kill()
            raise AssertionError(f"{BINARY} said {line!r}\n{self._read_log()}")
        return address[1]

    def _read_log(self):
        self._log.seek(0)
        return self._log.read()

    def report(self, pipeline):
        """Reports a run that must be stored; returns the pipeline's revision."""
        run = {"source": "punch", "timestamp": datetime.now(timezone.utc).isoformat(), "articles_collected": 3}
        request = urllib.request.Request(
            f"{self.url}/api/v1/source-runs?pipeline={pipeline}",
            data=json.dumps(run).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            assert answer.status == 201, answer.status
            return json.load(answer)["revisions"][pipeline]

    def pipeline(self):
        """Creates a pipeline and returns its key. Each test uses a separate pipeline."""
        self._pipelines += 1
        key = f"p{self._pipelines}"
        self.report(key)
        return key

    def stop(self):
        """Stops the server with SIGTERM; it must exit successfully."""
        with self._folder, self._log:
            self._process.send_signal(signal.SIGTERM)
            try:
                code = self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                raise
            finally:
                self._process.stdout.close()
            log = self._read_log()
            assert code == 0, f"it ended with {code}\n{log}"
            assert "panicked" not in log, log
