"""Processes that report: forked, spawned, killed, interactive."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from server import BINARY, PATIENCE, Server, counts, eventually

JOB = """
import os, signal, sys, time
import pipewatch
pipeline = sys.argv[1]
"""


def start(code: str, pipeline: str, url: str, folder: Path) -> subprocess.Popen[str]:
    """Starts a job."""
    file = folder / f"job{len(list(folder.glob('job*.py')))}.py"
    file.write_text(JOB + textwrap.dedent(code))
    return subprocess.Popen(
        [sys.executable, file, pipeline],
        env=os.environ | {"PIPEWATCH_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts background jobs with interrupts ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def run(code: str, pipeline: str, url: str, folder: Path) -> tuple[str, str]:
    """Runs a job, which must succeed; returns its output."""
    process = start(code, pipeline, url, folder)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    return out, err


def test_end_of_the_process_delivers(server: Server, tmp_path: Path) -> None:
    pipeline = server.pipeline()
    _, err = run("with pipewatch.run(pipeline, 'load'): pass", pipeline, server.url, tmp_path)
    assert err == ""
    server.wait_for_runs(pipeline)


def test_failing_job_keeps_its_exit_code_and_error(server: Server, tmp_path: Path) -> None:
    pipeline = server.pipeline()
    process = start("with pipewatch.run(pipeline, 'load'): sys.exit('no input')", pipeline, server.url, tmp_path)
    _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (1, "no input\n")
    (stored,) = server.wait_for_runs(pipeline)
    assert (stored["state"], str(stored["error"]).splitlines()[0]) == ("FAILED", "SystemExit: no input")


def test_interrupted_job_is_aborted(server: Server, tmp_path: Path) -> None:
    pipeline = server.pipeline()
    code = """
    with pipewatch.run(pipeline, 'load'):
        print("ready", flush=True)
        time.sleep(600)
    """
    process = start(code, pipeline, server.url, tmp_path)
    assert process.stdout and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert [run["state"] for run in server.wait_for_runs(pipeline)] == ["ABORTED"]


def test_killed_job_loses_and_doubles_nothing(server: Server, tmp_path: Path) -> None:
    pipeline = server.pipeline()
    code = """
    for number in range(1_000_000):
        with pipewatch.run(pipeline, "load", report_start=False) as run:
            run.count(number=number)
        print(number, flush=True)
    """
    printed = 0
    for _ in range(3):
        process = start(code, pipeline, server.url, tmp_path)
        assert process.stdout
        for _ in range(50):
            process.stdout.readline()
        process.kill()
        printed += 50 + len(process.stdout.read().splitlines())
        process.communicate(timeout=PATIENCE)
    # The next process delivers what the killed ones left.
    run(
        "with pipewatch.run(pipeline, 'last', report_start=False): pass\npipewatch.flush(60)",
        pipeline,
        server.url,
        tmp_path,
    )
    spool = Path(os.environ["PIPEWATCH_SPOOL"])
    eventually(lambda: list(spool.glob("*/*.json")), lambda files: not files)
    numbers = [counts(run)["number"] for run in server.runs(pipeline) if run["source"] == "load"]
    # A job may be killed between its report and its output.
    assert printed <= len(numbers) <= printed + 3
    for number in range(50):
        assert numbers.count(number) == 3


def test_job_killed_while_the_server_is_away_is_delivered_by_the_next(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_server()
    pipeline = server.pipeline()
    server.kill()
    code = """
    with pipewatch.run(pipeline, "killed"):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
    """
    process = start(code, pipeline, server.url, tmp_path)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL
    server.start()
    run("with pipewatch.run(pipeline, 'next'): pass\nassert pipewatch.flush(60)", pipeline, server.url, tmp_path)
    assert sorted(run["source"] for run in server.wait_for_runs(pipeline, 2)) == ["killed", "next"]


def test_end_of_the_process_does_not_wait_for_an_absent_server(tmp_path: Path) -> None:
    out, err = run("with pipewatch.run(pipeline, 'load'): pass", "p", "http://127.0.0.1:1", tmp_path)
    assert out == ""
    assert "2 reports" in err and "they wait in" in err
    assert "Traceback" not in err


def test_forked_processes_report(server: Server, tmp_path: Path) -> None:
    pipeline = server.pipeline()
    code = """
    with pipewatch.run(pipeline, "parent") as outer:
        children = []
        for number in range(3):
            child = os.fork()
            if child == 0:
                with pipewatch.run(pipeline, f"child{number}") as run:
                    run.count(number=number)
                # This leaves the parent's block too, which reports nothing.
                break
            children.append(child)
        if child:
            codes = [os.waitpid(child, 0)[1] for child in children]
            assert codes == [0, 0, 0], codes
    """
    run(code, pipeline, server.url, tmp_path)
    runs = {run["source"]: run for run in server.wait_for_runs(pipeline, 4)}
    assert {run["state"] for run in runs.values()} == {"OK"}
    assert [counts(runs[f"child{number}"]) for number in range(3)] == [{"number": number} for number in range(3)]
    assert {runs[f"child{number}"]["parent"] for number in range(3)} == {runs["parent"]["id"]}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing_report(server: Server, tmp_path: Path, method: str) -> None:
    pipeline = server.pipeline()
    code = """
    import multiprocessing

    def work(number):
        with pipewatch.run(sys.argv[1], f"worker{number}") as run:
            run.count(number=number)

    if __name__ == "__main__":
        with pipewatch.run(pipeline, "before"):
            pass
        context = multiprocessing.get_context(METHOD)
        workers = [context.Process(target=work, args=(number,)) for number in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
    """.replace("METHOD", repr(method))
    run(code, pipeline, server.url, tmp_path)
    runs = server.wait_for_runs(pipeline, 4)
    assert {run["source"] for run in runs} == {"before", "worker0", "worker1", "worker2"}


def test_fork_during_delivery_neither_blocks_nor_repeats(server: Server, tmp_path: Path) -> None:
    pipeline = server.pipeline()
    code = """
    import threading
    is_done = threading.Event()

    def report():
        while not is_done.is_set():
            with pipewatch.run(pipeline, "thread", report_start=False):
                pass
            # Without this, the thread reports faster than a busy server stores.
            pipewatch.flush(60)

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    for number in range(20):
        child = os.fork()
        if child == 0:
            with pipewatch.run(pipeline, f"child{number}", report_start=False):
                pass
            os._exit(0 if pipewatch.flush(60) else 1)
        assert os.waitpid(child, 0)[1] == 0
    is_done.set()
    thread.join()
    assert pipewatch.flush(60)
    """
    run(code, pipeline, server.url, tmp_path)
    sources = [run["source"] for run in server.runs(pipeline) if run["source"] != "thread"]
    assert sorted(sources) == sorted(f"child{number}" for number in range(20))


def test_exit_without_handlers_leaves_reports_in_the_spool(server: Server, tmp_path: Path) -> None:
    pipeline = server.pipeline()
    run("with pipewatch.run(pipeline, 'one'): pass\nos._exit(0)", pipeline, server.url, tmp_path)
    run("with pipewatch.run(pipeline, 'two'): pass\npipewatch.flush(60)", pipeline, server.url, tmp_path)
    server.wait_for_runs(pipeline, 2)


def test_report_at_the_end_of_the_interpreter_is_delivered(server: Server, tmp_path: Path) -> None:
    pipeline = server.pipeline()
    code = """
    import atexit

    def last():
        with pipewatch.run(pipeline, "last"):
            pass

    atexit.register(last)
    """
    run(code, pipeline, server.url, tmp_path)
    server.wait_for_runs(pipeline)


def test_spool_is_shared_with_the_program(start_server: Callable[..., Server], tmp_path: Path) -> None:
    away = start_server()
    by_python, by_program = away.pipeline(), away.pipeline()
    away.kill()
    settings = os.environ | {"PIPEWATCH_URL": away.url}
    run("with pipewatch.run(pipeline, 'load'): pass", by_python, away.url, tmp_path)
    record = [BINARY, "record", "-p", by_program, "-s", "load", "--count", "rows=3"]
    assert subprocess.run(record, env=settings, capture_output=True).returncode == 0
    away.start()
    # The program delivers what Python left.
    flushed = subprocess.run([BINARY, "spool", "flush"], env=settings, capture_output=True, text=True)
    assert flushed.returncode == 0, flushed.stderr
    assert [run["source"] for run in away.runs(by_python)] == ["load"]
    away.kill()
    subprocess.run([*record, "--id", "second"], env=settings, capture_output=True, check=True)
    away.start()
    # Python delivers what the program left.
    run("with pipewatch.run(pipeline, 'next'): pass\nassert pipewatch.flush(60)", by_python, away.url, tmp_path)
    runs = away.wait_for_runs(by_program, 2)
    assert [counts(run) for run in runs] == [{"rows": 3}, {"rows": 3}]


def test_notebook_reports(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient")
    import nbformat

    pipeline = server.pipeline()
    monkeypatch.setenv("PIPEWATCH_URL", server.url)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    cells = [
        f"import pipewatch\nwith pipewatch.run({pipeline!r}, 'cell') as run:\n    run.count(rows=3)",
        # The kernel runs an event loop, and cells may await.
        f"async with pipewatch.run({pipeline!r}, 'async cell'):\n    pass",
        f"@pipewatch.monitored({pipeline!r}, 'failing cell')\ndef load():\n    raise ValueError('boom')\n"
        "try:\n    load()\nexcept ValueError:\n    pass",
        "assert pipewatch.flush(60)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=int(PATIENCE), kernel_name="python3").execute()
    runs = {run["source"]: run for run in server.wait_for_runs(pipeline, 3)}
    assert counts(runs["cell"]) == {"rows": 3}
    assert runs["failing cell"]["state"] == "FAILED" and "raise ValueError('boom')" in runs["failing cell"]["error"]
    assert json.dumps(notebook)
