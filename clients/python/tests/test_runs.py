"""What a run reports."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

import pipewatch
from server import PATIENCE, Server, checks, counts


def only_run(server: Server, client: pipewatch.Client, pipeline: str) -> dict[str, object]:
    assert client.flush(PATIENCE)
    (run,) = server.runs(pipeline)
    return run


def test_run_reports_counts_checks_and_steps(server: Server, client: pipewatch.Client) -> None:
    pipeline = server.pipeline()
    with client.run(pipeline, "load", tags=["nightly"], attempt=2, url="https://ci.example/7") as run:
        run.count(rows=100, bytes=4096)
        run.count(rows=20)
        run.check("not_null", 119, 120)
        run.check("has_header", True)
        run.check("geocoding", 8, 9)
        run.tag("eu", "nightly")
        run.log("read 120 rows")
        run.log("done\n")
        with run.step("extract") as step:
            step.items(9, 8)
        with run.step("load") as step:
            step.skip()
    stored = only_run(server, client, pipeline)
    assert stored["id"] == run.id
    assert (stored["source"], stored["state"], stored["error"]) == ("load", "OK", None)
    assert counts(stored) == {"rows": 120, "bytes": 4096}
    assert (stored["tags"], stored["attempt"]) == (["nightly", "eu"], 2)
    assert (stored["url"], stored["log"]) == ("https://ci.example/7", "read 120 rows\ndone\n")
    assert stored["durationSeconds"] > 0
    assert (stored["geocodingAttempts"], stored["geocodingSuccesses"]) == (9, 8)
    assert stored["steps"] == [
        {"name": "extract", "state": "OK", "itemsIn": 9, "itemsOut": 8},
        {"name": "load", "state": "SKIPPED", "itemsIn": None, "itemsOut": None},
    ]
    (metric,) = server.metrics(pipeline)
    assert checks(metric) == {"not_null": (119, 120), "has_header": (1, 1)}


def test_open_run_is_running(server: Server, client: pipewatch.Client) -> None:
    pipeline = server.pipeline()
    with client.run(pipeline, "load", id="scheduled__2026-01-01T00:00:00+00:00"):
        assert client.flush(PATIENCE)
        (run,) = server.runs(pipeline, "RUNNING")
        assert run["id"] == "scheduled__2026-01-01T00:00:00+00:00"
    assert only_run(server, client, pipeline)["state"] == "OK"


def test_exception_fails_the_run_with_its_traceback(server: Server, client: pipewatch.Client) -> None:
    pipeline = server.pipeline()
    with pytest.raises(ZeroDivisionError), client.run(pipeline, "load") as run, run.step("divide"):
        _ = 1 / 0
    stored = only_run(server, client, pipeline)
    assert stored["state"] == "FAILED"
    assert str(stored["error"]).startswith(
        "ZeroDivisionError: division by zero\n\nTraceback (most recent call last):\n"
    )
    assert "_ = 1 / 0" in str(stored["error"])
    assert [step["state"] for step in stored["steps"]] == ["FAILED"]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (KeyboardInterrupt(), "ABORTED"),
        (asyncio.CancelledError(), "ABORTED"),
        (GeneratorExit(), "ABORTED"),
        (SystemExit(0), "OK"),
        (SystemExit(), "OK"),
        (SystemExit(3), "FAILED"),
        (SystemExit("no input"), "FAILED"),
    ],
    ids=repr,
)
def test_exits_have_an_outcome(server: Server, client: pipewatch.Client, error: BaseException, state: str) -> None:
    pipeline = server.pipeline()
    with pytest.raises(type(error)), client.run(pipeline, "load"):
        raise error
    assert only_run(server, client, pipeline)["state"] == state


def test_run_can_fail_and_abort_without_an_exception(server: Server, client: pipewatch.Client) -> None:
    failed, aborted = server.pipeline(), server.pipeline()
    with client.run(failed, "load") as run:
        run.fail("two files\nare missing")
    with client.run(aborted, "load") as run:
        run.abort("nothing to do")
    stored = only_run(server, client, failed)
    assert (stored["state"], stored["error"]) == ("FAILED", "two files\nare missing")
    stored = only_run(server, client, aborted)
    assert (stored["state"], stored["error"]) == ("ABORTED", "nothing to do")


def test_long_traceback_keeps_its_end(server: Server, client: pipewatch.Client) -> None:
    def deep(level: int) -> None:
        if level == 0:
            raise ValueError("ä" * 20_000 + " the end")
        # Two functions in turn: Python abbreviates repeated frames.
        (deep if level % 2 else lambda level: deep(level))(level - 1)

    pipeline = server.pipeline()
    with pytest.raises(ValueError), client.run(pipeline, "load"):
        deep(200)
    error = str(only_run(server, client, pipeline)["error"])
    assert len(error.encode()) <= 16 * 1024
    assert error.endswith("the end") and "bytes are cut" in error


def test_nested_run_has_a_parent(server: Server, client: pipewatch.Client) -> None:
    pipeline = server.pipeline()
    with client.run(pipeline, "outer") as outer:
        assert pipewatch.current_run() is outer
        with client.run(pipeline, "inner") as inner:
            assert pipewatch.current_run() is inner
        assert pipewatch.current_run() is outer
    assert pipewatch.current_run() is None
    assert client.flush(PATIENCE)
    runs = {run["source"]: run for run in server.runs(pipeline)}
    assert runs["inner"]["parent"] == runs["outer"]["id"] and runs["outer"]["parent"] is None


def test_monitored_function_returns_and_reports(server: Server, client: pipewatch.Client) -> None:
    pipeline = server.pipeline()

    @client.monitored(pipeline, "load", tags=["nightly"])
    def load(rows: int, *, factor: int = 1) -> int:
        """Loads."""
        run = pipewatch.current_run()
        assert run
        run.count(rows=rows)
        return rows * factor

    assert load(3, factor=2) == 6
    assert (load.__name__, load.__doc__) == ("load", "Loads.")
    stored = only_run(server, client, pipeline)
    assert (counts(stored), stored["tags"]) == ({"rows": 3}, ["nightly"])


def test_monitored_function_fails_with_its_own_frames(server: Server, client: pipewatch.Client) -> None:
    pipeline = server.pipeline()

    @client.monitored(pipeline, "load")
    def load() -> None:
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        load()
    error = str(only_run(server, client, pipeline)["error"])
    assert error.startswith("ValueError: boom") and "in load" in error and "_monitored.py" not in error


def test_monitored_coroutines_run_side_by_side(server: Server, client: pipewatch.Client) -> None:
    pipeline = server.pipeline()
    barrier = []

    @client.monitored(pipeline, "load")
    async def load(number: int) -> int:
        run = pipewatch.current_run()
        barrier.append(run)
        while len(barrier) < 3:
            await asyncio.sleep(0)
        assert pipewatch.current_run() is run and run
        run.count(number=number)
        return number

    async def main() -> list[int]:
        return await asyncio.gather(load(1), load(2), load(3))

    assert asyncio.run(main()) == [1, 2, 3]
    assert client.flush(PATIENCE)
    assert sorted(counts(run)["number"] for run in server.runs(pipeline)) == [1, 2, 3]


def test_cancelled_coroutine_is_aborted(server: Server, client: pipewatch.Client) -> None:
    pipeline = server.pipeline()

    @client.monitored(pipeline, "load")
    async def load() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(load())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert only_run(server, client, pipeline)["state"] == "ABORTED"


def test_run_works_as_an_asynchronous_context_manager(server: Server, client: pipewatch.Client) -> None:
    pipeline = server.pipeline()

    async def main() -> None:
        async with client.run(pipeline, "load") as run:
            run.count(rows=1)

    asyncio.run(main())
    assert counts(only_run(server, client, pipeline)) == {"rows": 1}


def test_generator_functions_are_refused(client: pipewatch.Client) -> None:
    def rows() -> Iterator[int]:
        yield 1

    async def rows_async() -> AsyncIterator[int]:
        yield 1

    for function in (rows, rows_async):
        with pytest.raises(TypeError, match=r"cannot report the generator function .*rows.* Use `with pipewatch\.run"):
            client.monitored("billing", "load")(function)


def test_threads_add_to_one_run(server: Server, client: pipewatch.Client) -> None:
    pipeline = server.pipeline()
    with client.run(pipeline, "load") as run:
        threads = [threading.Thread(target=lambda: [run.count(rows=1) for _ in range(500)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counts(only_run(server, client, pipeline)) == {"rows": 2000}


def test_invalid_values_are_logged_and_left_out(
    server: Server, client: pipewatch.Client, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = server.pipeline()
    with client.run(pipeline, "load", url="ftp://x", attempt=0) as run:
        run.count(rows=1, Rows=2)
        run.count(rows=-1)
        run.count(rows=1.5)  # type: ignore[arg-type]
        run.count(rows="7")  # type: ignore[arg-type]
        run.count(rows=float("nan"))  # type: ignore[arg-type]
        run.count(rows=2.0)  # type: ignore[arg-type]
        run.check("too many passes", 1, 1)
        run.check("not_null", 2, 1)
        run.check("unique", 1, 1)
        run.step("Not A Name").__enter__()
        run.url(None)  # type: ignore[arg-type]
        run.log("nul \0 and a lone surrogate \ud800")
        for number in range(40):
            run.count(**{f"count{number}": 1})
    messages = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(messages) == 20 and all(message.startswith("Pipewatch ignores ") for message in messages), messages
    stored = only_run(server, client, pipeline)
    assert len(counts(stored)) == 32 and counts(stored)["rows"] == 3
    assert (stored["url"], stored["attempt"], stored["steps"]) == (None, None, [])
    assert [checks(metric) for metric in server.metrics(pipeline)] == [{"unique": (1, 1)}]


def test_default_client_reads_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = server.pipeline()
    monkeypatch.setenv("PIPEWATCH_URL", server.url + "/")

    @pipewatch.monitored(pipeline, "decorated")
    def load() -> None:
        pass

    load()
    with pipewatch.run(pipeline, "block"):
        pass
    assert pipewatch.flush(PATIENCE)
    assert {run["source"] for run in server.runs(pipeline)} == {"decorated", "block"}
    pipewatch.default_client().close()


@pytest.mark.parametrize(
    "url", ["off", "localhost:8000", "ftp://localhost", "http://user:secret@localhost", "http://[::1"]
)
def test_invalid_url_in_the_environment_disables_reporting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    monkeypatch.setenv("PIPEWATCH_URL", url)
    with pipewatch.run("billing", "load") as run:
        run.count(rows=1)
    assert pipewatch.default_client().url is None
    assert pipewatch.flush(0)
    assert ("reports nothing" in caplog.text) is (url != "off")
    assert "secret" not in caplog.text
    if url != "off":
        with pytest.raises(ValueError):
            pipewatch.Client(url)
