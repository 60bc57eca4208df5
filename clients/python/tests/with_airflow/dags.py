"""DAGs whose tasks end in every way."""

from __future__ import annotations

import sys
from datetime import timedelta

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowSkipException

import pipewatch
import pipewatch.airflow


@dag(dag_id="Every.End", schedule=None)
def every_end():
    @task
    def fails():
        raise ValueError("boom")

    @task(retries=1, retry_delay=timedelta())
    def succeeds_later(ti=None):
        if ti.try_number == 1:
            raise RuntimeError("the first attempt fails")

    @task
    def mapped(number):
        pipewatch.current_run().count(number=number)
        with pipewatch.run("every-end-nested", "nested"):
            pass

    @task
    def skips():
        raise AirflowSkipException("nothing to do")

    fails()
    succeeds_later()
    mapped.expand(number=[1, 2])
    skips()


@dag(schedule=None, default_args=pipewatch.airflow.callbacks())
def with_callbacks():
    @task
    def succeeds():
        pipewatch.current_run().count(rows=7)

    @task
    def fails():
        raise ValueError("boom")

    succeeds()
    fails()


DAGS = {"every_end": every_end(), "with_callbacks": with_callbacks()}

if __name__ == "__main__":
    DAGS[sys.argv[1]].test()
