//! Background maintenance: hourly metrics, retention, unfinished removals and rebuilds, and the size of a SQLite
//! file.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::domain::alert::{FailureStreak, SelfCheck};
use crate::domain::status::RuleBook;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::retention::Retention;
use crate::store::{PendingRebuild, Store};

/// How often unfinished removals are continued.
const REMOVAL_INTERVAL: Duration = Duration::from_secs(5);
/// How often closed hours are written.
const HOURLY_INTERVAL: Duration = Duration::from_secs(30);
/// How often old rows are pruned.
const PRUNE_INTERVAL: Duration = Duration::from_hours(1);
/// How often the size of SQLite's WAL is checked.
const WAL_CHECK: Duration = Duration::from_secs(5);
/// How often unfinished rebuilds are checked. One without progress since the last check was abandoned.
const REBUILD_CHECK: Duration = Duration::from_secs(5);
/// The delay before the first pruning, and after a failed one.
const PRUNE_RETRY: Duration = Duration::from_mins(1);

/// Runs the maintenance tasks, and records since when they fail.
#[derive(Debug)]
pub struct Maintenance {
    store: Arc<Store>,
    rules: Arc<RuleBook>,
    retention: Retention,
    clock: Clock,
    // Synchronous mutexes: never held across an await.
    closing: Mutex<FailureStreak>,
    pruning: Mutex<FailureStreak>,
}

impl Maintenance {
    pub fn new(store: Arc<Store>, rules: Arc<RuleBook>, retention: Retention, clock: Clock) -> Self {
        Self { store, rules, retention, clock, closing: Mutex::default(), pruning: Mutex::default() }
    }

    /// Runs until dropped. Failed tasks are retried.
    pub async fn run(&self) {
        // Separate loops: a long pruning must not delay hourly metrics.
        tokio::join!(self.hourly_loop(), self.prune_loop(), self.bound_wal(), self.rebuild_loop(), self.removal_loop());
    }

    /// Writes the hourly metrics that are due; none while the clock is skewed. Returns whether that succeeded.
    pub async fn write_hourly_metrics(&self) -> bool {
        if self.clock.skew().is_some() {
            return true;
        }
        let done = self.store.write_hourly_metrics(&self.rules).await;
        self.note("hours closed", &self.closing, done)
    }

    /// Removes rows older than the retention; none while the clock is skewed. Returns whether that succeeded.
    pub async fn prune(&self) -> bool {
        if self.clock.skew().is_some() {
            return true;
        }
        let prune = async {
            let removed = self.store.prune(&self.retention).await?;
            let pages = self.store.give_back_space().await?;
            if pages > 0 {
                tracing::debug!(pages, "returned free space of the database file");
            }
            Ok(removed)
        };
        let done = prune.await;
        self.note("old rows removed", &self.pruning, done)
    }

    /// Returns the problems of both tasks.
    pub fn troubles(&self, now: Timestamp) -> [SelfCheck; 2] {
        [SelfCheck::closing(*lock(&self.closing), now), SelfCheck::pruning(*lock(&self.pruning), now)]
    }

    async fn hourly_loop(&self) {
        loop {
            self.write_hourly_metrics().await;
            sleep(HOURLY_INTERVAL).await;
        }
    }

    async fn prune_loop(&self) {
        let mut wait = PRUNE_RETRY;
        loop {
            sleep(wait).await;
            wait = if self.prune().await { PRUNE_INTERVAL } else { PRUNE_RETRY };
        }
    }

    /// Finishes rebuilds whose process was killed, or that a migration requested.
    async fn rebuild_loop(&self) {
        let mut seen = Vec::new();
        loop {
            match self.rebuild_abandoned(&seen).await {
                Ok(pending) => seen = pending,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "cannot rebuild the roll-ups; will retry");
                }
            }
            sleep(REBUILD_CHECK).await;
        }
    }

    /// Returns the rebuilds that may be in progress in another process.
    async fn rebuild_abandoned(&self, seen: &[PendingRebuild]) -> Result<Vec<PendingRebuild>> {
        let pending = self.store.pending_rebuilds().await?;
        let (abandoned, others): (Vec<_>, Vec<_>) = pending.into_iter().partition(|rebuild| seen.contains(rebuild));
        for PendingRebuild { pipeline, next_hour } in abandoned {
            tracing::info!(%pipeline, %next_hour, "rebuilding roll-ups");
            let made = self.store.resume_rebuild(&pipeline, |_| {}).await?;
            tracing::info!(%pipeline, made, "roll-ups rebuilt");
        }
        Ok(others)
    }

    async fn removal_loop(&self) {
        loop {
            match self.store.finish_removals().await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "removed the rows of removed pipelines and sources"),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "cannot remove the rows of removed pipelines and sources; will retry");
                }
            }
            sleep(REMOVAL_INTERVAL).await;
        }
    }

    async fn bound_wal(&self) {
        loop {
            sleep(WAL_CHECK).await;
            match self.store.bound_wal().await {
                Ok(0) => {}
                Ok(bytes) => tracing::debug!(bytes, "truncated a large WAL"),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "cannot truncate the WAL; will retry");
                }
            }
        }
    }

    fn note(&self, what: &str, failing: &Mutex<FailureStreak>, done: Result<u64>) -> bool {
        lock(failing).record(done.is_ok(), self.clock.now());
        match done {
            Ok(0) => true,
            Ok(number) => {
                tracing::debug!(number, what);
                true
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, what, "maintenance task failed; will retry");
                false
            }
        }
    }
}

fn lock(failing: &Mutex<FailureStreak>) -> parking_lot::MutexGuard<'_, FailureStreak> {
    failing.lock()
}
