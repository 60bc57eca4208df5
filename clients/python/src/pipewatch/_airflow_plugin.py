"""Airflow's entry point."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from pipewatch.airflow import Listener


class PipewatchPlugin(AirflowPlugin):  # type: ignore[misc]
    """Without PIPEWATCH_URL, the installed package changes nothing."""

    name = "pipewatch"
    listeners: ClassVar[list[Any]] = [Listener()] if os.environ.get("PIPEWATCH_URL") else []
