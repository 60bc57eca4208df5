//! Keeps a SQLite database small: bounds its WAL, and returns free space to the file system.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use tokio::time::sleep;

use crate::error::{Error, Result};
use crate::store::handle::Store;
use crate::store::sqlite::file::with_suffix;
use crate::store::sqlite::wal::checkpoint;

/// Maximum size of the WAL in bytes, enforced even if readers always overlap.
const WAL_LIMIT: u64 = 64 * 1024 * 1024;
/// How long a truncation waits for readers, while reporters wait for it.
const TRUNCATE_TIMEOUT: Duration = Duration::from_millis(200);
/// Pages per transaction: a few milliseconds.
const VACUUM_BATCH: u64 = 256;
/// Free pages to keep for the next reports.
const MIN_FREE_PAGES: u64 = 1_024;
/// The largest file that is converted at server start, in bytes: a second or two.
const MAX_QUICK_VACUUM: u64 = 100 * 1024 * 1024;

/// Which files are converted to incremental vacuum. A conversion takes long for a large file, and as much disk space
/// again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conversion {
    /// Only small files.
    Quick,
    /// All files.
    Full,
}

impl Store {
    /// Truncates the WAL of a SQLite file that has exceeded its limit because readers overlapped. Returns its
    /// previous size in bytes.
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

    /// Returns free pages of a SQLite file to the file system, in small batches. Returns their number.
    pub async fn give_back_space(&self) -> Result<u64> {
        if self.connections.file().is_none() || self.pragma("auto_vacuum").await? != INCREMENTAL {
            return Ok(0);
        }
        let mut given = 0;
        loop {
            let free = self.pragma("freelist_count").await?;
            if free <= MIN_FREE_PAGES {
                return Ok(given);
            }
            let begin = Instant::now();
            let pages = VACUUM_BATCH.min(free - MIN_FREE_PAGES);
            let transaction = self.write().await?;
            let sql = format!("PRAGMA incremental_vacuum({pages})");
            transaction.execute_unprepared(&sql).await.map_err(Error::database)?;
            transaction.commit().await.map_err(Error::database)?;
            given += pages;
            // Reporters get at least half of the time.
            sleep(begin.elapsed()).await;
        }
    }

    /// Converts a SQLite file to incremental vacuum. Requires exclusive use.
    pub async fn enable_incremental_vacuum(&self, conversion: Conversion) -> Result<()> {
        let Some(file) = self.connections.file() else { return Ok(()) };
        if self.pragma("auto_vacuum").await? == INCREMENTAL {
            return Ok(());
        }
        let size = file.path().metadata().map_or(0, |file| file.len());
        if conversion == Conversion::Quick && size > MAX_QUICK_VACUUM {
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

/// The value of `PRAGMA auto_vacuum` for incremental vacuum.
const INCREMENTAL: u64 = 2;
