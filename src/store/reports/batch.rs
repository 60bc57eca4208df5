//! The rows that a batch of reports results in.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sea_orm::ActiveValue::Set;
use sea_orm::{DbErr, EntityTrait as _};
use uuid::Uuid;

use crate::domain::health::Health;
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::metric::MetricType;
use crate::domain::report::{BodyDigest, DataQualityReport, Phase, Report, SourceRunReport};
use crate::domain::rollup::{RollupBasis, Series};
use crate::domain::run::{LastRun, RunState};
use crate::domain::step::Step;
use crate::domain::time::Timestamp;
use crate::store::entity::{data_quality_metric, metric_check, run_step, source_run};
use crate::store::reports::idempotency::{ExistingReport, ExistingReports, IdMatch, key_of};
use crate::store::reports::latest_run::LatestRun;
use crate::store::reports::quotas::Quotas;
use crate::store::reports::report::{NewReport, RecordOutcome};
use crate::store::reports::rows::{
    complete, counted_check_rows, counts_text, metric_row, run_row, step_rows, without_unused_columns,
};
use crate::store::reports::{latest_run, run_lifecycle};
use crate::store::rollups::sums::{RollupKey, RollupSums};
use crate::store::statements::MAX_ROWS_PER_INSERT;
use crate::store::transaction::Transaction;

/// The rows that a batch of reports results in.
#[derive(Default)]
pub(in crate::store) struct ReportBatch {
    /// Runs that are not stored yet.
    runs: Vec<source_run::ActiveModel>,
    /// The position of each of them in `runs`.
    run_index: HashMap<Uuid, usize>,
    /// Stored runs that have finished.
    ended: Vec<source_run::ActiveModel>,
    /// The start reports of finished, stored runs.
    started: Vec<source_run::ActiveModel>,
    /// Sources of runs that were marked as lost and have finished after all.
    recovered_sources: BTreeSet<(PipelineKey, SourceKey)>,
    /// The steps of each run, in order.
    steps: BTreeMap<Uuid, Vec<Step>>,
    metrics: Vec<data_quality_metric::ActiveModel>,
    rollups: RollupSums,
    checks: Vec<metric_check::ActiveModel>,
    /// Each source with its latest run in the batch.
    sources: BTreeMap<(PipelineKey, SourceKey), LatestRun>,
    /// Pipelines that the batch writes to.
    pub(in crate::store) affected_pipelines: BTreeSet<PipelineKey>,
}

impl ReportBatch {
    pub(in crate::store) fn add(
        &mut self,
        entry: &NewReport,
        known: &mut ExistingReports,
        quotas: &mut Quotas,
    ) -> RecordOutcome {
        let report = &entry.report;
        if quotas.removing.contains(report.pipeline()) {
            return RecordOutcome::PipelineBeingRemoved(report.id());
        }
        if quotas.is_removing_source(report) {
            return RecordOutcome::SourceBeingRemoved(report.id());
        }
        let digest = report.digest();
        let key = key_of(report, known);
        let id = || report.id().unwrap_or_else(|| key.to_string());
        let matched = match known.entry((report.kind(), key)) {
            std::collections::hash_map::Entry::Vacant(vacant) => {
                if let Err(exceeded) = quotas.admit(report) {
                    return RecordOutcome::OverLimit(report.id(), exceeded);
                }
                vacant.insert(ExistingReport::of(report, digest));
                None
            }
            std::collections::hash_map::Entry::Occupied(mut occupied) => {
                match occupied.get().match_report(report, digest) {
                    IdMatch::NextPhase => {
                        if let Err(exceeded) = quotas.admit(report) {
                            return RecordOutcome::OverLimit(report.id(), exceeded);
                        }
                        let before = occupied.get().clone();
                        occupied.get_mut().apply(report, digest);
                        Some(before)
                    }
                    IdMatch::Duplicate => return RecordOutcome::Duplicate(id()),
                    IdMatch::Conflict => return RecordOutcome::Conflict(id()),
                    IdMatch::OtherPipeline => return RecordOutcome::OtherPipeline(id()),
                }
            }
        };
        self.affected_pipelines.insert(report.pipeline().clone());
        match report {
            Report::SourceRun(run) if run.phase() == Phase::Start => {
                self.add_start(key, run, digest, matched.is_some());
            }
            Report::SourceRun(run) => self.add_end(key, run, digest, entry.status, matched.as_ref()),
            Report::DataQuality(metric) => self.add_metric(key, metric, digest, entry.status),
        }
        RecordOutcome::Stored(id())
    }

    fn newest(&mut self, run: &SourceRunReport) -> &mut LatestRun {
        self.sources.entry((run.pipeline.clone(), run.source.clone())).or_default()
    }

    /// Adds the start of a run. The run may have finished already.
    fn add_start(&mut self, id: Uuid, run: &SourceRunReport, digest: BodyDigest, has_ended: bool) {
        self.newest(run).steps_of(id, run);
        let row = source_run::ActiveModel { start_digest: Set(Some(digest.to_vec())), ..run_row(id, run) };
        if !has_ended {
            self.steps.insert(id, run.steps.clone());
            self.run_index.insert(id, self.runs.len());
            return self.runs.push(row);
        }
        match self.run_index.get(&id) {
            Some(place) => complete(&mut self.runs[*place], row),
            None => self.started.push(row),
        }
    }

    /// Adds the end of a run, whose start may be stored.
    fn add_end(
        &mut self,
        id: Uuid,
        run: &SourceRunReport,
        digest: BodyDigest,
        status: Health,
        started: Option<&ExistingReport>,
    ) {
        let state = RunState::from(run.outcome());
        let last = (!run.is_backfill()).then_some(LastRun { state, finished_at: run.timestamp });
        let newest = self.newest(run);
        newest.run_ended(last);
        newest.steps_of(id, run);
        if started.is_some_and(|known| known.is_lost) {
            self.recovered_sources.insert((run.pipeline.clone(), run.source.clone()));
        }
        // They replace the steps of the start report.
        self.steps.insert(id, run.steps.clone());
        let quality = run.quality();
        // A failed run without items has an unknown volume, not an empty one.
        let volumes = run.all_counts().filter(|(_, count)| *count > 0 || state == RunState::Ok);
        self.rollups.add(
            RollupKey::new(&run.pipeline, Some(&run.source), RollupBasis::SourceSpecific, run.timestamp),
            quality.as_ref(),
            volumes.map(|(name, count)| (Series::of_count(&name), count)),
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
        match (started, self.run_index.get(&id)) {
            (None, _) => {
                self.run_index.insert(id, self.runs.len());
                self.runs.push(row);
            }
            (Some(_), Some(place)) => {
                let start = std::mem::replace(&mut self.runs[*place], row);
                complete(&mut self.runs[*place], start);
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
        let key = RollupKey::new(&metric.pipeline, metric.source.as_ref(), basis, metric.timestamp);
        let volumes = metric.counts.iter().map(|(name, count)| (Series::of_count(name), *count));
        self.rollups.add(key, Some(&quality), volumes);
        let counts = counts_text(&metric.counts);
        let metric = data_quality_metric::ActiveModel {
            id: Set(id),
            pipeline: Set(metric.pipeline.as_str().to_owned()),
            timestamp: Set(metric.timestamp),
            digest: Set(Some(digest.to_vec())),
            counts: Set(counts),
            ..metric_row(&quality, metric.metric_type, source, status)
        };
        self.checks.extend(counted_check_rows(&metric, &quality));
        self.metrics.push(metric);
    }

    /// Writes all rows. The pipelines' rows must be locked.
    pub(in crate::store) async fn write(&self, transaction: &Transaction, now: Timestamp) -> Result<(), DbErr> {
        latest_run::upsert(transaction, &self.sources, now).await?;
        for rows in self.runs.chunks(MAX_ROWS_PER_INSERT) {
            source_run::Entity::insert_many(without_unused_columns(rows)).exec_without_returning(transaction).await?;
        }
        run_lifecycle::end(transaction, &self.ended).await?;
        run_lifecycle::fill_start(transaction, &self.started).await?;
        run_lifecycle::replace_steps(transaction, self.ended.iter().map(|run| run.id.as_ref())).await?;
        let steps: Vec<_> = self.steps.iter().flat_map(|(run, steps)| step_rows(*run, steps)).collect();
        for rows in steps.chunks(MAX_ROWS_PER_INSERT) {
            run_step::Entity::insert_many(rows.iter().cloned()).exec_without_returning(transaction).await?;
        }
        for rows in self.metrics.chunks(MAX_ROWS_PER_INSERT) {
            data_quality_metric::Entity::insert_many(rows.iter().cloned()).exec_without_returning(transaction).await?;
        }
        for rows in self.checks.chunks(MAX_ROWS_PER_INSERT) {
            metric_check::Entity::insert_many(rows.iter().cloned()).exec_without_returning(transaction).await?;
        }
        for (pipeline, source) in &self.recovered_sources {
            latest_run::recompute_last_run(transaction, pipeline, source).await?;
        }
        self.rollups.write(transaction).await
    }
}
