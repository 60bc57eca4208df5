"""Reports a run with requests, and polls the status every few seconds, until Ctrl-C.

    pip install requests && python report_and_poll.py [PIPELINE] [SECONDS]

PIPEWATCH_URL is the server, PIPEWATCH_TOKEN one of its tokens where it has some.
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
    """Reports what a run of a source has done."""
    run = {
        # With an id the report can be sent again without harm, should the answer get lost.
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
    """Prints the status whenever it has changed."""
    etag = None
    while True:
        answer = session.get(
            f"{SERVER}/api/v1/monitoring/pipeline-status",
            params={"pipeline": pipeline},
            # To who has the newest already, the answer is 304 and empty.
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
