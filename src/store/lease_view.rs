use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use crate::domain::time::Timestamp;

/// How long a lease holds without renewal.
pub const LEASE_DURATION: Duration = Duration::from_secs(9);

/// The state of the evaluation lease as last seen by this server, available without a query.
#[derive(Debug)]
pub(super) struct LeaseView {
    opened: Instant,
    // A synchronous mutex: never held across an await.
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    held_since: Option<Instant>,
    /// The last evaluation and the time of the query, in milliseconds of the database's clock, and when this server
    /// ran the query.
    evaluated: Option<(i64, i64, Instant)>,
}

/// The last successful evaluation of any server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastEvaluation {
    /// When it ended, by the database's clock; `None` when this server has not seen one.
    pub at: Option<Timestamp>,
    /// Its age. Without one, how long this server has been running.
    pub age: Duration,
}

impl LeaseView {
    pub(super) fn new() -> Self {
        Self { opened: Instant::now(), seen: Mutex::default() }
    }

    pub(super) fn observe(&self, database_now: i64, evaluated_at: Option<i64>) {
        self.seen().evaluated = evaluated_at.map(|at| (at, database_now, Instant::now()));
    }

    pub(super) fn note_held(&self, is_held: bool) {
        self.seen().held_since = is_held.then(Instant::now);
    }

    pub(super) fn is_held(&self) -> bool {
        self.seen().held_since.is_some_and(|renewed| renewed.elapsed() < LEASE_DURATION)
    }

    pub(super) fn last_evaluation(&self) -> LastEvaluation {
        // Servers do not count the time before their own start.
        let running = self.opened.elapsed();
        let Some((at, database_now, read)) = self.seen().evaluated else {
            return LastEvaluation { at: None, age: running };
        };
        let age = Duration::from_millis(u64::try_from(database_now - at).unwrap_or(0)) + read.elapsed();
        LastEvaluation { at: Timestamp::from_timestamp_millis(at), age: age.min(running) }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock()
    }
}
