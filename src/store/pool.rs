use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use sea_orm::sqlx::pool::PoolConnectionMetadata;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use sea_orm::{
    ConnAcquireErr, ConnectOptions, Database, DatabaseConnection, DbBackend, DbErr, SqlxPostgresConnector, sqlx,
};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::store::failure::{Cause, no_answer};
use crate::store::sqlite::wal::WAL_KEEP_SIZE;

/// How long a request waits for a connection, including opening one.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a SQLite connection waits for a lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);
/// SQLite readers: for a snapshot and a few history pages at once. Each is a thread with its own page cache.
const SQLITE_READERS: u32 = 4;
/// PostgreSQL connections per server, including the writer's.
const POSTGRES_CONNECTIONS: u32 = 10;
/// A connection that was idle for longer is pinged before use, with a timeout.
const MAX_UNCHECKED_IDLE: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_millis(1500);
/// Client-side statement timeout on PostgreSQL: a little longer than the server's `statement_timeout`.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(9);
/// A pool younger than this is not replaced.
const MIN_POOL_AGE: Duration = Duration::from_secs(2);
/// How long the busy connections of a replaced pool may live.
const RETIREMENT_TIMEOUT: Duration = Duration::from_mins(1);
/// Settings of every PostgreSQL session, as far as the server knows them. One round trip, and no startup parameters,
/// which `PgBouncer` would refuse.
///
/// A server that freezes in mid-transaction must not hold its locks for long, statements must not wait without limit,
/// and a backend must notice that its client is gone.
const SESSION: &str = "SELECT set_config(name, value, false) FROM (VALUES \
    ('idle_in_transaction_session_timeout', '5s'), ('lock_timeout', '3s'), ('statement_timeout', '8s'), \
    ('client_connection_check_interval', '2s'), ('tcp_user_timeout', '10s'), \
    ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3') \
    ) AS wanted (name, value) JOIN pg_catalog.pg_settings USING (name)";

/// Whether SQLite's write connection must be closed on return to its pool. A transaction holds this from its start to
/// the end of its bookkeeping, so that no other transaction begins on a broken connection.
pub(super) type CloseFlag = Arc<Mutex<bool>>;

/// A pool of connections to the database.
///
/// A PostgreSQL pool can be replaced as a whole: the driver waits without a limit when it returns a connection whose
/// peer is silent, which would use up the pool's places for good.
pub(super) struct Pool {
    // A std lock: never held across an await.
    current: RwLock<Generation>,
    /// Creates a new pool; `None` for SQLite, whose connections are never silent.
    renew: Option<Box<dyn Fn() -> DatabaseConnection + Send + Sync>>,
    limit: Option<Duration>,
    /// The number of the current pool.
    replaced: watch::Sender<u64>,
}

/// One of successive pools.
#[derive(Clone)]
struct Generation {
    number: u64,
    connection: DatabaseConnection,
    began: Instant,
}

impl Generation {
    fn new(number: u64, connection: DatabaseConnection) -> Self {
        Self { number, connection, began: Instant::now() }
    }
}

impl Pool {
    /// The write connection of SQLite. It creates the file and switches it to WAL mode.
    pub(super) async fn sqlite_writer(url: &str, must_close: &CloseFlag) -> Result<Self, DbErr> {
        let mut options = sqlite(url, 1, |options| options);
        let must_close = Arc::clone(must_close);
        options.map_sqlx_sqlite_pool_opts(move |options| {
            let (before, after) = (Arc::clone(&must_close), Arc::clone(&must_close));
            options
                .before_acquire(move |connection, _| {
                    let must_close = Arc::clone(&before);
                    // SQLite may have rolled back, which the driver does not notice: its next BEGIN would be a
                    // SAVEPOINT in a transaction that is never committed.
                    Box::pin(async move { Ok(is_usable(&must_close).await && !connection.is_in_transaction()) })
                })
                .after_release(move |_, _| {
                    let must_close = Arc::clone(&after);
                    Box::pin(async move { Ok(is_usable(&must_close).await) })
                })
        });
        Ok(Self::fixed(Database::connect(options).await?))
    }

    /// The read connections of SQLite.
    pub(super) async fn sqlite_readers(url: &str) -> Result<Self, DbErr> {
        let mut options = sqlite(url, SQLITE_READERS, |options| options.pragma("query_only", "on"));
        options.map_sqlx_sqlite_pool_opts(|options| {
            options.before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        });
        Ok(Self::fixed(Database::connect(options).await?))
    }

    fn fixed(connection: DatabaseConnection) -> Self {
        let pool = connection.get_sqlite_connection_pool();
        // A replacement connection must not create a new file when the old one is gone.
        pool.set_connect_options((*pool.connect_options()).clone().create_if_missing(false));
        Self {
            current: RwLock::new(Generation::new(0, connection)),
            renew: None,
            limit: None,
            replaced: watch::Sender::new(0),
        }
    }

    /// The connections to PostgreSQL. Fails when none can be opened.
    pub(super) async fn postgres(url: &str) -> Result<Arc<Self>, DbErr> {
        let options: PgConnectOptions = url.parse().map_err(|error: sqlx::Error| connection_error(error))?;
        let options = options.application_name("pipewatch").disable_statement_logging();
        let pool = Arc::new_cyclic(|pool: &Weak<Self>| {
            let pool = Weak::clone(pool);
            let renew = move || SqlxPostgresConnector::from_sqlx_postgres_pool(postgres_pool(&options, &pool));
            let current = RwLock::new(Generation::new(0, renew()));
            let replaced = watch::Sender::new(0);
            Self { current, renew: Some(Box::new(renew)), limit: Some(STATEMENT_TIMEOUT), replaced }
        });
        pool.current().connection.get_postgres_connection_pool().acquire().await.map_err(connection_error)?;
        Ok(pool)
    }

    pub(super) fn backend(&self) -> DbBackend {
        self.current().connection.get_database_backend()
    }

    /// The statement timeout; `None` for SQLite.
    pub(super) fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// The current pool.
    pub(super) fn connection(&self) -> DatabaseConnection {
        self.current().connection
    }

    /// Runs an action on the pool, and once more when the pool was replaced before a connection was available.
    pub(super) async fn run<T, F>(&self, action: impl Fn(DatabaseConnection) -> F) -> Result<T, DbErr>
    where
        F: Future<Output = Result<T, DbErr>>,
    {
        loop {
            let generation = self.current();
            match self.with_timeout(self.limit, action(generation.connection)).await {
                Err(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))
                    if self.current().number != generation.number => {}
                done => return done,
            }
        }
    }

    /// Runs a statement with a timeout. Replaces the pool when its connection is broken: the others share the cause.
    pub(super) async fn with_timeout<T>(
        &self,
        limit: Option<Duration>,
        statement: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        let done = match limit {
            Some(limit) => timeout(limit, statement).await.unwrap_or_else(|_| Err(no_answer(limit))),
            None => statement.await,
        };
        if let Err(error) = &done
            && matches!(Cause::of(error), Cause::Connection | Cause::ReadOnlySession)
        {
            self.replace(&error);
        }
        done
    }

    /// Replaces the pool. Busy connections continue, and are closed on return.
    pub(super) fn replace(&self, reason: &dyn std::fmt::Display) {
        let Some(renew) = &self.renew else { return };
        let (old, number) = {
            let mut current = self.current.write();
            if current.began.elapsed() < MIN_POOL_AGE {
                return;
            }
            let next = Generation::new(current.number + 1, renew());
            let number = next.number;
            (std::mem::replace(&mut *current, next), number)
        };
        self.replaced.send_replace(number);
        tracing::warn!(%reason, "replacing the connections to the database");
        metrics::counter!("pipewatch_pool_replacements_total").increment(1);
        tokio::spawn(async move { drop(timeout(RETIREMENT_TIMEOUT, old.connection.close()).await) });
    }

    /// Changes when the pool is replaced. Connections outside of the pool are likely broken too.
    pub(super) fn replacements(&self) -> watch::Receiver<u64> {
        self.replaced.subscribe()
    }

    /// Returns the number of connections, and of idle ones.
    pub(super) fn usage(&self) -> (u32, usize) {
        let connection = self.connection();
        if self.backend() == DbBackend::Postgres {
            let pool = connection.get_postgres_connection_pool();
            (pool.size(), pool.num_idle())
        } else {
            let pool = connection.get_sqlite_connection_pool();
            (pool.size(), pool.num_idle())
        }
    }

    /// Returns the maximum number of connections.
    pub(super) fn max_connections(&self) -> u32 {
        if self.backend() == DbBackend::Postgres { POSTGRES_CONNECTIONS } else { SQLITE_READERS }
    }

    fn current(&self) -> Generation {
        self.current.read().clone()
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pool")
    }
}

/// Pool options that apply the settings of every PostgreSQL session.
pub(super) fn postgres_sessions() -> PgPoolOptions {
    PgPoolOptions::new()
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(async move { connection.execute(SESSION).await.map(drop) }))
}

/// A pool that opens connections when needed. A silent connection replaces the pool.
fn postgres_pool(options: &PgConnectOptions, pool: &Weak<Pool>) -> PgPool {
    let pool = Weak::clone(pool);
    postgres_sessions()
        .max_connections(POSTGRES_CONNECTIONS)
        .before_acquire(move |connection, meta| {
            let pool = Weak::clone(&pool);
            Box::pin(async move {
                let answer = check_idle(connection, meta).await;
                if let (Err(error), Some(pool)) = (&answer, pool.upgrade()) {
                    pool.replace(error);
                }
                answer
            })
        })
        .connect_lazy_with(options.clone())
}

/// Whether an idle connection can be used.
async fn check_idle(connection: &mut PgConnection, meta: PoolConnectionMetadata) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        return Ok(false);
    }
    if meta.idle_for >= MAX_UNCHECKED_IDLE {
        let silent = |_| Err(sqlx::Error::Protocol("an idle connection does not answer".into()));
        timeout(PING_TIMEOUT, connection.ping()).await.unwrap_or_else(silent)?;
    }
    Ok(true)
}

fn connection_error(error: sqlx::Error) -> DbErr {
    DbErr::Conn(sea_orm::RuntimeErr::SqlxError(Arc::new(error)))
}

/// Whether the connection may be used again. Resets the flag for the connection that replaces it.
async fn is_usable(must_close: &CloseFlag) -> bool {
    !std::mem::take(&mut *must_close.lock().await)
}

fn sqlite(
    url: &str,
    connections: u32,
    tune: impl Fn(SqliteConnectOptions) -> SqliteConnectOptions + Send + Sync + 'static,
) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None::<Duration>)
        .max_lifetime(None::<Duration>)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |options| {
            tune(
                options
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    // Acknowledged data survives a power failure; group commit keeps that cheap.
                    .synchronous(SqliteSynchronous::Full)
                    .foreign_keys(true)
                    .pragma("journal_size_limit", WAL_KEEP_SIZE.to_string())
                    .busy_timeout(BUSY_TIMEOUT),
            )
        });
    options
}
