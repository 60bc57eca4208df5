//! Health of the database as observed by this server: whether it can be read and written.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use parking_lot::{Mutex, MutexGuard};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait as _, ConnectionTrait as _, DbErr, EntityTrait as _, QueryFilter as _};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::load::LoadSample;
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::store::connections::Connections;
use crate::store::entity::write_probe;
use crate::store::failure::Cause;
use crate::store::writer::QUEUE_CAPACITY;

/// How often the state is checked.
const TICK: Duration = Duration::from_millis(500);
/// How often the database is read, and written if nothing else was committed.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Timeout of a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// The writer is stuck when a batch of reports takes longer than this.
const STUCK: Duration = Duration::from_secs(3);
/// How long a failed batch counts when no other follows. Longer than the retry delay of reporters: a probe may
/// succeed where a report fails.
const FAILURE_EXPIRY: Duration = Duration::from_secs(10);
/// Bytes that a probe writes after the disk was full: as much as reports may need. A single page may still fit where
/// they do not.
const FULL_PROBE: usize = 256 * 1024;
/// How long the probe rows of other servers are kept.
const PROBE_RETENTION: chrono::TimeDelta = chrono::TimeDelta::days(1);

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

/// The health of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreHealth {
    /// The problem, and when it began.
    pub problem: Option<(DatabaseProblem, Timestamp)>,
}

/// Collects the outcomes of reads and writes.
#[derive(Debug)]
pub(super) struct HealthMonitor {
    clock: Clock,
    // A synchronous mutex: never held across an await.
    state: Mutex<State>,
    queued: AtomicUsize,
    problem: watch::Sender<Option<DatabaseProblem>>,
}

#[derive(Debug)]
struct State {
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
pub(super) struct Queued<'a>(&'a HealthMonitor);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.queued.fetch_sub(1, Ordering::Relaxed);
    }
}

impl HealthMonitor {
    pub(super) fn new(clock: Clock) -> Self {
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
    pub(super) fn enqueue(&self) -> Queued<'_> {
        self.queued.fetch_add(1, Ordering::Relaxed);
        Queued(self)
    }

    /// Records a commit of any transaction.
    pub(super) fn committed(&self) {
        self.state().last_commit = Instant::now();
    }

    /// Records the start of a batch of reports.
    pub(super) fn batch_begins(&self) {
        self.state().writing_since = Some(Instant::now());
    }

    /// Records the end of a batch of reports. A batch that fails for its content says nothing about the database.
    pub(super) fn batch_ends(&self, failure: Option<Cause>) {
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
    fn probed(&self, failure: Option<Cause>) {
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
    fn read(&self, done: bool) {
        let mut state = self.state();
        state.is_unreadable = !done;
        self.publish(state);
    }

    /// Publishes the problem, if any.
    fn publish(&self, mut state: MutexGuard<'_, State>) {
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
    fn take_longest_commit(&self) -> Duration {
        let mut state = self.state();
        let longest = std::mem::take(&mut state.longest_commit);
        longest.max(state.writing_since.map_or(Duration::ZERO, |since| since.elapsed()))
    }

    fn problem(&self) -> Option<(DatabaseProblem, Timestamp)> {
        let state = self.state();
        state.problem().map(|problem| (problem, state.since.unwrap_or_else(|| self.clock.now())))
    }

    /// Returns how many bytes a probe should write now; `None` after a recent commit.
    fn due(&self) -> Option<usize> {
        let state = self.state();
        let is_due = state.probe_failed || state.last_commit.elapsed() >= PROBE_INTERVAL;
        is_due.then_some(if state.was_full { FULL_PROBE } else { 0 })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Store {
    /// Returns the health of the database without querying it.
    pub fn health(&self) -> StoreHealth {
        StoreHealth { problem: self.health.problem() }
    }

    /// Returns the load of the writer and the pool since the last call.
    pub fn sample_load(&self) -> LoadSample {
        let commit = self.health.take_longest_commit();
        let (busy_connections, max_connections) = self.connections.queries();
        LoadSample {
            commit: TimeDelta::from_std(commit).unwrap_or(TimeDelta::MAX),
            queued: self.health.queued.load(Ordering::Relaxed),
            queue_capacity: QUEUE_CAPACITY,
            busy_connections,
            max_connections,
        }
    }

    /// Subscribes to the database problem.
    pub fn database_problems(&self) -> watch::Receiver<Option<DatabaseProblem>> {
        self.health.problem.subscribe()
    }

    /// Probes the database and updates the gauges, until dropped.
    pub async fn probe_database(&self) {
        let probe = Probe { connections: &self.connections, health: &self.health, server: Uuid::new_v4() };
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut read_at: Option<Instant> = None;
        let mut is_first = true;
        loop {
            tick.tick().await;
            self.record_gauges();
            let reads = read_at.is_none_or(|at| at.elapsed() >= PROBE_INTERVAL);
            let (read, written) = tokio::join!(
                async { if reads { Some(probe.read().await) } else { None } },
                probe.write_when_due(is_first)
            );
            if let Some(is_readable) = read {
                read_at = Some(Instant::now());
                self.health.read(is_readable);
            }
            is_first &= !written;
            // A batch may have become stuck or unstuck in the meantime.
            self.health.publish(self.health.state());
        }
    }

    fn record_gauges(&self) {
        let queued = self.health.queued.load(Ordering::Relaxed);
        #[allow(clippy::cast_precision_loss, reason = "a gauge is a number with a point")]
        metrics::gauge!("pipewatch_writer_queue").set(queued as f64);
        for (pool, size, busy) in self.connections.usage() {
            #[allow(clippy::cast_precision_loss, reason = "a gauge is a number with a point")]
            for (state, number) in [("busy", busy), ("idle", size - busy)] {
                metrics::gauge!("pipewatch_pool_connections", "pool" => pool, "state" => state).set(number as f64);
            }
        }
    }
}

struct Probe<'a> {
    connections: &'a Connections,
    health: &'a Arc<HealthMonitor>,
    /// Each server writes its own row, so that servers do not wait for each other.
    server: Uuid,
}

impl Probe<'_> {
    async fn read(&self) -> bool {
        let query = async {
            self.connections.check_file()?;
            self.connections.reader().execute_unprepared("SELECT 1").await
        };
        match self.connections.within(PROBE_TIMEOUT, query).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot read from the database");
                false
            }
        }
    }

    /// Returns whether a probe was due and succeeded.
    async fn write_when_due(&self, is_first: bool) -> bool {
        let Some(size) = self.health.due() else { return false };
        let done = self.connections.within(PROBE_TIMEOUT, self.write(size, is_first)).await;
        if let Err(error) = &done {
            tracing::warn!(error = error as &dyn std::error::Error, "cannot write to the database");
        }
        self.health.probed(done.as_ref().err().map(Cause::of));
        done.is_ok()
    }

    async fn write(&self, size: usize, is_first: bool) -> Result<(), DbErr> {
        let now = self.health.clock.now();
        if is_first {
            let transaction = self.connections.write().await?;
            write_probe::Entity::delete_many()
                .filter(write_probe::Column::WrittenAt.lt(now - PROBE_RETENTION))
                .exec(&transaction)
                .await?;
            transaction.commit().await?;
        }
        self.write_row(size, now).await?;
        if size > 0 {
            self.write_row(0, now).await?;
        }
        Ok(())
    }

    async fn write_row(&self, size: usize, now: Timestamp) -> Result<(), DbErr> {
        // Random bytes, since the file system may compress others.
        let payload = std::iter::repeat_with(|| fastrand::u8(..)).take(size).collect();
        let row = write_probe::ActiveModel {
            server: Set(self.server.to_string()),
            written_at: Set(now),
            payload: Set(payload),
        };
        let transaction = self.connections.write().await?;
        let replace = OnConflict::column(write_probe::Column::Server)
            .update_columns([write_probe::Column::WrittenAt, write_probe::Column::Payload])
            .to_owned();
        write_probe::Entity::insert_many([row]).on_conflict(replace).exec_without_returning(&transaction).await?;
        transaction.commit().await
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
