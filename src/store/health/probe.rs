//! Probes the database, and reports its health and load.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait as _, ConnectionTrait as _, DbErr, EntityTrait as _, QueryFilter as _};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use crate::domain::load::LoadSample;
use crate::domain::time::Timestamp;
use crate::store::connections::Connections;
use crate::store::entity::write_probe;
use crate::store::failure::Cause;
use crate::store::handle::Store;
use crate::store::health::monitor::{DatabaseProblem, HealthMonitor, PROBE_INTERVAL};
use crate::store::reports::writer::QUEUE_CAPACITY;

/// How often the state is checked.
const TICK: Duration = Duration::from_millis(500);
/// Timeout of a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the probe rows of other servers are kept.
const PROBE_RETENTION: chrono::TimeDelta = chrono::TimeDelta::days(1);

/// The health of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreHealth {
    /// The problem, and when it began.
    pub problem: Option<(DatabaseProblem, Timestamp)>,
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
