//! Parses the rows of sources.

use chrono::TimeDelta;

use crate::domain::freshness::Grace;
use crate::domain::labels::Labels;
use crate::domain::run::LastRun;
use crate::domain::source::Source;
use crate::error::Result;
use crate::store::columns::parse_column;
use crate::store::entity::source;

pub(in crate::store) fn last_run(row: &source::Model) -> Result<Option<LastRun>> {
    match (row.last_run_at, &row.last_run_state) {
        (Some(finished_at), Some(state)) => Ok(Some(LastRun { state: parse_column("run state", state)?, finished_at })),
        _ => Ok(None),
    }
}

pub(in crate::store) fn expected_schedule(
    row: &source::Model,
) -> Result<Option<crate::domain::freshness::ExpectedSchedule>> {
    row.expected_every.as_deref().map(|text| parse_column("expected interval", text)).transpose()
}

pub(in crate::store) fn grace(row: &source::Model) -> Option<Grace> {
    row.grace.and_then(TimeDelta::try_seconds).and_then(Grace::new)
}

pub(in crate::store) fn source_of(row: &source::Model) -> Result<Source> {
    Ok(Source {
        pipeline: parse_column("pipeline", &row.pipeline)?,
        key: parse_column("source", &row.key)?,
        enabled: row.enabled,
        last_run: last_run(row)?,
        expected: expected_schedule(row)?,
        grace: grace(row),
        labels: labels(row.labels.as_deref()),
    })
}

pub(in crate::store) fn labels_text(labels: &Labels) -> String {
    serde_json::to_string(labels).expect("texts always serialise")
}

pub(in crate::store) fn labels(column: Option<&str>) -> Labels {
    column.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}
