"""dbt-ol with the dbt project of the examples."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from support import TOKEN, Server, graphql, runs

PROJECT = Path(__file__).resolve().parents[3] / "examples" / "dbt"
# dbt starts slowly on a busy machine.
PATIENCE = 300


def setUpModule():
    global server
    server = Server(PIPEWATCH_TOKENS=TOKEN)
    unittest.addModuleCleanup(server.stop)


def build(pipeline):
    """Builds a copy of the project by its script."""
    with tempfile.TemporaryDirectory(prefix="dbt-") as folder:
        project = Path(folder) / "project"
        shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs", "*.duckdb"))
        scripts = Path(sys.executable).parent
        ended = subprocess.run(
            [project / "openlineage.sh", pipeline],
            env={
                "PATH": f"{scripts}:{os.environ['PATH']}",
                "HOME": folder,
                "PIPEWATCH_URL": server.url,
                "PIPEWATCH_TOKEN": TOKEN,
                "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            },
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    # A model and a test fail on purpose.
    assert ended.returncode == 1, ended.stdout + ended.stderr


def checks(pipeline):
    """The attempts and passes of each check of a pipeline."""
    query = "query ($pipeline: String!) { pipelineStatus(pipeline: $pipeline) { dataQuality { checks { name attempts passes } } } }"
    found = graphql(server, query, pipeline=pipeline)["pipelineStatus"]["dataQuality"]["checks"]
    return {check["name"]: (check["attempts"], check["passes"]) for check in found if check["attempts"]}


class DbtTest(unittest.TestCase):
    def test_models_and_tests_are_runs(self):
        build("shop")
        found = runs(server, "shop")
        self.assertEqual(found["shop.main.shop.orders.build.run"]["state"], "OK")
        self.assertEqual(found["shop.main.shop.broken.build.run"]["state"], "FAILED")
        self.assertEqual(found["dbt-run-shop"]["state"], "FAILED")
        singular = found["test.shop.totals_are_small"]
        self.assertEqual((singular["state"], "failed" in singular["error"]), ("FAILED", True))
        invocation = found["dbt-run-shop"]["id"]
        for source, run in found.items():
            self.assertIsNotNone(run["startedAt"], source)
            self.assertTrue(any(tag.startswith("engine=dbt ") for tag in run["tags"]), run["tags"])
            self.assertEqual(run["parent"], None if source == "dbt-run-shop" else invocation, source)
        # Each test counts once, though dbt sends its assertions twice.
        self.assertEqual(checks("shop"), {"unique": (2, 2), "not_null": (2, 1), "totals_are_small": (1, 0)})


if __name__ == "__main__":
    unittest.main()
