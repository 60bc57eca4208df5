"""The README's snippets and the examples, as they are."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from server import BINARY, PATIENCE, ROOT, Server, checks, counts

README = (Path(__file__).parents[1] / "README.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.splitlines()[-1].strip())
def test_snippet_of_the_readme_runs(server: Server, tmp_path: Path, snippet: str) -> None:
    pipeline = server.pipeline()
    file = tmp_path / "snippet.py"
    # Each snippet has a pipeline of its own.
    file.write_text(snippet.replace('"billing"', repr(pipeline)))
    done = subprocess.run(
        [sys.executable, "-W", "error", file],
        env=os.environ | {"PIPEWATCH_URL": server.url},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    runs = server.runs(pipeline)
    assert runs and all(run["state"] in ("OK", "ABORTED") for run in runs)


def test_python_example_reports(server: Server) -> None:
    example = ROOT / "examples/python/report_run.py"
    subprocess.run(
        [sys.executable, example], env=os.environ | {"PIPEWATCH_URL": server.url}, check=True, timeout=PATIENCE
    )
    runs = {run["source"]: run for run in server.wait_for_runs("billing", 2)}
    assert counts(runs["load"]) == {"rows": 1}
    assert runs["clean"]["parent"] == runs["load"]["id"]
    assert [checks(metric) for metric in server.metrics("billing")] == [{"not_empty": (1, 2)}]


def test_each_line_of_the_crontab_reports(start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = start_server()
    home = tmp_path / "home"
    shutil.copytree(ROOT / "examples/cron", home)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "pipewatch").symlink_to(BINARY)
    lines = [line for line in (home / "crontab").read_text().splitlines() if line and not line.startswith("#")]
    assert lines.pop(0).startswith("PIPEWATCH_URL=")
    for line in lines:
        command = line.split(maxsplit=5)[5]
        # As cron does it: sh, and few variables.
        environment = {
            "HOME": str(home),
            "PATH": f"{programs}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "PIPEWATCH_URL": server.url,
        }
        done = subprocess.run(
            ["/bin/sh", "-c", command], env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr
    runs = {run["source"]: run for run in server.wait_for_runs("billing", 3)}
    assert {source: run["state"] for source, run in runs.items()} == {"load": "OK", "export": "OK", "sync": "FAILED"}
    assert counts(runs["load"]) == {"rows": 120}
    assert counts(runs["export"]) == {"files": 3, "exported_bytes": 81_234_567}
