use std::collections::{HashMap, HashSet};

use crate::alerting::Evaluator;
use crate::domain::alert::{Finding, Rule, TrackedAlert};
use crate::domain::clock_skew::MAX_SKEW;
use crate::domain::freshness::{Outage, Outages, STARTUP_GRACE, infer_interval, lateness};
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::leases::Lease;

/// The interval inferred for each source, and its last run at that time: it is inferred again after the next run.
#[derive(Debug, Default)]
pub(super) struct IntervalCache(HashMap<(PipelineKey, SourceKey), (Option<Timestamp>, Option<chrono::TimeDelta>)>);

impl IntervalCache {
    pub(super) fn retain_pipelines(&mut self, existing: &HashSet<&PipelineKey>) {
        self.0.retain(|(pipeline, _), _| existing.contains(pipeline));
    }
}

/// Older outages affect no deadline, since no schedule and grace are longer.
const OUTAGE_LOOKBACK: chrono::TimeDelta = chrono::TimeDelta::days(1_200);

impl Evaluator {
    /// The times at which no server ran.
    pub(super) async fn outages(&self, now: Timestamp) -> Result<Outages> {
        let outages = self.store.outages(now - OUTAGE_LOOKBACK).await?;
        let outages = outages.into_iter().map(|(from, to)| Outage { from, to });
        // An outage that ends in the future was recorded by a wrong clock.
        Ok(Outages::new(outages.filter(|outage| outage.to - now <= MAX_SKEW), STARTUP_GRACE))
    }

    /// One finding per enabled source of a pipeline.
    pub(super) async fn overdue_sources(
        &mut self,
        pipeline: &PipelineKey,
        outages: &Outages,
        now: Timestamp,
    ) -> Result<Vec<Finding>> {
        let cadences = self.store.source_schedules(pipeline).await?;
        let outages = outages.with_startup_grace(self.rules.of(pipeline).startup_grace);
        let mut findings = Vec::with_capacity(cadences.len());
        for (source, mut cadence) in cadences {
            if cadence.expected.is_none() {
                let key = (pipeline.clone(), source.clone());
                cadence.inferred_interval = match self.intervals.0.get(&key) {
                    Some((last_run, interval)) if *last_run == cadence.last_run => *interval,
                    _ => {
                        let interval = infer_interval(&self.store.recent_finish_times(pipeline, &source).await?);
                        self.intervals.0.insert(key, (cadence.last_run, interval));
                        interval
                    }
                };
            }
            findings.push(Finding::overdue(pipeline.clone(), source, lateness(&cadence, &outages, now), &self.policy));
        }
        Ok(findings)
    }

    /// Records whether a pipeline has an overdue source.
    pub(super) fn remember_overdue(&mut self, pipeline: &PipelineKey, findings: &[Finding]) {
        let is_overdue =
            findings.iter().any(|finding| finding.rule == Rule::Overdue && finding.verdict.severity().is_some());
        match self.store.newest_revision(pipeline).filter(|_| is_overdue) {
            Some(revision) => drop(self.overdue.insert(pipeline.clone(), revision)),
            None => drop(self.overdue.remove(pipeline)),
        }
    }

    /// Rechecks pipelines with an overdue source after a report, so that the alert resolves at once.
    pub(super) async fn recheck_overdue(&mut self, lease: Option<&Lease>) -> Result<()> {
        let Some(lease) = lease.filter(|_| self.clock.skew().is_none()) else { return Ok(()) };
        let changed: Vec<PipelineKey> = self
            .overdue
            .iter()
            .filter(|(pipeline, revision)| {
                self.store.newest_revision(pipeline).is_none_or(|newest| newest > **revision)
            })
            .map(|(pipeline, _)| pipeline.clone())
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let outages = self.outages(now).await?;
        for pipeline in changed {
            let findings = self.overdue_sources(&pipeline, &outages, now).await?;
            // Only sources that have reported: the others are left to the next evaluation.
            let reported: Vec<Finding> =
                findings.iter().filter(|finding| finding.verdict.severity().is_none()).cloned().collect();
            let fingerprints: HashSet<_> = reported.iter().map(Finding::fingerprint).collect();
            let is_affected =
                |alert: &TrackedAlert| alert.rule == Rule::Overdue && fingerprints.contains(&alert.fingerprint);
            self.store.apply_findings(lease, Some(&pipeline), &reported, is_affected, (&self.policy, now)).await?;
            self.remember_overdue(&pipeline, &findings);
        }
        Ok(())
    }
}
