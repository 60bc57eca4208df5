//! Migrations: lists, applies and rolls back.

use std::time::{Duration, Instant};

use migration::{DATA_MOVES, DataMove, Migrator, MigratorTrait as _};
use sea_orm::{ConnectionTrait as _, DbBackend, DbErr, RuntimeErr, Statement, sqlx};
use tokio::time::sleep;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::store::handle::Store;
use crate::store::transaction::Transaction;

/// Statement timeout of a migration, and how long a server waits for another one that migrates.
const MIGRATION_LIMIT: Duration = Duration::from_hours(1);
/// How long a migration waits for a table lock. Reporters wait behind it.
const LOCK_TIMEOUT: &str = "800ms";
/// How often a migration retries to lock its tables, and the pause in between.
const LOCK_ATTEMPTS: u32 = 120;
const LOCK_PAUSE: Duration = Duration::from_secs(1);
/// Rows per transaction of a data move.
const MOVE_BATCH: i64 = 1_000;

/// The direction and extent of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrateTo {
    /// Apply up to this many pending migrations, or all.
    Up(Option<u32>),
    /// Roll back this many migrations.
    Down(u32),
}

/// A migration and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    pub name: String,
    /// Whether it is applied.
    pub applied: bool,
    /// Whether this program knows it. Unknown ones were applied by a newer version.
    pub known: bool,
}

impl Store {
    /// Applies or rolls back migrations, each in its own transaction, so that a killed process continues where it
    /// was. Servers that start at the same time take turns.
    pub async fn migrate(&self, direction: MigrateTo) -> Result<()> {
        refuse_unknown(&self.migrations().await?)?;
        let mut left = match direction {
            MigrateTo::Up(steps) => steps.unwrap_or(u32::MAX),
            MigrateTo::Down(steps) => steps,
        };
        while left > 0 && self.migrate_patiently(direction).await.map_err(Error::database)? {
            left -= 1;
        }
        Ok(())
    }

    /// Whether there are pending migrations.
    pub async fn needs_migration(&self) -> Result<bool> {
        Ok(self.migrations().await?.iter().any(|step| !step.applied))
    }

    /// Fails unless the applied migrations are exactly those that this program knows.
    pub async fn check_schema(&self) -> Result<()> {
        let steps = self.migrations().await?;
        refuse_unknown(&steps)?;
        let pending: Vec<_> = steps.iter().filter(|step| !step.applied).map(|step| step.name.as_str()).collect();
        match pending[..] {
            [] => Ok(()),
            [first, ..] => Err(Error::Unusable(format!(
                "the schema of the database is older than this program: {} migrations are pending, the first is {first}; \
                 run `pipewatch migrate up`, or start without --no-migrate",
                pending.len()
            ))),
        }
    }

    /// Returns all migrations: those that this program knows, and unknown applied ones.
    pub async fn migrations(&self) -> Result<Vec<MigrationStatus>> {
        let applied = self.applied().await.map_err(Error::database)?;
        let known: Vec<String> = Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
        let unknown: Vec<MigrationStatus> = applied
            .iter()
            .filter(|name| !known.contains(name))
            .map(|name| MigrationStatus { name: name.clone(), applied: true, known: false })
            .collect();
        let known =
            known.into_iter().map(|name| MigrationStatus { applied: applied.contains(&name), name, known: true });
        Ok(known.chain(unknown).collect())
    }

    /// Returns the names of the applied migrations. Creates nothing.
    async fn applied(&self) -> Result<Vec<String>, DbErr> {
        let reader = self.connections.reader();
        let backend = reader.get_database_backend();
        let table = match backend {
            DbBackend::Postgres => "SELECT 1 WHERE to_regclass('seaql_migrations') IS NOT NULL",
            _ => "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'seaql_migrations'",
        };
        if reader.query_one_raw(Statement::from_string(backend, table)).await?.is_none() {
            return Ok(Vec::new());
        }
        let sql = "SELECT version FROM seaql_migrations ORDER BY version";
        let rows = reader.query_all_raw(Statement::from_string(backend, sql)).await?;
        rows.iter().map(|row| row.try_get_by_index(0)).collect()
    }

    /// Runs one migration, and retries until it gets its table locks. Returns `false` when none is left.
    async fn migrate_patiently(&self, direction: MigrateTo) -> Result<bool, DbErr> {
        for _ in 1..LOCK_ATTEMPTS {
            match self.migrate_one(direction).await {
                Err(error) if is_lock_timeout(&error) => {
                    tracing::info!("a table is locked; will retry the migration");
                    sleep(LOCK_PAUSE).await;
                }
                done => return done,
            }
        }
        self.migrate_one(direction).await
    }

    async fn migrate_one(&self, direction: MigrateTo) -> Result<bool, DbErr> {
        if let MigrateTo::Up(_) = direction {
            self.move_data().await?;
        }
        let transaction = self.connections.begin_maintenance(MIGRATION_LIMIT).await?;
        take_turn(&transaction).await?;
        let steps = match direction {
            MigrateTo::Up(_) => Migrator::get_pending_migrations(transaction.inner()).await?,
            MigrateTo::Down(_) => Migrator::get_applied_migrations(transaction.inner()).await?,
        };
        if steps.is_empty() {
            transaction.commit().await?;
            return Ok(false);
        }
        match direction {
            MigrateTo::Up(_) => Migrator::up(transaction.inner(), Some(1)).await?,
            MigrateTo::Down(_) => Migrator::down(transaction.inner(), Some(1)).await?,
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Moves the data that the next pending migration needs. An interrupted move starts over and finds less to do.
    async fn move_data(&self) -> Result<(), DbErr> {
        let applied = self.applied().await?;
        let is_pending = |name: &String| !applied.contains(name);
        let Some(next) = Migrator::migrations().iter().map(|next| next.name().to_owned()).find(is_pending) else {
            return Ok(());
        };
        let Some(data_move) = DATA_MOVES.iter().find(|data_move| data_move.migration == next) else { return Ok(()) };
        let mut after = Some(Uuid::nil());
        while let Some(key) = after {
            let begin = Instant::now();
            let transaction = self.connections.begin_maintenance(MIGRATION_LIMIT).await?;
            take_turn(&transaction).await?;
            after = move_batch(&transaction, data_move, key).await?;
            transaction.commit().await?;
            // Reporters get at least half of the time.
            sleep(begin.elapsed()).await;
        }
        Ok(())
    }
}

/// Returns the last key of the batch, or `None` after the last batch.
async fn move_batch(transaction: &Transaction, data_move: &DataMove, after: Uuid) -> Result<Option<Uuid>, DbErr> {
    let backend = transaction.get_database_backend();
    let batch = [after.into(), (MOVE_BATCH - 1).into()];
    let last = Statement::from_sql_and_values(backend, data_move.last_key, batch);
    let last: Option<Uuid> = transaction.query_one_raw(last).await?.map(|row| row.try_get_by_index(0)).transpose()?;
    let change = match last {
        Some(last) => Statement::from_sql_and_values(backend, data_move.change, [after.into(), last.into()]),
        None => Statement::from_sql_and_values(backend, data_move.change_rest, [after.into()]),
    };
    transaction.execute_raw(change).await?;
    Ok(last)
}

/// Keeps two servers on PostgreSQL from running the same migration: the lock is held to the end of the transaction,
/// and may last as long as the other server's migration. SQLite has a single writer.
async fn take_turn(transaction: &Transaction) -> Result<(), DbErr> {
    if transaction.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let sql = format!("SELECT pg_advisory_xact_lock(7047478391); SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'");
    transaction.execute_unprepared(&sql).await.map(drop)
}

fn refuse_unknown(steps: &[MigrationStatus]) -> Result<()> {
    let unknown: Vec<_> = steps.iter().filter(|step| !step.known).map(|step| step.name.as_str()).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Error::Unusable(format!(
        "the schema of the database is newer than this program, which does not know {}; run the newer version of pipewatch \
         that applied it, or restore a backup from before the upgrade",
        unknown.join(", ")
    )))
}

fn is_lock_timeout(error: &DbErr) -> bool {
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    let sqlx::Error::Database(error) = &**error else { return false };
    // SQLITE_BUSY is 5, in the lower byte of the extended code.
    error.code().is_some_and(|code| code == "55P03" || code.parse::<u32>().is_ok_and(|code| code & 0xff == 5))
}
