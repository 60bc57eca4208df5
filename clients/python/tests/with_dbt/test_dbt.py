"""The real dbt on the project of examples/dbt."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipewatch import dbt
from server import BINARY, PATIENCE, ROOT, Server, checks, counts

EXAMPLE = ROOT / "examples/dbt"
# The program of the Python that runs the tests.
DBT = Path(sys.executable).with_name("dbt")


def call(folder: Path, *command: object, url: str = "http://127.0.0.1:1", code: int | None = 0) -> str:
    """Runs a command in the project; returns its output."""
    done = subprocess.run(
        [str(argument) for argument in command],
        cwd=folder,
        env=os.environ | {"PIPEWATCH_URL": url, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=5 * PATIENCE,
    )
    assert code is None or done.returncode == code, done.stdout
    return done.stdout


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after `dbt build` and `dbt source freshness`, in which a test and a model fail."""
    folder = tmp_path_factory.mktemp("dbt") / "project"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("target", "logs", "*.duckdb*"))
    call(folder, DBT, "build", "--profiles-dir", ".", code=1)
    call(folder, DBT, "source", "freshness", "--profiles-dir", ".", code=1)
    return folder


@pytest.fixture
def target(project: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the artifacts, for tests that change them."""
    folder = tmp_path / "target"
    folder.mkdir()
    for name in ("manifest.json", "run_results.json", "sources.json"):
        shutil.copy(project / "target" / name, folder / name)
    yield folder


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def report(project: Path, server: Server, *arguments: str, code: int = 0) -> str:
    return call(project, sys.executable, "-m", "pipewatch.dbt", "target", *arguments, url=server.url, code=code)


def test_build_is_reported(project: Path, server: Server) -> None:
    pipeline = server.pipeline()
    output = report(project, server, "--pipeline", pipeline)
    assert output == f"reported 8 runs and 1 metrics to {server.url}\n"
    runs = {run["source"]: run for run in server.runs(pipeline)}
    states = {source: run["state"] for source, run in runs.items()}
    assert states == {
        "dbt build": "FAILED",
        "raw_orders": "OK",
        "orders": "OK",
        "broken": "FAILED",
        "totals": "OK",
        "forecast": "ABORTED",
        "dbt source freshness": "FAILED",
        "shop.raw_orders": "FAILED",
    }
    invocation = runs["dbt build"]["id"]
    assert {source for source, run in runs.items() if run["parent"] == invocation} == {
        "raw_orders",
        "orders",
        "broken",
        "totals",
        "forecast",
    }
    assert runs["orders"]["id"] == f"{invocation}/orders"
    assert runs["dbt build"]["error"].startswith(
        "model.shop.broken: Runtime Error in model broken (models/broken.sql)\n"
    )
    assert "test.shop.totals_are_small: Got 1 result, configured to fail if != 0" in runs["dbt build"]["error"]
    assert runs["broken"]["error"].startswith("Runtime Error in model broken (models/broken.sql)\n")
    assert 'Referenced column "no_such_column" not found' in runs["broken"]["error"]
    assert runs["orders"]["tags"] == ["model", "daily"]
    assert all(runs[source]["durationSeconds"] > 0 for source in ("dbt build", "raw_orders", "orders", "broken"))
    assert counts(runs["raw_orders"]) == {"rows_affected": 3}
    assert counts(runs["orders"]) == {"failing_rows": 1}
    assert runs["shop.raw_orders"]["error"].endswith("seconds ago, later than error_after (1 day)")
    assert counts(runs["shop.raw_orders"])["age_seconds"] > 86_400


def test_tests_are_checks(project: Path, server: Server) -> None:
    pipeline = server.pipeline()
    report(project, server, "--pipeline", pipeline)
    found = [sorted(checks(metric).items()) for metric in server.metrics(pipeline)]
    assert sorted(found) == sorted(
        [
            # Of the model: a warning is not a pass.
            [("not_null", (1, 2)), ("unique", (1, 1))],
            [("totals_are_small", (0, 1)), ("unit_test", (1, 1))],
            # Of the source, which has no run in this invocation.
            [("unique", (1, 1))],
            [("freshness", (0, 1))],
        ]
    )


def test_second_report_changes_nothing(project: Path, server: Server) -> None:
    pipeline = server.pipeline()
    for _ in range(2):
        report(project, server, "--pipeline", pipeline)
        assert (len(server.runs(pipeline)), len(server.metrics(pipeline))) == (8, 4)


def test_program_reports_the_same(project: Path, server: Server) -> None:
    pipeline = server.pipeline()
    report(project, server, "--pipeline", pipeline)
    before = server.runs(pipeline), server.metrics(pipeline)
    call(project, BINARY, "dbt", "target", "--pipeline", pipeline, url=server.url)
    # Another content under the same id would be refused, and the command would fail.
    assert (server.runs(pipeline), server.metrics(pipeline)) == before


def test_pipeline_is_the_project(project: Path, server: Server) -> None:
    report(project, server)
    assert len(server.runs("shop")) == 8


def test_tests_without_models_are_metrics(project: Path, server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(project, folder)
    (folder / "target/sources.json").unlink()
    call(folder, DBT, "test", "--profiles-dir", ".", code=1)
    pipeline = server.pipeline()
    assert report(folder, server, "--pipeline", pipeline).startswith("reported 1 runs and 3 metrics")
    assert [run["source"] for run in server.runs(pipeline)] == ["dbt test"]
    metrics = {metric["source"]: metric for metric in server.metrics(pipeline)}
    assert set(metrics) == {"shop.raw_orders", "orders", "totals"}
    assert checks(metrics["orders"]) == {"not_null": (1, 2), "unique": (1, 1)}
    assert counts(metrics["orders"]) == {"failing_rows": 1}


def test_command_that_runs_nothing_is_skipped(project: Path, server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(project, folder)
    (folder / "target/sources.json").unlink()
    call(folder, DBT, "compile", "--profiles-dir", ".", "--select", "orders")
    output = report(folder, server, "--pipeline", server.pipeline())
    assert "run_results.json is of `dbt compile`, which runs nothing: skipped" in output


def test_report_is_spooled_while_the_server_is_away(project: Path, server: Server) -> None:
    output = call(project, sys.executable, "-m", "pipewatch.dbt", "target", "--timeout", "0.2")
    assert "spooled 8 runs and 1 metrics for http://127.0.0.1:1" in output


def test_refused_report_is_an_error(project: Path, server: Server) -> None:
    output = report(project, server, "--pipeline", "Not A Pipeline", code=65)
    assert "Pipewatch refuses a report of Not A Pipeline/dbt build, which is dropped: pipeline: " in output


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no manifest.json: name the target folder of a dbt project"),
        ({"manifest.json": "{}"}, "names no project: name the pipeline with --pipeline"),
        (
            {"manifest.json": '{"metadata":{"project_name":"x"}}'},
            "neither run_results.json nor sources.json: run dbt first",
        ),
        ({"manifest.json": "{"}, "cannot read target/manifest.json: "),
        ({"manifest.json": "[]"}, "cannot read target/manifest.json: expected a JSON object"),
        (
            {"manifest.json": '{"metadata":{"project_name":"x"}}', "sources.json": '{"results":[{}]}'},
            "is not in the format of dbt's artifacts",
        ),
    ],
    ids=["nothing", "no project", "no results", "broken", "list", "other format"],
)
def test_unreadable_folder_is_an_error(tmp_path: Path, files: dict[str, str], message: str) -> None:
    (tmp_path / "target").mkdir()
    for name, text in files.items():
        (tmp_path / "target" / name).write_text(text)
    output = call(tmp_path, sys.executable, "-m", "pipewatch.dbt", "target", code=66)
    assert output.startswith("pipewatch.dbt: ") and message in output
    assert "Traceback" not in output


def test_reserved_and_long_names_of_tests_are_changed(target: Path) -> None:
    manifest = json.loads((target / "manifest.json").read_text())
    names = iter(["geocoding", "Totals Are Small! " + "x" * 80, "_", "not_null", "unique"])
    for id, node in manifest["nodes"].items():
        if id.startswith("test."):
            node["test_metadata"], node["name"], node["attached_node"] = None, next(names), "model.shop.orders"
    change(target / "manifest.json", nodes=manifest["nodes"])
    (run,) = (run for run in dbt.reports(target).runs if run["source"] == "orders")
    assert {check["name"] for check in run["checks"]} == {
        "dbt_geocoding",
        ("totals_are_small__" + "x" * 80)[:64],
        "test",
        "not_null",
        "unique",
    }


def test_more_tests_than_a_report_takes_are_summed(target: Path) -> None:
    results = json.loads((target / "run_results.json").read_text())
    test = next(
        result for result in results["results"] if result["unique_id"].startswith("test.shop.not_null_orders_id")
    )
    manifest = json.loads((target / "manifest.json").read_text())
    for number in range(60):
        id = f"test.shop.extra{number}"
        results["results"].append({**test, "unique_id": id, "status": "pass" if number % 2 else "fail"})
        manifest["nodes"][id] = {"name": f"extra{number}", "attached_node": "model.shop.orders"}
    change(target / "run_results.json", results=results["results"])
    change(target / "manifest.json", nodes=manifest["nodes"])
    (run,) = (run for run in dbt.reports(target).runs if run["source"] == "orders")
    assert len(run["checks"]) == 50
    assert sum(check["attempts"] for check in run["checks"]) == 63
    assert run["checks"][-1] == {"name": "other_tests", "attempts": 13, "passes": 7}
