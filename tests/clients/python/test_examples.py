"""The Python examples in examples/, unchanged."""

import os
import queue
import re
import subprocess
import sys
import threading
import unittest
from pathlib import Path

from server import PATIENCE, Server

EXAMPLES = Path(__file__).parents[3] / "examples/python"


def setUpModule():
    global server
    server = Server()
    unittest.addModuleCleanup(server.stop)


class Examples(unittest.TestCase):
    def run_example(self, name, *arguments):
        """Starts an example for this test; returns a function that reads its next line, with a deadline."""
        process = subprocess.Popen(
            [sys.executable, EXAMPLES / name, *arguments],
            env=os.environ | {"PIPEWATCH_URL": server.url},
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = queue.SimpleQueue()
        reader = threading.Thread(target=lambda: [lines.put(line) for line in process.stdout])
        reader.start()

        def stop():
            process.kill()
            process.wait(PATIENCE)
            reader.join(PATIENCE)
            process.stdout.close()

        self.addCleanup(stop)
        return lambda: lines.get(timeout=PATIENCE)

    def test_gql_example_prints_statuses(self):
        pipeline = server.pipeline()
        line = self.run_example("watch_gql.py", pipeline)
        first = line()
        self.assertRegex(first, r"^\d+ \w+ geocoding None, validation None\n$")
        revision = server.report(pipeline)
        self.assertGreaterEqual(int(revision), int(first.split()[0]))
        self.assertTrue(line().startswith(f"{revision} "))

    def test_requests_example_reports_and_polls(self):
        line = self.run_example("report_and_poll.py", "requests", "0.05")
        revision = re.fullmatch(r"reported, revision (\d+)\n", line())[1]
        self.assertEqual(line(), f"{revision} healthy\n")
        revision = server.report("requests")
        self.assertEqual(line(), f"{revision} healthy\n")
