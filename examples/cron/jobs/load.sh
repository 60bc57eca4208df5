#!/bin/sh
# Lines that begin with `pipewatch:` are counts.
echo "loading"
echo "pipewatch: rows=120"
