"""Reports the runs of data pipelines to a Pipewatch server.

    import pipewatch

    with pipewatch.run("billing", "load") as run:
        run.count(rows=120)
        run.check("not_null", 119, 120)

Reports are stored in a spool folder and delivered in the background. Reporting never raises into the job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from pipewatch._client import Client, default_client
from pipewatch._run import Run, Step, current_run

__all__ = ["Client", "Run", "Step", "current_run", "default_client", "flush", "monitored", "run"]

_F = TypeVar("_F", bound=Callable[..., object])


def run(
    pipeline: str,
    source: str,
    *,
    id: str | None = None,
    parent: str | None = None,
    attempt: int | None = None,
    url: str | None = None,
    tags: Iterable[str] = (),
    report_start: bool = True,
) -> Run:
    """A run of a source, as a context manager. See :meth:`Client.run`."""
    return default_client().run(
        pipeline, source, id=id, parent=parent, attempt=attempt, url=url, tags=tags, report_start=report_start
    )


def monitored(pipeline: str, source: str, *, tags: Iterable[str] = (), report_start: bool = True) -> Callable[[_F], _F]:
    """Reports each call of a function or coroutine function as a run. See :meth:`Client.monitored`."""
    # The client is looked up at each call: the decorator runs at import, often before the environment is complete.
    from pipewatch._monitored import monitored as decorate

    return decorate(lambda: run(pipeline, source, tags=tags, report_start=report_start))


def flush(timeout: float = 10.0) -> bool:
    """Waits until all reports of this process are delivered, at most `timeout` seconds; returns whether they are."""
    return default_client().flush(timeout)
