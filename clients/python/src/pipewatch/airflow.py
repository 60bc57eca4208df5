"""Airflow's task instances as runs: the DAG is the pipeline, the task the source.

Where this package is installed and PIPEWATCH_URL is set, Airflow loads the listener as a plugin, and every task is reported
without a change of the DAGs. To report some DAGs only, use the callbacks, without the plugin:

    DAG("billing", default_args=pipewatch.airflow.callbacks())

In a task, `pipewatch.current_run()` is its run. Each attempt is a run of its own, with the number of the attempt.
With PIPEWATCH_AIRFLOW_PIPELINE all tasks belong to that pipeline, and a source is called DAG.TASK.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from pipewatch._client import Client, default_client
from pipewatch._keys import pipeline_key, run_id
from pipewatch._run import Run

logger = logging.getLogger("pipewatch")

_F = TypeVar("_F", bound=Callable[..., None])
_hookimpl: Callable[[_F], _F]
try:
    import pluggy

    _hookimpl = pluggy.HookimplMarker("airflow")
except ImportError:  # Without Airflow there are no listeners.

    def _hookimpl(function: _F) -> _F:
        return function


def _never_raises(function: _F) -> _F:
    @functools.wraps(function)
    def guarded(*arguments: Any, **named: Any) -> None:
        try:
            function(*arguments, **named)
        except Exception:
            logger.exception("Pipewatch cannot report a task instance")

    return guarded  # type: ignore[return-value]


class Listener:
    """Reports task instances to a client, by default the default client."""

    def __init__(self, client: Client | None = None) -> None:
        self._client = client
        # The runs that this process executes.
        self._open: dict[tuple[str, str, str], Run] = {}

    @_hookimpl
    def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:
        self.started(task_instance)

    @_hookimpl
    def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
        self.ended(task_instance, "ok")

    @_hookimpl
    def on_task_instance_failed(self, previous_state: Any, task_instance: Any, error: Any = None) -> None:
        self.ended(task_instance, "failed", error)

    @_hookimpl
    def on_task_instance_skipped(self, previous_state: Any, task_instance: Any) -> None:
        self.ended(task_instance, "aborted", "The task skipped itself.")

    @_hookimpl
    def before_stopping(self, component: Any) -> None:
        # The task's process may end without handlers of atexit.
        self._reports_to()._settle()

    @_never_raises
    def started(self, task: Any) -> None:
        run = self._run(task)
        self._open[_key(task)] = run
        run.start()

    @_never_raises
    def ended(self, task: Any, outcome: str, error: Any = None) -> None:
        # A run that the scheduler or the API server ends was not started in this process.
        run = self._open.pop(_key(task), None) or self._run(task)
        if outcome == "aborted":
            run.abort(error)
        elif outcome == "failed" and not isinstance(error, BaseException):
            run.fail(str(error) if error else "The task failed.")
        run.finish(error if isinstance(error, BaseException) else None, _airflow_folders())

    def _reports_to(self) -> Client:
        return self._client or default_client()

    def _run(self, task: Any) -> Run:
        pipeline, source, id = _key(task)
        attempt = getattr(task, "try_number", None) or None
        tags = ["airflow"]
        operator = getattr(task, "operator", None) or getattr(getattr(task, "task", None), "task_type", None)
        if operator:
            tags.append(str(operator))
        if _map_index(task) is not None:
            tags.append(f"map_index={_map_index(task)}")
        url = getattr(task, "log_url", None)
        return self._reports_to().run(
            pipeline,
            source,
            id=id,
            parent=run_id(str(task.run_id)),
            attempt=attempt,
            url=url if url and str(url).startswith("http") else None,
            tags=tags,
            report_start=not _is_resumed(task),
        )


def callbacks(client: Client | None = None) -> dict[str, Callable[[Any], None]]:
    """Callbacks of an operator, or of all operators as a DAG's `default_args`."""
    listener = Listener(client)

    def started(context: Any) -> None:
        listener.started(_instance(context))

    def succeeded(context: Any) -> None:
        listener.ended(_instance(context), "ok")
        listener.before_stopping(None)

    def failed(context: Any) -> None:
        listener.ended(_instance(context), "failed", context.get("exception"))
        listener.before_stopping(None)

    def skipped(context: Any) -> None:
        listener.ended(_instance(context), "aborted", "The task skipped itself.")
        listener.before_stopping(None)

    return {
        "on_execute_callback": started,
        "on_success_callback": succeeded,
        "on_failure_callback": failed,
        "on_retry_callback": failed,
        "on_skipped_callback": skipped,
    }


def _instance(context: Any) -> Any:
    return context["ti"]


def _key(task: Any) -> tuple[str, str, str]:
    """Pipeline, source and run id of a task instance."""
    everything = os.environ.get("PIPEWATCH_AIRFLOW_PIPELINE")
    pipeline = pipeline_key(everything or str(task.dag_id))
    source = f"{task.dag_id}.{task.task_id}" if everything else str(task.task_id)
    id = f"{task.run_id}/{source}"
    if _map_index(task) is not None:
        id += f"[{_map_index(task)}]"
    if (task.try_number or 1) > 1:
        id += f"#{task.try_number}"
    return pipeline, source[:255], run_id(id)


def _map_index(task: Any) -> int | None:
    index = getattr(task, "map_index", None)
    return index if isinstance(index, int) and index >= 0 else None


def _is_resumed(task: Any) -> bool:
    """Whether a deferred or rescheduled task continues, whose start is reported already."""
    context = getattr(task, "_ti_context_from_server", None)
    is_deferred = getattr(task, "next_method", None) or getattr(context, "next_method", None)
    return bool(is_deferred or getattr(context, "task_reschedule_count", 0))


def _airflow_folders() -> tuple[str, ...]:
    """Airflow's own folders, whose frames begin every traceback of a task."""
    modules = [sys.modules.get(name) for name in ("airflow", "airflow.sdk", "airflow.providers.standard")]
    return tuple(os.path.dirname(module.__file__) + os.sep for module in modules if module and module.__file__)
