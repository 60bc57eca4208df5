//! Pages of stored reports, newest first. A page begins after a position and not at an offset, so that new rows
//! neither repeat nor hide others.

use std::collections::{BTreeMap, HashMap};

use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{ColumnTrait as _, EntityTrait, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select};
use uuid::Uuid;

use crate::domain::check::{CheckName, Quality};
use crate::domain::counts::Counts;
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::metric::{DataQualityMetric, MetricType};
use crate::domain::named_counts::NamedCounts;
use crate::domain::report::RunDetails;
use crate::domain::run::{RunState, SourceRun};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::columns::{parse_column, parse_json};
use crate::store::entity::{data_quality_metric, metric_check, source_run};
use crate::store::handle::Store;
use crate::store::status::steps::steps_of;

/// A request for a page of a pipeline's history.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// The pipeline.
    pub pipeline: PipelineKey,
    /// Only rows of this source.
    pub source: Option<SourceKey>,
    /// Only rows at or after this instant.
    pub from: Option<Timestamp>,
    /// Only rows before this instant.
    pub to: Option<Timestamp>,
    /// Only rows older than this position.
    pub after: Option<Position>,
    /// The maximum number of rows.
    pub first: u64,
}

/// A position in a history. The id distinguishes rows of the same instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The row's timestamp.
    pub at: Timestamp,
    /// The row's id.
    pub id: Uuid,
}

/// A page of rows, newest first.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Whether there are older rows.
    pub has_more: bool,
}

impl Store {
    /// Returns a page of data quality metrics.
    pub async fn data_quality_metrics(
        &self,
        request: &PageRequest,
        metric_type: Option<MetricType>,
    ) -> Result<Page<DataQualityMetric>> {
        use data_quality_metric::Column;
        let mut select = data_quality_metric::Entity::find().filter(Column::Pipeline.eq(request.pipeline.as_str()));
        if let Some(metric_type) = metric_type {
            select = select.filter(Column::MetricType.eq(metric_type.as_str()));
        }
        let rows = select
            .page(request, Column::Source, Column::Timestamp, Column::Id)
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        let mut others = self.further_checks(rows.iter().map(|row| row.id)).await?;
        page(rows, request.first, |row| {
            Ok(DataQualityMetric {
                id: row.id,
                pipeline: parse_column("pipeline", &row.pipeline)?,
                timestamp: row.timestamp,
                metric_type: parse_column("metric type", &row.metric_type)?,
                source: row.source.as_deref().map(|source| parse_column("source", source)).transpose()?,
                quality: Quality {
                    geocoding: counts(row.geocoding_attempts, row.geocoding_successes),
                    validation: counts(row.validation_attempts, row.validation_passes),
                    others: others.remove(&row.id).unwrap_or_default(),
                },
                counts: counts_of(row.counts.as_deref())?,
                status: parse_column("status", &row.status)?,
            })
        })
    }

    /// Returns the custom checks of metrics, by metric id.
    async fn further_checks(&self, metrics: impl Iterator<Item = Uuid>) -> Result<HashMap<Uuid, Checks>> {
        let rows = metric_check::Entity::find()
            .filter(metric_check::Column::MetricId.is_in(metrics))
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        let mut checks: HashMap<Uuid, Checks> = HashMap::new();
        for row in rows {
            let name = parse_column("check", &row.name)?;
            checks.entry(row.metric_id).or_default().insert(name, counts(row.attempts, row.passes));
        }
        Ok(checks)
    }

    /// Returns a page of source runs: finished ones by their end, or running ones by their start.
    pub async fn source_runs(&self, request: &PageRequest, state: Option<RunState>) -> Result<Page<SourceRun>> {
        use source_run::Column;
        let at = if state == Some(RunState::Running) { Column::StartedAt } else { Column::FinishedAt };
        let mut select =
            source_run::Entity::find().filter(Column::Pipeline.eq(request.pipeline.as_str())).filter(at.is_not_null());
        if let Some(state) = state {
            select = select.filter(Column::State.eq(state.as_str()));
        }
        let rows = select
            .page(request, Column::Source, at, Column::Id)
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        let mut steps = steps_of(self.connections.reader(), rows.iter().map(|row| row.id).collect()).await?;
        page(rows, request.first, |row| {
            Ok(SourceRun {
                id: match &row.run_id {
                    Some(reported) => parse_column("run id", reported)?,
                    None => row.id.into(),
                },
                key: row.id,
                pipeline: parse_column("pipeline", &row.pipeline)?,
                source: parse_column("source", &row.source)?,
                state: parse_column("run state", &row.state)?,
                started_at: row.started_at,
                finished_at: row.finished_at,
                received_at: row.received_at,
                backfill: row.backfill,
                articles_collected: row.articles_collected.map(i64::unsigned_abs),
                events_extracted: row.events_extracted.map(i64::unsigned_abs),
                counts: counts_of(row.counts.as_deref())?,
                geocoding: row.geocoding_attempts.zip(row.geocoding_successes).map(|(a, s)| counts(a, s)),
                validation: row.validation_attempts.zip(row.validation_passes).map(|(a, s)| counts(a, s)),
                steps: steps.remove(&row.id).unwrap_or_default(),
                details: RunDetails {
                    url: row.url,
                    tags: row.tags.as_deref().map_or(Ok(Vec::new()), |tags| parse_json("tags", tags))?,
                    attempt: row.attempt.map(i32::unsigned_abs),
                    parent: row.parent.as_deref().map(|parent| parse_column("run id", parent)).transpose()?,
                },
                error: row.error,
                log: row.log,
            })
        })
    }
}

type Checks = BTreeMap<CheckName, Counts>;

/// Reads one row more than requested, which shows whether there are older rows.
pub(super) fn page<R, T>(mut rows: Vec<R>, first: u64, read: impl FnMut(R) -> Result<T>) -> Result<Page<T>> {
    let first = usize::try_from(first).unwrap_or(usize::MAX);
    let has_more = rows.len() > first;
    rows.truncate(first);
    Ok(Page { rows: rows.into_iter().map(read).collect::<Result<_>>()?, has_more })
}

trait SelectPage {
    type Column;
    fn page(self, request: &PageRequest, source: Self::Column, at: Self::Column, id: Self::Column) -> Self;
}

impl<E: EntityTrait> SelectPage for Select<E> {
    type Column = E::Column;

    fn page(mut self, request: &PageRequest, source: E::Column, at: E::Column, id: E::Column) -> Self {
        if let Some(key) = &request.source {
            self = self.filter(source.eq(key.as_str()));
        }
        if let Some(from) = request.from {
            self = self.filter(at.gte(from));
        }
        if let Some(to) = request.to {
            self = self.filter(at.lt(to));
        }
        if let Some(position) = request.after {
            let row = Expr::tuple([Expr::col(at), Expr::col(id)]);
            self = self.filter(row.lt(Expr::tuple([Expr::value(position.at), Expr::value(position.id)])));
        }
        self.order_by_desc(at).order_by_desc(id).limit(request.first + 1)
    }
}

fn counts(attempts: i64, successes: i64) -> Counts {
    Counts::new(attempts.unsigned_abs(), successes.unsigned_abs()).unwrap_or_default()
}

fn counts_of(text: Option<&str>) -> Result<NamedCounts> {
    let counts: BTreeMap<String, u64> = text.map_or(Ok(BTreeMap::new()), |text| parse_json("counts", text))?;
    counts.into_iter().map(|(name, count)| Ok((parse_column("count", &name)?, count))).collect()
}
