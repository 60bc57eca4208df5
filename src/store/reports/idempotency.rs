//! Idempotency: the stored reports with the ids of new ones.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, DbErr, EntityTrait, IdenStatic as _, QueryFilter as _,
    QueryResult, QuerySelect as _, QueryTrait as _, Statement,
};
use uuid::Uuid;

use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::report::{BodyDigest, Phase, Report, ReportKind};
use crate::domain::run::RunState;
use crate::store::columns::parse_text;
use crate::store::entity::{data_quality_metric, source_run};
use crate::store::reports::report::NewReport;
use crate::store::reports::run_keys::possible_keys;
use crate::store::statements::MAX_ROWS_PER_INSERT;
use crate::store::transaction::Transaction;

/// The stored reports, by kind and id.
pub(in crate::store) type ExistingReports = HashMap<(ReportKind, Uuid), ExistingReport>;

/// The report stored under an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct ExistingReport {
    pub(in crate::store) pipeline: PipelineKey,
    /// The source of a run.
    pub(in crate::store) source: Option<SourceKey>,
    /// Digest of the start report.
    pub(in crate::store) start: Option<BodyDigest>,
    /// Digest of the end report, or of a metric. `None` for an unfinished run, and for rows that the server wrote.
    pub(in crate::store) end: Option<BodyDigest>,
    /// Whether an end report is accepted.
    pub(in crate::store) is_open: bool,
    /// Whether the run was marked as lost.
    pub(in crate::store) is_lost: bool,
}

/// How a report relates to the one stored under its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum IdMatch {
    /// The other report of the same run: its start or its end.
    NextPhase,
    Duplicate,
    Conflict,
    OtherPipeline,
}

/// Returns the key of a report: that of its stored row, otherwise the first free one.
pub(in crate::store) fn key_of(report: &Report, known: &ExistingReports) -> Uuid {
    let mut keys = possible_keys(report);
    if report.kind() == ReportKind::DataQuality {
        return keys.next().unwrap_or_else(Uuid::now_v7);
    }
    let mut free = None;
    let mut last = None;
    for key in keys {
        match known.get(&(report.kind(), key)) {
            Some(existing) if existing.is_of(report) => return key,
            Some(_) => {}
            None => free = free.or(Some(key)),
        }
        last = Some(key);
    }
    free.or(last).unwrap_or_else(Uuid::now_v7)
}

impl ExistingReport {
    /// Whether it is of the pipeline and source of a report.
    fn is_of(&self, report: &Report) -> bool {
        self.pipeline == *report.pipeline() && self.source.as_ref() == report.source()
    }

    /// Describes a new report.
    pub(in crate::store) fn of(report: &Report, digest: BodyDigest) -> Self {
        let is_start = report.phase() == Phase::Start;
        Self {
            pipeline: report.pipeline().clone(),
            source: if report.kind() == ReportKind::SourceRun { report.source().cloned() } else { None },
            start: is_start.then_some(digest),
            end: (!is_start).then_some(digest),
            is_open: is_start,
            is_lost: false,
        }
    }

    /// Compares a further report with the stored one.
    pub(in crate::store) fn match_report(&self, report: &Report, digest: BodyDigest) -> IdMatch {
        if self.pipeline != *report.pipeline() {
            return IdMatch::OtherPipeline;
        }
        let (phase, is_missing) = match report.phase() {
            Phase::Start => (self.start, self.start.is_none()),
            Phase::End => (self.end, self.is_open),
        };
        if phase == Some(digest) {
            IdMatch::Duplicate
        } else if is_missing && report.kind() == ReportKind::SourceRun && self.source.as_ref() == report.source() {
            IdMatch::NextPhase
        } else {
            IdMatch::Conflict
        }
    }

    /// Adds a further report.
    pub(in crate::store) fn apply(&mut self, report: &Report, digest: BodyDigest) {
        match report.phase() {
            Phase::Start => self.start = Some(digest),
            Phase::End => {
                self.end = Some(digest);
                self.is_open = false;
            }
        }
    }
}

/// Looks up the ids of a batch of reports.
pub(in crate::store) async fn existing_reports(
    transaction: &Transaction,
    batch: &[Vec<NewReport>],
) -> Result<ExistingReports, DbErr> {
    let given = |kind| -> Vec<Uuid> {
        let reports = batch.iter().flatten().map(|entry| &entry.report);
        reports.filter(|report| report.kind() == kind).flat_map(possible_keys).collect()
    };
    let mut known = ExistingReports::new();
    for ids in given(ReportKind::SourceRun).chunks(MAX_ROWS_PER_INSERT) {
        use source_run::Column::{EndDigest, Id, Pipeline, Source, StartDigest, State};
        let columns = [Id, Pipeline, Source, StartDigest, EndDigest, State];
        for row in rows_of_ids::<source_run::Entity>(transaction, Id, &columns, ids).await? {
            let state: String = row.try_get_by_index(5)?;
            let found = ExistingReport {
                pipeline: parse_text(&row.try_get_by_index::<String>(1)?)?,
                source: Some(parse_text(&row.try_get_by_index::<String>(2)?)?),
                start: digest(row.try_get_by_index(3)?),
                end: digest(row.try_get_by_index(4)?),
                is_open: [RunState::Running.as_str(), RunState::Lost.as_str()].contains(&state.as_str()),
                is_lost: state == RunState::Lost.as_str(),
            };
            known.insert((ReportKind::SourceRun, row.try_get_by_index(0)?), found);
        }
    }
    for ids in given(ReportKind::DataQuality).chunks(MAX_ROWS_PER_INSERT) {
        use data_quality_metric::Column::{Digest, Id, Pipeline};
        for row in rows_of_ids::<data_quality_metric::Entity>(transaction, Id, &[Id, Pipeline, Digest], ids).await? {
            let found = ExistingReport {
                pipeline: parse_text(&row.try_get_by_index::<String>(1)?)?,
                source: None,
                start: None,
                end: digest(row.try_get_by_index(2)?),
                is_open: false,
                is_lost: false,
            };
            known.insert((ReportKind::DataQuality, row.try_get_by_index(0)?), found);
        }
    }
    Ok(known)
}

/// Selects columns of the rows with the given ids.
async fn rows_of_ids<E: EntityTrait>(
    transaction: &Transaction,
    id: E::Column,
    columns: &[E::Column],
    ids: &[Uuid],
) -> Result<Vec<QueryResult>, DbErr> {
    let backend = transaction.get_database_backend();
    if backend != DbBackend::Postgres {
        let select = E::find().select_only().columns(columns.iter().copied()).filter(id.is_in(ids.iter().copied()));
        return transaction.query_all_raw(select.build(backend)).await;
    }
    // One index look-up per id, whatever the statistics say. PostgreSQL plans `IN` with many parameters while the
    // table is nearly empty, and keeps that plan, which scans the whole table at every commit, until the next
    // ANALYZE.
    let table = E::default();
    let names: Vec<_> = columns.iter().map(sea_orm::IdenStatic::as_str).collect();
    let (table, id, names) = (table.table_name(), id.as_str(), names.join(", "));
    let sql = format!(
        "SELECT found.* FROM unnest(string_to_array($1, ',')::uuid[]) AS given(id) CROSS JOIN LATERAL \
         (SELECT {names} FROM {table} WHERE {id} = given.id LIMIT 1) AS found"
    );
    let ids = ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(",");
    transaction.query_all_raw(Statement::from_sql_and_values(backend, sql, [ids.into()])).await
}

fn digest(stored: Option<Vec<u8>>) -> Option<BodyDigest> {
    stored.and_then(|digest| digest.try_into().ok())
}
