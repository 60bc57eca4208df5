#!/bin/sh
# Reports a run, asks for the status once, and watches it live, all by curl, until Ctrl-C.
#
#     report-and-watch.sh [PIPELINE]
#
# PIPEWATCH_URL is the server, PIPEWATCH_TOKEN one of its tokens where it has some.
set -eu
server=${PIPEWATCH_URL:-http://127.0.0.1:8000}
pipeline=${1:-example}

# An unset token leaves no argument behind.
call() { curl --silent --show-error --fail-with-body ${PIPEWATCH_TOKEN:+--oauth2-bearer "$PIPEWATCH_TOKEN"} "$@"; }

# With an id the same report can be sent again without harm: the second is answered as a duplicate.
id=$(cat /proc/sys/kernel/random/uuid)
for _ in first second; do
    call "$server/api/v1/source-runs?pipeline=$pipeline" --json '{
        "id": "'"$id"'", "source": "shell", "timestamp": "'"$(date -u +%Y-%m-%dT%H:%M:%SZ)"'",
        "articles_collected": 12, "events_extracted": 9,
        "geocoding_attempts": 9, "geocoding_successes": 8, "validation_attempts": 9, "validation_passes": 9}'
    echo
done

# Once. A 304 would come to who sends the ETag of before as If-None-Match.
call "$server/api/v1/monitoring/pipeline-status?pipeline=$pipeline"
echo

# Live: an event is some lines, and its status is the one that begins with "data: ".
call --no-buffer "$server/api/v1/monitoring/pipeline-status/stream?pipeline=$pipeline" | while IFS= read -r line; do
    case $line in
        data:*) printf '%s\n' "live: ${line#data: }" ;;
    esac
done
