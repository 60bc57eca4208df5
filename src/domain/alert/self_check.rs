use std::collections::BTreeSet;

use chrono::TimeDelta;

use crate::domain::clock_skew::Skew;
use crate::domain::freshness::Outage;
use crate::domain::time::{Timestamp, rfc3339};

/// Shorter failures mostly resolve without intervention.
const MIN_FAILURE: TimeDelta = TimeDelta::minutes(5);
/// How long after its end an outage is reported: long enough for a notification.
const OUTAGE_REPORTED_FOR: TimeDelta = TimeDelta::minutes(15);
/// An evaluation that takes longer is slow, whatever the interval.
const SLOW: TimeDelta = TimeDelta::seconds(30);
/// The number of failed parts that a message names.
const MAX_NAMED: usize = 3;

/// The result of checking one component of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfCheck {
    /// `notifications`, `evaluation`, …
    pub component: &'static str,
    /// The problem and its remedy; `None` if the component works.
    pub problem: Option<String>,
}

/// A problem that another server on the same database reports about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerReport {
    pub component: String,
    pub problem: String,
}

/// Consecutive failures of a task that is retried. A success ends them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FailureStreak {
    since: Option<Timestamp>,
}

impl FailureStreak {
    /// Records an attempt.
    pub fn record(&mut self, succeeded: bool, now: Timestamp) {
        self.since = if succeeded { None } else { self.since.or(Some(now)) };
    }

    /// The start of the failures, if they have lasted long enough to be reported.
    pub(in crate::domain) fn exceeds_threshold(self, now: Timestamp) -> Option<String> {
        self.since.filter(|since| now - *since >= MIN_FAILURE).map(rfc3339)
    }
}

impl SelfCheck {
    /// Whether notifications are delivered: `stuck` are not, the oldest since `since`.
    pub fn notifications(stuck: u64, since: Option<Timestamp>) -> Self {
        let since = since.map(|since| format!(" (the oldest since {})", rfc3339(since))).unwrap_or_default();
        let problem = (stuck > 0).then(|| {
            format!("{stuck} notifications are undelivered{since}. Check the server log for the receivers' responses.")
        });
        Self { component: "notifications", problem }
    }

    /// Whether hourly metrics are written.
    pub fn closing(failures: FailureStreak, now: Timestamp) -> Self {
        let problem = failures.exceeds_threshold(now).map(|since| {
            format!(
                "Hourly metrics have not been written since {since}: the newest are missing from the table. Status and \
                 alerts do not depend on them. Retrying; check the server log."
            )
        });
        Self { component: "hourly rows", problem }
    }

    /// Whether expired rows are deleted.
    pub fn pruning(failures: FailureStreak, now: Timestamp) -> Self {
        let problem = failures.exceeds_threshold(now).map(|since| {
            format!(
                "Deleting expired rows has been failing since {since}; the database grows. Retrying; check the server log \
                 and the free disk space."
            )
        });
        Self { component: "retention", problem }
    }

    /// Whether the evaluation succeeds, except for `failed`, and whether it takes less time than its interval.
    pub fn evaluation(
        failures: FailureStreak,
        failed: &BTreeSet<String>,
        took: TimeDelta,
        every: TimeDelta,
        now: Timestamp,
    ) -> Self {
        let fails = failures.exceeds_threshold(now).map(|since| {
            format!(
                "Alert evaluation{} has been failing since {since}. Alerts may be missing or out of date. Retrying; check \
                 the server log.",
                of(failed)
            )
        });
        let is_slow = took > every.max(SLOW);
        let lags = || {
            let (took, every) = (took.num_seconds(), every.num_seconds());
            format!(
                "Alert evaluation took {took} s but is due every {every} s: alerts are late. Check the load of the database \
                 and of the machine."
            )
        };
        Self { component: "evaluation", problem: fails.or_else(|| is_slow.then(lags)) }
    }

    /// Whether this server's clock is right.
    pub fn own_clock(skew: Option<Skew>) -> Self {
        let problem = skew.map(|skew| {
            format!(
                "This server's clock is {skew}. Until it is right, the server rejects reports with 503, is not ready, and \
                 neither evaluates nor deletes anything. Check NTP on its machine (chronyc tracking, timedatectl). Without \
                 a database server for comparison, the clock is trusted again after running steadily for an hour."
            )
        });
        Self { component: "clock", problem }
    }

    /// Combines this server's check with the problems that other servers report about the same component.
    #[must_use]
    pub fn with_reports(self, reports: &[PeerReport]) -> Self {
        let mut others = reports.iter().filter(|report| report.component == self.component);
        let problem = self.problem.or_else(|| {
            let first = others.next()?;
            let more = match others.count() {
                0 => String::new(),
                more => format!(" {more} more report the same."),
            };
            Some(format!("Another server on this database reports: {}{more}", first.problem))
        });
        Self { component: self.component, problem }
    }

    /// Whether any server evaluates. `age` is the time since the last evaluation, and `late` its limit.
    pub fn no_evaluation(last: Option<Timestamp>, age: TimeDelta, late: TimeDelta) -> Self {
        let problem = (age > late).then(|| {
            let last = last.map_or_else(
                || format!("Alert evaluation has not succeeded for {} s", age.num_seconds()),
                |at| format!("Alert evaluation last succeeded at {}, {} s ago", rfc3339(at), age.num_seconds()),
            );
            format!(
                "{last}; it is due within {} s. Alerts may be missing or out of date. Check the servers' logs, and whether \
                 the database is writable.",
                late.num_seconds()
            )
        });
        Self { component: "evaluation", problem }
    }

    /// Whether an outage has just ended.
    pub fn outage(last: Option<Outage>, now: Timestamp) -> Self {
        let problem = last.filter(|outage| now - outage.to < OUTAGE_REPORTED_FOR).map(|outage| {
            format!(
                "No evaluation ran from {} to {}: no server was running, or none could reach the database. Problems that \
                 started and ended during the outage were not reported. Source deadlines have been extended by its length. \
                 Check why the servers stopped.",
                rfc3339(outage.from),
                rfc3339(outage.to)
            )
        });
        Self { component: "outage", problem }
    }
}

/// ` of a, b, c and 2 more`
fn of(failed: &BTreeSet<String>) -> String {
    if failed.is_empty() {
        return String::new();
    }
    let named: Vec<&str> = failed.iter().take(MAX_NAMED).map(String::as_str).collect();
    let rest = failed.len() - named.len();
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!(" of {}{more}", named.join(", "))
}

#[cfg(test)]
#[path = "self_check_tests.rs"]
mod tests;
