#!/bin/sh
# Reports a run with counts and a check by curl.
#
#     report.sh [PIPELINE]
#
# PIPEWATCH_URL is the server's URL, PIPEWATCH_TOKEN its token if it requires one.
set -eu
curl --silent --show-error --fail-with-body --retry 5 ${PIPEWATCH_TOKEN:+--oauth2-bearer "$PIPEWATCH_TOKEN"} \
    "${PIPEWATCH_URL:-http://127.0.0.1:8000}/api/v1/source-runs?pipeline=${1:-example}" --json '{
        "source": "curl", "counts": {"rows": 120, "bytes": 48210}, "duration": 12.5,
        "checks": [{"name": "not-null", "attempts": 120, "passes": 119}]}'
