#!/bin/sh
# Runs a command and reports its start, its exit code and the end of its output with curl.
#
#     ping.sh PIPELINE SOURCE COMMAND...
#
# PIPEWATCH_URL is the server's URL, PIPEWATCH_TOKEN its token if it requires one.
set -u
url="${PIPEWATCH_URL:-http://127.0.0.1:8000}/api/v1/ping/$1/$2"
shift 2
run=$(cat /proc/sys/kernel/random/uuid)
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Retries are safe: the run id makes them duplicates. An unreachable server does not stop the job.
ping() {
    curl --silent --show-error --fail-with-body --max-time 10 --retry 3 ${PIPEWATCH_TOKEN:+--oauth2-bearer "$PIPEWATCH_TOKEN"} \
        "$url/$1?rid=$run" --data-binary "@$2" || true
    echo
}

ping start /dev/null
"$@" >"$log" 2>&1
code=$?
ping "$code" "$log"
exit "$code"
