//! What a server can say of itself while nothing is evaluated: whether its clock is right, and whether some server still
//! evaluates.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use metrics::gauge;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::Clock;
use crate::domain::alert::Trouble;
use crate::domain::time::seconds;
use crate::store::Store;
use crate::store::leases::{LENGTH, RENEWAL};

/// How often the gauges are set.
const EVERY: Duration = Duration::from_secs(1);
/// The lease may take this long to change hands, whatever the interval is.
const MIN_LATE: Duration = LENGTH.saturating_add(RENEWAL);

/// Checks this server, without a query.
#[derive(Debug)]
pub struct SelfCheck {
    store: Arc<Store>,
    clock: Clock,
    /// An evaluation that is older than this is late.
    late: Duration,
}

impl SelfCheck {
    /// Of a server whose pipelines are to be evaluated this often.
    pub fn new(store: Arc<Store>, clock: Clock, evaluation_interval: Duration) -> Self {
        Self { store, clock, late: (evaluation_interval * 2).max(MIN_LATE) }
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

    /// Whether nothing is wrong that concerns what this server shows.
    pub fn is_well(&self) -> bool {
        self.trouble().is_none()
    }

    /// The worst that is wrong with this server and concerns what it shows.
    pub fn trouble(&self) -> Option<Trouble> {
        [self.clock(), self.evaluation()].into_iter().find(|trouble| trouble.wrong.is_some())
    }

    /// Sets the gauges, and logs what begins and ends, until it is dropped.
    pub async fn run(&self) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known: [Option<String>; 2] = [None, None];
        loop {
            tick.tick().await;
            self.set_gauges();
            for (known, trouble) in known.iter_mut().zip([self.clock(), self.evaluation()]) {
                match (&known, &trouble.wrong) {
                    (None, Some(wrong)) => tracing::error!(part = trouble.part, "{wrong}"),
                    (Some(_), None) => tracing::info!(part = trouble.part, "this is over"),
                    _ => {}
                }
                *known = trouble.wrong;
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
