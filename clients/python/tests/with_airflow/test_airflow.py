"""The real Airflow, which runs DAGs with its task runner and a SQLite database."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pipewatch
from pipewatch import _keys
from pipewatch.airflow import Listener
from server import PATIENCE, ROOT, Server, checks, counts

DAGS = Path(__file__).with_name("dags.py")
EXAMPLE = ROOT / "examples/airflow/billing.py"


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Airflow's home folder, with a database."""
    home = tmp_path_factory.mktemp("airflow")
    # Airflow reads the DAGs of this folder only.
    (home / "dags").mkdir()
    for file in (DAGS, EXAMPLE):
        shutil.copy(file, home / "dags")
    airflow(home, Path(sys.executable).with_name("airflow"), "db", "migrate")
    return home


def airflow(home: Path, *command: object, **settings: str) -> str:
    own = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__API__BASE_URL": "https://airflow.example",
        "PIPEWATCH_SPOOL": str(home / "spool"),
    }
    done = subprocess.run(
        [str(argument) for argument in command],
        env=os.environ | own | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=5 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def by_source(runs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The runs by source; the test fails if a source has several."""
    found = {run["source"]: run for run in runs}
    assert len(found) == len(runs), runs
    return found


def test_plugin_reports_every_task(home: Path, server: Server) -> None:
    output = airflow(home, sys.executable, home / "dags/dags.py", "every_end", PIPEWATCH_URL=server.url)
    assert "Pipewatch cannot report" not in output
    pipeline = _keys.pipeline_key("Every.End")
    runs = server.wait_for_runs(pipeline, 6)
    assert server.runs(pipeline, "RUNNING") == []
    (fails,) = (run for run in runs if run["source"] == "fails")
    (skips,) = (run for run in runs if run["source"] == "skips")
    dag_run = fails["parent"]
    assert dag_run.startswith("manual__")
    assert {run["parent"] for run in runs} == {dag_run}
    assert (fails["id"], fails["state"], fails["attempt"]) == (f"{dag_run}/fails", "FAILED", 1)
    assert fails["error"].startswith("ValueError: boom\n\nTraceback (most recent call last):\n")
    assert 'raise ValueError("boom")' in fails["error"] and "task_runner.py" not in fails["error"]
    assert fails["url"].startswith("https://airflow.example/dags/") and fails["tags"][0] == "airflow"
    assert (skips["state"], skips["error"]) == ("ABORTED", "The task skipped itself.")
    attempts = sorted((run for run in runs if run["source"] == "succeeds_later"), key=lambda run: run["attempt"])
    assert [(run["attempt"], run["state"]) for run in attempts] == [(1, "FAILED"), (2, "OK")]
    assert [run["id"] for run in attempts] == [f"{dag_run}/succeeds_later", f"{dag_run}/succeeds_later#2"]
    mapped = {run["id"]: run for run in runs if run["source"] == "mapped"}
    assert set(mapped) == {f"{dag_run}/mapped[0]", f"{dag_run}/mapped[1]"}
    assert counts(mapped[f"{dag_run}/mapped[1]"]) == {"number": 2}
    assert "map_index=1" in mapped[f"{dag_run}/mapped[1]"]["tags"]
    nested = server.wait_for_runs("every-end-nested", 2)
    assert {run["parent"] for run in nested} == set(mapped)


def test_callbacks_report_without_the_plugin(home: Path, server: Server) -> None:
    # Without the variable the plugin does nothing; the default client is configured in the file instead.
    code = f"""
import runpy, sys
import pipewatch._client
pipewatch._client._default = pipewatch.Client({server.url!r})
sys.argv = ["dags.py", "with_callbacks"]
runpy.run_path({str(home / "dags/dags.py")!r}, run_name="__main__")
"""
    airflow(home, sys.executable, "-c", code)
    runs = by_source(server.wait_for_runs("with_callbacks", 2))
    assert (runs["succeeds"]["state"], counts(runs["succeeds"])) == ("OK", {"rows": 7})
    assert runs["fails"]["state"] == "FAILED" and runs["fails"]["error"].startswith("ValueError: boom")


def test_example_is_reported(home: Path, server: Server) -> None:
    code = f"import runpy; runpy.run_path({str(home / 'dags/billing.py')!r})['billing']().test()"
    airflow(home, sys.executable, "-c", code, PIPEWATCH_URL=server.url)
    runs = by_source(server.wait_for_runs("billing"))
    assert (runs["load"]["state"], counts(runs["load"])) == ("OK", {"rows": 2})
    assert [checks(metric) for metric in server.metrics("billing")] == [{"not_null": (1, 2)}]


def test_absent_server_fails_no_task(home: Path) -> None:
    output = airflow(home, sys.executable, home / "dags/dags.py", "with_callbacks", PIPEWATCH_URL="http://127.0.0.1:1")
    assert "Task instance state updated" in output or "new_state=success" in output
    assert "they wait in" in output


def test_one_pipeline_for_all_dags(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = server.pipeline()
    monkeypatch.setenv("PIPEWATCH_AIRFLOW_PIPELINE", pipeline)
    with pipewatch.Client(server.url) as client:
        listener = Listener(client)
        # The scheduler ends a task whose process was killed, without having started it.
        task = SimpleNamespace(
            dag_id="billing", task_id="load", run_id="scheduled__2026-01-01T00:00:00+00:00", try_number=3, map_index=-1
        )
        listener.on_task_instance_failed(None, task, "The task was killed.")
    (run,) = server.runs(pipeline)
    assert run["id"] == "scheduled__2026-01-01T00:00:00+00:00/billing.load#3"
    assert (run["source"], run["state"], run["error"]) == ("billing.load", "FAILED", "The task was killed.")
    assert run["attempt"] == 3


def test_invalid_task_instance_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    Listener(pipewatch.Client("http://127.0.0.1:1")).on_task_instance_running(None, object())
    assert "Pipewatch cannot report a task instance" in caplog.text


def test_names_that_are_changed_stay_distinct() -> None:
    names = ["billing", "Billing", "billing!", "BILLING", "x" * 65, "x" * 66, "-", "ä"]
    keys = [_keys.pipeline_key(name) for name in names]
    assert keys[0] == "billing" and len(set(keys)) == len(keys)
    assert all(_keys.pipeline_key(key) == key for key in keys)
    ids = [_keys.run_id(text) for text in ("a", "a ", "a\n", "y" * 250, "y" * 251, "y" * 252)]
    assert ids[0] == "a" and len(set(ids)) == len(ids) and max(map(len, ids)) == 250
