use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, DatabaseTransaction, DbErr, EntityTrait as _, QueryFilter as _,
    QuerySelect as _, SqlErr,
};
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::check::Quality;
use crate::domain::counts::Counts;
use crate::domain::health::Health;
use crate::domain::metric::MetricType;
use crate::domain::pipeline::PipelineKey;
use crate::domain::report::{BodyDigest, DataQualityReport, Report, SourceRunReport};
use crate::domain::revision::Revision;
use crate::domain::rollup::{RollupBasis, Series};
use crate::domain::run::{LastRun, RunState};
use crate::domain::source::SourceKey;
use crate::store::connect::Connections;
use crate::store::entity::{data_quality_metric, pipeline, source, source_run};
use crate::store::known_ids::{KnownIds, known_ids};
use crate::store::rollups::{Cell, RollupSums};

/// Rows of one INSERT: 16 columns × 1,000 stay below SQLite's 32,766 parameters.
pub(super) const ROWS: usize = 1_000;
/// How often a group is begun anew when another server stored one of its ids in the meantime.
const ATTEMPTS: usize = 3;

/// A report to be stored, and what its quality counts come to.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The report.
    pub report: Report,
    /// The status of its metric.
    pub status: Health,
}

/// What became of a request's reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// One for each report, in their order.
    pub results: Vec<Recorded>,
    /// The revisions of the pipelines they went to.
    pub revisions: BTreeMap<PipelineKey, Revision>,
}

/// What became of one report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is committed under this id.
    Stored(Uuid),
    /// The same was committed before.
    Duplicate(Uuid),
    /// Something else was committed under this id before.
    Conflict(Uuid),
    /// The id is taken by another pipeline.
    OtherPipeline(Uuid),
}

/// Writes a group of requests in one transaction: rows, sources and revisions.
pub(super) async fn record(
    connections: &Connections,
    clock: &Clock,
    group: &[Vec<Entry>],
) -> Result<Vec<Receipt>, DbErr> {
    let mut attempt = 1;
    loop {
        match attempt_record(connections, clock, group).await {
            Err(error)
                if attempt < ATTEMPTS && matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) =>
            {
                attempt += 1;
            }
            done => return done,
        }
    }
}

async fn attempt_record(connections: &Connections, clock: &Clock, group: &[Vec<Entry>]) -> Result<Vec<Receipt>, DbErr> {
    let transaction = connections.write().await?;
    let mut known = known_ids(&transaction, group).await?;
    let mut rows = Rows::default();
    let results: Vec<Vec<Recorded>> =
        group.iter().map(|entries| entries.iter().map(|entry| rows.sort_in(entry, &mut known)).collect()).collect();

    // The pipelines' rows are locked in the order of their keys, before anything is written: servers that write to the
    // same ones take turns and cannot deadlock, and revisions rise in the order of the commits.
    let mut revisions = lock_pipelines(&transaction, &rows.pipelines, &rows.touched, clock).await?;
    rows.write(&transaction).await?;
    let now = clock.now();
    for key in &rows.pipelines {
        let revision = Revision::after(revisions.get(key).copied(), now);
        pipeline::Entity::update_many()
            .col_expr(pipeline::Column::Revision, Expr::value(revision.get()))
            .filter(pipeline::Column::Key.eq(key.as_str()))
            .exec(&transaction)
            .await?;
        revisions.insert(key.clone(), revision);
    }
    transaction.commit().await?;

    Ok(group.iter().zip(results).map(|(entries, results)| receipt(entries, results, &revisions)).collect())
}

fn receipt(entries: &[Entry], results: Vec<Recorded>, revisions: &BTreeMap<PipelineKey, Revision>) -> Receipt {
    let accepted = entries
        .iter()
        .zip(&results)
        .filter(|(_, result)| matches!(result, Recorded::Stored(_) | Recorded::Duplicate(_)))
        .filter_map(|(entry, _)| {
            let key = entry.report.pipeline();
            revisions.get(key).map(|revision| (key.clone(), *revision))
        })
        .collect();
    Receipt { results, revisions: accepted }
}

async fn lock_pipelines(
    transaction: &DatabaseTransaction,
    written: &BTreeSet<PipelineKey>,
    touched: &BTreeSet<PipelineKey>,
    clock: &Clock,
) -> Result<BTreeMap<PipelineKey, Revision>, DbErr> {
    let now = clock.now();
    if !written.is_empty() {
        let rows = written.iter().map(|key| pipeline::ActiveModel {
            key: Set(key.as_str().to_owned()),
            revision: Set(Revision::after(None, now).get() - 1),
        });
        pipeline::Entity::insert_many(rows)
            .on_conflict(OnConflict::column(pipeline::Column::Key).do_nothing().to_owned())
            .exec_without_returning(transaction)
            .await?;
    }
    let rows = pipeline::Entity::find()
        .filter(pipeline::Column::Key.is_in(touched.iter().map(PipelineKey::as_str)))
        .order_by_key()
        .lock_exclusive()
        .all(transaction)
        .await?;
    rows.into_iter()
        .map(|row| {
            let key = row.key.parse().map_err(|error| DbErr::Type(format!("{}: {error}", row.key)))?;
            Ok((key, Revision::from_stored(row.revision)))
        })
        .collect()
}

trait OrderByKey {
    fn order_by_key(self) -> Self;
}

impl OrderByKey for sea_orm::Select<pipeline::Entity> {
    fn order_by_key(self) -> Self {
        sea_orm::QueryOrder::order_by_asc(self, pipeline::Column::Key)
    }
}

/// The rows that a group of reports comes to.
#[derive(Default)]
struct Rows {
    runs: Vec<source_run::ActiveModel>,
    metrics: Vec<data_quality_metric::ActiveModel>,
    rollups: RollupSums,
    /// Each source with the newest of its runs here that was no backfill.
    sources: BTreeMap<(PipelineKey, SourceKey), Option<LastRun>>,
    /// Pipelines that something is written to.
    pipelines: BTreeSet<PipelineKey>,
    /// The same, and those of duplicates.
    touched: BTreeSet<PipelineKey>,
}

impl Rows {
    fn sort_in(&mut self, entry: &Entry, known: &mut KnownIds) -> Recorded {
        let report = &entry.report;
        let digest = report.digest();
        if let Some(id) = report.id()
            && let Some((pipeline, stored)) = known.get(&(report.kind(), id))
        {
            return if pipeline != report.pipeline() {
                Recorded::OtherPipeline(id)
            } else if *stored == Some(digest) {
                self.touched.insert(pipeline.clone());
                Recorded::Duplicate(id)
            } else {
                Recorded::Conflict(id)
            };
        }
        let id = report.id().unwrap_or_else(Uuid::now_v7);
        known.insert((report.kind(), id), (report.pipeline().clone(), Some(digest)));
        self.pipelines.insert(report.pipeline().clone());
        self.touched.insert(report.pipeline().clone());
        match report {
            Report::SourceRun(run) => self.add_run(id, run, digest, entry.status),
            Report::DataQuality(metric) => self.add_metric(id, metric, digest, entry.status),
        }
        Recorded::Stored(id)
    }

    fn add_run(&mut self, id: Uuid, run: &SourceRunReport, digest: BodyDigest, status: Health) {
        let state = RunState::from(run.outcome());
        let backfill = run.is_backfill();
        let last = (!backfill).then_some(LastRun { state, finished_at: run.timestamp });
        let newest = self.sources.entry((run.pipeline.clone(), run.source.clone())).or_default();
        *newest = newest_run(*newest, last);
        self.rollups.add(
            Cell::new(&run.pipeline, Some(&run.source), RollupBasis::SourceSpecific, run.timestamp),
            run.quality().into_iter().flat_map(Quality::by_name),
            [(Series::ARTICLES, run.articles_collected), (Series::EVENTS, run.events_extracted)],
        );
        if let Some(quality) = run.quality() {
            let source = Some(run.source.as_str());
            let metric_type = MetricType::SourceSpecific;
            self.metrics.push(data_quality_metric::ActiveModel {
                id: Set(Uuid::now_v7()),
                pipeline: Set(run.pipeline.as_str().to_owned()),
                timestamp: Set(run.timestamp),
                digest: Set(None),
                ..metric_row(quality, metric_type, source, status)
            });
        }
        self.runs.push(source_run::ActiveModel {
            id: Set(id),
            pipeline: Set(run.pipeline.as_str().to_owned()),
            source: Set(run.source.as_str().to_owned()),
            state: Set(state.as_str().to_owned()),
            started_at: Set(None),
            finished_at: Set(Some(run.timestamp)),
            received_at: Set(run.received_at),
            backfill: Set(backfill),
            articles_collected: Set(run.articles_collected.map(u32::cast_signed)),
            events_extracted: Set(run.events_extracted.map(u32::cast_signed)),
            geocoding_attempts: Set(run.geocoding.map(|counts| column(counts.attempts()))),
            geocoding_successes: Set(run.geocoding.map(|counts| column(counts.successes()))),
            validation_attempts: Set(run.validation.map(|counts| column(counts.attempts()))),
            validation_passes: Set(run.validation.map(|counts| column(counts.successes()))),
            error: Set(run.error.clone()),
            end_digest: Set(Some(digest.to_vec())),
        });
    }

    fn add_metric(&mut self, id: Uuid, metric: &DataQualityReport, digest: BodyDigest, status: Health) {
        if let Some(source) = &metric.source {
            self.sources.entry((metric.pipeline.clone(), source.clone())).or_default();
        }
        let basis = RollupBasis::of(metric.metric_type, metric.source.is_some());
        self.rollups.add(
            Cell::new(&metric.pipeline, metric.source.as_ref(), basis, metric.timestamp),
            metric.quality().by_name(),
            [],
        );
        let source = metric.source.as_ref().map(SourceKey::as_str);
        self.metrics.push(data_quality_metric::ActiveModel {
            id: Set(id),
            pipeline: Set(metric.pipeline.as_str().to_owned()),
            timestamp: Set(metric.timestamp),
            digest: Set(Some(digest.to_vec())),
            ..metric_row(metric.quality(), metric.metric_type, source, status)
        });
    }

    async fn write(&self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        let sources: Vec<source::ActiveModel> = self
            .sources
            .iter()
            .map(|((pipeline, key), last)| source::ActiveModel {
                pipeline: Set(pipeline.as_str().to_owned()),
                key: Set(key.as_str().to_owned()),
                enabled: Set(true),
                last_run_at: Set(last.map(|last| last.finished_at)),
                last_run_state: Set(last.map(|last| last.state.as_str().to_owned())),
            })
            .collect();
        for rows in sources.chunks(ROWS) {
            source::Entity::insert_many(rows.iter().cloned())
                .on_conflict(keep_newest_run())
                .exec_without_returning(transaction)
                .await?;
        }
        for rows in self.runs.chunks(ROWS) {
            source_run::Entity::insert_many(rows.iter().cloned()).exec_without_returning(transaction).await?;
        }
        for rows in self.metrics.chunks(ROWS) {
            data_quality_metric::Entity::insert_many(rows.iter().cloned()).exec_without_returning(transaction).await?;
        }
        self.rollups.write(transaction).await
    }
}

/// The newer of two runs; of two that ended at the same instant the failed one, so that the order in which reports come
/// does not matter.
fn newest_run(one: Option<LastRun>, two: Option<LastRun>) -> Option<LastRun> {
    let rank = |run: &LastRun| (run.finished_at, run.state == RunState::Failed);
    one.into_iter().chain(two).max_by_key(rank)
}

/// [`newest_run`] in SQL, between the stored row and the one that comes.
fn keep_newest_run() -> OnConflict {
    let stored = |column| Expr::col((source::Entity, column));
    let coming = |column: source::Column| Expr::col(("excluded", column));
    let (at, state) = (source::Column::LastRunAt, source::Column::LastRunState);
    let newer = coming(at).is_not_null().and(
        stored(at)
            .is_null()
            .or(coming(at).gt(stored(at)))
            .or(coming(at).eq(stored(at)).and(coming(state).eq(RunState::Failed.as_str()))),
    );
    OnConflict::columns([source::Column::Pipeline, source::Column::Key])
        .update_columns([at, state])
        .action_and_where(newer)
        .to_owned()
}

pub(super) fn metric_row(
    quality: Quality,
    metric_type: MetricType,
    source: Option<&str>,
    status: Health,
) -> data_quality_metric::ActiveModel {
    let rate = |counts: Counts| counts.rate().unwrap_or(0.0);
    data_quality_metric::ActiveModel {
        geocoding_attempts: Set(column(quality.geocoding.attempts())),
        geocoding_successes: Set(column(quality.geocoding.successes())),
        geocoding_success_rate: Set(rate(quality.geocoding)),
        validation_attempts: Set(column(quality.validation.attempts())),
        validation_passes: Set(column(quality.validation.successes())),
        validation_pass_rate: Set(rate(quality.validation)),
        metric_type: Set(metric_type.as_str().to_owned()),
        source: Set(source.map(str::to_owned)),
        status: Set(status.as_str().to_owned()),
        ..Default::default()
    }
}

/// A reported count as an `integer`; reports are bounded to fit.
fn column(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
