"""Reports a run of a job with the `pipewatch` package (clients/python).

PIPEWATCH_URL is the server's URL, PIPEWATCH_TOKEN its token if it requires one. If the server is away, the reports wait in a spool
folder and the next run delivers them.
"""

import pipewatch


@pipewatch.monitored("billing", "clean")
def clean(rows):
    return [row for row in rows if row["customer"]]


with pipewatch.run("billing", "load", tags=["example"]) as run:
    rows = [{"id": 1, "customer": "ada"}, {"id": 2, "customer": ""}]
    with run.step("clean") as step:
        cleaned = clean(rows)
        step.items(len(rows), len(cleaned))
    run.count(rows=len(cleaned))
    run.check("not_empty", len(cleaned), len(rows))
