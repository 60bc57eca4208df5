use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::TimeDelta;

use crate::alerting::Evaluator;
use crate::domain::alert::{AnomalousSeries, DeadFeed, Finding};
use crate::domain::anomaly::{self, Anomaly, Bucket, HISTORY, Hour, Method, Series, Subject, tests_per_month};
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::rollup::{self, RollupBasis};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::leases::Lease;
use crate::store::{DailyTotals, HourlySeries};

/// In a pipeline that was never evaluated, only hours younger than this raise anomalies.
const INITIAL_LOOKBACK: TimeDelta = TimeDelta::hours(24);

/// The series of every pipeline and their severe anomalies, which every hour's evaluation needs.
#[derive(Debug, Default)]
pub(super) struct SeriesCache(HashMap<PipelineKey, PipelineSeries>);

impl SeriesCache {
    pub(super) fn retain_pipelines(&mut self, existing: &HashSet<&PipelineKey>) {
        self.0.retain(|pipeline, _| existing.contains(pipeline));
    }

    pub(super) fn retain_sources(&mut self, pipeline: &PipelineKey, existing: &HashSet<&SourceKey>) {
        if let Some(known) = self.0.get_mut(pipeline) {
            let exists = |source: Option<&SourceKey>| source.is_none_or(|source| existing.contains(source));
            known.series.retain(|(source, _), _| exists(source.as_ref()));
            known.severe.retain(|anomaly| exists(anomaly.source.as_ref()));
        }
    }
}

#[derive(Debug, Default)]
struct PipelineSeries {
    /// The days' totals when the series were read. A day whose totals have changed is read again, whatever its age.
    days: DailyTotals,
    series: BTreeMap<(Option<SourceKey>, rollup::Series), Series>,
    /// Anomalies of high severity, the oldest first.
    severe: Vec<Anomaly>,
    /// The newest hour that was evaluated.
    evaluated: Option<Hour>,
}

impl Evaluator {
    /// Evaluates the hours of all pipelines that have closed since the last call. Returns whether the lease is still held.
    pub(super) async fn detect_anomalies(
        &mut self,
        lease: &Lease,
        pipelines: &[PipelineKey],
        now: Timestamp,
    ) -> Result<bool> {
        let last_closed = Hour::last_closed(now);
        let mut due = Vec::new();
        for pipeline in pipelines {
            // Imported history may take long to read.
            if !self.still_holds(lease).await? {
                return Ok(false);
            }
            if self.series.0.get(pipeline).and_then(|known| known.evaluated) < Some(last_closed) {
                let read = self.read_series(pipeline, last_closed, now).await;
                let is_read = read.is_ok();
                // The lease is checked before each pipeline.
                let _ = self.log_and_continue(pipeline.as_str(), read.map(|()| true));
                due.extend(is_read.then_some(pipeline));
            }
        }
        if due.is_empty() {
            return Ok(true);
        }
        // One budget for all tests of a month.
        let all = self.series.0.values().flat_map(|known| known.series.values());
        let alpha = self.budget.alpha(all.map(|series| tests_per_month(series, last_closed)).sum());
        for pipeline in due {
            let evaluated = self.evaluate_series(lease, pipeline, (last_closed, alpha), now).await;
            if self.log_and_continue(pipeline.as_str(), evaluated).is_break() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Evaluates the hours of one pipeline up to the last closed one. Returns whether the lease is still held.
    async fn evaluate_series(
        &mut self,
        lease: &Lease,
        pipeline: &PipelineKey,
        (last_closed, alpha): (Hour, f64),
        now: Timestamp,
    ) -> Result<bool> {
        let Some(known) = self.series.0.get_mut(pipeline) else { return Ok(true) };
        let mut findings = Vec::new();
        for series in known.series.values() {
            findings.extend(anomaly::evaluate(std::slice::from_ref(series), now, alpha));
            // Takes long when hundreds of sources fail at once, and must not delay subscribers.
            tokio::task::yield_now().await;
        }
        let evaluated_to = last_closed.start() + TimeDelta::hours(1);
        if !self.store.save_anomalies(lease, pipeline, &findings, evaluated_to).await? {
            return Ok(false);
        }
        known.evaluated = Some(last_closed);
        known.series.values_mut().for_each(|series| series.evaluated_to(last_closed));
        let severe = findings.into_iter().map(|finding| finding.anomaly);
        known.severe.extend(severe.filter(|anomaly| anomaly.severity == crate::domain::severity::Severity::High));
        Ok(true)
    }

    /// Reads the hours of a pipeline that are new or have changed: all of them the first time, then mostly today's.
    async fn read_series(&mut self, pipeline: &PipelineKey, last_closed: Hour, now: Timestamp) -> Result<()> {
        let oldest = now - HISTORY;
        let first_day = rollup::Bucket::Day.start_of(oldest);
        // Read before the hours, so that a report in between counts as a change next time.
        let days = self.store.daily_totals(pipeline, first_day).await?;
        let known = self.series.0.entry(pipeline.clone()).or_default();
        let evaluated = if let Some(evaluated) = known.evaluated {
            evaluated
        } else {
            known.severe = self.store.high_severity_anomalies(pipeline, oldest).await?;
            let evaluated_to = self.store.anomalies_evaluated_until(pipeline).await?;
            Hour::of(evaluated_to.unwrap_or(now - INITIAL_LOOKBACK)).minus(1).min(last_closed)
        };
        known.severe.retain(|anomaly| anomaly.timestamp >= oldest);
        known.days.forget_before(first_day);
        let Some(since) = days.first_change(&known.days).map(|day| day.max(oldest)) else { return Ok(()) };
        let all = self.store.hourly_series(pipeline, since).await?;
        // An hour may have been removed, with its source or by a correction.
        known.series.values_mut().for_each(|series| series.forget_since(Hour::of(since)));
        for read in all.into_iter().filter(is_evaluated) {
            let subject = Subject::of_series(read.series.as_str());
            let key = (read.source.clone(), read.series.clone());
            let series = known.series.entry(key).or_insert_with(|| {
                Series::new(pipeline.clone(), read.source.clone(), subject, Vec::new(), Some(evaluated))
            });
            for hour in read.hours {
                series.record(Bucket {
                    hour: Hour::of(hour.start),
                    runs: u32::try_from(hour.runs).unwrap_or(u32::MAX),
                    total: hour.total,
                    passes: hour.passes,
                });
            }
        }
        known.series.values_mut().for_each(|series| series.forget_before(Hour::of(oldest)));
        known.series.retain(|_, series| !series.buckets().is_empty());
        known.days = days;
        Ok(())
    }

    /// The findings of a pipeline's anomalies and empty sources.
    pub(super) fn anomalies(&self, pipeline: &PipelineKey, now: Timestamp) -> Vec<Finding> {
        let Some(known) = self.series.0.get(pipeline) else { return Vec::new() };
        let mut findings = Vec::new();
        let mut dead_feeds: BTreeMap<&SourceKey, Option<DeadFeed>> = BTreeMap::new();
        for ((source, name), series) in &known.series {
            let of_this = |anomaly: &&Anomaly| anomaly.source == *source && anomaly.subject == *series.subject();
            let mut newest_first = known.severe.iter().rev().filter(of_this);
            // The empty hours of a dead feed are not reported as further anomalies.
            let is_dead = |anomaly: &Anomaly| anomaly.method == Method::DeadFeed;
            let dead = known.severe.iter().rev().filter(of_this).find(|anomaly| is_dead(anomaly));
            if let Some(source) = source
                && matches!(series.subject(), Subject::Articles | Subject::Count(_))
            {
                // One finding per source: of articles, else of the first count that has run dry.
                let of_source = dead_feeds.entry(source).or_default();
                *of_source = of_source.take().or_else(|| dead.and_then(|anomaly| still_dead(series, anomaly)));
            }
            if let Some(anomaly) = newest_first.find(|anomaly| !is_dead(anomaly)) {
                let at = anomaly.timestamp + TimeDelta::hours(1);
                let after = series.buckets().iter().filter(|bucket| bucket.hour.start() >= at);
                let evaluated =
                    after.filter(|bucket| known.evaluated.is_some_and(|evaluated| bucket.hour <= evaluated));
                let anomalous = AnomalousSeries {
                    kind: anomaly.kind,
                    source: source.clone(),
                    series: name.to_string(),
                    name: series.subject().name().to_owned(),
                    severity: anomaly.severity,
                    description: anomaly.description.clone(),
                    at,
                    normal_since: u32::try_from(evaluated.count()).unwrap_or(u32::MAX),
                };
                findings.push(Finding::anomaly(pipeline.clone(), anomalous, now));
            }
        }
        let dead = dead_feeds
            .into_iter()
            .map(|(source, dead)| Finding::dead_feed(pipeline.clone(), source.clone(), dead, &self.policy));
        findings.extend(dead);
        findings
    }
}

/// Whether a series is evaluated: the whole pipeline only by its own metrics, since its sources are evaluated one by one.
fn is_evaluated(read: &HourlySeries) -> bool {
    let is_of_sources = read.source.is_none() && read.basis != RollupBasis::Aggregate;
    !is_of_sources && read.basis != RollupBasis::Hourly
}

/// The dead feed that an anomaly found, unless it has returned data since.
fn still_dead(series: &Series, anomaly: &Anomaly) -> Option<DeadFeed> {
    let found = Hour::of(anomaly.timestamp);
    if series.buckets().iter().any(|bucket| bucket.hour >= found && bucket.total > 0) {
        return None;
    }
    let last = series.buckets().iter().rev().find(|bucket| bucket.total > 0);
    let since = last.map(|bucket| bucket.hour);
    let empty = series.buckets().iter().filter(|bucket| Some(bucket.hour) > since);
    Some(DeadFeed {
        count: series.subject().name().to_owned(),
        last_non_empty: since.map(Hour::start),
        runs: empty.map(|bucket| u64::from(bucket.runs)).sum(),
        expected: anomaly.expected,
    })
}
