//! The only place that speaks SQL. What goes in and comes out are the domain's types.

/// Alerts, and the log of their steps.
pub mod alerts;
/// What the statistics found.
mod anomalies;
/// Which revisions are known to be committed.
mod changes;
/// The `hourly` rows of closed hours.
mod closing;
/// Which time can be trusted.
mod confirmed_time;
/// The connections, and how they are tuned for each database.
mod connect;
/// The tables.
mod entity;
/// How often sources are expected to run.
mod expectations;
/// What a status is worked out from.
mod facts;
/// What errors of the database are about.
mod failure;
/// Whether the database can be read and written to.
pub mod health;
/// Pages of history.
pub mod history;
/// Which ids are taken.
mod known_ids;
/// What this server saw of the lease.
mod lease_view;
/// Work that is done by one server at a time.
pub mod leases;
/// What servers on one database tell each other.
mod neighbours;
/// What is to be told of alerts, until it is delivered.
pub mod outbox;
/// Pools of connections.
mod pool;
/// The ids of reports whose rows were pruned.
mod pruned_ids;
/// Histories of sums, and all sums of a pipeline.
mod quality_history;
/// Roll-ups made anew from what they sum.
mod rebuild;
/// Writing reports in one transaction.
mod record;
/// Pipelines and sources: listing, registering, removing.
mod registry;
/// Removing pipelines and sources in batches.
mod removal;
/// What is kept for how long.
pub mod retention;
/// Sums of hours and days, as reports come.
mod rollups;
/// How much room there is below the limits.
mod room;
/// The rows that reports come to.
mod rows;
/// The migrations of the schema.
mod schema;
/// What servers say is wrong with themselves.
mod server_troubles;
/// What stands in a source's row of its newest run.
mod source_rows;
/// The file of a SQLite database: its lock and its identity.
mod sqlite_file;
/// The WAL of a SQLite database, and its free space.
mod sqlite_upkeep;
/// Runs that are reported at their start.
mod started_runs;
/// The steps of runs.
mod steps;
/// Transactions and queries with deadlines.
mod transaction;
/// Group commit.
mod writer;

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbBackend;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::domain::cardinality::Cardinality;
use crate::domain::pipeline::PipelineKey;
use crate::domain::revision::Revision;
use crate::error::{Error, Result};
use crate::store::changes::Changes;
use crate::store::connect::Connections;
use crate::store::health::HealthMonitor;
pub use crate::store::lease_view::LastEvaluation;
use crate::store::lease_view::LeaseView;
pub use crate::store::neighbours::Listener;
use crate::store::neighbours::Teller;
pub use crate::store::quality_history::{DaysSums, SeriesHistory, SeriesHours};
pub use crate::store::rebuild::PendingRebuild;
pub use crate::store::record::{Entry, Receipt, Recorded};
pub use crate::store::schema::{Direction, Step};
use crate::store::sqlite_file::FileLock;
pub use crate::store::sqlite_upkeep::Conversion;
use crate::store::transaction::Transaction;
use crate::store::writer::Writer;

/// The database.
#[derive(Debug)]
pub struct Store {
    connections: Connections,
    clock: Clock,
    limits: Cardinality,
    changes: Arc<Changes>,
    writer: Writer,
    writing: JoinHandle<()>,
    telling: Option<JoinHandle<()>>,
    health: Arc<HealthMonitor>,
    lock: Option<FileLock>,
    lease_view: LeaseView,
}

impl Store {
    /// Opens the database; creates the file of a SQLite one that is not there.
    pub async fn open(url: &str, clock: Clock) -> Result<Self> {
        Self::open_with(url, clock, Cardinality::default()).await
    }

    /// The same, with limits other than the defaults.
    pub async fn open_with(url: &str, clock: Clock, limits: Cardinality) -> Result<Self> {
        let health = Arc::new(HealthMonitor::new(clock.clone()));
        let connections = Connections::open(url, Arc::clone(&health)).await.map_err(Error::database)?;
        let (teller, telling) = is_shared(&connections).then(|| Teller::start(connections.clone())).unzip();
        let changes = Arc::new(Changes::new(teller));
        let (writer, writing) =
            Writer::start(connections.clone(), clock.clone(), limits, Arc::clone(&changes), Arc::clone(&health));
        Ok(Self {
            connections,
            clock,
            limits,
            changes,
            writer,
            writing,
            telling,
            health,
            lock: None,
            lease_view: LeaseView::new(),
        })
    }

    /// Opens the database for a process that needs a SQLite file for itself until it closes the store: one that serves it,
    /// or changes its schema. PostgreSQL is shared.
    pub async fn open_exclusively(url: &str, clock: Clock, limits: Cardinality) -> Result<Self> {
        let lock = match sqlite_file::path(url)? {
            Some(path) if path.parent().is_some_and(std::path::Path::is_dir) => Some(FileLock::take(&path).await?),
            _ => None,
        };
        Ok(Self { lock, ..Self::open_with(url, clock, limits).await? })
    }

    /// Makes sure of what must always be there, and learns which pipelines there are. Call it once the schema stands.
    pub async fn prepare(&self) -> Result<()> {
        self.check_clock().await?;
        self.register_pipeline(&PipelineKey::default()).await?;
        self.refresh().await.map(drop)
    }

    /// Whether other servers may write to the same database.
    pub fn is_shared(&self) -> bool {
        is_shared(&self.connections)
    }

    /// `sqlite` or `postgres`.
    pub fn backend(&self) -> &'static str {
        match self.connections.backend() {
            DbBackend::Postgres => "postgres",
            _ => "sqlite",
        }
    }

    /// The committed revisions of a pipeline; `None` when this server knows of no such pipeline.
    pub fn revisions(&self, pipeline: &PipelineKey) -> Option<watch::Receiver<Revision>> {
        self.changes.of(pipeline)
    }

    /// The newest revision of a pipeline that this server knows to be committed; `None` when it knows of no such
    /// pipeline.
    pub fn newest_revision(&self, pipeline: &PipelineKey) -> Option<Revision> {
        self.changes.newest(pipeline)
    }

    /// The pipelines that this server knows of behind a key, by their keys, at most so many. Asks no database.
    pub fn known_pipelines(&self, after: Option<&PipelineKey>, most: usize) -> Vec<PipelineKey> {
        self.changes.pipelines(after, most)
    }

    /// How many pipelines this server knows of. Asks no database.
    pub fn count_pipelines(&self) -> usize {
        self.changes.count()
    }

    /// Woken by every change of any pipeline that this server makes or learns of.
    pub fn any_change(&self) -> watch::Receiver<()> {
        self.changes.any()
    }

    /// Whether this server evaluates, as far as it knows. Asks no database.
    pub fn holds_lease(&self) -> bool {
        self.lease_view.is_held()
    }

    /// The last successful evaluation that this server knows of. Asks no database.
    pub fn last_evaluation(&self) -> LastEvaluation {
        self.lease_view.last_evaluation()
    }

    /// Writes reports. They are committed together with those of other callers; the answer comes after the commit.
    pub async fn record(&self, entries: Vec<Entry>) -> Result<Receipt> {
        self.writer.record(entries).await
    }

    /// Ends writing, once all that was handed in is committed and told, and closes the connections.
    pub async fn close(self) -> Result<()> {
        drop(self.writer);
        self.writing.await.map_err(Error::database)?;
        drop(self.changes);
        if let Some(telling) = self.telling {
            telling.await.map_err(Error::database)?;
        }
        self.connections.close().await.map_err(Error::database)?;
        // Only now may another process have the file.
        drop(self.lock);
        Ok(())
    }

    /// Writes the WAL of a SQLite file into the file, for a store that cannot be closed because it is still referred to.
    pub async fn checkpoint(&self) -> Result<()> {
        match self.connections.file() {
            Some(_) => sqlite_upkeep::truncate_wal(&self.connections.writer()).await.map_err(Error::database),
            None => Ok(()),
        }
    }

    /// Fails while the server's clock is skewed: what people change is stored with the time of the change.
    fn require_correct_clock(&self) -> Result<()> {
        self.clock.skew().map_or(Ok(()), |skew| Err(Error::ClockSkew(skew)))
    }

    async fn read(&self) -> Result<Transaction> {
        self.connections.read().await.map_err(Error::database)
    }

    async fn write(&self) -> Result<Transaction> {
        self.connections.write().await.map_err(Error::database)
    }

    /// A transaction whose statements may take longer than others.
    async fn begin_maintenance(&self, limit: Duration) -> Result<Transaction> {
        self.connections.begin_maintenance(limit).await.map_err(Error::database)
    }
}

fn is_shared(connections: &Connections) -> bool {
    connections.backend() == DbBackend::Postgres
}

/// What the database says must be one of ours; anything else was written by somebody else.
#[derive(Debug, thiserror::Error)]
#[error("the database has {what} {value:?}, which is none")]
struct Unexpected {
    what: &'static str,
    value: String,
}

fn stored<T: std::str::FromStr>(what: &'static str, value: &str) -> Result<T> {
    value.parse().map_err(|_| Error::database(Unexpected { what, value: value.to_owned() }))
}

#[cfg(test)]
mod plans;
