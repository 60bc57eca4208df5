//! Detects an overloaded database connection, from the samples of one minute.

use std::collections::VecDeque;

use chrono::TimeDelta;

use crate::domain::alert::{FailureStreak, SelfCheck};
use crate::domain::time::{Timestamp, seconds};

/// Samples that are evaluated together; one is taken each second.
const SAMPLES: usize = 60;
/// The limit of a commit's duration.
const SLOW: TimeDelta = TimeDelta::seconds(1);

/// Measurements of one server's database access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadSample {
    /// The longest commit since the previous sample; zero without one.
    pub commit: TimeDelta,
    /// Requests in the writer's queue.
    pub queued: usize,
    pub queue_capacity: usize,
    /// Connections in use for queries.
    pub busy_connections: u32,
    pub max_connections: u32,
}

/// The samples of the last minute.
#[derive(Debug, Clone, Default)]
pub struct LoadHistory {
    samples: VecDeque<LoadSample>,
    slow_commits: FailureStreak,
}

impl LoadHistory {
    pub fn add(&mut self, sample: LoadSample, now: Timestamp) {
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        self.slow_commits.record(self.longest_commit() <= SLOW, now);
    }

    /// Checks for slow commits, a long writer queue, and a shortage of connections.
    pub fn checks(&self, now: Timestamp) -> [SelfCheck; 3] {
        let queue = self.min(|sample| sample.queued);
        let (capacity, max) = self.samples.back().map_or((0, 0), |last| (last.queue_capacity, last.max_connections));
        let busy = self.min(|sample| sample.busy_connections);
        [
            SelfCheck::commits(self.slow_commits, self.longest_commit(), now),
            SelfCheck::writer_queue(queue.filter(|queued| *queued > capacity / 2), capacity),
            SelfCheck::connections(busy.filter(|busy| *busy >= max), max),
        ]
    }

    fn longest_commit(&self) -> TimeDelta {
        self.samples.iter().map(|sample| sample.commit).max().unwrap_or_default()
    }

    /// The minimum over the last minute; `None` before a minute has passed.
    fn min<T: Ord>(&self, of: impl Fn(&LoadSample) -> T) -> Option<T> {
        self.samples.iter().map(of).min().filter(|_| self.samples.len() == SAMPLES)
    }
}

impl SelfCheck {
    fn commits(slow: FailureStreak, longest: TimeDelta, now: Timestamp) -> Self {
        let problem = slow.exceeds_threshold(now).map(|since| {
            format!(
                "Commits have been slow since {since}: the longest of the last minute took {:.1} s, and reporters wait for \
                 it. Check the disk, and which other programs use the database.",
                seconds(longest)
            )
        });
        Self { component: "commits", problem }
    }

    fn writer_queue(queued: Option<usize>, capacity: usize) -> Self {
        let problem = queued.map(|queued| {
            format!(
                "At least {queued} requests have been queued for the writer for a minute (capacity: {capacity}). Reporters \
                 send more than the database can store: send fewer and larger batches, or use a faster disk."
            )
        });
        Self { component: "writer queue", problem }
    }

    fn connections(busy: Option<u32>, max: u32) -> Self {
        let problem = busy.map(|busy| {
            format!(
                "{busy} of {max} database connections have been in use for a minute: queries wait for one. Check for slow \
                 queries, for clients that page through long histories, and the load of the database."
            )
        });
        Self { component: "connections", problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(seconds)
    }

    const IDLE: LoadSample = LoadSample {
        commit: TimeDelta::zero(),
        queued: 0,
        queue_capacity: 1_024,
        busy_connections: 0,
        max_connections: 10,
    };

    /// One sample per second; the problems after the last one.
    fn problems(seconds: i64, sample: impl Fn(i64) -> LoadSample) -> Vec<&'static str> {
        let mut history = LoadHistory::default();
        for second in 0..seconds {
            history.add(sample(second), at(second));
        }
        let checks = history.checks(at(seconds - 1));
        checks.into_iter().filter(|check| check.problem.is_some()).map(|check| check.component).collect()
    }

    #[test]
    fn lasting_overload_is_reported() {
        let commit = |millis| LoadSample { commit: TimeDelta::milliseconds(millis), ..IDLE };
        let queued = |queued| LoadSample { queued, ..IDLE };
        let busy = |busy_connections| LoadSample { busy_connections, ..IDLE };
        let none: &[&str] = &[];
        for (why, expect, found) in [
            ("idle", none, problems(1_000, |_| IDLE)),
            ("fast commits", none, problems(1_000, |_| commit(1_000))),
            ("slow commits for five minutes", none, problems(300, |_| commit(1_001))),
            ("slow commits for longer", &["commits"], problems(301, |_| commit(1_001))),
            (
                "one slow commit a minute",
                &["commits"],
                problems(400, |at| commit(if at % 60 == 0 { 2_000 } else { 1 })),
            ),
            ("one in two minutes", none, problems(400, |at| commit(if at % 120 == 0 { 2_000 } else { 1 }))),
            ("slow until a minute ago", none, problems(400, |at| if at < 340 { commit(2_000) } else { IDLE })),
            ("a queue of half a minute", none, problems(59, |_| queued(1_024))),
            ("a long queue", &["writer queue"], problems(60, |_| queued(513))),
            ("half a queue", none, problems(60, |_| queued(512))),
            ("a queue that was empty once", none, problems(90, |at| queued(if at == 60 { 0 } else { 1_024 }))),
            ("all connections", &["connections"], problems(60, |_| busy(10))),
            ("one is free", none, problems(60, |_| busy(9))),
            ("one was free", none, problems(90, |at| busy(if at == 60 { 9 } else { 10 }))),
        ] {
            assert_eq!(found, expect, "{why}");
        }
    }

    #[test]
    fn overload_is_reported_with_measurements() {
        let mut history = LoadHistory::default();
        let sample = LoadSample { commit: TimeDelta::milliseconds(2_340), queued: 700, busy_connections: 10, ..IDLE };
        for second in 0..400 {
            history.add(LoadSample { queued: 700 + usize::from(second % 2 == 0), ..sample }, at(second));
        }
        let problems = history.checks(at(400)).map(|check| check.problem.unwrap_or_default());
        for (text, expect) in
            problems.iter().zip(["took 2.3 s", "At least 700 requests", "10 of 10 database connections"])
        {
            assert!(text.contains(expect), "{text}");
        }
    }
}
