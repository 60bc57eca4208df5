#!/bin/sh
# Runs a command and pings its start, its exit code and its output. In a crontab:
#
#     PIPEWATCH_URL=https://pipewatch.example.org
#     0 2 * * *  ping.sh billing load /opt/billing/load --full
#
# PIPEWATCH_TOKEN is the server's token if it requires one.
set -u
url=${PIPEWATCH_URL:-http://127.0.0.1:8000}/api/v1/ping/$1/$2
shift 2
run="$(date +%s)-$$"
ping() {
    curl --silent --show-error --fail --max-time 10 --retry 5 --output /dev/null \
        ${PIPEWATCH_TOKEN:+--oauth2-bearer "$PIPEWATCH_TOKEN"} "$@"
}

ping "$url/start?rid=$run"
output=$("$@" 2>&1)
code=$?
printf '%s' "$output" | ping "$url/$code?rid=$run" --data-binary @-
exit $code
