//! Reads the facts that a status is computed from.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait as _, Func};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QuerySelect as _, Select, Statement,
};

use crate::domain::check::Quality;
use crate::domain::counts::{Counts, add_counts};
use crate::domain::key::PipelineKey;
use crate::domain::metric::MetricType;
use crate::domain::named_counts::{CountName, NamedCounts};
use crate::domain::revision::Revision;
use crate::domain::run::RunState;
use crate::domain::status::{Facts, MetricSums, QualitySums, SourceFacts};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::alerts::anomalies::worst_anomalies;
use crate::store::alerts::read::worst_alerts;
use crate::store::columns::parse_column;
use crate::store::entity::{conflict_event, data_quality_metric, metric_check, pipeline, source, source_run};
use crate::store::handle::Store;
use crate::store::sources::row::last_run;
use crate::store::sources::running::running;
use crate::store::statements::{capped_sum, each_count};
use crate::store::status::steps::last_cycle;
use crate::store::transaction::Transaction;

#[derive(FromQueryResult)]
struct RunSums {
    source: String,
    runs: i64,
    succeeded: Option<i64>,
    succeeded_fresh: Option<i64>,
    articles: Option<i64>,
    events: Option<i64>,
}

#[derive(FromQueryResult)]
struct MetricRow {
    metric_type: String,
    of_sources: i32,
    geocoding_attempts: Option<i64>,
    geocoding_successes: Option<i64>,
    validation_attempts: Option<i64>,
    validation_passes: Option<i64>,
    last_updated: Option<Timestamp>,
}

#[derive(FromQueryResult)]
struct CheckRow {
    metric_type: String,
    of_sources: bool,
    name: String,
    attempts: Option<i64>,
    passes: Option<i64>,
}

#[derive(FromQueryResult)]
struct EventSums {
    events: i64,
    geocoded: Option<i64>,
    validated: Option<i64>,
    last_updated: Option<Timestamp>,
}

impl Store {
    /// Reads the facts that a pipeline's status is computed from, in one read transaction. Rows newer than `since`
    /// count. Returns `None` when the pipeline does not exist.
    pub async fn facts(&self, pipeline: &PipelineKey, since: Timestamp) -> Result<Option<Facts>> {
        let known = self.revisions.newest(pipeline);
        let transaction = self.read().await?;
        let facts = facts(&transaction, pipeline, since, self.connections.backend()).await?;
        transaction.commit().await.map_err(Error::database)?;
        if facts.is_none() {
            self.revisions.observe_removal(pipeline, known);
        }
        Ok(facts)
    }
}

async fn facts(
    transaction: &Transaction,
    key: &PipelineKey,
    since: Timestamp,
    backend: DbBackend,
) -> Result<Option<Facts>> {
    let found = pipeline::Entity::find_by_id(key.as_str())
        .filter(pipeline::Column::RemovingAt.is_null())
        .one(transaction)
        .await
        .map_err(Error::database)?;
    let Some(found) = found else { return Ok(None) };

    let runs = run_sums(transaction, key, since).await?;
    let total = |of: fn(&RunSums) -> Option<i64>| runs.iter().filter_map(of).map(unsigned).reduce(add_counts);
    let (articles, events) = (total(|run| run.articles), total(|run| run.events));
    let old = [(CountName::ARTICLES, articles), (CountName::EVENTS, events)];
    let mut counts = count_sums(transaction, key, since, backend).await?;
    counts.extend(old.into_iter().filter_map(|(name, sum)| Some((name, sum?))));
    let metrics = metric_sums(transaction, key, since).await?;
    let conflict_events = if metrics.iter().any(|group| group.sums.quality.has_attempt()) {
        None
    } else {
        event_sums(transaction, key, since, backend).await?
    };
    Ok(Some(Facts {
        pipeline: key.clone(),
        revision: Revision::from_stored(found.revision),
        sources: source_facts(transaction, key, runs).await?,
        counts,
        steps: last_cycle(transaction, key, since).await?.into(),
        alerts: worst_alerts(transaction, key).await?,
        anomalies: worst_anomalies(transaction, key, since).await?,
        metrics,
        conflict_events,
    }))
}

async fn source_facts(transaction: &Transaction, key: &PipelineKey, runs: Vec<RunSums>) -> Result<Vec<SourceFacts>> {
    let running = running_runs(transaction, key).await?;
    let mut runs: HashMap<String, RunSums> = runs.into_iter().map(|run| (run.source.clone(), run)).collect();
    let sources = source::Entity::find()
        .filter(source::Column::Pipeline.eq(key.as_str()))
        .filter(source::Column::RemovingAt.is_null())
        .all(transaction)
        .await
        .map_err(Error::database)?;
    sources
        .into_iter()
        .map(|row| {
            let sums = runs.remove(&row.key);
            let running = running.get(&row.key).copied().map_or(0, unsigned);
            let sum = |of: fn(&RunSums) -> Option<i64>| sums.as_ref().and_then(of).map_or(0, unsigned);
            Ok(SourceFacts {
                enabled: row.enabled,
                last_run: last_run(&row)?,
                running,
                runs: sum(|sums| Some(sums.runs)),
                succeeded: sum(|sums| sums.succeeded),
                succeeded_fresh: sum(|sums| sums.succeeded_fresh),
                key: parse_column("source", &row.key)?,
            })
        })
        .collect()
}

/// Counts the running runs of each source.
async fn running_runs(transaction: &Transaction, key: &PipelineKey) -> Result<HashMap<String, i64>> {
    let running: Vec<(String, i64)> =
        select_running(key).into_tuple().all(transaction).await.map_err(Error::database)?;
    Ok(running.into_iter().collect())
}

pub(in crate::store) fn select_running(key: &PipelineKey) -> Select<source_run::Entity> {
    running()
        .select_only()
        .column(source_run::Column::Source)
        .column_as(source_run::Column::Id.count(), "running")
        .filter(source_run::Column::Pipeline.eq(key.as_str()))
        .group_by(source_run::Column::Source)
}

async fn run_sums(transaction: &Transaction, key: &PipelineKey, since: Timestamp) -> Result<Vec<RunSums>> {
    let backend = transaction.get_database_backend();
    select_run_sums(key, since, backend).into_model().all(transaction).await.map_err(Error::database)
}

pub(in crate::store) fn select_run_sums(
    key: &PipelineKey,
    since: Timestamp,
    backend: DbBackend,
) -> Select<source_run::Entity> {
    let ok = || source_run::Column::State.eq(RunState::Ok.as_str());
    source_run::Entity::find()
        .select_only()
        .column(source_run::Column::Source)
        .expr_as(Expr::col(source_run::Column::Id).count(), "runs")
        .expr_as(count_where(ok()), "succeeded")
        .expr_as(count_where(ok().and(source_run::Column::Backfill.eq(false))), "succeeded_fresh")
        .expr_as(Expr::cust(capped_sum("articles_collected", backend)), "articles")
        .expr_as(Expr::cust(capped_sum("events_extracted", backend)), "events")
        .filter(source_run::Column::Pipeline.eq(key.as_str()))
        .filter(source_run::Column::FinishedAt.gt(since))
        .group_by(source_run::Column::Source)
}

/// Sums the named counts of all runs in the window.
async fn count_sums(
    transaction: &Transaction,
    key: &PipelineKey,
    since: Timestamp,
    backend: DbBackend,
) -> Result<NamedCounts> {
    let (each, name, value) = each_count("r.counts", backend);
    let sql = format!(
        "SELECT {name}, {} FROM source_runs AS r, {each} \
         WHERE r.pipeline = $1 AND r.finished_at > $2 AND r.counts IS NOT NULL GROUP BY {name}",
        capped_sum(value, backend)
    );
    let values = [key.as_str().into(), since.into()];
    let rows = transaction.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await;
    rows.map_err(Error::database)?
        .into_iter()
        .map(|row| {
            let name: String = row.try_get_by_index(0).map_err(Error::database)?;
            let sum: i64 = row.try_get_by_index(1).map_err(Error::database)?;
            Ok((parse_column("count", &name)?, unsigned(sum)))
        })
        .collect()
}

async fn metric_sums(transaction: &Transaction, key: &PipelineKey, since: Timestamp) -> Result<Vec<MetricSums>> {
    let rows: Vec<MetricRow> = select_metric_sums(key, since, transaction.get_database_backend())
        .into_model()
        .all(transaction)
        .await
        .map_err(Error::database)?;
    let mut others = check_sums(transaction, key, since).await?;
    rows.into_iter()
        .filter_map(|row| {
            let of_this = |check: &mut CheckRow| {
                check.metric_type == row.metric_type && check.of_sources == (row.of_sources == 1)
            };
            let of_others = others.extract_if(.., of_this).map(|check| {
                let name = parse_column("check", &check.name)?;
                Ok((name, counts(check.attempts, check.passes)))
            });
            let quality = of_others.collect::<Result<_>>().map(|others| Quality {
                geocoding: counts(row.geocoding_attempts, row.geocoding_successes),
                validation: counts(row.validation_attempts, row.validation_passes),
                others,
            });
            let (last_updated, of_sources) = (row.last_updated?, row.of_sources == 1);
            let metric_type = parse_column("metric type", &row.metric_type);
            Some(quality.and_then(|quality| {
                Ok(MetricSums { metric_type: metric_type?, of_sources, sums: QualitySums { quality, last_updated } })
            }))
        })
        .collect()
}

pub(in crate::store) fn select_metric_sums(
    key: &PipelineKey,
    since: Timestamp,
    backend: DbBackend,
) -> Select<data_quality_metric::Entity> {
    use data_quality_metric::Column;
    data_quality_metric::Entity::find()
        .select_only()
        .column(Column::MetricType)
        .expr_as(of_sources(), "of_sources")
        .expr_as(Expr::cust(capped_sum("geocoding_attempts", backend)), "geocoding_attempts")
        .expr_as(Expr::cust(capped_sum("geocoding_successes", backend)), "geocoding_successes")
        .expr_as(Expr::cust(capped_sum("validation_attempts", backend)), "validation_attempts")
        .expr_as(Expr::cust(capped_sum("validation_passes", backend)), "validation_passes")
        .expr_as(Expr::col(Column::Timestamp).max(), "last_updated")
        .filter(Column::Pipeline.eq(key.as_str()))
        .filter(Column::Timestamp.gt(since))
        // Without the hourly metrics that the server writes.
        .filter(Column::MetricType.ne(MetricType::Hourly.as_str()).or(Column::Digest.is_not_null()))
        .group_by(Column::MetricType)
        .group_by(Expr::col("of_sources"))
}

/// Sums the custom checks in the same groups.
async fn check_sums(transaction: &Transaction, key: &PipelineKey, since: Timestamp) -> Result<Vec<CheckRow>> {
    select_check_sums(key, since, transaction.get_database_backend())
        .into_model()
        .all(transaction)
        .await
        .map_err(Error::database)
}

pub(in crate::store) fn select_check_sums(
    key: &PipelineKey,
    since: Timestamp,
    backend: DbBackend,
) -> Select<metric_check::Entity> {
    use metric_check::Column;
    metric_check::Entity::find()
        .select_only()
        .columns([Column::MetricType, Column::OfSources, Column::Name])
        .expr_as(Expr::cust(capped_sum("attempts", backend)), "attempts")
        .expr_as(Expr::cust(capped_sum("passes", backend)), "passes")
        .filter(Column::Pipeline.eq(key.as_str()))
        .filter(Column::Timestamp.gt(since))
        .group_by(Column::MetricType)
        .group_by(Column::OfSources)
        .group_by(Column::Name)
}

/// 1 for rows of single sources, else 0.
fn of_sources() -> Expr {
    Expr::Case(Box::new(Expr::case(data_quality_metric::Column::Source.is_null(), 0).finally(1)))
}

async fn event_sums(
    transaction: &Transaction,
    key: &PipelineKey,
    since: Timestamp,
    backend: DbBackend,
) -> Result<Option<QualitySums>> {
    use conflict_event::Column;
    let geocoded = Column::Latitude.is_not_null().and(Column::Longitude.is_not_null());
    // As in the index: other programs may write times in any of SQLite's formats.
    let in_window = match backend {
        DbBackend::Sqlite => julianday(Expr::col(Column::CreatedAt)).gt(julianday(Expr::value(since))),
        _ => Column::CreatedAt.gt(since),
    };
    let sums: Option<EventSums> = conflict_event::Entity::find()
        .select_only()
        .expr_as(Expr::col(Column::Id).count(), "events")
        .expr_as(count_where(geocoded), "geocoded")
        .expr_as(count_where(Column::Verified.eq(true)), "validated")
        .expr_as(Expr::col(Column::CreatedAt).max(), "last_updated")
        .filter(Column::Pipeline.eq(key.as_str()))
        .filter(in_window)
        .into_model()
        .one(transaction)
        .await
        .map_err(Error::database)?;
    Ok(sums.and_then(|sums| {
        let events = Some(sums.events);
        let quality = Quality {
            geocoding: counts(events, sums.geocoded),
            validation: counts(events, sums.validated),
            ..Quality::default()
        };
        Some(QualitySums { quality, last_updated: sums.last_updated? })
    }))
}

fn julianday(instant: Expr) -> Expr {
    Func::cust("julianday").arg(instant).into()
}

fn count_where(condition: Expr) -> Expr {
    Expr::Case(Box::new(Expr::case(condition, 1).finally(0))).sum()
}

fn counts(attempts: Option<i64>, successes: Option<i64>) -> Counts {
    let (attempts, successes) = (attempts.map_or(0, unsigned), successes.map_or(0, unsigned));
    Counts::new(attempts, Ord::min(successes, attempts)).unwrap_or_default()
}

fn unsigned(sum: i64) -> u64 {
    u64::try_from(sum).unwrap_or(0)
}
