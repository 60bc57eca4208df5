use std::collections::{HashMap, HashSet};

use crate::alerting::Evaluator;
use crate::domain::alert::{Finding, Rule, Tracked};
use crate::domain::clock_skew::TOLERATED;
use crate::domain::freshness::{Outage, Outages, STARTUP_GRACE, judge, learn};
use crate::domain::pipeline::PipelineKey;
use crate::domain::source::SourceKey;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::leases::Lease;

/// What was learned from a source's runs, and up to which of them: nothing new is learned before the next.
#[derive(Debug, Default)]
pub(super) struct Paces(HashMap<(PipelineKey, SourceKey), (Option<Timestamp>, Option<chrono::TimeDelta>)>);

impl Paces {
    /// Forgets the pipelines that are not among these.
    pub(super) fn keep_pipelines(&mut self, are_there: &HashSet<&PipelineKey>) {
        self.0.retain(|(pipeline, _), _| are_there.contains(pipeline));
    }
}

/// Outages that ended longer ago say nothing of any deadline: no grace is longer.
const LONG_AGO: chrono::TimeDelta = chrono::TimeDelta::days(1_200);

impl Evaluator {
    /// When no server ran.
    pub(super) async fn outages(&self, now: Timestamp) -> Result<Outages> {
        let outages = self.store.outages(now - LONG_AGO).await?;
        let outages = outages.into_iter().map(|(from, to)| Outage { from, to });
        // One that ends in the future was noted by a wrong clock.
        Ok(Outages::new(outages.filter(|outage| outage.to - now <= TOLERATED), STARTUP_GRACE))
    }

    /// Whether the sources of a pipeline are late.
    pub(super) async fn overdue_sources(
        &mut self,
        pipeline: &PipelineKey,
        outages: &Outages,
        now: Timestamp,
    ) -> Result<Vec<Finding>> {
        let paces = self.store.source_schedules(pipeline).await?;
        let mut findings = Vec::with_capacity(paces.len());
        for (source, mut pace) in paces {
            if pace.expectation.is_none() {
                let key = (pipeline.clone(), source.clone());
                pace.learned = match self.paces.0.get(&key) {
                    Some((last_run, learned)) if *last_run == pace.last_run => *learned,
                    _ => {
                        let learned = learn(&self.store.recent_finish_times(pipeline, &source).await?);
                        self.paces.0.insert(key, (pace.last_run, learned));
                        learned
                    }
                };
            }
            findings.push(Finding::overdue(pipeline.clone(), source, judge(&pace, outages, now), &self.policy));
        }
        Ok(findings)
    }

    /// Keeps in mind which pipelines wait for a source.
    pub(super) fn remember_overdue(&mut self, pipeline: &PipelineKey, findings: &[Finding]) {
        let is_overdue =
            findings.iter().any(|finding| finding.rule == Rule::Overdue && finding.verdict.severity().is_some());
        match self.store.newest_revision(pipeline).filter(|_| is_overdue) {
            Some(revision) => drop(self.overdue.insert(pipeline.clone(), revision)),
            None => drop(self.overdue.remove(pipeline)),
        }
    }

    /// Something was reported: whoever was waited for may have come, and its alert ends at once.
    pub(super) async fn recheck_overdue(&mut self, lease: Option<&Lease>) -> Result<()> {
        let Some(lease) = lease.filter(|_| self.clock.skew().is_none()) else { return Ok(()) };
        let waiting: Vec<PipelineKey> = self
            .overdue
            .iter()
            .filter(|(pipeline, revision)| {
                self.store.newest_revision(pipeline).is_none_or(|newest| newest > **revision)
            })
            .map(|(pipeline, _)| pipeline.clone())
            .collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let outages = self.outages(now).await?;
        for pipeline in waiting {
            let findings = self.overdue_sources(&pipeline, &outages, now).await?;
            // Only what has come: what is late still is a matter of the next evaluation.
            let came: Vec<Finding> =
                findings.iter().filter(|finding| finding.verdict.severity().is_none()).cloned().collect();
            let fingerprints: HashSet<_> = came.iter().map(Finding::fingerprint).collect();
            let was_waited_for =
                |alert: &Tracked| alert.rule == Rule::Overdue && fingerprints.contains(&alert.fingerprint);
            self.store.step_alerts(lease, Some(&pipeline), &came, was_waited_for, (&self.policy, now)).await?;
            self.remember_overdue(&pipeline, &findings);
        }
        Ok(())
    }
}
