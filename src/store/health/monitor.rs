//! Health of the database as observed by this server: whether it can be read and written.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::store::failure::Cause;

/// How often the database is read, and written if nothing else was committed.
pub(in crate::store) const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// The writer is stuck when a batch of reports takes longer than this.
const STUCK: Duration = Duration::from_secs(3);
/// How long a failed batch counts when no other follows. Longer than the retry delay of reporters: a probe may
/// succeed where a report fails.
const FAILURE_EXPIRY: Duration = Duration::from_secs(10);
/// Bytes that a probe writes after the disk was full: as much as reports may need. A single page may still fit where
/// they do not.
const FULL_PROBE: usize = 256 * 1024;

/// A problem with the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseProblem {
    /// Queries fail or time out.
    Unreadable,
    /// Commits fail.
    NotWritable,
    /// A batch of reports has been in progress for too long.
    WriterStuck,
}

/// Collects the outcomes of reads and writes.
#[derive(Debug)]
pub(in crate::store) struct HealthMonitor {
    pub(in crate::store) clock: Clock,
    // A synchronous mutex: never held across an await.
    state: Mutex<State>,
    pub(in crate::store) queued: AtomicUsize,
    pub(in crate::store) problem: watch::Sender<Option<DatabaseProblem>>,
}

#[derive(Debug)]
pub(in crate::store) struct State {
    is_unreadable: bool,
    probe_failed: bool,
    /// When a batch of reports failed, unless a write has succeeded since.
    batch_failed: Option<Instant>,
    /// Whether the disk was full at the last write.
    was_full: bool,
    since: Option<Timestamp>,
    last_commit: Instant,
    /// When the batch in progress began.
    writing_since: Option<Instant>,
    /// The longest commit since it was last read.
    longest_commit: Duration,
}

impl State {
    fn writing_works(&mut self) {
        (self.probe_failed, self.batch_failed, self.was_full) = (false, None, false);
    }

    fn problem(&self) -> Option<DatabaseProblem> {
        if self.is_unreadable {
            Some(DatabaseProblem::Unreadable)
        } else if self.probe_failed || self.batch_failed.is_some_and(|at| at.elapsed() < FAILURE_EXPIRY) {
            Some(DatabaseProblem::NotWritable)
        } else {
            let is_stuck = self.writing_since.is_some_and(|since| since.elapsed() > STUCK);
            is_stuck.then_some(DatabaseProblem::WriterStuck)
        }
    }
}

/// A request in the writer's queue. Dropping it removes it from the count.
#[derive(Debug)]
pub(in crate::store) struct Queued<'a>(&'a HealthMonitor);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.queued.fetch_sub(1, Ordering::Relaxed);
    }
}

impl HealthMonitor {
    pub(in crate::store) fn new(clock: Clock) -> Self {
        let state = State {
            is_unreadable: false,
            probe_failed: false,
            batch_failed: None,
            was_full: false,
            since: None,
            last_commit: Instant::now(),
            writing_since: None,
            longest_commit: Duration::ZERO,
        };
        Self { clock, state: Mutex::new(state), queued: AtomicUsize::new(0), problem: watch::Sender::new(None) }
    }

    /// Counts a request in the writer's queue.
    pub(in crate::store) fn enqueue(&self) -> Queued<'_> {
        self.queued.fetch_add(1, Ordering::Relaxed);
        Queued(self)
    }

    /// Records a commit of any transaction.
    pub(in crate::store) fn committed(&self) {
        self.state().last_commit = Instant::now();
    }

    /// Records the start of a batch of reports.
    pub(in crate::store) fn batch_begins(&self) {
        self.state().writing_since = Some(Instant::now());
    }

    /// Records the end of a batch of reports. A batch that fails for its content says nothing about the database.
    pub(in crate::store) fn batch_ends(&self, failure: Option<Cause>) {
        let mut state = self.state();
        if let Some(since) = state.writing_since.take() {
            let commit = since.elapsed();
            state.longest_commit = state.longest_commit.max(commit);
            metrics::histogram!("pipewatch_commit_seconds").record(commit);
        }
        match failure {
            None => state.writing_works(),
            Some(Cause::Content) => {}
            Some(cause) => {
                state.batch_failed = Some(Instant::now());
                state.was_full |= cause == Cause::DiskFull;
            }
        }
        self.publish(state);
    }

    /// Records the outcome of a write probe.
    pub(in crate::store) fn probed(&self, failure: Option<Cause>) {
        let mut state = self.state();
        state.probe_failed = failure.is_some();
        match failure {
            // The probe wrote as much as reports need.
            None if state.was_full => state.writing_works(),
            None => {}
            Some(cause) => state.was_full |= cause == Cause::DiskFull,
        }
        self.publish(state);
    }

    /// Records the outcome of a read probe.
    pub(in crate::store) fn read(&self, done: bool) {
        let mut state = self.state();
        state.is_unreadable = !done;
        self.publish(state);
    }

    /// Publishes the problem, if any.
    pub(in crate::store) fn publish(&self, mut state: MutexGuard<'_, State>) {
        let problem = state.problem();
        if problem.is_none() {
            state.since = None;
        } else if state.since.is_none() {
            state.since = Some(self.clock.now());
        }
        // Inside the lock, so that the last published value is the newest.
        self.problem.send_if_modified(|known| {
            let is_news = *known != problem;
            *known = problem;
            is_news
        });
    }

    /// Returns and resets the longest commit, including one in progress.
    pub(in crate::store) fn take_longest_commit(&self) -> Duration {
        let mut state = self.state();
        let longest = std::mem::take(&mut state.longest_commit);
        longest.max(state.writing_since.map_or(Duration::ZERO, |since| since.elapsed()))
    }

    pub(in crate::store) fn problem(&self) -> Option<(DatabaseProblem, Timestamp)> {
        let state = self.state();
        state.problem().map(|problem| (problem, state.since.unwrap_or_else(|| self.clock.now())))
    }

    /// Returns how many bytes a probe should write now; `None` after a recent commit.
    pub(in crate::store) fn due(&self) -> Option<usize> {
        let state = self.state();
        let is_due = state.probe_failed || state.last_commit.elapsed() >= PROBE_INTERVAL;
        is_due.then_some(if state.was_full { FULL_PROBE } else { 0 })
    }

    pub(in crate::store) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(health: &HealthMonitor) -> Option<DatabaseProblem> {
        health.problem().map(|(problem, _)| problem)
    }

    fn ago(span: Duration) -> Instant {
        Instant::now().checked_sub(span).expect("the machine has run for longer")
    }

    #[test]
    fn failures_count_until_a_write_succeeds() {
        let health = HealthMonitor::new(Clock::system());
        let batch = |failure| {
            health.batch_begins();
            health.batch_ends(failure);
            problem(&health)
        };
        let unwritable = Some(DatabaseProblem::NotWritable);
        assert_eq!(batch(Some(Cause::Content)), None, "one request's fault");
        assert_eq!(batch(Some(Cause::Database)), unwritable);
        health.probed(None);
        assert_eq!(problem(&health), unwritable, "a probe may succeed where reports fail");
        assert_eq!(batch(None), None);

        assert_eq!(batch(Some(Cause::Database)), unwritable);
        health.state().batch_failed = Some(ago(FAILURE_EXPIRY));
        assert_eq!(problem(&health), None, "the failure has expired");

        assert_eq!(batch(Some(Cause::DiskFull)), unwritable);
        health.state().last_commit = ago(PROBE_INTERVAL);
        assert_eq!(health.due(), Some(FULL_PROBE));
        health.probed(None);
        assert_eq!((problem(&health), health.due()), (None, Some(0)), "the disk has space again");

        health.probed(Some(Cause::Connection));
        assert_eq!(problem(&health), unwritable);
        health.probed(None);
        assert_eq!(problem(&health), None);
        health.committed();
        assert_eq!(health.due(), None, "a commit makes the probe unnecessary");
    }

    #[test]
    fn long_batch_means_a_stuck_writer() {
        let health = HealthMonitor::new(Clock::system());
        health.batch_begins();
        assert_eq!(problem(&health), None);
        health.state().writing_since = Some(ago(STUCK + Duration::from_millis(1)));
        assert_eq!(problem(&health), Some(DatabaseProblem::WriterStuck));
        health.read(false);
        assert_eq!(problem(&health), Some(DatabaseProblem::Unreadable), "the worst problem takes precedence");
    }
}
