"""Reports what dbt did, from the files in its target folder.

    python -m pipewatch.dbt target/

Models, seeds and snapshots are runs with their durations and affected rows, tests are checks of the node they test, and source
freshness is a run of the source. The invocation is a run too, and the parent of the others. Reporting a folder again changes
nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipewatch._client import Client
from pipewatch._keys import MAX_ID
from pipewatch._run import MAX_CHECKS, MAX_COUNT, MAX_TAGS
from pipewatch._text import clean

Json = dict[str, Any]
# Other commands, such as `compile`, list models that they do not run.
COMMANDS = {"build", "run", "seed", "snapshot", "test", "retry", "clone", "run-operation"}
FAILED = {"error", "fail", "runtime error", "partial success"}
OUTCOMES = {"success": "ok", "no-op": "ok", "pass": "ok", "warn": "ok", "skipped": "aborted"}
TESTS = {"test", "unit_test"}
NOT_EXECUTED = {"skipped", "no-op"}
# Exit statuses, those of `pipewatch dbt` (sysexits.h).
REFUSED, UNREADABLE = 65, 66
RESERVED = {"geocoding", "validation", "articles", "events"}


class Unreadable(Exception):
    """The folder has no artifacts that can be reported."""


@dataclass
class Tests:
    """The executed tests of one node."""

    # Attempts and passes by the name of the check.
    checks: dict[str, list[int]] = field(default_factory=dict)
    failing_rows: int = 0

    def add(self, name: str, result: Json) -> None:
        counts = self.checks.setdefault(name, [0, 0])
        counts[0] += 1
        counts[1] += result.get("status") == "pass"
        self.failing_rows += _whole(result.get("failures")) or 0

    def report(self) -> list[Json]:
        items = list(self.checks.items())
        if len(items) > MAX_CHECKS:
            others = [counts for _, counts in items[MAX_CHECKS - 1 :]]
            items[MAX_CHECKS - 1 :] = [("other_tests", [sum(column) for column in zip(*others, strict=True)])]
        return [{"name": name, "attempts": attempts, "passes": passes} for name, (attempts, passes) in items]


@dataclass
class Reports:
    """What a folder reports, in order."""

    runs: list[Json] = field(default_factory=list)
    metrics: list[Json] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def reports(target: Path, pipeline: str | None = None) -> Reports:
    """Reads a target folder. `pipeline` is by default the name of the dbt project. Raises Unreadable."""
    manifest = _read(target / "manifest.json")
    if manifest is None:
        raise Unreadable(f"{target} has no manifest.json: name the target folder of a dbt project")
    project = str(manifest.get("metadata", {}).get("project_name") or "")
    key = pipeline or re.sub(r"[^a-z0-9._-]", "-", project.lower()).lstrip("._-")[:64]
    if not key:
        raise Unreadable("manifest.json names no project: name the pipeline with --pipeline")
    artifacts = _Artifacts(manifest, project, key)
    run_results, sources = _read(target / "run_results.json"), _read(target / "sources.json")
    if run_results is None and sources is None:
        raise Unreadable(f"{target} has neither run_results.json nor sources.json: run dbt first")
    result = Reports()
    if run_results is not None:
        command = str(run_results.get("args", {}).get("which"))
        if command in COMMANDS:
            result.runs += artifacts.run_results(run_results, command)
            result.metrics += artifacts.metrics(run_results)
        else:
            result.notices.append(f"run_results.json is of `dbt {command}`, which runs nothing: skipped")
    if sources is not None:
        result.runs += artifacts.freshness(sources)
    return result


class _Artifacts:
    def __init__(self, manifest: Json, project: str, pipeline: str) -> None:
        self._manifest = manifest
        self._project = project
        self._pipeline = pipeline

    def run_results(self, file: Json, command: str) -> Iterator[Json]:
        """The runs of run_results.json."""
        tests = self._tests(file)
        invocation = self._invocation(file, f"dbt {command}")
        yield _with_tests(invocation, tests.get(None))
        for result in file["results"]:
            if _is_run(result):
                yield self._node(file, result, tests.get(result["unique_id"]))

    def metrics(self, file: Json) -> Iterator[Json]:
        """The tests of nodes that did not run."""
        ran = {result["unique_id"] for result in file["results"] if _is_run(result)}
        for node, tests in self._tests(file).items():
            if node is not None and node not in ran:
                source = self._source(node)
                # Unlike a run's id, it is not relative to the pipeline.
                id = f"{file['metadata']['invocation_id']}/{self._pipeline}/{source}"
                metric = {
                    "id": str(_uuid(id)),
                    "pipeline": self._pipeline,
                    "source": source,
                    "timestamp": _time(file["metadata"]["generated_at"]),
                    "metric_type": "source-specific",
                }
                yield _with_tests(metric, tests)

    def freshness(self, file: Json) -> Iterator[Json]:
        """The runs of sources.json."""
        yield self._invocation(file, "dbt source freshness")
        for result in file["results"]:
            yield self._source_freshness(file, result)

    def _invocation(self, file: Json, source: str) -> Json:
        errors = [
            f"{result['unique_id']}: {result.get('message') or result.get('error') or result['status']}"
            for result in file["results"]
            if result["status"] in FAILED
        ]
        run = self._run(file, source, file["metadata"]["generated_at"], ["dbt"])
        if isinstance(file.get("elapsed_time"), int | float):
            run["duration"] = file["elapsed_time"]
        return _with_outcome(run, "failed" if errors else "ok", "\n".join(errors))

    def _node(self, file: Json, result: Json, tests: Tests | None) -> Json:
        node = result["unique_id"]
        ends = [timing["completed_at"] for timing in result.get("timing") or [] if timing.get("completed_at")]
        entry = self._manifest.get("nodes", {}).get(node) or {}
        tags = [node.split(".")[0], *(entry.get("tags") or [])]
        generated = file["metadata"]["generated_at"]
        run = self._run(file, self._source(node), max(ends, default=generated), tags, parent=True)
        if ends:
            run["duration"] = result["execution_time"]
        response = result.get("adapter_response") or {}
        counts = {name: _whole(response.get(name)) for name in ("rows_affected", "bytes_processed")}
        run["counts"] = {name: count for name, count in counts.items() if count is not None}
        outcome = OUTCOMES.get(result["status"], "failed")
        return _with_tests(_with_outcome(run, outcome, result.get("message")), tests)

    def _source_freshness(self, file: Json, result: Json) -> Json:
        node, status = result["unique_id"], result["status"]
        entry = self._manifest.get("sources", {}).get(node) or {}
        time = result.get("snapshotted_at") or file["metadata"]["generated_at"]
        source = self._source(node)
        run = self._run(file, source, time, ["source", *(entry.get("tags") or [])], parent=True)
        age = result.get("max_loaded_at_time_ago_in_s")
        if isinstance(age, int | float) and 0 <= age <= MAX_COUNT:
            run["counts"] = {"age_seconds": math.floor(age)}
        if status != "runtime error":
            run["checks"] = [{"name": "freshness", "attempts": 1, "passes": int(status == "pass")}]
        error = result.get("error")
        if status == "error":
            limit = (result.get("criteria") or {}).get("error_after") or {}
            seconds = "?" if age is None else math.floor(age)
            error = (
                f"{source} was loaded {seconds} seconds ago, later than error_after "
                f"({limit.get('count')} {limit.get('period')})"
            )
        return _with_outcome(run, OUTCOMES.get(status, "failed"), error)

    def _run(self, file: Json, source: str, time: str, tags: list[str], parent: bool = False) -> Json:
        invocation = str(file["metadata"]["invocation_id"])
        distinct = list(dict.fromkeys(clean(str(tag))[:255] for tag in tags))[:MAX_TAGS]
        id = f"{invocation}/{source}"[:MAX_ID] if parent else invocation
        run: Json = {"id": id, "pipeline": self._pipeline, "source": source, "timestamp": _time(time)}
        if parent:
            run["parent"] = invocation
        return {**run, "tags": distinct}

    def _source(self, node: str) -> str:
        """The source of a node: its name, with the package if that is not the project."""
        _, package, name = node.split(".", 2)
        return name if package == self._project else f"{package}.{name}"

    def _tests(self, file: Json) -> dict[str | None, Tests]:
        """The executed tests by the node they test, in order; `None` for the invocation."""
        found: dict[str | None, Tests] = {}
        for result in file["results"]:
            id = result["unique_id"]
            if id.split(".")[0] in TESTS and result["status"] not in NOT_EXECUTED:
                nodes = self._manifest.get("unit_tests" if id.startswith("unit_test.") else "nodes", {})
                test = nodes.get(id) or {}
                tested = test.get("attached_node") or next(iter(test.get("depends_on", {}).get("nodes") or []), None)
                found.setdefault(tested, Tests()).add(_check_name(id, test), result)
        return found


def _check_name(id: str, test: Json) -> str:
    if id.startswith("unit_test."):
        return "unit_test"
    name = (test.get("test_metadata") or {}).get("name") or test.get("name") or ""
    plain = re.sub(r"[^a-z0-9_-]", "_", str(name).lower()).lstrip("_-")[:64] or "test"
    return f"dbt_{plain}" if plain in RESERVED else plain


def _is_run(result: Json) -> bool:
    return result["unique_id"].split(".")[0] not in TESTS | {"operation"}


def _with_outcome(run: Json, outcome: str, error: str | None) -> Json:
    run["outcome"] = outcome
    if outcome != "ok" and error:
        run["error"] = clean(str(error))
    return run


def _with_tests(report: Json, tests: Tests | None) -> Json:
    if tests is not None:
        report["checks"] = tests.report()
        report["counts"] = {**report.get("counts", {}), "failing_rows": min(tests.failing_rows, MAX_COUNT)}
    if not report.get("counts", True):
        del report["counts"]
    return report


def _uuid(text: str) -> uuid.UUID:
    """A UUID of version 8, whose bits are a digest."""
    data = bytearray(hashlib.sha256(text.encode()).digest()[:16])
    data[6] = data[6] & 0x0F | 0x80
    data[8] = data[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(data))


def _time(text: str) -> str:
    return text if re.search(r"(Z|[+-]\d\d:?\d\d)$", text) else f"{text}Z"


def _whole(value: Any) -> int | None:
    is_whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT
    return value if is_whole else None


def _read(path: Path) -> Json | None:
    """An artifact; `None` if the file does not exist."""
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot read {path}: {error}") from error
    if not isinstance(data, dict):
        raise Unreadable(f"cannot read {path}: expected a JSON object")
    return data


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pipewatch.dbt",
        description="Reports models, tests and source freshness from a dbt target folder. PIPEWATCH_URL, PIPEWATCH_TOKEN "
        "and PIPEWATCH_SPOOL name the server, its token and the spool folder.",
        epilog="Exit status: 0 if the reports are delivered or spooled, 65 if the server refuses one, 66 if the folder cannot be read.",
    )
    parser.add_argument(
        "target", type=Path, help="the target folder, with manifest.json and run_results.json or sources.json"
    )
    parser.add_argument("--pipeline", help="the pipeline to report to; by default the name of the dbt project")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds to wait for the delivery (default: 30)")
    options = parser.parse_args(arguments)
    try:
        found = reports(options.target, options.pipeline)
    except Unreadable as error:
        print(f"pipewatch.dbt: {error}", file=sys.stderr)
        return UNREADABLE
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        print(f"pipewatch.dbt: {options.target} is not in the format of dbt's artifacts: {error!r}", file=sys.stderr)
        return UNREADABLE
    for notice in found.notices:
        print(f"pipewatch.dbt: {notice}", file=sys.stderr)
    with Client() as client:
        for run in found.runs:
            client.report_run(run)
        for metric in found.metrics:
            client.report_metric(metric)
        is_delivered = client.flush(options.timeout)
    counts = f"{len(found.runs)} runs and {len(found.metrics)} metrics"
    print(f"reported {counts} to {client.url}" if is_delivered else f"spooled {counts} for {client.url}")
    return REFUSED if client.refused else 0


if __name__ == "__main__":
    sys.exit(main())
