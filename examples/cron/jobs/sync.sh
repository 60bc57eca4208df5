#!/bin/sh
# Fails, and is reported as failed.
echo "the other side does not answer" >&2
exit 3
