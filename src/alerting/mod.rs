//! Evaluates pipelines and raises or resolves alerts. One server at a time, the leader, evaluates. Findings are a function of
//! rows and an instant.

mod anomalies;
mod lost;
mod overdue;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::alerting::anomalies::SeriesCache;
use crate::alerting::overdue::IntervalCache;
use crate::clock::Clock;
use crate::domain::alert::{FailureStreak, Finding, Policy, SelfCheck};
use crate::domain::anomaly::Budget;
use crate::domain::freshness::Outages;
use crate::domain::key::PipelineKey;
use crate::domain::revision::Revision;
use crate::domain::status::{Facts, RuleBook, evaluate};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::maintenance::Maintenance;
use crate::notify::Notifier;
use crate::self_monitor::SelfMonitor;
use crate::store::Store;
use crate::store::leases::{Lease, RENEWAL_INTERVAL};

/// The name of the leader's lease.
const LEASE: &str = "evaluation";

/// Evaluates while it holds the lease.
pub struct Evaluator {
    store: Arc<Store>,
    rules: RuleBook,
    policy: Policy,
    budget: Budget,
    notifier: Arc<Notifier>,
    maintenance: Arc<Maintenance>,
    self_monitor: Arc<SelfMonitor>,
    /// Whether this server's problems are stored for the leader.
    has_reported_problem: bool,
    clock: Clock,
    /// Identifies this server among those on the same database.
    name: String,
    every: Duration,
    intervals: IntervalCache,
    series: SeriesCache,
    /// Pipelines with an overdue source, and their revision when it was found: they are rechecked as soon as that changes.
    overdue: HashMap<PipelineKey, Revision>,
    /// The parts of the last evaluation that failed.
    failed: BTreeSet<String>,
    failures: FailureStreak,
    /// The lease's term under which the caches were filled.
    term: Option<i64>,
    /// When the lease was last renewed within an evaluation.
    renewed_at: Instant,
    /// Cancelled when the server stops.
    stop: CancellationToken,
}

impl Evaluator {
    pub fn new(
        store: Arc<Store>,
        rules: RuleBook,
        (policy, budget): (Policy, Budget),
        (notifier, maintenance, self_monitor): (Arc<Notifier>, Arc<Maintenance>, Arc<SelfMonitor>),
        clock: Clock,
        every: Duration,
    ) -> Self {
        Self {
            store,
            rules,
            policy,
            budget,
            notifier,
            maintenance,
            self_monitor,
            has_reported_problem: false,
            clock,
            name: Uuid::new_v4().to_string(),
            every,
            intervals: IntervalCache::default(),
            series: SeriesCache::default(),
            overdue: HashMap::new(),
            failed: BTreeSet::new(),
            failures: FailureStreak::default(),
            term: None,
            renewed_at: Instant::now(),
            stop: CancellationToken::new(),
        }
    }

    /// Acquires the lease whenever it is free, and evaluates while it is held, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        self.stop = stop.clone();
        let (lease_sender, lease_receiver) = watch::channel(None);
        let notifier = Arc::clone(&self.notifier);
        // Deliveries in flight finish before the lease is released to another server.
        let ((), lease) =
            tokio::join!(notifier.run(lease_receiver, stop.clone()), self.run_as_leader(&lease_sender, stop));
        if let Some(lease) = lease
            && let Err(error) = self.store.release_lease(&lease).await
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot release the lease; it will expire");
        }
    }

    async fn run_as_leader(
        &mut self,
        lease_sender: &watch::Sender<Option<Lease>>,
        stop: CancellationToken,
    ) -> Option<Lease> {
        let mut changes = self.store.any_change();
        let mut ticks = interval(RENEWAL_INTERVAL.min(self.every));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lease: Option<Lease> = None;
        let mut due = Instant::now();
        loop {
            let has_changed = tokio::select! {
                () = stop.cancelled() => return lease,
                _ = ticks.tick() => false,
                change = changes.changed(), if !self.overdue.is_empty() => change.is_ok(),
            };
            let result = if has_changed {
                self.recheck_overdue(lease.as_ref()).await
            } else {
                self.tick(&mut lease, &mut due).await
            };
            lease_sender.send_if_modified(|held| std::mem::replace(held, lease.clone()) != lease);
            if let Err(error) = result {
                metrics::counter!("pipewatch_evaluation_errors_total").increment(1);
                tracing::warn!(error = &error as &dyn std::error::Error, "evaluation failed; will retry");
            }
        }
    }

    async fn tick(&mut self, lease: &mut Option<Lease>, due: &mut Instant) -> Result<()> {
        *lease = self.store.take_lease(LEASE, &self.name).await?;
        self.report_problems().await?;
        let Some(held) = lease else { return Ok(()) };
        if *due <= Instant::now() {
            *due = Instant::now() + self.every;
            let started = Instant::now();
            self.evaluate(held, self.clock.now()).await?;
            metrics::histogram!("pipewatch_evaluation_seconds").record(started.elapsed());
            self.notifier.evaluated();
        }
        Ok(())
    }

    /// Stores this server's problems for the leader, and that they are over.
    async fn report_problems(&mut self) -> Result<()> {
        let checks = self.self_monitor.checks();
        let has_problem = checks.iter().any(|check| check.problem.is_some());
        if has_problem || self.has_reported_problem {
            self.store.report_server_problems(&self.name, &checks).await?;
            self.has_reported_problem = has_problem;
        }
        Ok(())
    }

    /// Evaluates all pipelines at an instant. Caches of an earlier term are dropped first: another leader may have changed the
    /// data.
    pub async fn evaluate(&mut self, lease: &Lease, now: Timestamp) -> Result<()> {
        if self.term != Some(lease.term()) {
            self.term = Some(lease.term());
            self.intervals = IntervalCache::default();
            self.series = SeriesCache::default();
            self.overdue.clear();
            self.failures = FailureStreak::default();
        }
        let started = Instant::now();
        self.renewed_at = started;
        // With a wrong time only the server itself can be evaluated, and its problem must be reported.
        if self.clock.skew().is_some() {
            return self.evaluate_server(lease, Duration::ZERO, now).await;
        }
        self.failed.clear();
        let pipelines = self.evaluate_pipelines(lease, now).await;
        if matches!(pipelines, Ok(false)) {
            return Ok(());
        }
        self.failures.record(pipelines.is_ok() && self.failed.is_empty(), now);
        // Failures of the pipelines' evaluation are reported as a problem of the server.
        let server = self.evaluate_server(lease, started.elapsed(), now).await;
        pipelines.and(server)?;
        self.store.mark_evaluated(lease).await
    }

    /// Evaluates all pipelines; a failure of one does not affect the others. Returns whether the lease is still held.
    async fn evaluate_pipelines(&mut self, lease: &Lease, now: Timestamp) -> Result<bool> {
        let pipelines: Vec<PipelineKey> = self.store.pipelines().await?.into_iter().map(|(key, _)| key).collect();
        self.drop_removed(&pipelines);
        let marked = self.mark_lost_runs(lease, now).await;
        if self.log_and_continue("lost runs", marked).is_break()
            || !self.detect_anomalies(lease, &pipelines, now).await?
        {
            return Ok(false);
        }
        let outages = self.outages(now).await?;
        for pipeline in pipelines {
            if !self.still_holds(lease).await? {
                return Ok(false);
            }
            let evaluated = self.evaluate_pipeline(&pipeline, lease, &outages, now).await;
            if self.log_and_continue(pipeline.as_str(), evaluated).is_break() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a long evaluation may continue: the server is not stopping and the lease, renewed when due, is held.
    async fn still_holds(&mut self, lease: &Lease) -> Result<bool> {
        if self.stop.is_cancelled() {
            return Ok(false);
        }
        if self.renewed_at.elapsed() <= RENEWAL_INTERVAL {
            return Ok(true);
        }
        self.renewed_at = Instant::now();
        self.store.renew_lease(lease).await
    }

    /// Breaks if the lease was lost. Errors are logged, recorded, and retried by the next evaluation.
    fn log_and_continue(&mut self, what: &str, result: Result<bool>) -> ControlFlow<()> {
        match result {
            Ok(false) => ControlFlow::Break(()),
            // The pipeline may have been removed meanwhile.
            Ok(true) | Err(Error::PipelineNotFound(_)) => ControlFlow::Continue(()),
            Err(error) => {
                metrics::counter!("pipewatch_evaluation_errors_total").increment(1);
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, what, "evaluation failed; will retry");
                self.failed.insert(what.to_owned());
                ControlFlow::Continue(())
            }
        }
    }

    /// Evaluates one pipeline. Returns whether the lease is still held.
    async fn evaluate_pipeline(
        &mut self,
        pipeline: &PipelineKey,
        lease: &Lease,
        outages: &Outages,
        now: Timestamp,
    ) -> Result<bool> {
        let findings = self.findings(pipeline, outages, now).await?;
        self.remember_overdue(pipeline, &findings);
        self.store.apply_findings(lease, Some(pipeline), &findings, |_| true, (&self.policy, now)).await
    }

    /// Checks the servers. `took` is the duration of the pipelines' evaluation.
    async fn evaluate_server(&self, lease: &Lease, took: Duration, now: Timestamp) -> Result<()> {
        let stuck = self.store.overdue_deliveries(now).await?;
        let outages = self.outages(now).await?;
        let span = |span| TimeDelta::from_std(span).unwrap_or(TimeDelta::MAX);
        let [closing, pruning] = self.maintenance.troubles(now);
        let reports = self.store.server_problems(&self.name).await?;
        let [clock, commits, queue, connections] = self.self_monitor.checks().map(|check| check.with_reports(&reports));
        let checks = [
            SelfCheck::notifications(stuck.count, stuck.since),
            SelfCheck::evaluation(self.failures, &self.failed, span(took), span(self.every), now),
            SelfCheck::outage(outages.last(), now),
            closing,
            pruning,
            clock,
            commits,
            queue,
            connections,
        ];
        let findings = checks.map(|check| Finding::server(check, &self.policy));
        self.store.apply_findings(lease, None, &findings, |_| true, (&self.policy, now)).await.map(drop)
    }

    /// Drops the caches of removed pipelines.
    fn drop_removed(&mut self, pipelines: &[PipelineKey]) {
        let existing: HashSet<&PipelineKey> = pipelines.iter().collect();
        self.series.retain_pipelines(&existing);
        self.intervals.retain_pipelines(&existing);
        self.overdue.retain(|pipeline, _| existing.contains(pipeline));
    }

    async fn findings(&mut self, pipeline: &PipelineKey, outages: &Outages, now: Timestamp) -> Result<Vec<Finding>> {
        let rules = self.rules.of(pipeline);
        let facts = self.store.facts(pipeline, now - rules.window).await?;
        let facts = facts.ok_or_else(|| Error::PipelineNotFound(pipeline.clone()))?;
        self.series.retain_sources(pipeline, &facts.sources.iter().map(|source| &source.key).collect());
        let mut findings = self.thresholds(pipeline, facts, now);
        findings.extend(self.overdue_sources(pipeline, outages, now).await?);
        findings.extend(self.anomalies(pipeline, now));
        Ok(findings)
    }

    /// One finding per check, classified as in the status.
    fn thresholds(&self, pipeline: &PipelineKey, facts: Facts, now: Timestamp) -> Vec<Finding> {
        let status = evaluate(facts, self.rules.of(pipeline), now);
        let checks = status.data_quality.checks.iter();
        checks
            .map(|check| {
                let (pipeline, name) = (pipeline.clone(), check.name.as_str());
                Finding::threshold(pipeline, name, check.threshold, check.counts, &self.policy)
            })
            .collect()
    }
}
