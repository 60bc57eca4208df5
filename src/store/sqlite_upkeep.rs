//! What keeps a SQLite database small: its WAL is bounded, and space that was freed is given back to the file system.

use std::time::{Duration, Instant};

use sea_orm::sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sea_orm::sqlx::{self, Connection as _, Row as _};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, RuntimeErr, Statement};
use tokio::time::sleep;

use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::sqlite_file::{self, with_suffix};

/// The WAL is truncated beyond this size, in bytes, also while readers always overlap.
const WAL_LIMIT: u64 = 64 * 1024 * 1024;
/// SQLite truncates the WAL to this size, in bytes, when it begins again at its start.
pub(super) const WAL_KEPT: u64 = 4 * 1024 * 1024;
/// How long truncating the WAL waits for readers; reporters wait as long.
const TRUNCATE_TIMEOUT: Duration = Duration::from_millis(200);
/// Pages that are given back in one transaction: a few milliseconds.
const VACUUM_BATCH: u64 = 256;
/// Free pages that are kept, because the next reports need them again.
const KEPT_PAGES: u64 = 1_024;
/// The largest file that is converted when a server starts, in bytes: a second or two.
const QUICK_VACUUM: u64 = 100 * 1024 * 1024;

/// Whether a file of any size is converted to give back space, which takes long and as much space again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conversion {
    /// Only a small file.
    Quick,
    /// Any file.
    Full,
}

impl Store {
    /// Truncates the WAL of a SQLite file that has grown beyond its limit because readers overlapped. Gives the number of
    /// bytes that it had.
    pub async fn bound_wal(&self) -> Result<u64> {
        let Some(file) = self.connections.file() else { return Ok(0) };
        let size = with_suffix(file.path(), "-wal").metadata().map_or(0, |wal| wal.len());
        if size <= WAL_LIMIT {
            return Ok(0);
        }
        file.check().map_err(Error::database)?;
        let writer = self.connections.writer();
        let options = writer.get_sqlite_connection_pool().connect_options();
        let options = (*options).clone().create_if_missing(false).busy_timeout(TRUNCATE_TIMEOUT);
        checkpoint(&options).await.map_err(Error::database)?;
        Ok(size)
    }

    /// Gives back the pages of a SQLite file that removed rows have freed, in small batches. Gives their number.
    pub async fn give_back_space(&self) -> Result<u64> {
        if self.connections.file().is_none() || self.pragma("auto_vacuum").await? != INCREMENTAL {
            return Ok(0);
        }
        let mut given = 0;
        loop {
            let free = self.pragma("freelist_count").await?;
            if free <= KEPT_PAGES {
                return Ok(given);
            }
            let begin = Instant::now();
            let pages = VACUUM_BATCH.min(free - KEPT_PAGES);
            let transaction = self.write().await?;
            let sql = format!("PRAGMA incremental_vacuum({pages})");
            transaction.execute_unprepared(&sql).await.map_err(Error::database)?;
            transaction.commit().await.map_err(Error::database)?;
            given += pages;
            // Reporters have at least half of the time.
            sleep(begin.elapsed()).await;
        }
    }

    /// Makes a SQLite file that was created without incremental vacuum able to give back space. Nobody else may use it.
    pub async fn enable_incremental_vacuum(&self, conversion: Conversion) -> Result<()> {
        let Some(file) = self.connections.file() else { return Ok(()) };
        if self.pragma("auto_vacuum").await? == INCREMENTAL {
            return Ok(());
        }
        let size = file.path().metadata().map_or(0, |file| file.len());
        if conversion == Conversion::Quick && size > QUICK_VACUUM {
            tracing::info!(
                file = %file.path().display(),
                bytes = size,
                "the database file does not shrink when old rows are removed: stop the server and run `pipewatch migrate up` \
                 once to change that; it needs as much free disk space as the file has"
            );
            return Ok(());
        }
        let convert = "PRAGMA auto_vacuum = INCREMENTAL; VACUUM";
        self.connections.writer().execute_unprepared(convert).await.map_err(Error::database)?;
        Ok(())
    }

    async fn pragma(&self, name: &str) -> Result<u64> {
        let statement = Statement::from_string(DbBackend::Sqlite, format!("PRAGMA {name}"));
        let row = self.connections.reader().query_one_raw(statement).await.map_err(Error::database)?;
        let value = row.map(|row| row.try_get_by_index::<i64>(0)).transpose().map_err(Error::database)?;
        Ok(value.and_then(|value| value.try_into().ok()).unwrap_or(0))
    }
}

/// What `PRAGMA auto_vacuum` says of a file that gives back space when it is asked to.
const INCREMENTAL: u64 = 2;

/// Creates the file of a database that does not exist yet. What decides whether a file gives back space is set before it
/// has its first page; afterwards each attempt to set it would take the write lock.
pub(super) async fn create(url: &str) -> Result<(), DbErr> {
    let path = sqlite_file::path(url).map_err(|error| DbErr::Custom(error.to_string()))?;
    let Some(path) = path.filter(|path| path.metadata().map_or(true, |file| file.len() == 0)) else { return Ok(()) };
    let create = async {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let options = options.auto_vacuum(SqliteAutoVacuum::Incremental).journal_mode(SqliteJournalMode::Wal);
        SqliteConnection::connect_with(&options).await?.close().await
    };
    create.await.map_err(|error: sqlx::Error| DbErr::Conn(RuntimeErr::SqlxError(error.into())))
}

/// Moves all of the WAL into the database file and truncates it. Nothing else may use the connection.
pub(super) async fn truncate_wal(connection: &DatabaseConnection) -> Result<(), DbErr> {
    connection.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await.map(drop)
}

/// The same on a connection of its own, which gives up soon when readers hold it back. Most of the WAL is moved while
/// others write.
async fn checkpoint(options: &SqliteConnectOptions) -> Result<(), sqlx::Error> {
    let mut connection = SqliteConnection::connect_with(options).await?;
    for mode in ["PASSIVE", "TRUNCATE"] {
        let sql = sqlx::AssertSqlSafe(format!("PRAGMA wal_checkpoint({mode})"));
        let row = sqlx::query(sql).fetch_one(&mut connection).await?;
        if row.try_get::<i64, _>(0)? != 0 {
            tracing::debug!(mode, "readers hold the checkpoint of the WAL back; it is tried again");
        }
    }
    connection.close().await
}
