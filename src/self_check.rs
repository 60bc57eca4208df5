//! What a server can say of itself while nothing is evaluated: whether its clock is right, whether some server still
//! evaluates, and whether its way to the database is overloaded.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use metrics::gauge;
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::Clock;
use crate::domain::alert::Trouble;
use crate::domain::load::LoadHistory;
use crate::domain::time::seconds;
use crate::store::Store;
use crate::store::leases::{LEASE_DURATION, RENEWAL_INTERVAL};

/// How often the gauges are set and the load is sampled.
const EVERY: Duration = Duration::from_secs(1);
/// The lease may take this long to change hands, whatever the interval is.
const MIN_LATE: Duration = LEASE_DURATION.saturating_add(RENEWAL_INTERVAL);

/// Checks this server, without a query.
#[derive(Debug)]
pub struct SelfCheck {
    store: Arc<Store>,
    clock: Clock,
    /// An evaluation that is older than this is late.
    late: Duration,
    // A synchronous mutex: never held across an await.
    load: Mutex<LoadHistory>,
}

impl SelfCheck {
    /// Of a server whose pipelines are to be evaluated this often.
    pub fn new(store: Arc<Store>, clock: Clock, evaluation_interval: Duration) -> Self {
        let late = (evaluation_interval * 2).max(MIN_LATE);
        Self { store, clock, late, load: Mutex::default() }
    }

    /// Why this server is not ready, if its clock is the reason.
    pub fn clock(&self) -> Trouble {
        Trouble::own_clock(self.clock.skew())
    }

    /// Whether the pipelines are evaluated, by this server or another.
    pub fn evaluation(&self) -> Trouble {
        let last = self.store.last_evaluation();
        let span = |span| TimeDelta::from_std(span).unwrap_or(TimeDelta::MAX);
        Trouble::no_evaluation(last.at, span(last.age), span(self.late))
    }

    /// What is wrong with this server, of which the one that evaluates tells people: the clock and the load, good ones too.
    pub fn troubles(&self) -> [Trouble; 4] {
        let load = self.load.lock();
        let [commits, queue, connections] = load.troubles(self.clock.now());
        [self.clock(), commits, queue, connections]
    }

    /// Whether nothing is wrong that concerns what this server shows.
    pub fn is_well(&self) -> bool {
        self.trouble().is_none()
    }

    /// The worst that is wrong with this server and concerns what it shows.
    pub fn trouble(&self) -> Option<Trouble> {
        [self.clock(), self.evaluation()].into_iter().find(|trouble| trouble.wrong.is_some())
    }

    /// Sets the gauges, samples the load, and logs what begins and ends, until it is dropped.
    pub async fn run(&self) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = BTreeSet::new();
        loop {
            tick.tick().await;
            self.set_gauges();
            let sample = self.store.sample_load();
            self.load.lock().add(sample, self.clock.now());
            for Trouble { part, wrong } in self.troubles().into_iter().chain([self.evaluation()]) {
                match wrong {
                    Some(wrong) if known.insert(part) => tracing::error!(part, "{wrong}"),
                    None if known.remove(part) => tracing::info!(part, "this trouble is over"),
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
