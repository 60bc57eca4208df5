"""publisher.py PORT PID: once a second posts the status to nchan, until the process PID has ended."""

import http.client
import os
import re
import select
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

port, pid = int(sys.argv[1]), int(sys.argv[2])
before, after = re.split(r'(?<="timestamp":")[^"]*', Path("status.json").read_text())
server = os.pidfd_open(pid)
connection = http.client.HTTPConnection("127.0.0.1", port)


def ended_within(seconds):
    return bool(select.select([server], [], [], max(0, seconds))[0])


while True:
    try:
        connection.connect()
        break
    except ConnectionRefusedError:
        if ended_within(0.02):
            sys.exit(1)
print("ready", flush=True)

due = time.monotonic() + 1
while not ended_within(due - time.monotonic()):
    due += 1
    text = before + datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ") + after
    try:
        connection.request("POST", "/pub", text, {"Content-Type": "application/json"})
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        connection.close()  # the next request opens another
