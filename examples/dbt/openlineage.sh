#!/bin/sh
# Builds the project with dbt-ol, which sends OpenLineage events. Needs pip install openlineage-dbt dbt-core dbt-duckdb.
cd "$(dirname "$0")" || exit
export OPENLINEAGE_URL="${PIPEWATCH_URL:-http://127.0.0.1:8000}" OPENLINEAGE_NAMESPACE="${1:-shop}"
[ -z "${PIPEWATCH_TOKEN:-}" ] || export OPENLINEAGE_API_KEY="$PIPEWATCH_TOKEN"
dbt-ol build --profiles-dir .
