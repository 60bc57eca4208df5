//! What finds trouble that no report tells of: one server at a time looks at everything, again and again, and raises or
//! resolves alerts. What is found is a function of rows and an instant; only the instant is the clock's.

/// What the statistics find.
mod anomalies;
/// Runs that are never heard of again.
mod lost;
/// Sources that do not report.
mod overdue;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::alerting::anomalies::Memory;
use crate::alerting::overdue::Paces;
use crate::clock::Clock;
use crate::domain::alert::{Failing, Finding, Policy, Trouble};
use crate::domain::anomaly::Budget;
use crate::domain::freshness::Outages;
use crate::domain::pipeline::PipelineKey;
use crate::domain::revision::Revision;
use crate::domain::status::{Facts, RuleBook, evaluate};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::maintenance::Maintenance;
use crate::notify::Notifier;
use crate::self_check::SelfCheck;
use crate::store::Store;
use crate::store::leases::{Lease, RENEWAL_INTERVAL};

/// The lease of who evaluates.
const LEASE: &str = "evaluation";

/// Evaluates, while it holds the lease.
pub struct Evaluator {
    store: Arc<Store>,
    rules: RuleBook,
    policy: Policy,
    budget: Budget,
    notifier: Arc<Notifier>,
    maintenance: Arc<Maintenance>,
    self_check: Arc<SelfCheck>,
    /// Whether the other servers are told that something is wrong with this one.
    is_reported: bool,
    clock: Clock,
    /// This server among those on the same database.
    name: String,
    every: Duration,
    paces: Paces,
    memory: Memory,
    /// Pipelines with a source that is found silent, at the revision at which it was: a run that comes is looked at at
    /// once.
    overdue: HashMap<PipelineKey, Revision>,
    /// What the last evaluation did not succeed in, and since when there is such.
    failed: BTreeSet<String>,
    failing: Failing,
    /// Of the lease under which all this was learned.
    term: Option<i64>,
    /// When it was last renewed, within an evaluation.
    renewed: Instant,
    /// Cancelled when the server stops.
    stop: CancellationToken,
}

impl Evaluator {
    /// Evaluates all pipelines this often.
    pub fn new(
        store: Arc<Store>,
        rules: RuleBook,
        (policy, budget): (Policy, Budget),
        (notifier, maintenance, self_check): (Arc<Notifier>, Arc<Maintenance>, Arc<SelfCheck>),
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
            self_check,
            is_reported: false,
            clock,
            name: Uuid::new_v4().to_string(),
            every,
            paces: Paces::default(),
            memory: Memory::default(),
            overdue: HashMap::new(),
            failed: BTreeSet::new(),
            failing: Failing::default(),
            term: None,
            renewed: Instant::now(),
            stop: CancellationToken::new(),
        }
    }

    /// Takes the lease whenever nobody has it, and evaluates while it does; until it is told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        self.stop = stop.clone();
        let (holds, holding) = watch::channel(None);
        let notifier = Arc::clone(&self.notifier);
        // What is being delivered is ended before another may take it over.
        let ((), lease) = tokio::join!(notifier.run(holding, stop.clone()), self.hold(&holds, stop));
        if let Some(lease) = lease
            && let Err(error) = self.store.release_lease(&lease).await
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "the lease runs out by itself");
        }
    }

    async fn hold(&mut self, holds: &watch::Sender<Option<Lease>>, stop: CancellationToken) -> Option<Lease> {
        let mut changes = self.store.any_change();
        let mut tick = interval(RENEWAL_INTERVAL.min(self.every));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lease: Option<Lease> = None;
        let mut due = Instant::now();
        loop {
            let has_changed = tokio::select! {
                () = stop.cancelled() => return lease,
                _ = tick.tick() => false,
                told = changes.changed(), if !self.overdue.is_empty() => told.is_ok(),
            };
            let done = if has_changed {
                self.recheck_overdue(lease.as_ref()).await
            } else {
                self.turn(&mut lease, &mut due).await
            };
            holds.send_if_modified(|held| std::mem::replace(held, lease.clone()) != lease);
            if let Err(error) = done {
                metrics::counter!("pipewatch_evaluation_errors_total").increment(1);
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the pipelines could not be evaluated; it is tried again"
                );
            }
        }
    }

    async fn turn(&mut self, lease: &mut Option<Lease>, due: &mut Instant) -> Result<()> {
        *lease = self.store.take_lease(LEASE, &self.name).await?;
        self.report_server_problems().await?;
        let Some(held) = lease else { return Ok(()) };
        if *due <= Instant::now() {
            *due = Instant::now() + self.every;
            let begun = Instant::now();
            self.evaluate(held, self.clock.now()).await?;
            metrics::histogram!("pipewatch_evaluation_seconds").record(begun.elapsed());
            self.notifier.evaluated();
        }
        Ok(())
    }

    /// Tells the server that evaluates what is wrong with this one, and that it is over.
    async fn report_server_problems(&mut self) -> Result<()> {
        let troubles = self.self_check.troubles();
        let is_wrong = troubles.iter().any(|trouble| trouble.wrong.is_some());
        if is_wrong || self.is_reported {
            self.store.report_server_problems(&self.name, &troubles).await?;
            self.is_reported = is_wrong;
        }
        Ok(())
    }

    /// Evaluates all pipelines at an instant. What was learned under another term is forgotten first: others may have
    /// changed it.
    pub async fn evaluate(&mut self, lease: &Lease, now: Timestamp) -> Result<()> {
        if self.term != Some(lease.term()) {
            self.term = Some(lease.term());
            self.paces = Paces::default();
            self.memory = Memory::default();
            self.overdue.clear();
            self.failing = Failing::default();
        }
        let begun = Instant::now();
        self.renewed = begun;
        // By a wrong time nothing can be judged but the server itself, of which people must hear.
        if self.clock.skew().is_some() {
            return self.look_at_the_server(lease, Duration::ZERO, now).await;
        }
        self.failed.clear();
        let looked = self.look_at_the_pipelines(lease, now).await;
        if matches!(looked, Ok(false)) {
            return Ok(());
        }
        self.failing.tried(looked.is_ok() && self.failed.is_empty(), now);
        // That pipelines cannot be looked at is what there is to say of the server.
        let told = self.look_at_the_server(lease, begun.elapsed(), now).await;
        looked.and(told)?;
        self.store.mark_evaluated(lease).await
    }

    /// Looks at all pipelines: what fails for one must not hide what is wrong with the others. Whether the lease still
    /// holds.
    async fn look_at_the_pipelines(&mut self, lease: &Lease, now: Timestamp) -> Result<bool> {
        let pipelines: Vec<PipelineKey> = self.store.pipelines().await?.into_iter().map(|(key, _)| key).collect();
        self.forget_removed(&pipelines);
        let given_up = self.give_up_lost_runs(lease, now).await;
        if !self.goes_on("lost runs", given_up) || !self.judge_closed_hours(lease, &pipelines, now).await? {
            return Ok(false);
        }
        let outages = self.outages(now).await?;
        for pipeline in pipelines {
            if !self.still_holds(lease).await? {
                return Ok(false);
            }
            let looked = self.look_at(&pipeline, lease, &outages, now).await;
            if !self.goes_on(pipeline.as_str(), looked) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether an evaluation that takes long goes on: while the server does not stop, and the lease still holds, which is
    /// renewed when that is due.
    async fn still_holds(&mut self, lease: &Lease) -> Result<bool> {
        if self.stop.is_cancelled() {
            return Ok(false);
        }
        if self.renewed.elapsed() <= RENEWAL_INTERVAL {
            return Ok(true);
        }
        self.renewed = Instant::now();
        self.store.renew_lease(lease).await
    }

    /// Whether the lease still holds, as far as is known: what fails is noted, and tried again in the next evaluation.
    fn goes_on(&mut self, what: &str, done: Result<bool>) -> bool {
        match done {
            Ok(holds) => holds,
            // It was removed meanwhile.
            Err(Error::PipelineNotFound(_)) => true,
            Err(error) => {
                metrics::counter!("pipewatch_evaluation_errors_total").increment(1);
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, what, "it could not be evaluated; it is tried again");
                self.failed.insert(what.to_owned());
                true
            }
        }
    }

    /// Finds what there is to find of a pipeline. Whether the lease still holds.
    async fn look_at(
        &mut self,
        pipeline: &PipelineKey,
        lease: &Lease,
        outages: &Outages,
        now: Timestamp,
    ) -> Result<bool> {
        let findings = self.findings(pipeline, outages, now).await?;
        self.remember_overdue(pipeline, &findings);
        self.store.step_alerts(lease, Some(pipeline), &findings, |_| true, (&self.policy, now)).await
    }

    /// What is wrong with this server itself, whose evaluation of the pipelines took so long.
    async fn look_at_the_server(&self, lease: &Lease, took: Duration, now: Timestamp) -> Result<()> {
        let stuck = self.store.overdue_deliveries(now).await?;
        let outages = self.outages(now).await?;
        let span = |span| TimeDelta::from_std(span).unwrap_or(TimeDelta::MAX);
        let [closing, pruning] = self.maintenance.troubles(now);
        let reports = self.store.server_problems(&self.name).await?;
        let [clock, commits, queue, connections] =
            self.self_check.troubles().map(|trouble| trouble.with_reports(&reports));
        let troubles = [
            Trouble::notifications(stuck.count, stuck.since),
            Trouble::evaluation(self.failing, &self.failed, span(took), span(self.every), now),
            Trouble::outage(outages.last(), now),
            closing,
            pruning,
            clock,
            commits,
            queue,
            connections,
        ];
        let findings = troubles.map(|trouble| Finding::server(trouble, &self.policy));
        self.store.step_alerts(lease, None, &findings, |_| true, (&self.policy, now)).await.map(drop)
    }

    /// What is kept of pipelines that are no more.
    fn forget_removed(&mut self, pipelines: &[PipelineKey]) {
        let are_there: HashSet<&PipelineKey> = pipelines.iter().collect();
        self.memory.keep_pipelines(&are_there);
        self.paces.keep_pipelines(&are_there);
        self.overdue.retain(|pipeline, _| are_there.contains(pipeline));
    }

    /// All that can be said of a pipeline.
    async fn findings(&mut self, pipeline: &PipelineKey, outages: &Outages, now: Timestamp) -> Result<Vec<Finding>> {
        let rules = self.rules.of(pipeline);
        let facts = self.store.facts(pipeline, now - rules.window).await?;
        let facts = facts.ok_or_else(|| Error::PipelineNotFound(pipeline.clone()))?;
        self.memory.keep_sources(pipeline, &facts.sources.iter().map(|source| &source.key).collect());
        let mut findings = self.thresholds(pipeline, facts, now);
        findings.extend(self.overdue_sources(pipeline, outages, now).await?);
        findings.extend(self.anomalies(pipeline, now));
        Ok(findings)
    }

    /// The checks, judged as for the status.
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
