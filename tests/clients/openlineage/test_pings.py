"""Pings by Python's urllib and by curl."""

import subprocess
import unittest
import urllib.error
import urllib.request

from support import PATIENCE, TOKEN, Server, graphql

RUNS = """query ($source: String!) {
  ended: sourceRuns(pipeline: "p", source: $source) { nodes { ...run } }
  running: sourceRuns(pipeline: "p", source: $source, outcome: RUNNING) { nodes { ...run } }
}
fragment run on SourceRun { id state startedAt error log counts { name value } }"""


def setUpModule():
    global server
    server = Server(PIPEWATCH_TOKENS=TOKEN)
    unittest.addModuleCleanup(server.stop)


def ping(path, method="GET", body=None, headers=None, token=TOKEN):
    """The status and the text of a ping."""
    authorization = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(
        f"{server.url}/api/v1/ping/{path}", data=body, method=method, headers=authorization | (headers or {})
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            status, headers, text = answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, headers, text = error.code, error.headers, error.read().decode()
    assert headers["Content-Type"] == "text/plain; charset=utf-8", headers
    return status, text


def runs(source):
    """The ended runs of a source, in order, then those in progress."""
    answer = graphql(server, RUNS, source=source)
    return answer["ended"]["nodes"][::-1] + answer["running"]["nodes"]


class PingTest(unittest.TestCase):
    def ok(self, path, **options):
        self.assertEqual(ping(path, **options), (200, "OK"), path)

    def test_pings_are_runs(self):
        self.ok("p/a?counts.rows=5")
        self.ok("p/a/0")
        self.ok("p/a/3")
        self.ok("p/a/fail?create=1", method="POST", body=b"")
        self.assertEqual(ping("p/a", method="HEAD"), (200, ""))
        self.ok("p/a", headers={"Pipewatch-Counts": "rows=6, bytes=10"})
        found = runs("a")
        self.assertEqual([run["state"] for run in found], ["OK", "OK", "FAILED", "FAILED", "OK", "OK"])
        self.assertEqual(found[0]["counts"], [{"name": "rows", "value": 5}])
        self.assertEqual(found[2]["error"], "exit code 3")
        self.assertEqual(found[5]["counts"], [{"name": "bytes", "value": 10}, {"name": "rows", "value": 6}])

    def test_run_id_pairs_start_and_end(self):
        self.ok("p/named/start?rid=scheduled__2026-01-01T00:00:00%2B00:00")
        self.assertEqual([run["state"] for run in runs("named")], ["RUNNING"])
        # The second end is a repetition, such as that of `curl --retry`.
        for _ in range(2):
            self.ok("p/named/7?rid=scheduled__2026-01-01T00:00:00%2B00:00")
        [run] = runs("named")
        self.assertEqual((run["id"], run["state"]), ("scheduled__2026-01-01T00:00:00+00:00", "FAILED"))
        self.assertIsNotNone(run["startedAt"])
        status, text = ping("p/named?rid=scheduled__2026-01-01T00:00:00%2B00:00")
        self.assertEqual((status, text.split(":")[0]), (409, "rid"))
        self.ok("p/other?rid=scheduled__2026-01-01T00:00:00%2B00:00")

    def test_start_without_run_id_is_ended_by_the_next_ping(self):
        self.ok("p/unnamed/start")
        self.ok("p/unnamed/1")
        [run] = runs("unnamed")
        self.assertEqual((run["state"], run["startedAt"] is not None), ("FAILED", True))
        # Runs with an id are not ended by others.
        self.ok("p/unnamed/start?rid=one")
        self.ok("p/unnamed")
        self.assertEqual([run["state"] for run in runs("unnamed")], ["FAILED", "OK", "RUNNING"])

    def test_body_is_the_log(self):
        self.ok("p/logged", method="POST", body=b"one\ntwo\n")
        self.ok("p/logged/fail", method="POST", body=b"a\xff\0b")
        self.ok("p/logged", method="POST", body=f"start{'é' * (1 << 20)}end".encode())
        short, bytes_, long = (run["log"] for run in runs("logged"))
        self.assertEqual((short, bytes_), ("one\ntwo\n", "a\ufffd\ufffdb"))
        self.assertTrue(long.endswith("éend") and "start" not in long, long[:80])
        self.assertLessEqual(len(long.encode()), 16 * 1024 + 100)

    def test_log_changes_no_state(self):
        self.assertEqual(ping("p/lines/log", method="POST", body=b"early")[0], 404)
        self.ok("p/lines/start?rid=one")
        self.ok("p/lines/log?rid=one", method="POST", body=b"first\n")
        self.ok("p/lines/log", method="POST", body=b"second\n")
        [run] = runs("lines")
        self.assertEqual((run["state"], run["log"].split()), ("RUNNING", ["first", "second"]))
        self.ok("p/lines?rid=one")
        [run] = runs("lines")
        self.assertEqual((run["state"], run["log"].split()), ("OK", ["first", "second"]))

    def test_invalid_pings_are_refused_in_plain_text(self):
        for path, expected, says in [
            ("p/bad/256", 404, "an exit code from 0 to 255"),
            ("P/bad", 422, "pipeline: "),
            ("p/bad?rid=", 422, "rid: "),
            ("p/bad?counts.rows=1.5", 400, "whole number"),
            ("p/bad?counts.rows=9007199254740992", 422, "counts.rows"),
            ("p/bad?count.rows=5", 400, "counts.NAME"),
            ("p/bad/start?counts.rows=5", 422, "counts"),
        ]:
            status, text = ping(path)
            self.assertEqual(status, expected, text)
            self.assertIn(says, text)
            self.assertFalse(text.startswith("{"), text)
        self.assertEqual(ping("p/bad", headers={"Sec-Fetch-Site": "cross-site"})[0], 403)
        self.assertEqual(ping("p/bad", method="PUT"), (405, "/api/v1/ping/p/bad does not support PUT\n"))
        self.assertEqual(runs("bad"), [])

    def test_token_is_required(self):
        for path, token in [("p/secret", None), ("p/secret/start?access_token=wrong", None), ("p/secret", "wrong")]:
            self.assertEqual(ping(path, token=token)[0], 401, path)
        self.ok(f"p/secret?access_token={TOKEN}", token=None)
        curl = ["curl", "-fsS", "-m", str(PATIENCE), "--oauth2-bearer", TOKEN, f"{server.url}/api/v1/ping/p/secret"]
        self.assertEqual(subprocess.run(curl, capture_output=True, text=True, timeout=PATIENCE).stdout, "OK")
        self.assertEqual(len(runs("secret")), 2)


if __name__ == "__main__":
    unittest.main()
