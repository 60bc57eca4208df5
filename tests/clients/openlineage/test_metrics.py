"""The text of /metrics, by Prometheus' own parser."""

import unittest
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from support import PATIENCE, Server


class MetricsTest(unittest.TestCase):
    def test_metrics_are_valid(self):
        server = Server()
        self.addCleanup(server.stop)
        pipeline = server.pipeline()
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=PATIENCE) as answer:
            self.assertEqual(answer.headers["Content-Type"], "text/plain; version=0.0.4")
            families = {family.name: family for family in text_string_to_metric_families(answer.read().decode())}
        samples = families["pipewatch_source_status"].samples
        mine = {sample.labels["status"]: sample.value for sample in samples if sample.labels["pipeline"] == pipeline}
        self.assertEqual(mine, {"healthy": 1, "warning": 0, "error": 0, "pending": 0})
        for name in ("pipewatch_pipeline_status", "pipewatch_source_last_success_timestamp_seconds"):
            self.assertEqual(families[name].type, "gauge")
            self.assertTrue(families[name].documentation)
        self.assertEqual(families["pipewatch_omitted_series"].samples[0].value, 0)


if __name__ == "__main__":
    unittest.main()
