//! The store: its parts, opening and closing.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbBackend;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::domain::cardinality::Cardinality;
use crate::domain::key::PipelineKey;
use crate::domain::revision::Revision;
use crate::error::{Error, Result};
use crate::store::connections::Connections;
use crate::store::health::monitor::HealthMonitor;
use crate::store::lease_view::{LastEvaluation, LeaseView};
use crate::store::notifier::ChangeNotifier;
use crate::store::reports::report::{NewReport, Receipt};
use crate::store::reports::writer::Writer;
use crate::store::revisions::Revisions;
use crate::store::sqlite::file;
use crate::store::sqlite::file::FileLock;
use crate::store::sqlite::wal::truncate_wal;
use crate::store::transaction::Transaction;

/// The store: all access to the database.
#[derive(Debug)]
pub struct Store {
    pub(super) connections: Connections,
    pub(super) clock: Clock,
    pub(super) limits: Cardinality,
    pub(super) revisions: Arc<Revisions>,
    writer: Writer,
    writer_task: JoinHandle<()>,
    notifier_task: Option<JoinHandle<()>>,
    pub(super) health: Arc<HealthMonitor>,
    lock: Option<FileLock>,
    pub(super) lease_view: LeaseView,
}

impl Store {
    /// Opens the database. Creates a missing SQLite file.
    pub async fn open(url: &str, clock: Clock) -> Result<Self> {
        Self::open_with(url, clock, Cardinality::default()).await
    }

    /// Opens the database with the given cardinality limits.
    pub async fn open_with(url: &str, clock: Clock, limits: Cardinality) -> Result<Self> {
        let health = Arc::new(HealthMonitor::new(clock.clone()));
        let connections = Connections::open(url, Arc::clone(&health)).await.map_err(Error::database)?;
        let (notifier, notifier_task) =
            is_shared(&connections).then(|| ChangeNotifier::start(connections.clone())).unzip();
        let revisions = Arc::new(Revisions::new(notifier));
        let (writer, writer_task) =
            Writer::start(connections.clone(), clock.clone(), limits, Arc::clone(&revisions), Arc::clone(&health));
        Ok(Self {
            connections,
            clock,
            limits,
            revisions,
            writer,
            writer_task,
            notifier_task,
            health,
            lock: None,
            lease_view: LeaseView::new(),
        })
    }

    /// Opens the database with exclusive use of a SQLite file until the store is closed: for serving it or changing
    /// its schema. PostgreSQL is always shared.
    pub async fn open_exclusively(url: &str, clock: Clock, limits: Cardinality) -> Result<Self> {
        let lock = match file::path(url)? {
            Some(path) if path.parent().is_some_and(std::path::Path::is_dir) => Some(FileLock::take(&path).await?),
            _ => None,
        };
        Ok(Self { lock, ..Self::open_with(url, clock, limits).await? })
    }

    /// Creates the default pipeline and loads the pipelines. Requires the current schema.
    pub async fn prepare(&self) -> Result<()> {
        self.check_clock().await?;
        self.register_pipeline(&PipelineKey::default()).await?;
        self.refresh().await.map(drop)
    }

    /// Whether other servers may write to the same database.
    pub fn is_shared(&self) -> bool {
        is_shared(&self.connections)
    }

    /// Subscribes to the committed revisions of a pipeline; `None` when this server does not know the pipeline.
    pub fn revisions(&self, pipeline: &PipelineKey) -> Option<watch::Receiver<Revision>> {
        self.revisions.of(pipeline)
    }

    /// Returns the latest committed revision of a pipeline that this server knows; `None` for an unknown pipeline.
    pub fn newest_revision(&self, pipeline: &PipelineKey) -> Option<Revision> {
        self.revisions.newest(pipeline)
    }

    /// Returns the known pipelines after a key, ordered by key. Runs no query.
    pub fn known_pipelines(&self, after: Option<&PipelineKey>, limit: usize) -> Vec<PipelineKey> {
        self.revisions.pipelines(after, limit)
    }

    /// Returns the number of known pipelines. Runs no query.
    pub fn count_pipelines(&self) -> usize {
        self.revisions.count()
    }

    /// Subscribes to changes of any pipeline, by this server or another.
    pub fn any_change(&self) -> watch::Receiver<()> {
        self.revisions.any()
    }

    /// Whether this server holds the evaluation lease, as far as it knows. Runs no query.
    pub fn holds_lease(&self) -> bool {
        self.lease_view.is_held()
    }

    /// Returns the last successful evaluation known to this server. Runs no query.
    pub fn last_evaluation(&self) -> LastEvaluation {
        self.lease_view.last_evaluation()
    }

    /// Writes reports, together with those of other callers. Returns after the commit.
    pub async fn record(&self, entries: Vec<NewReport>) -> Result<Receipt> {
        self.writer.record(entries).await
    }

    /// Commits and publishes everything that was handed in, and closes the connections.
    pub async fn close(self) -> Result<()> {
        drop(self.writer);
        self.writer_task.await.map_err(Error::database)?;
        drop(self.revisions);
        if let Some(notifier_task) = self.notifier_task {
            notifier_task.await.map_err(Error::database)?;
        }
        self.connections.close().await.map_err(Error::database)?;
        // Released last: another process may open the file from here on.
        drop(self.lock);
        Ok(())
    }

    /// Checkpoints the WAL of a SQLite file, for a store that cannot be closed because it is still referenced.
    pub async fn checkpoint(&self) -> Result<()> {
        match self.connections.file() {
            Some(_) => truncate_wal(&self.connections.writer()).await.map_err(Error::database),
            None => Ok(()),
        }
    }

    /// Fails while the server's clock is skewed: changes by users are stored with the time of the change.
    pub(super) fn require_correct_clock(&self) -> Result<()> {
        self.clock.skew().map_or(Ok(()), |skew| Err(Error::ClockSkew(skew)))
    }

    pub(super) async fn read(&self) -> Result<Transaction> {
        self.connections.read().await.map_err(Error::database)
    }

    pub(super) async fn write(&self) -> Result<Transaction> {
        self.connections.write().await.map_err(Error::database)
    }

    /// Begins a transaction with a longer statement timeout.
    pub(super) async fn begin_maintenance(&self, limit: Duration) -> Result<Transaction> {
        self.connections.begin_maintenance(limit).await.map_err(Error::database)
    }
}

fn is_shared(connections: &Connections) -> bool {
    connections.backend() == DbBackend::Postgres
}
