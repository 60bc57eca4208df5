use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx;
use sea_orm::sqlx::postgres::PgListener;
use sea_orm::{
    AccessMode, DatabaseConnection, DbBackend, DbErr, IsolationLevel, SqliteTransactionMode, TransactionOptions,
};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::store::failure::no_answer;
use crate::store::health::HealthMonitor;
use crate::store::pool::{Pool, Unfit, postgres_sessions};
use crate::store::sqlite_file::{self, SqliteFile};
use crate::store::sqlite_upkeep;
use crate::store::transaction::{Reader, Transaction};

/// How long closing waits for connections that are in use; afterwards they end with the process.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections to write with and to read with.
///
/// SQLite has one writer at a time by nature. With a single connection for it writers wait in the pool's fair queue and
/// not in SQLite's busy handler, which is neither fair nor cheap; in WAL mode readers do not wait for it at all.
/// PostgreSQL needs no such care: both are the same pool.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    write: Arc<Pool>,
    read: Reader,
    /// Of the one connection that SQLite is written on.
    unfit: Option<Unfit>,
    health: Arc<HealthMonitor>,
    file: Option<Arc<SqliteFile>>,
}

impl Connections {
    pub(super) async fn open(url: &str, health: Arc<HealthMonitor>) -> Result<Self, DbErr> {
        if url.starts_with("sqlite:") {
            sqlite_upkeep::create(url).await?;
            let unfit = Unfit::default();
            // The writer comes first: it creates the file and puts it into WAL mode.
            let write = Arc::new(Pool::sqlite_writer(url, &unfit).await?);
            let read = Reader(Arc::new(Pool::sqlite_readers(url).await?));
            let path = sqlite_file::path(url).map_err(|error| DbErr::Custom(error.to_string()))?;
            let file = path.map(SqliteFile::opened).transpose()?.map(Arc::new);
            Ok(Self { write, read, unfit: Some(unfit), health, file })
        } else {
            let pool = Pool::postgres(url).await?;
            Ok(Self { write: Arc::clone(&pool), read: Reader(pool), unfit: None, health, file: None })
        }
    }

    pub(super) fn backend(&self) -> DbBackend {
        self.write.backend()
    }

    /// A transaction that may write; on SQLite it holds the write lock from its beginning, so that it never has to give
    /// up half way.
    pub(super) async fn write(&self) -> Result<Transaction, DbErr> {
        // A BEGIN of our own is refused by SQLite within a transaction: so this one is known to be none within another.
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.check_file()?;
        Transaction::begin_write(&self.write, options, self.unfit.as_ref(), Arc::clone(&self.health)).await
    }

    /// A transaction that may write, each statement of which may take so long: for migrations and rebuilds. Other
    /// transactions have the deadlines of their session.
    pub(super) async fn begin_maintenance(&self, limit: Duration) -> Result<Transaction, DbErr> {
        let mut transaction = self.write().await?;
        transaction.allow(limit).await?;
        Ok(transaction)
    }

    /// A transaction in which every query sees the same data.
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
    pub(super) fn writer(&self) -> DatabaseConnection {
        self.write.connection()
    }

    /// For a single query, which sees one state of the data by itself.
    pub(super) fn reader(&self) -> &Reader {
        &self.read
    }

    /// What comes of a future within a time. Afterwards its connection is abandoned, and on PostgreSQL all others with it:
    /// what keeps one silent keeps them all.
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

    /// Of the connections to write with and of those to read with: how many there are, and how many are in use.
    pub(super) fn usage(&self) -> [(&'static str, u64, u64); 2] {
        let usage = |name, pool: &Pool| {
            let (size, idle) = pool.usage();
            let size = u64::from(size);
            (name, size, size.saturating_sub(idle as u64))
        };
        [usage("write", &self.write), usage("read", &self.read.0)]
    }

    /// Of the connections that queries use: how many are in use, and how many there may be. On PostgreSQL the writer uses
    /// them, too.
    pub(super) fn queries(&self) -> (u32, u32) {
        let (size, idle) = self.read.0.usage();
        (size.saturating_sub(u32::try_from(idle).unwrap_or(u32::MAX)), self.read.0.max_connections())
    }

    /// A connection to a PostgreSQL to listen on. It is none of the pool's: it is never given back, and one that has died
    /// without a word must not be waited for when the pool is closed.
    ///
    /// The receiver changes when the pool is replaced, which a silent listening connection does not show.
    pub(super) async fn listener(&self) -> Result<(PgListener, watch::Receiver<u64>), sqlx::Error> {
        let replacements = self.read.0.replacements();
        let options = self.read.0.connection().get_postgres_connection_pool().connect_options();
        let pool = postgres_sessions().max_connections(1).idle_timeout(None).max_lifetime(None);
        let mut listener = PgListener::connect_with(&pool.connect_lazy_with((*options).clone())).await?;
        // What comes while there is no connection is lost, so whoever listens must know of it before it is made anew.
        listener.eager_reconnect(false);
        Ok((listener, replacements))
    }

    pub(super) async fn close(self) -> Result<(), DbErr> {
        let close = async {
            self.read.0.connection().close().await?;
            if self.backend() == DbBackend::Sqlite
                && let Err(error) = sqlite_upkeep::truncate_wal(&self.write.connection()).await
            {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the WAL could not be checkpointed at the end"
                );
            }
            self.write.connection().close().await
        };
        timeout(CLOSE_TIMEOUT, close).await.unwrap_or_else(|_| Err(no_answer(CLOSE_TIMEOUT)))
    }
}
