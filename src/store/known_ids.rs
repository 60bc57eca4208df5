//! Which of the ids that reporters gave are taken.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait as _, DbBackend, DbErr, EntityTrait, IdenStatic as _, QueryFilter as _, QueryResult,
    QuerySelect as _, QueryTrait as _, Statement,
};
use uuid::Uuid;

use crate::domain::pipeline::PipelineKey;
use crate::domain::report::{BodyDigest, Phase, Report, ReportKind};
use crate::domain::run::RunState;
use crate::domain::source::SourceKey;
use crate::store::entity::{data_quality_metric, source_run};
use crate::store::record::{Entry, ROWS};
use crate::store::transaction::Transaction;

/// The ids that are taken, by kind.
pub(super) type KnownIds = HashMap<(ReportKind, Uuid), Known>;

/// What is stored under an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) pipeline: PipelineKey,
    /// Of a run.
    pub(super) source: Option<SourceKey>,
    /// Of the body that told of its start.
    pub(super) start: Option<BodyDigest>,
    /// Of the body that told of its end, or of the only one there is; `None` for what is still to end.
    pub(super) end: Option<BodyDigest>,
    /// Whether it can still end. A row that the server wrote by itself has no digest, and cannot.
    pub(super) is_open: bool,
    /// Whether it was given up.
    pub(super) is_lost: bool,
}

/// What a report under a known id is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acquaintance {
    /// The other report of the same run.
    NextPhase,
    Duplicate,
    Conflict,
    OtherPipeline,
}

impl Known {
    /// What this report is stored as.
    pub(super) fn of(report: &Report, digest: BodyDigest) -> Self {
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

    /// What this further report is.
    pub(super) fn meet(&self, report: &Report, digest: BodyDigest) -> Acquaintance {
        if self.pipeline != *report.pipeline() {
            return Acquaintance::OtherPipeline;
        }
        let (phase, is_missing) = match report.phase() {
            Phase::Start => (self.start, self.start.is_none()),
            Phase::End => (self.end, self.is_open),
        };
        if phase == Some(digest) {
            Acquaintance::Duplicate
        } else if is_missing && report.kind() == ReportKind::SourceRun && self.source.as_ref() == report.source() {
            Acquaintance::NextPhase
        } else {
            Acquaintance::Conflict
        }
    }

    /// Takes a further report in.
    pub(super) fn take(&mut self, report: &Report, digest: BodyDigest) {
        match report.phase() {
            Phase::Start => self.start = Some(digest),
            Phase::End => {
                self.end = Some(digest);
                self.is_open = false;
            }
        }
    }
}

/// Of the ids that reporters gave, those that are taken.
pub(super) async fn known_ids(transaction: &Transaction, group: &[Vec<Entry>]) -> Result<KnownIds, DbErr> {
    let given = |kind| -> Vec<Uuid> {
        let reports = group.iter().flatten().map(|entry| &entry.report);
        reports.filter(|report| report.kind() == kind).filter_map(Report::id).collect()
    };
    let mut known = KnownIds::new();
    for ids in given(ReportKind::SourceRun).chunks(ROWS) {
        use source_run::Column::{EndDigest, Id, Pipeline, Source, StartDigest, State};
        let columns = [Id, Pipeline, Source, StartDigest, EndDigest, State];
        for row in rows_of_ids::<source_run::Entity>(transaction, Id, &columns, ids).await? {
            let state: String = row.try_get_by_index(5)?;
            let found = Known {
                pipeline: parsed(&row.try_get_by_index::<String>(1)?)?,
                source: Some(parsed(&row.try_get_by_index::<String>(2)?)?),
                start: digest(row.try_get_by_index(3)?),
                end: digest(row.try_get_by_index(4)?),
                is_open: [RunState::Running.as_str(), RunState::Lost.as_str()].contains(&state.as_str()),
                is_lost: state == RunState::Lost.as_str(),
            };
            known.insert((ReportKind::SourceRun, row.try_get_by_index(0)?), found);
        }
    }
    for ids in given(ReportKind::DataQuality).chunks(ROWS) {
        use data_quality_metric::Column::{Digest, Id, Pipeline};
        for row in rows_of_ids::<data_quality_metric::Entity>(transaction, Id, &[Id, Pipeline, Digest], ids).await? {
            let found = Known {
                pipeline: parsed(&row.try_get_by_index::<String>(1)?)?,
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

/// These columns of the rows of these ids.
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
    // A look-up for each id, whatever the statistics say. `IN` with its many parameters is planned while the table is
    // nearly empty, and PostgreSQL keeps that plan, which reads the whole table at every commit, until it is analysed.
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

pub(super) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, DbErr> {
    text.parse().map_err(|error| DbErr::Type(format!("{text}: {error}")))
}

fn digest(stored: Option<Vec<u8>>) -> Option<BodyDigest> {
    stored.and_then(|digest| digest.try_into().ok())
}
