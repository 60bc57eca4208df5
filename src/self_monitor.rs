//! Monitors the server itself, independently of the evaluation: its clock, whether any server evaluates, and the load of the
//! database.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use metrics::gauge;
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::Clock;
use crate::domain::alert::SelfCheck;
use crate::domain::load::LoadHistory;
use crate::domain::time::seconds;
use crate::store::Store;
use crate::store::leases::{LEASE_DURATION, RENEWAL_INTERVAL};

/// How often the gauges are set and the load is sampled.
const INTERVAL: Duration = Duration::from_secs(1);
/// The lease may take this long to change hands, whatever the evaluation interval.
const MIN_LATENESS: Duration = LEASE_DURATION.saturating_add(RENEWAL_INTERVAL);

/// Checks this server, without queries.
#[derive(Debug)]
pub struct SelfMonitor {
    store: Arc<Store>,
    clock: Clock,
    /// The age at which the last evaluation is late.
    late_after: Duration,
    // A synchronous mutex: never held across an await.
    load: Mutex<LoadHistory>,
}

impl SelfMonitor {
    pub fn new(store: Arc<Store>, clock: Clock, evaluation_interval: Duration) -> Self {
        let late_after = (evaluation_interval * 2).max(MIN_LATENESS);
        Self { store, clock, late_after, load: Mutex::default() }
    }

    pub fn clock(&self) -> SelfCheck {
        SelfCheck::own_clock(self.clock.skew())
    }

    /// Checks that pipelines are evaluated, by this server or another.
    pub fn evaluation(&self) -> SelfCheck {
        let last = self.store.last_evaluation();
        let span = |span| TimeDelta::from_std(span).unwrap_or(TimeDelta::MAX);
        SelfCheck::no_evaluation(last.at, span(last.age), span(self.late_after))
    }

    /// The checks of the clock and the load, which the leader turns into alerts.
    pub fn checks(&self) -> [SelfCheck; 4] {
        let load = self.load.lock();
        let [commits, queue, connections] = load.checks(self.clock.now());
        [self.clock(), commits, queue, connections]
    }

    /// Whether the shown status is not affected by a problem.
    pub fn is_healthy(&self) -> bool {
        self.failed_check().is_none()
    }

    /// The first failed check that affects the shown status.
    pub fn failed_check(&self) -> Option<SelfCheck> {
        [self.clock(), self.evaluation()].into_iter().find(|check| check.problem.is_some())
    }

    /// Sets the gauges, samples the load, and logs when problems begin and end. Runs until dropped.
    pub async fn run(&self) {
        let mut tick = interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reported = BTreeSet::new();
        loop {
            tick.tick().await;
            self.set_gauges();
            let sample = self.store.sample_load();
            self.load.lock().add(sample, self.clock.now());
            for SelfCheck { component, problem } in self.checks().into_iter().chain([self.evaluation()]) {
                match problem {
                    Some(problem) if reported.insert(component) => tracing::error!(component, "{problem}"),
                    None if reported.remove(component) => tracing::info!(component, "the problem is resolved"),
                    _ => {}
                }
            }
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "exact for centuries")]
    fn set_gauges(&self) {
        let ahead = self.clock.ahead().map_or(0.0, seconds);
        gauge!("pipewatch_clock_skew_seconds").set(ahead);
        let held = if self.store.holds_lease() { 1.0 } else { 0.0 };
        gauge!("pipewatch_lease_held", "lease" => "evaluation").set(held);
        if let Some(at) = self.store.last_evaluation().at {
            gauge!("pipewatch_last_evaluation_timestamp_seconds").set(at.timestamp_millis() as f64 / 1e3);
        }
    }
}
