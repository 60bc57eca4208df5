//! The rows that a group of reports comes to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sea_orm::{ActiveValue::Set, DbErr, EntityTrait as _};
use uuid::Uuid;

use crate::domain::check::Quality;
use crate::domain::counts::Counts;
use crate::domain::health::Health;
use crate::domain::metric::MetricType;
use crate::domain::pipeline::PipelineKey;
use crate::domain::report::{BodyDigest, DataQualityReport, Phase, Report, SourceRunReport};
use crate::domain::rollup::{RollupBasis, Series};
use crate::domain::run::{LastRun, RunState};
use crate::domain::source::SourceKey;
use crate::domain::step::Step;
use crate::domain::time::Timestamp;
use crate::store::entity::{data_quality_metric, metric_check, run_step, source_run};
use crate::store::known_ids::{Acquaintance, Known, KnownIds};
use crate::store::record::{Entry, ROWS, Recorded};
use crate::store::rollups::{Cell, RollupSums};
use crate::store::room::Room;
use crate::store::source_rows::{self, Newest};
use crate::store::started_runs;
use crate::store::transaction::Transaction;

/// The rows that a group of reports comes to.
#[derive(Default)]
pub(super) struct Rows {
    /// Runs that are not stored yet.
    runs: Vec<source_run::ActiveModel>,
    /// Where each of them is in `runs`.
    places: HashMap<Uuid, usize>,
    /// Runs that are stored and have now ended.
    ended: Vec<source_run::ActiveModel>,
    /// Runs that have ended and are stored, and of whose start is only told now.
    started: Vec<(Uuid, Timestamp, BodyDigest)>,
    /// Runs that were given up and have ended after all, by their sources.
    found: BTreeSet<(PipelineKey, SourceKey)>,
    /// The steps of a run, in their order.
    steps: BTreeMap<Uuid, Vec<Step>>,
    metrics: Vec<data_quality_metric::ActiveModel>,
    rollups: RollupSums,
    checks: Vec<metric_check::ActiveModel>,
    /// Each source with what is newest of it here.
    sources: BTreeMap<(PipelineKey, SourceKey), Newest>,
    /// Pipelines that something is written to.
    pub(super) pipelines: BTreeSet<PipelineKey>,
}

impl Rows {
    pub(super) fn sort_in(&mut self, entry: &Entry, known: &mut KnownIds, room: &mut Room) -> Recorded {
        let report = &entry.report;
        if room.removing.contains(report.pipeline()) {
            return Recorded::PipelineBeingRemoved(report.id());
        }
        if room.is_removing_source(report) {
            return Recorded::SourceBeingRemoved(report.id());
        }
        let digest = report.digest();
        let id = report.id().unwrap_or_else(Uuid::now_v7);
        let met = match known.entry((report.kind(), id)) {
            std::collections::hash_map::Entry::Vacant(vacant) => {
                if let Err(exceeded) = room.admit(report) {
                    return Recorded::OverLimit(report.id(), exceeded);
                }
                vacant.insert(Known::of(report, digest));
                None
            }
            std::collections::hash_map::Entry::Occupied(mut occupied) => match occupied.get().meet(report, digest) {
                Acquaintance::NextPhase => {
                    if let Err(exceeded) = room.admit(report) {
                        return Recorded::OverLimit(report.id(), exceeded);
                    }
                    let before = occupied.get().clone();
                    occupied.get_mut().take(report, digest);
                    Some(before)
                }
                Acquaintance::Duplicate => return Recorded::Duplicate(id),
                Acquaintance::Conflict => return Recorded::Conflict(id),
                Acquaintance::OtherPipeline => return Recorded::OtherPipeline(id),
            },
        };
        self.pipelines.insert(report.pipeline().clone());
        match report {
            Report::SourceRun(run) if run.phase() == Phase::Start => self.add_start(id, run, digest, met.is_some()),
            Report::SourceRun(run) => self.add_end(id, run, digest, entry.status, met.as_ref()),
            Report::DataQuality(metric) => self.add_metric(id, metric, digest, entry.status),
        }
        Recorded::Stored(id)
    }

    fn newest(&mut self, run: &SourceRunReport) -> &mut Newest {
        self.sources.entry((run.pipeline.clone(), run.source.clone())).or_default()
    }

    /// The start of a run, which may have ended already.
    fn add_start(&mut self, id: Uuid, run: &SourceRunReport, digest: BodyDigest, has_ended: bool) {
        self.newest(run).steps_of(id, run);
        if !has_ended {
            self.steps.insert(id, run.steps.clone());
            self.places.insert(id, self.runs.len());
            let start_digest = Set(Some(digest.to_vec()));
            return self.runs.push(source_run::ActiveModel { start_digest, ..run_row(id, run) });
        }
        match self.places.get(&id) {
            Some(place) => {
                let row = &mut self.runs[*place];
                row.start_digest = Set(Some(digest.to_vec()));
                // What was said at the end stands.
                if row.started_at.as_ref().is_none() {
                    row.started_at = Set(Some(run.timestamp));
                }
            }
            None => self.started.push((id, run.timestamp, digest)),
        }
    }

    /// The end of a run, whose start may have been told.
    fn add_end(
        &mut self,
        id: Uuid,
        run: &SourceRunReport,
        digest: BodyDigest,
        status: Health,
        started: Option<&Known>,
    ) {
        let state = RunState::from(run.outcome());
        let last = (!run.is_backfill()).then_some(LastRun { state, finished_at: run.timestamp });
        let newest = self.newest(run);
        newest.run_ended(last);
        newest.steps_of(id, run);
        if started.is_some_and(|known| known.is_lost) {
            self.found.insert((run.pipeline.clone(), run.source.clone()));
        }
        // Its start's steps are out of date.
        self.steps.insert(id, run.steps.clone());
        let quality = run.quality();
        // A run that failed and brought nothing says nothing of how much there was: it is not empty, but failed.
        let volume = |count: Option<u32>| count.filter(|count| *count > 0 || state == RunState::Ok);
        self.rollups.add(
            Cell::new(&run.pipeline, Some(&run.source), RollupBasis::SourceSpecific, run.timestamp),
            quality.as_ref(),
            &[(Series::ARTICLES, volume(run.articles_collected)), (Series::EVENTS, volume(run.events_extracted))],
        );
        if let Some(quality) = quality {
            let source = Some(run.source.as_str());
            let metric = data_quality_metric::ActiveModel {
                id: Set(Uuid::now_v7()),
                pipeline: Set(run.pipeline.as_str().to_owned()),
                timestamp: Set(run.timestamp),
                digest: Set(None),
                ..metric_row(&quality, MetricType::SourceSpecific, source, status)
            };
            self.checks.extend(counted_check_rows(&metric, &quality));
            self.metrics.push(metric);
        }
        let row = source_run::ActiveModel { end_digest: Set(Some(digest.to_vec())), ..run_row(id, run) };
        match (started, self.places.get(&id)) {
            (None, _) => {
                self.places.insert(id, self.runs.len());
                self.runs.push(row);
            }
            (Some(_), Some(place)) => {
                let start = &mut self.runs[*place];
                let started_at = run.started_at.or(start.started_at.take().flatten());
                let start_digest = start.start_digest.clone();
                *start = source_run::ActiveModel { started_at: Set(started_at), start_digest, ..row };
            }
            (Some(_), None) => self.ended.push(row),
        }
    }

    fn add_metric(&mut self, id: Uuid, metric: &DataQualityReport, digest: BodyDigest, status: Health) {
        if let Some(source) = &metric.source {
            self.sources.entry((metric.pipeline.clone(), source.clone())).or_default();
        }
        let source = metric.source.as_ref().map(SourceKey::as_str);
        let quality = metric.quality();
        let basis = RollupBasis::of(metric.metric_type, metric.source.is_some());
        let cell = Cell::new(&metric.pipeline, metric.source.as_ref(), basis, metric.timestamp);
        self.rollups.add(cell, Some(&quality), &[]);
        let metric = data_quality_metric::ActiveModel {
            id: Set(id),
            pipeline: Set(metric.pipeline.as_str().to_owned()),
            timestamp: Set(metric.timestamp),
            digest: Set(Some(digest.to_vec())),
            ..metric_row(&quality, metric.metric_type, source, status)
        };
        self.checks.extend(counted_check_rows(&metric, &quality));
        self.metrics.push(metric);
    }

    /// Writes all of it, at `now`. The pipelines' rows are locked.
    pub(super) async fn write(&self, transaction: &Transaction, now: Timestamp) -> Result<(), DbErr> {
        source_rows::upsert(transaction, &self.sources, now).await?;
        for rows in self.runs.chunks(ROWS) {
            source_run::Entity::insert_many(rows.iter().cloned()).exec_without_returning(transaction).await?;
        }
        started_runs::end(transaction, &self.ended).await?;
        started_runs::tell_start(transaction, &self.started).await?;
        started_runs::replace_steps(transaction, self.ended.iter().map(|run| run.id.as_ref())).await?;
        let steps: Vec<_> = self.steps.iter().flat_map(|(run, steps)| step_rows(*run, steps)).collect();
        for rows in steps.chunks(ROWS) {
            run_step::Entity::insert_many(rows.iter().cloned()).exec_without_returning(transaction).await?;
        }
        for rows in self.metrics.chunks(ROWS) {
            data_quality_metric::Entity::insert_many(rows.iter().cloned()).exec_without_returning(transaction).await?;
        }
        for rows in self.checks.chunks(ROWS) {
            metric_check::Entity::insert_many(rows.iter().cloned()).exec_without_returning(transaction).await?;
        }
        for (pipeline, source) in &self.found {
            source_rows::recall_last_run(transaction, pipeline, source).await?;
        }
        self.rollups.write(transaction).await
    }
}

/// The row of a run, without its digests.
fn run_row(id: Uuid, run: &SourceRunReport) -> source_run::ActiveModel {
    let is_start = run.phase() == Phase::Start;
    let (started_at, finished_at) =
        if is_start { (Some(run.timestamp), None) } else { (run.started_at, Some(run.timestamp)) };
    source_run::ActiveModel {
        id: Set(id),
        pipeline: Set(run.pipeline.as_str().to_owned()),
        source: Set(run.source.as_str().to_owned()),
        state: Set(RunState::from(run.outcome()).as_str().to_owned()),
        started_at: Set(started_at),
        finished_at: Set(finished_at),
        received_at: Set(run.received_at),
        backfill: Set(run.is_backfill()),
        articles_collected: Set(run.articles_collected.map(u32::cast_signed)),
        events_extracted: Set(run.events_extracted.map(u32::cast_signed)),
        geocoding_attempts: Set(run.geocoding.map(|counts| column(counts.attempts()))),
        geocoding_successes: Set(run.geocoding.map(|counts| column(counts.successes()))),
        validation_attempts: Set(run.validation.map(|counts| column(counts.attempts()))),
        validation_passes: Set(run.validation.map(|counts| column(counts.successes()))),
        error: Set(run.error.clone()),
        end_digest: Set(None),
        start_digest: Set(None),
    }
}

/// The rows of the further checks of a reported metric, which count for the status.
fn counted_check_rows(
    metric: &data_quality_metric::ActiveModel,
    quality: &Quality,
) -> impl Iterator<Item = metric_check::ActiveModel> {
    check_rows(*metric.id.as_ref(), quality).map(|check| metric_check::ActiveModel {
        pipeline: Set(Some(metric.pipeline.as_ref().clone())),
        timestamp: Set(Some(*metric.timestamp.as_ref())),
        metric_type: Set(Some(metric.metric_type.as_ref().clone())),
        of_sources: Set(Some(metric.source.as_ref().is_some())),
        ..check
    })
}

/// The rows of the further checks of a metric.
pub(super) fn check_rows(metric_id: Uuid, quality: &Quality) -> impl Iterator<Item = metric_check::ActiveModel> {
    quality.others.iter().map(move |(name, counts)| metric_check::ActiveModel {
        metric_id: Set(metric_id),
        name: Set(name.to_string()),
        attempts: Set(column(counts.attempts())),
        passes: Set(column(counts.successes())),
        pipeline: Set(None),
        timestamp: Set(None),
        metric_type: Set(None),
        of_sources: Set(None),
    })
}

fn step_rows(run: Uuid, steps: &[Step]) -> impl Iterator<Item = run_step::ActiveModel> {
    (0..).zip(steps).map(move |(position, step)| run_step::ActiveModel {
        run_id: Set(run),
        position: Set(position),
        name: Set(step.name.to_string()),
        state: Set(step.state.as_str().to_owned()),
        items_in: Set(step.items_in.map(u32::cast_signed)),
        items_out: Set(step.items_out.map(u32::cast_signed)),
        started_at: Set(step.started_at),
        ended_at: Set(step.ended_at),
    })
}

pub(super) fn metric_row(
    quality: &Quality,
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
