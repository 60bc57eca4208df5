use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx;
use sea_orm::sqlx::postgres::{PgListener, PgPoolOptions};
use sea_orm::sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    AccessMode, ConnectOptions, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, IsolationLevel,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};

use crate::store::sqlite_file::{self, SqliteFile};
use crate::store::sqlite_upkeep::{self, WAL_LIMIT};

/// How long a request waits for a connection, and a SQLite connection for another's lock.
const PATIENCE: Duration = Duration::from_secs(5);
/// SQLite readers: a snapshot and a few pages of history at once. Each is a thread with a page cache of its own.
const SQLITE_READERS: u32 = 4;
/// PostgreSQL connections of one server; the writer takes one of them.
const POSTGRES_CONNECTIONS: u32 = 10;

/// Connections to write with and to read with.
///
/// SQLite has one writer at a time by nature. With a single connection for it writers wait in the pool's fair queue and
/// not in SQLite's busy handler, which is neither fair nor cheap; in WAL mode readers do not wait for it at all.
/// PostgreSQL needs no such care: both are the same pool.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    write: DatabaseConnection,
    read: DatabaseConnection,
    file: Option<Arc<SqliteFile>>,
}

impl Connections {
    pub(super) async fn open(url: &str) -> Result<Self, DbErr> {
        if url.starts_with("sqlite:") {
            // The writer comes first: it creates the file and puts it into WAL mode.
            let write = Database::connect(sqlite(url, 1, |options| options)).await?;
            let read =
                Database::connect(sqlite(url, SQLITE_READERS, |options| options.pragma("query_only", "on"))).await?;
            let path = sqlite_file::path(url).map_err(|error| DbErr::Custom(error.to_string()))?;
            let file = path.map(SqliteFile::opened).transpose()?.map(Arc::new);
            Ok(Self { write, read, file })
        } else {
            let mut options = ConnectOptions::new(url);
            options
                .max_connections(POSTGRES_CONNECTIONS)
                .acquire_timeout(PATIENCE)
                .sqlx_logging(false)
                .set_application_name("pipewatch")
                .test_before_acquire_if_idle_for(Duration::from_secs(10));
            let pool = Database::connect(options).await?;
            Ok(Self { write: pool.clone(), read: pool, file: None })
        }
    }

    pub(super) fn backend(&self) -> DbBackend {
        self.write.get_database_backend()
    }

    /// A transaction that may write; on SQLite it holds the write lock from its beginning, so that it never has to give
    /// up half way.
    pub(super) async fn write(&self) -> Result<DatabaseTransaction, DbErr> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.check_file()?;
        self.write.begin_with_options(options).await
    }

    /// A transaction in which every query sees the same data.
    pub(super) async fn read(&self) -> Result<DatabaseTransaction, DbErr> {
        let options = match self.backend() {
            DbBackend::Postgres => TransactionOptions {
                isolation_level: Some(IsolationLevel::RepeatableRead),
                access_mode: Some(AccessMode::ReadOnly),
                ..TransactionOptions::default()
            },
            _ => TransactionOptions::default(),
        };
        self.check_file()?;
        self.read.begin_with_options(options).await
    }

    /// Fails when a SQLite file was deleted or replaced since it was opened. It costs a microsecond: what is committed to
    /// a file must be checked again before it is acknowledged.
    pub(super) fn check_file(&self) -> Result<(), DbErr> {
        self.file.as_ref().map_or(Ok(()), |file| file.check())
    }

    /// The SQLite file.
    pub(super) fn file(&self) -> Option<&SqliteFile> {
        self.file.as_deref()
    }

    /// The pool of the one connection that writes, for what is no transaction.
    pub(super) fn writer(&self) -> &DatabaseConnection {
        &self.write
    }

    /// For a single query, which sees one state of the data by itself.
    pub(super) fn reader(&self) -> &DatabaseConnection {
        &self.read
    }

    /// A connection to a PostgreSQL to listen on. It is none of the pool's: it is never given back, and one that has died
    /// without a word must not be waited for when the pool is closed.
    pub(super) async fn listener(&self) -> Result<PgListener, sqlx::Error> {
        let options = self.read.get_postgres_connection_pool().connect_options();
        let pool =
            PgPoolOptions::new().max_connections(1).acquire_timeout(PATIENCE).idle_timeout(None).max_lifetime(None);
        let mut listener = PgListener::connect_with(&pool.connect_lazy_with((*options).clone())).await?;
        // What comes while there is no connection is lost, so whoever listens must know of it before it is made anew.
        listener.eager_reconnect(false);
        Ok(listener)
    }

    pub(super) async fn close(self) -> Result<(), DbErr> {
        let is_sqlite = self.backend() == DbBackend::Sqlite;
        self.read.close().await?;
        if is_sqlite && let Err(error) = sqlite_upkeep::truncate_wal(&self.write).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the WAL could not be checkpointed at the end");
        }
        self.write.close().await
    }
}

fn sqlite(
    url: &str,
    connections: u32,
    tune: impl Fn(SqliteConnectOptions) -> SqliteConnectOptions + Send + Sync + 'static,
) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None::<Duration>)
        .max_lifetime(None::<Duration>)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |options| {
            tune(
                options
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    // What is acknowledged survives a power cut too; group commit makes that cheap.
                    .synchronous(SqliteSynchronous::Full)
                    .foreign_keys(true)
                    // Takes effect when the file is created; an existing one needs a VACUUM.
                    .auto_vacuum(SqliteAutoVacuum::Incremental)
                    .pragma("journal_size_limit", WAL_LIMIT.to_string())
                    .busy_timeout(PATIENCE),
            )
        });
    options
}
