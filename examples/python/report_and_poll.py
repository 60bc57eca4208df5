"""Reports a run and polls the status every few seconds with requests, until Ctrl-C.

    pip install requests && python report_and_poll.py [PIPELINE] [SECONDS]

PIPEWATCH_URL is the server's URL, PIPEWATCH_TOKEN its token if it requires one.
"""

import os
import sys
import time
import uuid
from datetime import datetime, timezone

import requests

SERVER = os.environ.get("PIPEWATCH_URL", "http://127.0.0.1:8000")
TOKEN = os.environ.get("PIPEWATCH_TOKEN")


def report(session, pipeline):
    """Reports a run of a source."""
    run = {
        # The id makes retries safe: a repeated report is recognised as a duplicate.
        "id": str(uuid.uuid4()),
        "source": "python",
        "timestamp": datetime.now(timezone.utc).isoformat(),
        "articles_collected": 12,
        "events_extracted": 9,
        "geocoding_attempts": 9,
        "geocoding_successes": 8,
    }
    answer = session.post(f"{SERVER}/api/v1/source-runs", params={"pipeline": pipeline}, json=run, timeout=10)
    answer.raise_for_status()
    print("reported, revision", answer.json()["revisions"][pipeline], flush=True)


def poll(session, pipeline, seconds):
    """Prints the status whenever it changes."""
    etag = None
    while True:
        answer = session.get(
            f"{SERVER}/api/v1/monitoring/pipeline-status",
            params={"pipeline": pipeline},
            # If the status has not changed, the response is 304 without a body.
            headers={"If-None-Match": etag} if etag else {},
            timeout=10,
        )
        answer.raise_for_status()
        if answer.status_code != 304:
            etag = answer.headers["ETag"]
            status = answer.json()
            print(status["revision"], status["overall_status"], flush=True)
        time.sleep(seconds)


def main(pipeline="example", seconds="5"):
    with requests.Session() as session:
        if TOKEN:
            session.headers["Authorization"] = f"Bearer {TOKEN}"
        report(session, pipeline)
        poll(session, pipeline, float(seconds))


try:
    main(*sys.argv[1:])
except KeyboardInterrupt:
    pass
