//! Whether a source has been silent for too long.
//!
//! Freshness is judged by data time: by when the newest run ended that was no backfill, whenever it was reported. Time
//! in which no server ran is not held against a source, see `Outages`.

use chrono::TimeDelta;

use crate::domain::time::Timestamp;

/// How often a source is expected, and how long it may be late.
mod expectation;
/// What a source's own history promises.
mod learned;
/// When no server ran.
mod outage;
/// When a cron pattern comes due.
mod schedule;

pub use expectation::{BadExpectation, Expectation, Grace};
pub use learned::{LEARNED_FROM, learn};
pub use outage::{Outage, Outages, STARTUP_GRACE};
pub use schedule::Schedule;

/// A run that ended this long before it was due by the clock is the one that was due: reporters' clocks go wrong.
const EARLY: TimeDelta = TimeDelta::minutes(1);

/// What is known of a source's pace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// What was set, if anything was.
    pub expectation: Option<Expectation>,
    /// What was set, if anything was.
    pub grace: Option<Grace>,
    /// What [`learn`] made of its runs; counts where no expectation was set.
    pub learned: Option<TimeDelta>,
    /// When its newest run ended that was no backfill.
    pub last_run: Option<Timestamp>,
    /// Since when something is expected of it: since it was registered, or enabled again.
    pub since: Timestamp,
}

/// Whether a source is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Punctuality {
    /// Nothing was set, and there are too few runs to learn from.
    Unknown,
    /// It is not late.
    OnTime {
        /// When the next run is due.
        due: Timestamp,
        /// Until when it may come.
        deadline: Timestamp,
    },
    /// It is late.
    Late {
        /// When the first missing run was due.
        expected_at: Timestamp,
        /// Until when it could have come.
        since: Timestamp,
    },
}

/// Judges a source at `now`.
///
/// The first run that is due after the newest one decides, so a source that missed several is late once. What was
/// learned has its grace in it: three median gaps instead of one.
pub fn judge(pace: &Pace, outages: &Outages, now: Timestamp) -> Punctuality {
    let Some((due, deadline)) = next_due(pace, outages) else { return Punctuality::Unknown };
    if now > deadline {
        Punctuality::Late { expected_at: due, since: deadline }
    } else {
        Punctuality::OnTime { due, deadline }
    }
}

fn next_due(pace: &Pace, outages: &Outages) -> Option<(Timestamp, Timestamp)> {
    let base = pace.last_run.map_or(pace.since, |last| last.max(pace.since));
    let grace = |period| pace.grace.unwrap_or_else(|| Grace::of_period(period)).get();
    match (&pace.expectation, pace.learned) {
        (Some(Expectation::Every(period)), _) => {
            Some((base + *period, outages.deadline(base, *period + grace(*period))))
        }
        (Some(Expectation::Cron(schedule)), _) => {
            let due = schedule.next_after(base + EARLY)?;
            let period = schedule.next_after(due)? - due;
            Some((due, outages.deadline(due, grace(period))))
        }
        (None, Some(period)) => {
            let grace = pace.grace.map_or(TimeDelta::zero(), Grace::get);
            Some((base + period, outages.deadline(base, period + grace)))
        }
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests;
