//! Whether the database can be read and written to, as far as this server has seen.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait as _, ConnectionTrait as _, DbErr, EntityTrait as _, QueryFilter as _};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::load::LoadSample;
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::store::connect::Connections;
use crate::store::entity::write_probe;
use crate::store::failure::Cause;
use crate::store::writer::QUEUE;

/// How often the state is looked at.
const TICK: Duration = Duration::from_millis(500);
/// The database is read, and written to unless something else was committed, after so much time.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// How long a probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// A group of reports that is under way for longer means that the writer is stuck.
const STUCK: Duration = Duration::from_secs(3);
/// How long a group of reports that failed counts when no other follows. It is longer than reporters wait before they try
/// again: a probe may succeed where a report does not.
const FAILURE_COUNTS: Duration = Duration::from_secs(10);
/// What a probe writes after the disk was full: as much as reports may need, where a single page may still find room.
const FULL_PROBE: usize = 256 * 1024;
/// Rows of probes by servers that are gone are removed after this time.
const PROBES_KEPT: chrono::TimeDelta = chrono::TimeDelta::days(1);

/// What is wrong with the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseProblem {
    /// Queries fail or are not answered.
    Unreadable,
    /// Nothing can be committed.
    NotWritable,
    /// A group of reports is under way for too long.
    WriterStuck,
}

/// What the server knows of its database and of the way there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreHealth {
    /// What is wrong, and since when.
    pub problem: Option<(DatabaseProblem, Timestamp)>,
}

/// Collects what becomes of reading and writing.
#[derive(Debug)]
pub(super) struct HealthMonitor {
    clock: Clock,
    // A std mutex: never held across an await.
    state: Mutex<State>,
    queued: AtomicUsize,
    problem: watch::Sender<Option<DatabaseProblem>>,
}

#[derive(Debug)]
struct State {
    is_unreadable: bool,
    /// Whether the last probe failed.
    probe_failed: bool,
    /// When a group of reports failed, unless writing has been shown to work since.
    group_failed: Option<Instant>,
    /// Whether the disk was full when something was written last.
    was_full: bool,
    since: Option<Timestamp>,
    last_commit: Instant,
    /// Since when a group of reports is under way.
    writing_since: Option<Instant>,
    /// The longest time that a group took since it was last asked for.
    longest_commit: Duration,
}

impl State {
    fn writing_works(&mut self) {
        (self.probe_failed, self.group_failed, self.was_full) = (false, None, false);
    }

    fn problem(&self) -> Option<DatabaseProblem> {
        if self.is_unreadable {
            Some(DatabaseProblem::Unreadable)
        } else if self.probe_failed || self.group_failed.is_some_and(|at| at.elapsed() < FAILURE_COUNTS) {
            Some(DatabaseProblem::NotWritable)
        } else {
            let is_stuck = self.writing_since.is_some_and(|since| since.elapsed() > STUCK);
            is_stuck.then_some(DatabaseProblem::WriterStuck)
        }
    }
}

/// A request that waits for the writer; dropped when it is answered or has gone.
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
            group_failed: None,
            was_full: false,
            since: None,
            last_commit: Instant::now(),
            writing_since: None,
            longest_commit: Duration::ZERO,
        };
        Self { clock, state: Mutex::new(state), queued: AtomicUsize::new(0), problem: watch::Sender::new(None) }
    }

    /// Counts a request while it waits for the writer.
    pub(super) fn enqueue(&self) -> Queued<'_> {
        self.queued.fetch_add(1, Ordering::Relaxed);
        Queued(self)
    }

    /// Something was committed.
    pub(super) fn committed(&self) {
        self.state().last_commit = Instant::now();
    }

    /// A group of reports begins.
    pub(super) fn group_begins(&self) {
        self.state().writing_since = Some(Instant::now());
    }

    /// A group of reports is committed, or has failed. That one has bad content says nothing of the database.
    pub(super) fn group_ends(&self, failure: Option<Cause>) {
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
                state.group_failed = Some(Instant::now());
                state.was_full |= cause == Cause::DiskFull;
            }
        }
        self.publish(state);
    }

    /// A probe is committed, or has failed.
    fn probed(&self, failure: Option<Cause>) {
        let mut state = self.state();
        state.probe_failed = failure.is_some();
        match failure {
            // It has written as much as reports need.
            None if state.was_full => state.writing_works(),
            None => {}
            Some(cause) => state.was_full |= cause == Cause::DiskFull,
        }
        self.publish(state);
    }

    /// What came of reading.
    fn read(&self, done: bool) {
        let mut state = self.state();
        state.is_unreadable = !done;
        self.publish(state);
    }

    /// Makes known what the state amounts to.
    fn publish(&self, mut state: MutexGuard<'_, State>) {
        let problem = state.problem();
        if problem.is_none() {
            state.since = None;
        } else if state.since.is_none() {
            state.since = Some(self.clock.now());
        }
        // Within the lock, so that the last word is the newest.
        self.problem.send_if_modified(|known| {
            let is_news = *known != problem;
            *known = problem;
            is_news
        });
    }

    /// The longest commit since this was last asked for, one that is under way included.
    fn take_longest_commit(&self) -> Duration {
        let mut state = self.state();
        let longest = std::mem::take(&mut state.longest_commit);
        longest.max(state.writing_since.map_or(Duration::ZERO, |since| since.elapsed()))
    }

    fn problem(&self) -> Option<(DatabaseProblem, Timestamp)> {
        let state = self.state();
        state.problem().map(|problem| (problem, state.since.unwrap_or_else(|| self.clock.now())))
    }

    /// How much a probe should write now; `None` when a commit has shown that writing works.
    fn due(&self) -> Option<usize> {
        let state = self.state();
        let is_due = state.probe_failed || state.last_commit.elapsed() >= PROBE_INTERVAL;
        is_due.then_some(if state.was_full { FULL_PROBE } else { 0 })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// What is known of the database, without asking it.
    pub fn health(&self) -> StoreHealth {
        StoreHealth { problem: self.health.problem() }
    }

    /// How busy the way to the database has been since this was last called.
    pub fn sample_load(&self) -> LoadSample {
        let commit = self.health.take_longest_commit();
        let (busy_connections, max_connections) = self.connections.queries();
        LoadSample {
            commit: TimeDelta::from_std(commit).unwrap_or(TimeDelta::MAX),
            queued: self.health.queued.load(Ordering::Relaxed),
            queue_capacity: QUEUE,
            busy_connections,
            max_connections,
        }
    }

    /// Woken when something goes wrong with the database, and when it is over.
    pub fn database_problems(&self) -> watch::Receiver<Option<DatabaseProblem>> {
        self.health.problem.subscribe()
    }

    /// Looks again and again whether the database can be read and written to, and keeps the gauges; until it is dropped.
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
            // A group may have become stuck meanwhile, or a stuck one may have ended.
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
    /// Each server writes a row of its own, and waits for no other.
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
                tracing::warn!(error = &error as &dyn std::error::Error, "the database cannot be read");
                false
            }
        }
    }

    /// Whether it was due, and succeeded.
    async fn write_when_due(&self, is_first: bool) -> bool {
        let Some(size) = self.health.due() else { return false };
        let done = self.connections.within(PROBE_TIMEOUT, self.write(size, is_first)).await;
        if let Err(error) = &done {
            tracing::warn!(error = error as &dyn std::error::Error, "the database cannot be written to");
        }
        self.health.probed(done.as_ref().err().map(Cause::of));
        done.is_ok()
    }

    async fn write(&self, size: usize, is_first: bool) -> Result<(), DbErr> {
        let now = self.health.clock.now();
        if is_first {
            let transaction = self.connections.write().await?;
            write_probe::Entity::delete_many()
                .filter(write_probe::Column::WrittenAt.lt(now - PROBES_KEPT))
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
        // Bytes that cannot be compressed need the room that they claim.
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
    fn failures_count_until_writing_has_been_shown_to_work() {
        let health = HealthMonitor::new(Clock::system());
        let group = |failure| {
            health.group_begins();
            health.group_ends(failure);
            problem(&health)
        };
        let unwritable = Some(DatabaseProblem::NotWritable);
        assert_eq!(group(Some(Cause::Content)), None, "one request's fault");
        assert_eq!(group(Some(Cause::Database)), unwritable);
        health.probed(None);
        assert_eq!(problem(&health), unwritable, "a probe may succeed where reports do not");
        assert_eq!(group(None), None);

        assert_eq!(group(Some(Cause::Database)), unwritable);
        health.state().group_failed = Some(ago(FAILURE_COUNTS));
        assert_eq!(problem(&health), None, "no other has failed for long");

        assert_eq!(group(Some(Cause::DiskFull)), unwritable);
        health.state().last_commit = ago(PROBE_INTERVAL);
        assert_eq!(health.due(), Some(FULL_PROBE));
        health.probed(None);
        assert_eq!((problem(&health), health.due()), (None, Some(0)), "there is room again");

        health.probed(Some(Cause::Connection));
        assert_eq!(problem(&health), unwritable);
        health.probed(None);
        assert_eq!(problem(&health), None);
        health.committed();
        assert_eq!(health.due(), None, "a commit is as good as a probe");
    }

    #[test]
    fn group_that_takes_long_means_that_the_writer_is_stuck() {
        let health = HealthMonitor::new(Clock::system());
        health.group_begins();
        assert_eq!(problem(&health), None);
        health.state().writing_since = Some(ago(STUCK + Duration::from_millis(1)));
        assert_eq!(problem(&health), Some(DatabaseProblem::WriterStuck));
        health.read(false);
        assert_eq!(problem(&health), Some(DatabaseProblem::Unreadable), "the worst comes first");
    }
}
