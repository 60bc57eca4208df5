#!/bin/sh
# Reports a run, polls the status once and follows it live, all with curl, until Ctrl-C.
#
#     report-and-watch.sh [PIPELINE]
#
# PIPEWATCH_URL is the server's URL, PIPEWATCH_TOKEN its token if it requires one.
set -eu
server=${PIPEWATCH_URL:-http://127.0.0.1:8000}
pipeline=${1:-example}

# Without a token, the option is omitted.
call() { curl --silent --show-error --fail-with-body ${PIPEWATCH_TOKEN:+--oauth2-bearer "$PIPEWATCH_TOKEN"} "$@"; }

# The id makes retries safe: the second report is recognised as a duplicate.
id=$(cat /proc/sys/kernel/random/uuid)
for _ in first second; do
    call "$server/api/v1/source-runs?pipeline=$pipeline" --json '{
        "id": "'"$id"'", "source": "shell", "timestamp": "'"$(date -u +%Y-%m-%dT%H:%M:%SZ)"'",
        "articles_collected": 12, "events_extracted": 9,
        "geocoding_attempts": 9, "geocoding_successes": 8, "validation_attempts": 9, "validation_passes": 9}'
    echo
done

# One poll. With the ETag of the last response as If-None-Match, an unchanged status is a 304.
call "$server/api/v1/monitoring/pipeline-status?pipeline=$pipeline"
echo

# Live: the line of an event that starts with "data: " contains the status.
call --no-buffer "$server/api/v1/monitoring/pipeline-status/stream?pipeline=$pipeline" | while IFS= read -r line; do
    case $line in
        data:*) printf '%s\n' "live: ${line#data: }" ;;
    esac
done
