use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::TimeDelta;

use crate::alerting::Evaluator;
use crate::domain::alert::{AnomalousSeries, DeadFeed, Finding};
use crate::domain::anomaly::{self, Anomaly, Bucket, HISTORY, Hour, Method, Series, Subject, tests_a_month};
use crate::domain::pipeline::PipelineKey;
use crate::domain::rollup::{self, RollupBasis};
use crate::domain::source::SourceKey;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::leases::Lease;
use crate::store::{DailyTotals, HourlySeries};

/// Of a pipeline that was never judged only what is younger than this can be news.
const FIRST_LOOK: TimeDelta = TimeDelta::hours(24);

/// The series of every pipeline, and what was gravely wrong with them: kept, because all of it is needed again each hour.
#[derive(Debug, Default)]
pub(super) struct Memory(HashMap<PipelineKey, Known>);

impl Memory {
    /// Forgets the pipelines that are not among these.
    pub(super) fn keep_pipelines(&mut self, are_there: &HashSet<&PipelineKey>) {
        self.0.retain(|pipeline, _| are_there.contains(pipeline));
    }

    /// Forgets the sources of a pipeline that are not among these.
    pub(super) fn keep_sources(&mut self, pipeline: &PipelineKey, are_there: &HashSet<&SourceKey>) {
        if let Some(known) = self.0.get_mut(pipeline) {
            let is_there = |source: Option<&SourceKey>| source.is_none_or(|source| are_there.contains(source));
            known.series.retain(|(source, _), _| is_there(source.as_ref()));
            known.grave.retain(|anomaly| is_there(anomaly.source.as_ref()));
        }
    }
}

#[derive(Debug, Default)]
struct Known {
    /// As they were when the series were read: a day that has changed since is read again, however long ago it was.
    days: DailyTotals,
    series: BTreeMap<(Option<SourceKey>, rollup::Series), Series>,
    /// The oldest first.
    grave: Vec<Anomaly>,
    /// Up to which hour the series were read, and judged.
    judged: Option<Hour>,
}

impl Evaluator {
    /// Judges the hours that have closed since the last time, in all pipelines. Whether the lease still holds.
    pub(super) async fn judge_closed_hours(
        &mut self,
        lease: &Lease,
        pipelines: &[PipelineKey],
        now: Timestamp,
    ) -> Result<bool> {
        let last_closed = Hour::last_closed(now);
        let mut due = Vec::new();
        for pipeline in pipelines {
            // What was imported may be much to read.
            if !self.still_holds(lease).await? {
                return Ok(false);
            }
            if self.memory.0.get(pipeline).and_then(|known| known.judged) < Some(last_closed) {
                let read = self.read_series(pipeline, last_closed, now).await;
                let is_read = read.is_ok();
                self.goes_on(pipeline.as_str(), read.map(|()| true));
                due.extend(is_read.then_some(pipeline));
            }
        }
        if due.is_empty() {
            return Ok(true);
        }
        // One budget for all: every test of a month has its share.
        let all = self.memory.0.values().flat_map(|known| known.series.values());
        let alpha = self.budget.alpha(all.map(|series| tests_a_month(series, last_closed)).sum());
        for pipeline in due {
            let judged = self.judge(lease, pipeline, (last_closed, alpha), now).await;
            if !self.goes_on(pipeline.as_str(), judged) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Judges the hours of a pipeline up to the last closed. Whether the lease still holds.
    async fn judge(
        &mut self,
        lease: &Lease,
        pipeline: &PipelineKey,
        (last_closed, alpha): (Hour, f64),
        now: Timestamp,
    ) -> Result<bool> {
        let Some(known) = self.memory.0.get_mut(pipeline) else { return Ok(true) };
        let mut findings = Vec::new();
        for series in known.series.values() {
            findings.extend(anomaly::evaluate(std::slice::from_ref(series), now, alpha));
            // When hundreds of feeds fail at once this is long; nobody who watches shall wait for it.
            tokio::task::yield_now().await;
        }
        let judged_to = last_closed.start() + TimeDelta::hours(1);
        if !self.store.save_anomalies(lease, pipeline, &findings, judged_to).await? {
            return Ok(false);
        }
        known.judged = Some(last_closed);
        known.series.values_mut().for_each(|series| series.judged_to(last_closed));
        let grave = findings.into_iter().map(|finding| finding.anomaly);
        known.grave.extend(grave.filter(|anomaly| anomaly.severity == anomaly::Severity::High));
        Ok(true)
    }

    /// Reads what is new of a pipeline's series, and what has changed: all of it the first time, then mostly today.
    async fn read_series(&mut self, pipeline: &PipelineKey, last_closed: Hour, now: Timestamp) -> Result<()> {
        let oldest = now - HISTORY;
        let first_day = rollup::Bucket::Day.start_of(oldest);
        // Before the hours: what comes in between is a change the next time.
        let days = self.store.daily_totals(pipeline, first_day).await?;
        let known = self.memory.0.entry(pipeline.clone()).or_default();
        let judged = if let Some(judged) = known.judged {
            judged
        } else {
            known.grave = self.store.high_severity_anomalies(pipeline, oldest).await?;
            let judged_to = self.store.anomalies_evaluated_until(pipeline).await?;
            Hour::of(judged_to.unwrap_or(now - FIRST_LOOK)).minus(1).min(last_closed)
        };
        known.grave.retain(|anomaly| anomaly.timestamp >= oldest);
        known.days.forget_before(first_day);
        let Some(since) = days.first_change(&known.days).map(|day| day.max(oldest)) else { return Ok(()) };
        let all = self.store.hourly_series(pipeline, since).await?;
        // An hour may be gone, with its source or by a correction.
        known.series.values_mut().for_each(|series| series.forget_since(Hour::of(since)));
        for read in all.into_iter().filter(is_judged) {
            let subject = match read.series.as_str() {
                rollup::Series::ARTICLES => Subject::Articles,
                rollup::Series::EVENTS => Subject::Events,
                check => Subject::Check(check.into()),
            };
            let key = (read.source.clone(), read.series.clone());
            let series = known.series.entry(key).or_insert_with(|| {
                Series::new(pipeline.clone(), read.source.clone(), subject, Vec::new(), Some(judged))
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

    /// What the statistics say of a pipeline's series now.
    pub(super) fn anomalies(&self, pipeline: &PipelineKey, now: Timestamp) -> Vec<Finding> {
        let Some(known) = self.memory.0.get(pipeline) else { return Vec::new() };
        let mut findings = Vec::new();
        for ((source, name), series) in &known.series {
            let of_this = |anomaly: &&Anomaly| anomaly.source == *source && anomaly.subject == *series.subject();
            let mut newest_first = known.grave.iter().rev().filter(of_this);
            // An hour that is empty is no anomaly of its own beside the feed that is dead.
            let is_dead = |anomaly: &Anomaly| anomaly.method == Method::DeadFeed;
            let dead = known.grave.iter().rev().filter(of_this).find(|anomaly| is_dead(anomaly));
            if let Some(source) = source
                && *series.subject() == Subject::Articles
            {
                let dead = dead.and_then(|anomaly| still_dead(series, anomaly));
                findings.push(Finding::dead_feed(pipeline.clone(), source.clone(), dead, &self.policy));
            }
            if let Some(anomaly) = newest_first.find(|anomaly| !is_dead(anomaly)) {
                let at = anomaly.timestamp + TimeDelta::hours(1);
                let after = series.buckets().iter().filter(|bucket| bucket.hour.start() >= at);
                let judged = after.filter(|bucket| known.judged.is_some_and(|judged| bucket.hour <= judged));
                let anomalous = AnomalousSeries {
                    kind: anomaly.kind,
                    source: source.clone(),
                    series: name.to_string(),
                    severity: anomaly.severity,
                    description: anomaly.description.clone(),
                    at,
                    normal_since: u32::try_from(judged.count()).unwrap_or(u32::MAX),
                };
                findings.push(Finding::anomaly(pipeline.clone(), anomalous, now));
            }
        }
        findings
    }
}

/// The whole pipeline is judged by what was reported of it; the sums of its sources are judged by source.
fn is_judged(read: &HourlySeries) -> bool {
    let is_of_sources = read.source.is_none() && read.basis != RollupBasis::Aggregate;
    !is_of_sources && read.basis != RollupBasis::Hourly
}

/// What there is to say of a feed that was found dead, unless something has come since.
fn still_dead(series: &Series, anomaly: &Anomaly) -> Option<DeadFeed> {
    let found = Hour::of(anomaly.timestamp);
    if series.buckets().iter().any(|bucket| bucket.hour >= found && bucket.total > 0) {
        return None;
    }
    let last = series.buckets().iter().rev().find(|bucket| bucket.total > 0);
    let since = last.map(|bucket| bucket.hour);
    let empty = series.buckets().iter().filter(|bucket| Some(bucket.hour) > since);
    Some(DeadFeed {
        last_non_empty: since.map(Hour::start),
        runs: empty.map(|bucket| u64::from(bucket.runs)).sum(),
        expected: anomaly.expected,
    })
}
