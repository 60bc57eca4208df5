#!/bin/sh
# Reports by the command line. What cannot be delivered waits on disk, see `pipewatch spool`.
#
#     nightly.sh [PIPELINE]
#
# PIPEWATCH_URL is the server's URL, PIPEWATCH_TOKEN its token if it requires one.
set -eu
pipeline=${1:-example}

# A run that has ended, with its results.
pipewatch record -p "$pipeline" -s extract --count rows=120 --check not-null=119/120

# A command: its exit code, duration and errors are reported, and what it prints in lines that start with "pipewatch:".
pipewatch run -p "$pipeline" -s load -- sh -c 'echo "loading"; echo "pipewatch: rows=119 bytes=48210"'
