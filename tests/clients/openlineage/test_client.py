"""OpenLineage's Python client, over HTTP with a token and gzip."""

import unittest
from datetime import datetime, timedelta, timezone

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import (
    Dataset,
    DatasetEvent,
    InputDataset,
    Job,
    JobEvent,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
)
from openlineage.client.facet_v2 import (
    data_quality_assertions_dataset,
    error_message_run,
    nominal_time_run,
    output_statistics_output_dataset,
    parent_run,
)
from openlineage.client.uuid import generate_new_uuid

from support import TOKEN, Server, graphql, runs

PRODUCER = "https://example.com/tests"


def setUpModule():
    global server
    server = Server(PIPEWATCH_TOKENS=TOKEN)
    unittest.addModuleCleanup(server.stop)


def client(token=TOKEN, **options):
    transport = {
        "type": "http",
        "url": server.url,
        "auth": {"type": "api_key", "apiKey": token},
        "retry": {"total": 0},
        **options,
    }
    return OpenLineageClient(config={"transport": transport})


def event(state, pipeline, job, run, seconds_ago=0, facets=None, **datasets):
    time = datetime.now(timezone.utc) - timedelta(seconds=seconds_ago)
    return RunEvent(
        eventType=state,
        eventTime=time.isoformat(),
        run=Run(runId=run, facets=facets or {}),
        job=Job(namespace=pipeline, name=job),
        producer=PRODUCER,
        **datasets,
    )


class ClientTest(unittest.TestCase):
    def test_run_with_results(self):
        for pipeline, options in [("plain", {}), ("gzip", {"compression": "gzip"})]:
            with self.subTest(pipeline):
                sender, run, parent = client(**options), str(generate_new_uuid()), str(generate_new_uuid())
                facets = {
                    "nominalTime": nominal_time_run.NominalTimeRunFacet("2026-01-01T00:00:00Z"),
                    "parent": parent_run.ParentRunFacet(
                        run=parent_run.Run(runId=parent), job=parent_run.Job(namespace=pipeline, name="all")
                    ),
                }
                sender.emit(event(RunState.START, pipeline, "load", run, seconds_ago=30, facets=facets))
                statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=120, size=4096)
                assertions = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
                    assertions=[
                        data_quality_assertions_dataset.Assertion("not_null", success=True, column="id"),
                        data_quality_assertions_dataset.Assertion("not_null", success=False, column="name"),
                    ]
                )
                complete = event(
                    RunState.COMPLETE,
                    pipeline,
                    "load",
                    run,
                    facets=facets,
                    inputs=[InputDataset("db", "raw", inputFacets={"dataQualityAssertions": assertions})],
                    outputs=[OutputDataset("db", "orders", outputFacets={"outputStatistics": statistics})],
                )
                # Events may be repeated.
                for _ in range(2):
                    sender.emit(complete)
                stored = runs(server, pipeline)["load"]
                self.assertEqual((stored["state"], stored["id"], stored["parent"]), ("OK", run, parent))
                self.assertEqual(stored["counts"], [{"name": "bytes", "value": 4096}, {"name": "rows", "value": 120}])
                self.assertIn("nominal_start=2026-01-01T00:00:00Z", stored["tags"])
                self.assertEqual(stored["log"], "not_null(name) failed")
                self.assertIsNotNone(stored["startedAt"])

    def test_failure_with_its_stack(self):
        run = str(generate_new_uuid())
        facets = {"errorMessage": error_message_run.ErrorMessageRunFacet("broken", "PYTHON", "Traceback\n  line 1")}
        client().emit(event(RunState.FAIL, "failing", "load", run, facets=facets))
        stored = runs(server, "failing")["load"]
        self.assertEqual((stored["state"], stored["error"]), ("FAILED", "broken\nTraceback\n  line 1"))

    def test_job_and_dataset_events_are_accepted(self):
        time = datetime.now(timezone.utc).isoformat()
        sender = client()
        sender.emit(JobEvent(eventTime=time, producer=PRODUCER, job=Job("static", "load")))
        sender.emit(DatasetEvent(eventTime=time, producer=PRODUCER, dataset=Dataset("static", "orders")))
        keys = [pipeline["key"] for pipeline in graphql(server, "{ pipelines { key } }")["pipelines"]]
        self.assertNotIn("static", keys)

    def test_wrong_token_is_an_error(self):
        with self.assertRaisesRegex(Exception, "401"):
            client(token="a-wrong-token-of-these").emit(
                event(RunState.COMPLETE, "refused", "load", str(generate_new_uuid()))
            )


if __name__ == "__main__":
    unittest.main()
