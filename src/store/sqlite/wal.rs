//! Creates SQLite files, and checkpoints their WAL.

use sea_orm::sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sea_orm::sqlx::{Connection as _, Row as _};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbErr, RuntimeErr, sqlx};

use crate::error::Result;
use crate::store::sqlite::file;

/// SQLite truncates the WAL to this size, in bytes, when it restarts it.
pub(in crate::store) const WAL_KEEP_SIZE: u64 = 4 * 1024 * 1024;

/// Creates the file of a missing database. The vacuum mode is set before the first page is written; setting it later
/// would take the write lock.
pub(in crate::store) async fn create(url: &str) -> Result<(), DbErr> {
    let path = file::path(url).map_err(|error| DbErr::Custom(error.to_string()))?;
    let Some(path) = path.filter(|path| path.metadata().map_or(true, |file| file.len() == 0)) else { return Ok(()) };
    let create = async {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let options = options.auto_vacuum(SqliteAutoVacuum::Incremental).journal_mode(SqliteJournalMode::Wal);
        SqliteConnection::connect_with(&options).await?.close().await
    };
    create.await.map_err(|error: sqlx::Error| DbErr::Conn(RuntimeErr::SqlxError(error.into())))
}

/// Checkpoints and truncates the WAL. The connection must not be in use.
pub(in crate::store) async fn truncate_wal(connection: &DatabaseConnection) -> Result<(), DbErr> {
    connection.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await.map(drop)
}

/// Checkpoints on a separate connection, which gives up soon when readers block it. Most of the WAL is copied while
/// others write.
pub(in crate::store) async fn checkpoint(options: &SqliteConnectOptions) -> Result<(), sqlx::Error> {
    let mut connection = SqliteConnection::connect_with(options).await?;
    for mode in ["PASSIVE", "TRUNCATE"] {
        let sql = sqlx::AssertSqlSafe(format!("PRAGMA wal_checkpoint({mode})"));
        let row = sqlx::query(sql).fetch_one(&mut connection).await?;
        if row.try_get::<i64, _>(0)? != 0 {
            tracing::debug!(mode, "readers block the WAL checkpoint; will retry");
        }
    }
    connection.close().await
}
