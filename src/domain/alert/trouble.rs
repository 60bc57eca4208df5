use std::collections::BTreeSet;

use chrono::TimeDelta;

use crate::domain::clock_skew::Skew;
use crate::domain::freshness::Outage;
use crate::domain::time::{Timestamp, rfc3339};

/// What fails for less long mostly passes by itself.
const LASTS: TimeDelta = TimeDelta::minutes(5);
/// So long after it people are told of a time without an evaluation: long enough for a notification to go out.
const TOLD_FOR: TimeDelta = TimeDelta::minutes(15);
/// Alerts that come later than this come late, whatever the interval is.
const SLOW: TimeDelta = TimeDelta::seconds(30);
/// Of what fails a sentence names so much.
const NAMED: usize = 3;

/// What can be wrong with the server itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The part: `notifications`, `evaluation`, …
    pub part: &'static str,
    /// What is wrong with it, unless it is well.
    pub wrong: Option<String>,
}

/// What another server on the same database says is wrong with itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The part.
    pub part: String,
    /// What is wrong with it.
    pub wrong: String,
}

/// Since when something fails that is tried again and again. A success ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Failing {
    since: Option<Timestamp>,
}

impl Failing {
    /// It was tried once more.
    pub fn tried(&mut self, is_well: bool, now: Timestamp) {
        self.since = if is_well { None } else { self.since.or(Some(now)) };
    }

    /// Since when, if that is long enough to be told.
    pub(in crate::domain) fn for_long(self, now: Timestamp) -> Option<String> {
        self.since.filter(|since| now - *since >= LASTS).map(rfc3339)
    }
}

impl Trouble {
    /// So many notifications could not be delivered, the oldest since then.
    pub fn notifications(stuck: u64, since: Option<Timestamp>) -> Self {
        let since = since.map(|since| format!(", the oldest since {}", rfc3339(since))).unwrap_or_default();
        let wrong = (stuck > 0).then(|| {
            format!("{stuck} notifications could not be delivered{since}. See the log for what the receivers answer.")
        });
        Self { part: "notifications", wrong }
    }

    /// Whether hours are closed.
    pub fn closing(failing: Failing, now: Timestamp) -> Self {
        let wrong = failing.for_long(now).map(|since| {
            format!(
                "No hour could be closed since {since}: those who read hourly rows of the table do not see the newest. \
                 Status and alerts do not depend on them. It is tried again; see the log for the cause."
            )
        });
        Self { part: "hourly rows", wrong }
    }

    /// Whether old rows are removed.
    pub fn pruning(failing: Failing, now: Timestamp) -> Self {
        let wrong = failing.for_long(now).map(|since| {
            format!(
                "Old rows could not be removed since {since}, and the database grows. It is tried again; see the log \
                 for the cause, and whether the disk has room."
            )
        });
        Self { part: "retention", wrong }
    }

    /// Whether the evaluation succeeds, of `failed` it did not, and keeps pace, when it takes so long and is due so often.
    pub fn evaluation(
        failing: Failing,
        failed: &BTreeSet<String>,
        took: TimeDelta,
        every: TimeDelta,
        now: Timestamp,
    ) -> Self {
        let fails = failing.for_long(now).map(|since| {
            format!(
                "The evaluation fails since {since}{}: alerts may be missing, or stand though all is well. It is tried \
                 again; see the log for the cause.",
                of(failed)
            )
        });
        let is_slow = took > every.max(SLOW);
        let lags = || {
            let (took, every) = (took.num_seconds(), every.num_seconds());
            format!(
                "The evaluation took {took} s and is due every {every} s: alerts come late. See whether the database or \
                 the machine is busy, or has become too small."
            )
        };
        Self { part: "evaluation", wrong: fails.or_else(|| is_slow.then(lags)) }
    }

    /// Whether the clock of the server that says this is right.
    pub fn own_clock(skew: Option<Skew>) -> Self {
        let wrong = skew.map(|skew| {
            format!(
                "This server's clock is {skew}. Until it is right the server refuses reports with 503, is not ready, and \
                 neither evaluates nor removes anything. Check NTP on its machine (chronyc tracking, timedatectl). Without \
                 a database server to compare it with, a clock that runs steadily for an hour is believed."
            )
        });
        Self { part: "clock", wrong }
    }

    /// The same part of all servers on one database: of this one, and of the others that report a trouble with it.
    #[must_use]
    pub fn with_reports(self, reports: &[Report]) -> Self {
        let mut others = reports.iter().filter(|report| report.part == self.part);
        let wrong = self.wrong.or_else(|| {
            let first = others.next()?;
            let more = match others.count() {
                0 => String::new(),
                more => format!(" {more} more report the same."),
            };
            Some(format!("Another server on this database reports: {}{more}", first.wrong))
        });
        Self { part: self.part, wrong }
    }

    /// Whether some server evaluates, when the last evaluation ended so long ago and more than `late` is too long.
    pub fn no_evaluation(last: Option<Timestamp>, age: TimeDelta, late: TimeDelta) -> Self {
        let wrong = (age > late).then(|| {
            let last = last.map_or_else(
                || format!("No evaluation has succeeded for {} s", age.num_seconds()),
                |at| format!("The last evaluation that succeeded was at {}, {} s ago", rfc3339(at), age.num_seconds()),
            );
            format!(
                "{last}; one is due within {} s. Alerts may be missing, or stand though all is well. See the logs of the \
                 servers, and whether the database can be written to.",
                late.num_seconds()
            )
        });
        Self { part: "evaluation", wrong }
    }

    /// Whether there was a time without any evaluation, the last of which is over.
    pub fn outage(last: Option<Outage>, now: Timestamp) -> Self {
        let wrong = last.filter(|outage| now - outage.to < TOLD_FOR).map(|outage| {
            format!(
                "Nothing was evaluated from {} to {}: no server ran, or none reached the database. What went wrong \
                 meanwhile and is over was not told; sources are given as much time more. See why it stopped.",
                rfc3339(outage.from),
                rfc3339(outage.to)
            )
        });
        Self { part: "outage", wrong }
    }
}

/// ` of a, b, c and 2 more`.
fn of(failed: &BTreeSet<String>) -> String {
    if failed.is_empty() {
        return String::new();
    }
    let named: Vec<&str> = failed.iter().take(NAMED).map(String::as_str).collect();
    let rest = failed.len() - named.len();
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!(" of {}{more}", named.join(", "))
}

#[cfg(test)]
mod tests;
