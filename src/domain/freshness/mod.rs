//! Detects overdue sources.
//!
//! Freshness depends on data time: on the end of the newest run that is not backfill, whenever it was reported. Time in which
//! no server ran does not count, see `Outages`.

use chrono::TimeDelta;

use crate::domain::time::Timestamp;

mod expected_schedule;
mod inferred;
mod outage;
mod schedule;

pub use expected_schedule::{ExpectedSchedule, Grace, InvalidSchedule};
pub use inferred::{INFERENCE_RUNS, infer_interval};
pub use outage::{Outage, Outages, STARTUP_GRACE};
pub use schedule::Schedule;

/// A run that ended this long before its cron time counts for it, since reporters' clocks may be wrong.
const EARLY: TimeDelta = TimeDelta::minutes(1);

/// How often a source runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cadence {
    /// As configured.
    pub expected: Option<ExpectedSchedule>,
    /// As configured.
    pub grace: Option<Grace>,
    /// From [`infer_interval`]; used if no schedule is configured.
    pub inferred_interval: Option<TimeDelta>,
    /// The end of its newest run that is not backfill.
    pub last_run: Option<Timestamp>,
    /// When runs became expected: when it was registered or last enabled.
    pub since: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lateness {
    /// No schedule is configured, and there are too few runs to infer an interval.
    Unknown,
    OnTime {
        /// When the next run is due.
        due: Timestamp,
        /// The end of its grace period.
        deadline: Timestamp,
    },
    Late {
        /// When the first missing run was due.
        expected_at: Timestamp,
        /// The end of its grace period.
        since: Timestamp,
    },
}

/// Whether a source is late at `now`.
///
/// Only the first run due after the newest one counts, so that a source that missed several is late once. An inferred interval
/// includes its grace: three median gaps instead of one.
pub fn lateness(cadence: &Cadence, outages: &Outages, now: Timestamp) -> Lateness {
    let Some((due, deadline)) = next_due(cadence, outages) else { return Lateness::Unknown };
    if now > deadline {
        Lateness::Late { expected_at: due, since: deadline }
    } else {
        Lateness::OnTime { due, deadline }
    }
}

fn next_due(cadence: &Cadence, outages: &Outages) -> Option<(Timestamp, Timestamp)> {
    let base = cadence.last_run.map_or(cadence.since, |last| last.max(cadence.since));
    let grace = |period| cadence.grace.unwrap_or_else(|| Grace::of_period(period)).get();
    match (&cadence.expected, cadence.inferred_interval) {
        (Some(ExpectedSchedule::Every(period)), _) => {
            Some((base + *period, outages.deadline(base, *period + grace(*period))))
        }
        (Some(ExpectedSchedule::Cron(schedule)), _) => {
            let due = schedule.next_after(base + EARLY)?;
            let period = schedule.next_after(due)? - due;
            Some((due, outages.deadline(due, grace(period))))
        }
        (None, Some(period)) => {
            let grace = cadence.grace.map_or(TimeDelta::zero(), Grace::get);
            Some((base + period, outages.deadline(base, period + grace)))
        }
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests;
