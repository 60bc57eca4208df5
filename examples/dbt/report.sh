#!/bin/sh
# Builds the project and reports the results. Needs pip install dbt-core dbt-duckdb pipewatch.
cd "$(dirname "$0")" || exit
dbt build --profiles-dir .
python -m pipewatch.dbt target
dbt source freshness --profiles-dir .
python -m pipewatch.dbt target
