//! What the server does by itself, whoever watches: it closes hours, and removes what is too old.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use crate::clock::Clock;
use crate::domain::alert::{Failing, Trouble};
use crate::domain::status::RuleBook;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::retention::Retention;
use crate::store::{PendingRebuild, Store};

/// How often pipelines are looked for whose removal was broken off.
const REMOVING: Duration = Duration::from_secs(5);
/// How often hours are looked for that have closed.
const CLOSING: Duration = Duration::from_secs(30);
/// How often rows are looked for that are too old.
const PRUNING: Duration = Duration::from_hours(1);
/// How often the size of SQLite's WAL is checked.
const WAL_CHECK: Duration = Duration::from_secs(5);
/// How often unfinished rebuilds are looked for. One that made no progress since then was abandoned.
const REBUILD_CHECK: Duration = Duration::from_secs(5);
/// A server has other things to do when it starts; and so long after a failure it is tried again.
const FIRST_PRUNING: Duration = Duration::from_mins(1);

/// Does it, and knows since when it fails.
#[derive(Debug)]
pub struct Upkeep {
    store: Arc<Store>,
    rules: Arc<RuleBook>,
    retention: Retention,
    clock: Clock,
    // Std mutexes: never held across an await.
    closing: Mutex<Failing>,
    pruning: Mutex<Failing>,
}

impl Upkeep {
    /// For this store.
    pub fn new(store: Arc<Store>, rules: Arc<RuleBook>, retention: Retention, clock: Clock) -> Self {
        Self { store, rules, retention, clock, closing: Mutex::default(), pruning: Mutex::default() }
    }

    /// Runs until it is dropped. What fails is tried again.
    pub async fn run(&self) {
        // Several loops: a long removal must not keep hours open.
        tokio::join!(self.close_on(), self.prune_on(), self.bound_wal(), self.rebuild_on(), self.remove_on());
    }

    /// Closes the hours that are due. Whether that succeeded. Nothing is due by a clock that is skewed.
    pub async fn close_hours(&self) -> bool {
        if self.clock.skew().is_some() {
            return true;
        }
        let done = self.store.close_hours(&self.rules).await;
        self.note("hours closed", &self.closing, done)
    }

    /// Removes what is too old. Whether that succeeded. Nothing is too old by a clock that is skewed.
    pub async fn prune(&self) -> bool {
        if self.clock.skew().is_some() {
            return true;
        }
        let prune = async {
            let removed = self.store.prune(&self.retention).await?;
            let pages = self.store.give_back_space().await?;
            if pages > 0 {
                tracing::debug!(pages, "gave free space of the database file back");
            }
            Ok(removed)
        };
        let done = prune.await;
        self.note("old rows removed", &self.pruning, done)
    }

    /// What there is to say of both.
    pub fn troubles(&self, now: Timestamp) -> [Trouble; 2] {
        [Trouble::closing(*lock(&self.closing), now), Trouble::pruning(*lock(&self.pruning), now)]
    }

    async fn close_on(&self) {
        loop {
            self.close_hours().await;
            sleep(CLOSING).await;
        }
    }

    async fn prune_on(&self) {
        let mut wait = FIRST_PRUNING;
        loop {
            sleep(wait).await;
            wait = if self.prune().await { PRUNING } else { FIRST_PRUNING };
        }
    }

    /// Finishes rebuilds of roll-ups whose process was killed, or that a migration asked for.
    async fn rebuild_on(&self) {
        let mut seen = Vec::new();
        loop {
            match self.rebuild_abandoned(&seen).await {
                Ok(pending) => seen = pending,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the roll-ups could not be rebuilt; it is tried again");
                }
            }
            sleep(REBUILD_CHECK).await;
        }
    }

    /// Gives the rebuilds that may still be under way elsewhere.
    async fn rebuild_abandoned(&self, seen: &[PendingRebuild]) -> Result<Vec<PendingRebuild>> {
        let pending = self.store.pending_rebuilds().await?;
        let (abandoned, others): (Vec<_>, Vec<_>) = pending.into_iter().partition(|rebuild| seen.contains(rebuild));
        for PendingRebuild { pipeline, next_hour } in abandoned {
            tracing::info!(%pipeline, %next_hour, "rebuilding the roll-ups");
            let made = self.store.resume_rebuild(&pipeline, |_| {}).await?;
            tracing::info!(%pipeline, made, "the roll-ups are rebuilt");
        }
        Ok(others)
    }

    async fn remove_on(&self) {
        loop {
            match self.store.finish_removals().await {
                Ok(0) => {}
                Ok(pipelines) => tracing::info!(pipelines, "removed the rows of removed pipelines"),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the rows of removed pipelines could not be removed; will retry");
                }
            }
            sleep(REMOVING).await;
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
                    tracing::warn!(error, "the WAL could not be truncated; it is tried again");
                }
            }
        }
    }

    fn note(&self, what: &str, failing: &Mutex<Failing>, done: Result<u64>) -> bool {
        lock(failing).tried(done.is_ok(), self.clock.now());
        match done {
            Ok(0) => true,
            Ok(number) => {
                tracing::debug!(number, what);
                true
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, what, "it failed, and is tried again");
                false
            }
        }
    }
}

fn lock(failing: &Mutex<Failing>) -> std::sync::MutexGuard<'_, Failing> {
    failing.lock().unwrap_or_else(PoisonError::into_inner)
}
