"""The server of the other Python tests, and what these tests read from it."""

import json
import sys
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))

from server import PATIENCE, Server

__all__ = ["PATIENCE", "TOKEN", "Server", "graphql", "runs"]

TOKEN = "a-token-of-these-tests"

RUNS = """query ($pipeline: String!) { sourceRuns(pipeline: $pipeline, first: 100) {
  nodes { id source state startedAt finishedAt error log parent tags counts { name value } } } }"""


def graphql(server, query, **variables):
    """The data of a GraphQL operation without errors."""
    request = urllib.request.Request(
        f"{server.url}/graphql",
        data=json.dumps({"query": query, "variables": variables}).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        body = json.load(answer)
    assert "errors" not in body, body
    return body["data"]


def runs(server, pipeline):
    """The ended runs of a pipeline by their source. Each source has one."""
    nodes = graphql(server, RUNS, pipeline=pipeline)["sourceRuns"]["nodes"]
    by_source = {run["source"]: run for run in nodes}
    assert len(by_source) == len(nodes), nodes
    return by_source
