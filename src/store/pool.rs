use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use sea_orm::sqlx::pool::PoolConnectionMetadata;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{self, ConnectOptions as _, Connection as _, Executor as _};
use sea_orm::{ConnAcquireErr, ConnectOptions, Database, DatabaseConnection, DbBackend, DbErr, SqlxPostgresConnector};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::store::failure::{Cause, no_answer};
use crate::store::sqlite_upkeep::WAL_KEPT;

/// How long a request waits for a connection of the pool, and for a new one to be made.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a SQLite connection waits for another's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);
/// SQLite readers: a snapshot and a few pages of history at once. Each is a thread with a page cache of its own.
const SQLITE_READERS: u32 = 4;
/// PostgreSQL connections of one server; the writer takes one of them.
const POSTGRES_CONNECTIONS: u32 = 10;
/// A connection that was idle for longer is asked whether it is alive before it is used, and has so much time to answer.
const IDLE_UNCHECKED: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long the client waits for a statement on PostgreSQL: a little longer than the server's own `statement_timeout`.
pub(super) const STATEMENT_LIMIT: Duration = Duration::from_secs(9);
/// A pool that is newer than this is not replaced: it has not had the time to prove itself.
const SETTLING: Duration = Duration::from_secs(2);
/// How long the connections of a pool that was replaced may take to end what they do.
const RETIREMENT: Duration = Duration::from_mins(1);

/// What every session on PostgreSQL sets, as far as the server's version knows it. One round trip, and no startup
/// parameters, which `PgBouncer` would refuse.
///
/// A server that freezes in mid-transaction must not hold its locks for long; a statement must not wait for ever; and a
/// backend must notice that its client is gone.
const SESSION: &str = "SELECT set_config(name, value, false) FROM (VALUES \
    ('idle_in_transaction_session_timeout', '5s'), ('lock_timeout', '3s'), ('statement_timeout', '8s'), \
    ('client_connection_check_interval', '2s'), ('tcp_user_timeout', '10s'), \
    ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3') \
    ) AS wanted (name, value) JOIN pg_catalog.pg_settings USING (name)";

/// Whether the connection that SQLite is written on must be closed when it comes back to its pool. A transaction holds
/// this from its beginning to the end of its bookkeeping, so that no later one begins on a connection that is unfit.
pub(super) type Unfit = Arc<Mutex<bool>>;

/// Connections to the database.
///
/// A pool of PostgreSQL connections can be replaced as a whole: the driver waits without a limit when it gives back a
/// connection whose other end is silent, which would use up the places of the pool for good.
pub(super) struct Pool {
    // A std lock: never held across an await.
    current: RwLock<Generation>,
    /// Makes a new pool; `None` where connections are never silent.
    renew: Option<Box<dyn Fn() -> DatabaseConnection + Send + Sync>>,
    limit: Option<Duration>,
    /// The number of the newest pool.
    replaced: watch::Sender<u64>,
}

/// One pool of those that followed each other.
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
    /// The one connection that SQLite is written on. It creates the file and puts it into WAL mode.
    pub(super) async fn sqlite_writer(url: &str, unfit: &Unfit) -> Result<Self, DbErr> {
        let mut options = sqlite(url, 1, |options| options);
        let unfit = Arc::clone(unfit);
        options.map_sqlx_sqlite_pool_opts(move |options| {
            let (before, after) = (Arc::clone(&unfit), Arc::clone(&unfit));
            options
                .before_acquire(move |connection, _| {
                    let unfit = Arc::clone(&before);
                    // SQLite may have rolled back by itself, which the driver does not notice: its next BEGIN would be a
                    // SAVEPOINT in a transaction that is never committed.
                    Box::pin(async move { Ok(is_fit(&unfit).await && !connection.is_in_transaction()) })
                })
                .after_release(move |_, _| {
                    let unfit = Arc::clone(&after);
                    Box::pin(async move { Ok(is_fit(&unfit).await) })
                })
        });
        Ok(Self::fixed(Database::connect(options).await?))
    }

    /// The connections that SQLite is read on.
    pub(super) async fn sqlite_readers(url: &str) -> Result<Self, DbErr> {
        let mut options = sqlite(url, SQLITE_READERS, |options| options.pragma("query_only", "on"));
        options.map_sqlx_sqlite_pool_opts(|options| {
            options.before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        });
        Ok(Self::fixed(Database::connect(options).await?))
    }

    fn fixed(connection: DatabaseConnection) -> Self {
        let pool = connection.get_sqlite_connection_pool();
        // A connection that replaces another must not make a new file when the old one is gone.
        pool.set_connect_options((*pool.connect_options()).clone().create_if_missing(false));
        Self {
            current: RwLock::new(Generation::new(0, connection)),
            renew: None,
            limit: None,
            replaced: watch::Sender::new(0),
        }
    }

    /// The connections to a PostgreSQL. Fails when there is no connection to be had.
    pub(super) async fn postgres(url: &str) -> Result<Arc<Self>, DbErr> {
        let options: PgConnectOptions = url.parse().map_err(|error: sqlx::Error| connection_error(error))?;
        let options = options.application_name("pipewatch").disable_statement_logging();
        let pool = Arc::new_cyclic(|pool: &Weak<Self>| {
            let pool = Weak::clone(pool);
            let renew = move || SqlxPostgresConnector::from_sqlx_postgres_pool(postgres_pool(&options, &pool));
            let current = RwLock::new(Generation::new(0, renew()));
            let replaced = watch::Sender::new(0);
            Self { current, renew: Some(Box::new(renew)), limit: Some(STATEMENT_LIMIT), replaced }
        });
        pool.current().connection.get_postgres_connection_pool().acquire().await.map_err(connection_error)?;
        Ok(pool)
    }

    pub(super) fn backend(&self) -> DbBackend {
        self.current().connection.get_database_backend()
    }

    /// How long a statement may take; `None` where the database cannot be silent.
    pub(super) fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// The newest pool.
    pub(super) fn connection(&self) -> DatabaseConnection {
        self.current().connection
    }

    /// Does something on the pool, once more when the pool was replaced before it came to a connection.
    pub(super) async fn run<T, F>(&self, action: impl Fn(DatabaseConnection) -> F) -> Result<T, DbErr>
    where
        F: Future<Output = Result<T, DbErr>>,
    {
        loop {
            let generation = self.current();
            match self.limited(self.limit, action(generation.connection)).await {
                Err(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))
                    if self.current().number != generation.number => {}
                done => return done,
            }
        }
    }

    /// What comes of a statement within the limit. Whatever is wrong with its connection befalls the others as well.
    pub(super) async fn limited<T>(
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

    /// Replaces the pool: connections that are in use go on, and are closed when they come back.
    pub(super) fn replace(&self, reason: &dyn std::fmt::Display) {
        let Some(renew) = &self.renew else { return };
        let (old, number) = {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            if current.began.elapsed() < SETTLING {
                return;
            }
            let next = Generation::new(current.number + 1, renew());
            let number = next.number;
            (std::mem::replace(&mut *current, next), number)
        };
        self.replaced.send_replace(number);
        tracing::warn!(%reason, "the connections to the database are replaced");
        metrics::counter!("pipewatch_pool_replacements_total").increment(1);
        tokio::spawn(async move { drop(timeout(RETIREMENT, old.connection.close()).await) });
    }

    /// Changes when the pool is replaced: connections outside of it are likely as bad as those in it.
    pub(super) fn replacements(&self) -> watch::Receiver<u64> {
        self.replaced.subscribe()
    }

    /// The connections that there are, and how many of them are idle.
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

    /// How many connections there may be.
    pub(super) fn max_connections(&self) -> u32 {
        if self.backend() == DbBackend::Postgres { POSTGRES_CONNECTIONS } else { SQLITE_READERS }
    }

    fn current(&self) -> Generation {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pool")
    }
}

/// The options of connections to a PostgreSQL that set what every session sets.
pub(super) fn postgres_sessions() -> PgPoolOptions {
    PgPoolOptions::new()
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(async move { connection.execute(SESSION).await.map(drop) }))
}

/// A pool that makes its connections when they are needed. Should one be silent, all of them are replaced.
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

/// Whether a connection that was idle can be used.
async fn check_idle(connection: &mut PgConnection, meta: PoolConnectionMetadata) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        return Ok(false);
    }
    if meta.idle_for >= IDLE_UNCHECKED {
        let silent = |_| Err(sqlx::Error::Protocol("an idle connection does not answer".into()));
        timeout(PING_TIMEOUT, connection.ping()).await.unwrap_or_else(silent)?;
    }
    Ok(true)
}

fn connection_error(error: sqlx::Error) -> DbErr {
    DbErr::Conn(sea_orm::RuntimeErr::SqlxError(Arc::new(error)))
}

/// Whether the connection may be used again. One that may not is closed, and its successor starts with a clean slate.
async fn is_fit(unfit: &Unfit) -> bool {
    !std::mem::take(&mut *unfit.lock().await)
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
                    // What is acknowledged survives a power cut too; group commit makes that cheap.
                    .synchronous(SqliteSynchronous::Full)
                    .foreign_keys(true)
                    .pragma("journal_size_limit", WAL_KEPT.to_string())
                    .busy_timeout(BUSY_TIMEOUT),
            )
        });
    options
}
