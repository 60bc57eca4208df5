"""Delivery: when the server is away, refuses or delays, and what the spool keeps."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pipewatch
from pipewatch import _spool
from server import PATIENCE, Server, counts, eventually
from stub import Response, Stub, stored

# Nothing listens on port 1.
NOWHERE = "http://127.0.0.1:1"


def report(client: pipewatch.Client, pipeline: str, source: str = "load", **fields: Any) -> None:
    client.report_run({"pipeline": pipeline, "source": source, **fields})


def files(spool: Path) -> list[Path]:
    return sorted(spool.glob("*/*.json"))


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def test_reports_wait_while_the_server_is_away(
    start_server: Callable[..., Server], spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = start_server()
    server.kill()
    pipeline = server.pipeline()
    with pipewatch.Client(server.url) as client:
        begin = time.monotonic()
        for number in range(20):
            with client.run(pipeline, f"source{number:02}"):
                pass
        # 40 reports; each would take the timeout of a request if the job waited for the server.
        assert time.monotonic() - begin < 8
        assert not client.flush(0.1)
        eventually(lambda: caplog.text, lambda text: "cannot deliver reports" in text)
        assert len(files(spool)) == 40
        server.start()
        assert client.flush(PATIENCE)
    assert {run["source"] for run in server.runs(pipeline)} == {f"source{number:02}" for number in range(20)}
    assert files(spool) == []
    assert caplog.text.count("cannot deliver reports") == 1


def test_server_killed_in_between_loses_and_doubles_nothing(
    start_server: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    server = start_server()
    pipeline = server.pipeline()
    with pipewatch.Client(server.url) as client:
        for number in range(300):
            report(client, pipeline, steps=[{"name": "one", "state": "ok", "items_in": number}])
            if number in (100, 200):
                server.kill()
                server.start()
        assert client.flush(PATIENCE)
    runs = server.runs(pipeline)
    assert sorted(run["steps"][0]["itemsIn"] for run in runs) == list(range(300))
    assert "refuses" not in caplog.text


def test_next_process_delivers_what_the_spool_has(server: Server, spool: Path) -> None:
    pipeline = server.pipeline()
    away = pipewatch.Client(NOWHERE)
    report(away, pipeline, id="from the spool")
    away.close()
    (file,) = files(spool)
    # As if the process had reported to this server.
    folder = _spool.Folder(spool, server.url).folder
    file.rename(folder / file.name)
    with pipewatch.Client(server.url) as client:
        report(client, pipeline, id="new")
    assert {run["id"] for run in server.runs(pipeline)} == {"from the spool", "new"}
    assert files(spool) == []


def test_repeated_delivery_is_stored_once(server: Server, spool: Path) -> None:
    pipeline = server.pipeline()
    folder = _spool.Folder(spool, server.url)
    for _ in range(2):
        body = {"pipeline": pipeline, "source": "load", "id": "same", "timestamp": "2026-01-01T00:00:00Z"}
        folder.put("/api/v1/source-runs", json.dumps(body))
    with pipewatch.Client(server.url) as client:
        report(client, pipeline, id="other")
        assert client.flush(PATIENCE)
        eventually(lambda: files(spool), lambda files: not files)
    assert sorted(run["id"] for run in server.runs(pipeline)) == ["other", "same"]


def test_reports_are_delivered_in_order() -> None:
    with Stub() as stub, pipewatch.Client(stub.url) as client:
        for number in range(1200):
            report(client, "p", id=str(number))
        assert client.flush(PATIENCE)
    assert [item["id"] for items in stub.requests for item in items] == [str(number) for number in range(1200)]


def test_many_waiting_reports_are_sent_in_batches(spool: Path) -> None:
    with Stub() as stub:
        folder = _spool.Folder(spool, stub.url)
        for number in range(1001):
            folder.put("/api/v1/source-runs", json.dumps({"id": str(number)}))
        with pipewatch.Client(stub.url) as client:
            report(client, "p", id="last")
            assert client.flush(PATIENCE)
    sizes = [len(items) for items in stub.requests]
    assert max(sizes) == 500 and sum(sizes) == 1002
    assert stub.requests[-1][-1]["id"] == "last"


def test_refused_report_is_logged_and_dropped(
    server: Server, client: pipewatch.Client, caplog: pytest.LogCaptureFixture, spool: Path
) -> None:
    pipeline = server.pipeline()
    report(client, pipeline, id="first")
    report(client, pipeline, id="second", outcome="perhaps")
    report(client, pipeline, id="third")
    report(client, "Not A Pipeline")
    assert client.flush(PATIENCE)
    assert {run["id"] for run in server.runs(pipeline)} == {"first", "third"}
    refusals = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(refusals) == 2, refusals
    assert refusals[0].startswith(f"Pipewatch refuses a report of {pipeline}/load, which is dropped: outcome: ")
    assert "pipeline: " in refusals[1]
    assert files(spool) == []


def test_conflict_is_logged_and_dropped(
    server: Server, client: pipewatch.Client, caplog: pytest.LogCaptureFixture, spool: Path
) -> None:
    pipeline = server.pipeline()
    report(client, pipeline, id="same", outcome="ok")
    report(client, pipeline, id="same", outcome="failed")
    assert client.flush(PATIENCE)
    (run,) = server.runs(pipeline)
    assert run["state"] == "OK"
    assert "a different report is stored with this id" in caplog.text
    assert files(spool) == []


def test_retry_after_is_honoured() -> None:
    times: list[float] = []

    def respond(items: list[dict[str, Any]]) -> Response:
        times.append(time.monotonic())
        return (503, {"Retry-After": "2"}, b"") if len(times) == 1 else stored(items)

    with Stub(respond) as stub, pipewatch.Client(stub.url) as client:
        report(client, "p")
        assert client.flush(PATIENCE)
    assert len(times) == 2 and times[1] - times[0] >= 2


@pytest.mark.parametrize(
    "answer",
    [
        (500, {}, b"broken"),
        (429, {}, b""),
        (408, {}, b""),
        (200, {}, b"<html>a proxy's page</html>"),
        (201, {}, b'{"results":[]}'),
        (302, {"Location": "http://127.0.0.1:1/login"}, b""),
        (401, {}, b'{"detail":"this server requires a token"}'),
        (404, {}, b""),
    ],
    ids=lambda answer: f"{answer[0]} {answer[2].decode()[:9]}",
)
def test_report_is_kept_until_it_is_taken(answer: Response, caplog: pytest.LogCaptureFixture) -> None:
    with Stub(lambda items: answer) as stub, pipewatch.Client(stub.url) as client:
        report(client, "p", id="kept")
        assert not client.flush(0.5)
        eventually(lambda: caplog.text, lambda text: "cannot deliver reports" in text)
        stub.respond = stored
        assert client.flush(PATIENCE)
        assert stub.requests[-1][0]["id"] == "kept"


def test_body_that_the_server_cannot_take_is_divided(caplog: pytest.LogCaptureFixture) -> None:
    def respond(items: list[dict[str, Any]]) -> Response:
        is_bad = any(item["id"] == "bad" for item in items)
        return (413, {}, b'{"detail":"too large"}') if is_bad else stored(items)

    with Stub(respond) as stub, pipewatch.Client(stub.url) as client:
        for id in ("one", "bad", "two"):
            report(client, "p", id=id)
        assert client.flush(PATIENCE)
        assert {"one", "two"} <= {item["id"] for items in stub.requests for item in items}
    assert caplog.text.count("which is dropped: HTTP 413: too large") == 1


def test_token_is_sent_and_never_written(start_server: Callable[..., Server], spool: Path) -> None:
    token = "a-token-that-is-secret"
    server = start_server(token)
    pipeline = server.pipeline()
    wrong = pipewatch.Client(server.url, "wrong", exit_timeout=0)
    report(wrong, pipeline)
    assert not wrong.flush(0.5)
    (file,) = files(spool)
    assert "wrong" not in file.read_text()
    wrong.close()
    with pipewatch.Client(server.url, token) as client:
        report(client, pipeline)
        assert client.flush(PATIENCE)
    assert len(server.runs(pipeline)) == 2


def test_token_with_a_line_break_is_not_sent(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with Stub() as stub, pipewatch.Client(stub.url, "secret\r\nX-Header: x") as client:
        report(client, "p")
        assert client.flush(PATIENCE)
        assert stub.tokens == [None]
    assert "secret" not in caplog.text and "sends no token" in caplog.text


def test_unwritable_spool_keeps_reports_in_memory(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    pipeline = server.pipeline()
    with pipewatch.Client(server.url, spool=tmp_path / "file") as client:
        report(client, pipeline)
        assert client.flush(PATIENCE)
    assert len(server.runs(pipeline)) == 1
    assert "set PIPEWATCH_SPOOL to a folder that this process can write" in caplog.text


def test_error_of_storing_does_not_end_the_delivery(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = server.pipeline()
    put = _spool.Folder.put
    errors = iter([RuntimeError("unexpected")])

    def broken(*arguments: Any) -> None:
        for error in errors:
            raise error
        put(*arguments)

    monkeypatch.setattr(_spool.Folder, "put", broken)
    with pipewatch.Client(server.url) as client:
        for source in ("lost", "kept"):
            report(client, pipeline, source)
        assert client.flush(PATIENCE)
    assert [run["source"] for run in server.runs(pipeline)] == ["kept"]
    assert "drops a report that it cannot store" in caplog.text


def test_missing_working_directory_keeps_reports_in_memory(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    pipeline = server.pipeline()
    with pipewatch.Client(server.url, spool="relative") as client:
        report(client, pipeline)
        assert client.flush(PATIENCE)
    assert len(server.runs(pipeline)) == 1


def test_removed_spool_is_created_again(start_server: Callable[..., Server], spool: Path) -> None:
    server = start_server()
    pipeline = server.pipeline()
    server.kill()
    with pipewatch.Client(server.url) as client:
        report(client, pipeline, "before")
        shutil.rmtree(spool)
        report(client, pipeline, "after")
        server.start()
        assert client.flush(PATIENCE)
    # The sender may have read the first report before the folder was removed.
    assert "after" in {run["source"] for run in server.runs(pipeline)}


def test_reports_without_a_spool_are_delivered_at_the_end(server: Server) -> None:
    pipeline = server.pipeline()
    with pipewatch.Client(server.url, spool=False, exit_timeout=PATIENCE) as client:
        for number in range(100):
            report(client, pipeline, id=str(number))
    assert len(server.runs(pipeline)) == 100


def test_lost_reports_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    client = pipewatch.Client(NOWHERE, spool=False, exit_timeout=0.1)
    report(client, "p")
    client.close()
    assert "could not deliver 1 reports" in caplog.text and "lost" in caplog.text


def test_full_spool_drops_new_reports(
    spool: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_spool, "MAX_FILES", 3)
    client = pipewatch.Client(NOWHERE)
    for number in range(5):
        report(client, "p", id=str(number))
    eventually(lambda: caplog.text, lambda text: "drops reports" in text)
    client.close()
    assert [json.loads(file.read_text())["report"]["id"] for file in files(spool)] == ["0", "1", "2"]
    assert caplog.text.count("drops reports: too many wait in") == 1


def test_slow_disk_delays_the_job_once(monkeypatch: pytest.MonkeyPatch) -> None:
    is_free = threading.Event()
    put = _spool.Folder.put

    def slow(*arguments: Any) -> None:
        is_free.wait(PATIENCE)
        put(*arguments)

    monkeypatch.setattr(_spool.Folder, "put", slow)
    with Stub() as stub, pipewatch.Client(stub.url) as client:
        begin = time.monotonic()
        for number in range(1000):
            report(client, "p", id=str(number))
        # Without the limit, 1,000 waits of 50 ms each.
        assert time.monotonic() - begin < 25
        is_free.set()
        assert client.flush(PATIENCE)
    assert sum(len(items) for items in stub.requests) == 1000


def test_unreadable_file_is_set_aside(spool: Path, caplog: pytest.LogCaptureFixture) -> None:
    contents = [
        b"",
        b"{",
        b"[]",
        b'{"version":2,"path":"/x","report":{}}',
        b'{"version":1,"path":7,"report":{}}',
        b"\xff",
    ]
    with Stub() as stub:
        folder = _spool.Folder(spool, stub.url)
        for number, content in enumerate(contents):
            (folder.folder / f"{number:020}-00000000.json").write_bytes(content)
        (folder.folder / "notes.txt").write_text("not a report")
        with pipewatch.Client(stub.url) as client:
            report(client, "p")
            assert client.flush(PATIENCE)
    assert len(list(folder.folder.glob("*.json.invalid"))) == len(contents)
    assert caplog.text.count("cannot read the spooled report") == len(contents)
    assert (folder.folder / "notes.txt").exists()


def test_unfinished_files_are_removed_after_an_hour(spool: Path) -> None:
    with Stub() as stub:
        folder = _spool.Folder(spool, stub.url).folder
        old, new = folder / ".1.json.tmp", folder / ".2.json.tmp"
        for file in (old, new):
            file.write_text("half")
        os.utime(old, (time.time() - 3700,) * 2)
        with pipewatch.Client(stub.url) as client:
            report(client, "p")
            assert client.flush(PATIENCE)
        assert (old.exists(), new.exists()) == (False, True)


def test_only_the_holder_of_the_lock_delivers(spool: Path) -> None:
    with Stub() as stub:
        other = _spool.Folder(spool, stub.url)
        with pipewatch.Client(stub.url) as client:
            with other.lock() as is_locked:
                assert is_locked
                report(client, "p")
                assert not client.flush(0.5)
                assert stub.requests == []
            assert client.flush(PATIENCE)
        assert len(stub.requests) == 1


def test_flush_ends_when_another_process_has_delivered(spool: Path) -> None:
    with Stub() as stub:
        other = _spool.Folder(spool, stub.url)
        with pipewatch.Client(stub.url) as client, other.lock():
            report(client, "p")
            (entry,) = other.oldest(10, 10_000)
            other.remove(entry)
            assert client.flush(PATIENCE)
        assert stub.requests == []


def test_spool_is_private(spool: Path) -> None:
    client = pipewatch.Client(NOWHERE, exit_timeout=0)
    report(client, "p")
    client.close()
    (file,) = files(spool)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.name == "http%3A%2F%2F127.0.0.1%3A1"
    assert spool.stat().st_mode & 0o777 == 0o700
    assert set(json.loads(file.read_text())) == {"version", "path", "report"}


def test_value_that_is_not_json_is_logged(client: pipewatch.Client, caplog: pytest.LogCaptureFixture) -> None:
    report(client, "p", counts={"rows": object()})
    report(client, "p", duration=float("nan"))
    assert caplog.text.count("Pipewatch cannot report") == 2


def test_metric_is_reported(server: Server, client: pipewatch.Client) -> None:
    pipeline = server.pipeline()
    client.report_metric(
        {
            "pipeline": pipeline,
            "source": "load",
            "metric_type": "source-specific",
            "checks": [{"name": "not_null", "attempts": 9, "passes": 8}],
            "counts": {"rows": 9},
        }
    )
    assert client.flush(PATIENCE)
    (metric,) = server.metrics(pipeline)
    assert (metric["source"], counts(metric)) == ("load", {"rows": 9})
