"""A DAG whose task instances are runs in Pipewatch: pipeline `billing`, source `load`.

Install `pipewatch` where Airflow runs its tasks and set PIPEWATCH_URL. Airflow then loads Pipewatch's listener as a plugin, and
no DAG has to be changed. Counts and checks are optional.
"""

from airflow.sdk import dag, task

import pipewatch


@dag(schedule="@daily", catchup=False)
def billing():
    @task(retries=2)
    def load():
        rows = [{"id": 1, "customer": "ada"}, {"id": 2, "customer": None}]
        if run := pipewatch.current_run():
            run.count(rows=len(rows))
            run.check("not_null", sum(row["customer"] is not None for row in rows), len(rows))

    load()


billing()
