//! The migrations of the schema: which ones the database has, and applying and rolling them back.

use std::time::{Duration, Instant};

use migration::{DATA_MOVES, DataMove, Migrator, MigratorTrait as _};
use sea_orm::{ConnectionTrait as _, DbBackend, DbErr, RuntimeErr, Statement, sqlx};
use tokio::time::sleep;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::transaction::Transaction;

/// How long a statement of a migration may take, and a server wait for another that migrates.
const MIGRATION_LIMIT: Duration = Duration::from_hours(1);
/// How long a statement of a migration waits for a table that others use. Reporters wait behind it as long.
const LOCK_TIMEOUT: &str = "800ms";
/// How often a migration is tried that did not get its tables in that time, and the pause between.
const LOCK_ATTEMPTS: u32 = 120;
const LOCK_PAUSE: Duration = Duration::from_secs(1);
/// Rows of one transaction of a data move.
const MOVE_BATCH: i64 = 1_000;

/// Which way a migration goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Apply so many pending steps, or all.
    Up(Option<u32>),
    /// Take back so many steps.
    Down(u32),
}

/// A step of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Whether the database has it.
    pub applied: bool,
    /// Whether this program knows it. A newer one applied it otherwise.
    pub known: bool,
}

impl Store {
    /// Brings the schema up or down. Each step is a transaction of its own, so that a process that is killed continues where
    /// it was when it is started again. Servers that start at once take turns.
    pub async fn migrate(&self, direction: Direction) -> Result<()> {
        refuse_unknown(&self.steps().await?)?;
        let mut left = match direction {
            Direction::Up(steps) => steps.unwrap_or(u32::MAX),
            Direction::Down(steps) => steps,
        };
        while left > 0 && self.migrate_patiently(direction).await.map_err(Error::database)? {
            left -= 1;
        }
        Ok(())
    }

    /// Whether there is any step that the database does not have.
    pub async fn needs_migration(&self) -> Result<bool> {
        Ok(self.steps().await?.iter().any(|step| !step.applied))
    }

    /// Fails unless the database has all steps that this program knows, and no other.
    pub async fn check_schema(&self) -> Result<()> {
        let steps = self.steps().await?;
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

    /// The steps of the schema, and which of them the database has.
    pub async fn steps(&self) -> Result<Vec<Step>> {
        let applied = self.applied().await.map_err(Error::database)?;
        let known: Vec<String> = Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
        let unknown: Vec<Step> = applied
            .iter()
            .filter(|name| !known.contains(name))
            .map(|name| Step { name: name.clone(), applied: true, known: false })
            .collect();
        let known = known.into_iter().map(|name| Step { applied: applied.contains(&name), name, known: true });
        Ok(known.chain(unknown).collect())
    }

    /// The names of the steps that the database has. Creates nothing.
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

    /// Tries one step until it gets the tables it needs. `false` when there is none.
    async fn migrate_patiently(&self, direction: Direction) -> Result<bool, DbErr> {
        for _ in 1..LOCK_ATTEMPTS {
            match self.migrate_one(direction).await {
                Err(error) if is_lock_timeout(&error) => {
                    tracing::info!("a migration waits for a table that is in use; it is tried again");
                    sleep(LOCK_PAUSE).await;
                }
                done => return done,
            }
        }
        self.migrate_one(direction).await
    }

    async fn migrate_one(&self, direction: Direction) -> Result<bool, DbErr> {
        if let Direction::Up(_) = direction {
            self.move_data().await?;
        }
        let transaction = self.connections.begin_maintenance(MIGRATION_LIMIT).await?;
        take_turn(&transaction).await?;
        let steps = match direction {
            Direction::Up(_) => Migrator::get_pending_migrations(transaction.inner()).await?,
            Direction::Down(_) => Migrator::get_applied_migrations(transaction.inner()).await?,
        };
        if steps.is_empty() {
            transaction.commit().await?;
            return Ok(false);
        }
        match direction {
            Direction::Up(_) => Migrator::up(transaction.inner(), Some(1)).await?,
            Direction::Down(_) => Migrator::down(transaction.inner(), Some(1)).await?,
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Moves the data that the next pending migration needs. One that is interrupted begins again, and finds less to do.
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
            // Reporters have at least half of the time.
            sleep(begin.elapsed()).await;
        }
        Ok(())
    }
}

/// Returns the last key of the batch, or `None` after the last one.
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

/// On PostgreSQL two servers must not both find the same step pending: the lock is held to the end of the transaction, and
/// may take as long as the steps of the other server. SQLite has one writer.
async fn take_turn(transaction: &Transaction) -> Result<(), DbErr> {
    if transaction.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let sql = format!("SELECT pg_advisory_xact_lock(7047478391); SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'");
    transaction.execute_unprepared(&sql).await.map(drop)
}

fn refuse_unknown(steps: &[Step]) -> Result<()> {
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
    // SQLite's SQLITE_BUSY is 5, in the lower byte of its extended codes.
    error.code().is_some_and(|code| code == "55P03" || code.parse::<u32>().is_ok_and(|code| code & 0xff == 5))
}
