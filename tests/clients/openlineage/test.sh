#!/bin/sh
# Runs the tests with OpenLineage's Python client, dbt-ol and Prometheus' parser in a virtual environment, which is recreated when
# requirements.txt changes.
set -eu
cd "$(dirname "$0")"
python=${PYTHON:-python3}
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y python3 python3-venv >&2
  else
    echo "the tests with OpenLineage need Python 3.11 or newer with venv: install them (Debian: apt-get install python3-venv)" >&2
    exit 69
  fi
fi
if ! cmp -s requirements.txt .venv/requirements.txt; then
  rm -rf .venv
  "$python" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
  # Copied last, so that an interrupted installation is repeated.
  cp requirements.txt .venv/requirements.txt
fi
exec .venv/bin/python -m unittest "$@"
