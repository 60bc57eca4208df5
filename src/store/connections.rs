use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::postgres::PgListener;
use sea_orm::{
    AccessMode, DatabaseConnection, DbBackend, DbErr, IsolationLevel, SqliteTransactionMode, TransactionOptions, sqlx,
};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::store::failure::no_answer;
use crate::store::health::monitor::HealthMonitor;
use crate::store::pool::{CloseFlag, Pool, postgres_sessions};
use crate::store::sqlite::file;
use crate::store::sqlite::file::SqliteFile;
use crate::store::sqlite::wal::{create, truncate_wal};
use crate::store::transaction::{Reader, Transaction};

/// How long closing waits for busy connections. They end with the process after that.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The connections for writing and reading.
///
/// SQLite allows one writer at a time. With a single write connection, writers wait in the pool's fair queue and not
/// in SQLite's busy handler, which is neither fair nor cheap. In WAL mode, readers do not wait for the writer. On
/// PostgreSQL both use the same pool.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    write: Arc<Pool>,
    read: Reader,
    /// State of SQLite's write connection.
    must_close: Option<CloseFlag>,
    health: Arc<HealthMonitor>,
    file: Option<Arc<SqliteFile>>,
}

impl Connections {
    pub(super) async fn open(url: &str, health: Arc<HealthMonitor>) -> Result<Self, DbErr> {
        if url.starts_with("sqlite:") {
            create(url).await?;
            let must_close = CloseFlag::default();
            // The writer first: it creates the file and switches it to WAL mode.
            let write = Arc::new(Pool::sqlite_writer(url, &must_close).await?);
            let read = Reader(Arc::new(Pool::sqlite_readers(url).await?));
            let path = file::path(url).map_err(|error| DbErr::Custom(error.to_string()))?;
            let file = path.map(SqliteFile::opened).transpose()?.map(Arc::new);
            Ok(Self { write, read, must_close: Some(must_close), health, file })
        } else {
            let pool = Pool::postgres(url).await?;
            Ok(Self { write: Arc::clone(&pool), read: Reader(pool), must_close: None, health, file: None })
        }
    }

    pub(super) fn backend(&self) -> DbBackend {
        self.write.backend()
    }

    /// Begins a transaction that may write. On SQLite it takes the write lock at once, so that it never fails half
    /// way.
    pub(super) async fn write(&self) -> Result<Transaction, DbErr> {
        // SQLite refuses BEGIN IMMEDIATE inside a transaction, so this one is never nested in another.
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.check_file()?;
        Transaction::begin_write(&self.write, options, self.must_close.as_ref(), Arc::clone(&self.health)).await
    }

    /// Begins a write transaction for migrations and rebuilds, with a separate statement timeout.
    pub(super) async fn begin_maintenance(&self, limit: Duration) -> Result<Transaction, DbErr> {
        let mut transaction = self.write().await?;
        transaction.allow(limit).await?;
        Ok(transaction)
    }

    /// Begins a transaction in which all queries see the same data.
    pub(super) async fn read(&self) -> Result<Transaction, DbErr> {
        let options = match self.backend() {
            DbBackend::Postgres => TransactionOptions {
                isolation_level: Some(IsolationLevel::RepeatableRead),
                access_mode: Some(AccessMode::ReadOnly),
                ..TransactionOptions::default()
            },
            _ => TransactionOptions::default(),
        };
        self.check_file()?;
        Transaction::begin_read(&self.read.0, options).await
    }

    /// Fails when a SQLite file was deleted or replaced since it was opened. The check takes a microsecond, and is
    /// repeated after each commit, before reports are acknowledged.
    pub(super) fn check_file(&self) -> Result<(), DbErr> {
        self.file.as_ref().map_or(Ok(()), |file| file.check())
    }

    pub(super) fn file(&self) -> Option<&SqliteFile> {
        self.file.as_deref()
    }

    /// The pool of the write connection, for statements outside of a transaction.
    pub(super) fn writer(&self) -> DatabaseConnection {
        self.write.connection()
    }

    /// For single queries.
    pub(super) fn reader(&self) -> &Reader {
        &self.read
    }

    /// Runs a future with a timeout. After the timeout its connection is abandoned. On PostgreSQL all connections are
    /// replaced, since they share the cause.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        future: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        timeout(limit, future).await.unwrap_or_else(|_| {
            let error = no_answer(limit);
            self.write.replace(&error);
            Err(error)
        })
    }

    /// Returns the pool sizes: name, number of connections, number of busy connections.
    pub(super) fn usage(&self) -> [(&'static str, u64, u64); 2] {
        let usage = |name, pool: &Pool| {
            let (size, idle) = pool.usage();
            let size = u64::from(size);
            (name, size, size.saturating_sub(idle as u64))
        };
        [usage("write", &self.write), usage("read", &self.read.0)]
    }

    /// Returns the number of connections in use by queries, and its maximum. On PostgreSQL it includes the writer.
    pub(super) fn queries(&self) -> (u32, u32) {
        let (size, idle) = self.read.0.usage();
        (size.saturating_sub(u32::try_from(idle).unwrap_or(u32::MAX)), self.read.0.max_connections())
    }

    /// Opens a connection for LISTEN on PostgreSQL. It does not belong to the pool: it is never returned, and a dead
    /// one would delay closing the pool.
    ///
    /// The receiver changes when the pool is replaced. A silent connection would not show it.
    pub(super) async fn listener(&self) -> Result<(PgListener, watch::Receiver<u64>), sqlx::Error> {
        let replacements = self.read.0.replacements();
        let options = self.read.0.connection().get_postgres_connection_pool().connect_options();
        let pool = postgres_sessions().max_connections(1).idle_timeout(None).max_lifetime(None);
        let mut listener = PgListener::connect_with(&pool.connect_lazy_with((*options).clone())).await?;
        // Notifications are lost while disconnected, so the caller must know about a reconnect.
        listener.eager_reconnect(false);
        Ok((listener, replacements))
    }

    pub(super) async fn close(self) -> Result<(), DbErr> {
        let close = async {
            self.read.0.connection().close().await?;
            if self.backend() == DbBackend::Sqlite
                && let Err(error) = truncate_wal(&self.write.connection()).await
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot checkpoint the WAL at shutdown");
            }
            self.write.connection().close().await
        };
        timeout(CLOSE_TIMEOUT, close).await.unwrap_or_else(|_| Err(no_answer(CLOSE_TIMEOUT)))
    }
}
