//! Whether the way to the database is overloaded: samples of a minute, judged together.

use std::collections::VecDeque;

use chrono::TimeDelta;

use crate::domain::alert::{Failing, Trouble};
use crate::domain::time::{Timestamp, seconds};

/// Samples that are judged together; one is taken each second.
const SAMPLES: usize = 60;
/// A commit that takes longer is slow.
const SLOW: TimeDelta = TimeDelta::seconds(1);

/// What one server measured of its way to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadSample {
    /// The longest commit since the sample before; zero without one.
    pub commit: TimeDelta,
    /// Requests that wait for the writer, and how many have room in its queue.
    pub queued: usize,
    /// How many have room.
    pub queue_capacity: usize,
    /// Connections for queries that are in use.
    pub busy_connections: u32,
    /// How many of them there may be.
    pub max_connections: u32,
}

/// The samples of the last minute.
#[derive(Debug, Clone, Default)]
pub struct LoadHistory {
    samples: VecDeque<LoadSample>,
    slow_commits: Failing,
}

impl LoadHistory {
    /// Adds the newest sample.
    pub fn add(&mut self, sample: LoadSample, now: Timestamp) {
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        self.slow_commits.tried(self.longest_commit() <= SLOW, now);
    }

    /// Whether commits are slow, the writer's queue is long, and connections are short.
    pub fn troubles(&self, now: Timestamp) -> [Trouble; 3] {
        let queue = self.least(|sample| sample.queued);
        let (capacity, max) = self.samples.back().map_or((0, 0), |last| (last.queue_capacity, last.max_connections));
        let busy = self.least(|sample| sample.busy_connections);
        [
            Trouble::commits(self.slow_commits, self.longest_commit(), now),
            Trouble::writer_queue(queue.filter(|queued| *queued > capacity / 2), capacity),
            Trouble::connections(busy.filter(|busy| *busy >= max), max),
        ]
    }

    fn longest_commit(&self) -> TimeDelta {
        self.samples.iter().map(|sample| sample.commit).max().unwrap_or_default()
    }

    /// The least of a whole minute; `None` before that has passed.
    fn least<T: Ord>(&self, of: impl Fn(&LoadSample) -> T) -> Option<T> {
        self.samples.iter().map(of).min().filter(|_| self.samples.len() == SAMPLES)
    }
}

impl Trouble {
    /// Whether commits are fast enough, of which the longest of the last minute took so long.
    fn commits(slow: Failing, longest: TimeDelta, now: Timestamp) -> Self {
        let wrong = slow.for_long(now).map(|since| {
            format!(
                "Commits are slow since {since}: the longest of the last minute took {:.1} s, and reporters wait for it. \
                 See whether the disk is busy or failing, and which other programs use the database.",
                seconds(longest)
            )
        });
        Self { part: "commits", wrong }
    }

    fn writer_queue(queued: Option<usize>, capacity: usize) -> Self {
        let wrong = queued.map(|queued| {
            format!(
                "At least {queued} requests have waited for the writer for a minute; its queue has room for {capacity}. \
                 Reporters send more than the database can store: let them send fewer and larger batches, or give the \
                 database a faster disk."
            )
        });
        Self { part: "writer queue", wrong }
    }

    fn connections(busy: Option<u32>, max: u32) -> Self {
        let wrong = busy.map(|busy| {
            format!(
                "{busy} of {max} connections to the database have been in use for a minute: queries wait for one. See \
                 which queries are slow, whether clients page through long histories, and whether the database is busy."
            )
        });
        Self { part: "connections", wrong }
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

    /// A sample a second; the troubles after the last.
    fn troubles(seconds: i64, sample: impl Fn(i64) -> LoadSample) -> Vec<&'static str> {
        let mut history = LoadHistory::default();
        for second in 0..seconds {
            history.add(sample(second), at(second));
        }
        let troubles = history.troubles(at(seconds - 1));
        troubles.into_iter().filter(|trouble| trouble.wrong.is_some()).map(|trouble| trouble.part).collect()
    }

    #[test]
    fn load_is_reported_when_it_lasts() {
        let commit = |millis| LoadSample { commit: TimeDelta::milliseconds(millis), ..IDLE };
        let queued = |queued| LoadSample { queued, ..IDLE };
        let busy = |busy_connections| LoadSample { busy_connections, ..IDLE };
        let none: &[&str] = &[];
        for (why, expect, found) in [
            ("idle", none, troubles(1_000, |_| IDLE)),
            ("fast commits", none, troubles(1_000, |_| commit(1_000))),
            ("slow commits for five minutes", none, troubles(300, |_| commit(1_001))),
            ("slow commits for longer", &["commits"], troubles(301, |_| commit(1_001))),
            (
                "one slow commit a minute",
                &["commits"],
                troubles(400, |at| commit(if at % 60 == 0 { 2_000 } else { 1 })),
            ),
            ("one in two minutes", none, troubles(400, |at| commit(if at % 120 == 0 { 2_000 } else { 1 }))),
            ("slow until a minute ago", none, troubles(400, |at| if at < 340 { commit(2_000) } else { IDLE })),
            ("a queue of half a minute", none, troubles(59, |_| queued(1_024))),
            ("a long queue", &["writer queue"], troubles(60, |_| queued(513))),
            ("half a queue", none, troubles(60, |_| queued(512))),
            ("a queue that was empty once", none, troubles(90, |at| queued(if at == 60 { 0 } else { 1_024 }))),
            ("all connections", &["connections"], troubles(60, |_| busy(10))),
            ("one is free", none, troubles(60, |_| busy(9))),
            ("one was free", none, troubles(90, |at| busy(if at == 60 { 9 } else { 10 }))),
        ] {
            assert_eq!(found, expect, "{why}");
        }
    }

    #[test]
    fn load_is_reported_with_what_was_measured() {
        let mut history = LoadHistory::default();
        let sample = LoadSample { commit: TimeDelta::milliseconds(2_340), queued: 700, busy_connections: 10, ..IDLE };
        for second in 0..400 {
            history.add(LoadSample { queued: 700 + usize::from(second % 2 == 0), ..sample }, at(second));
        }
        let troubles = history.troubles(at(400)).map(|trouble| trouble.wrong.unwrap_or_default());
        for (text, expect) in troubles.iter().zip(["took 2.3 s", "At least 700 requests", "10 of 10 connections"]) {
            assert!(text.contains(expect), "{text}");
        }
    }
}
