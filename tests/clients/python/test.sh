#!/bin/sh
# Runs the tests with Python's gql, in an environment of their own that is made anew when requirements.txt changes.
set -eu
cd "$(dirname "$0")"
if ! cmp -s requirements.txt .venv/requirements.txt; then
  rm -rf .venv
  "${PYTHON:-python3}" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
  # Last, so that an installation that was cut short is begun again.
  cp requirements.txt .venv/requirements.txt
fi
exec .venv/bin/python -m unittest "$@"
