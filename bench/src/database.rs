use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sea_orm::sqlx::sqlite::SqliteSynchronous;
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database as SeaOrm, DatabaseConnection};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::Result;

/// Starts the throw-away PostgreSQL.
const POSTGRES_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/postgres.sh");
/// How long PostgreSQL may take to start; it may have to be installed first.
const START: Duration = Duration::from_mins(5);
/// How long it may take to end, with gigabytes to remove.
const END: Duration = Duration::from_mins(1);

/// A kind of database that the server runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    /// All kinds, in the order of the tables.
    pub(crate) const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// Where fresh databases come from. All of them are gone when it has stopped.
pub(crate) struct Databases {
    folder: TempDir,
    postgres_url: String,
    /// Serves until its standard input ends, which it does however this program ends.
    postgres: Child,
    made: u32,
}

/// One database, empty at first.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) kind: Kind,
    pub(crate) url: String,
}

impl Databases {
    /// Starts PostgreSQL, durable as in earnest, and makes a folder for the SQLite databases within `folder`.
    pub(crate) async fn start(folder: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bench-data-").tempdir_in(folder)?;
        let mut postgres = Command::new(POSTGRES_SCRIPT)
            .env("FSYNC", "on")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{POSTGRES_SCRIPT}: {error}"))?;
        let stdout = postgres.stdout.take().ok_or("the script has no output")?;
        let mut url = String::new();
        timeout(START, BufReader::new(stdout).read_line(&mut url)).await??;
        if !url.starts_with("postgres://") {
            return Err("PostgreSQL did not start; see the output of scripts/postgres.sh above".into());
        }
        Ok(Self { folder, postgres_url: url.trim().to_owned(), postgres, made: 0 })
    }

    /// The folder of the SQLite databases.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) async fn fresh(&mut self, kind: Kind) -> Result<Database> {
        self.made += 1;
        let name = format!("bench_{}", self.made);
        let url = match kind {
            Kind::Sqlite => format!("sqlite://{}", self.path(&name).display()),
            Kind::Postgres => {
                let server = SeaOrm::connect(self.postgres_url.as_str()).await?;
                server.execute_unprepared(&format!("CREATE DATABASE {name}")).await?;
                server.close().await?;
                self.postgres_url.replace("/postgres?", &format!("/{name}?"))
            }
        };
        Ok(Database { kind, url })
    }

    /// Ends PostgreSQL and waits until its files are removed.
    pub(crate) async fn stop(mut self) -> Result<()> {
        drop(self.postgres.stdin.take());
        timeout(END, self.postgres.wait()).await??;
        Ok(self.folder.close()?)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.db"))
    }
}

impl Database {
    /// A single connection from outside of the server, for filling: what it writes would not outlive a power cut, and
    /// nothing of it is measured.
    pub(crate) async fn connect(&self) -> Result<DatabaseConnection> {
        let mut options = ConnectOptions::new(self.url.as_str());
        options.max_connections(1).sqlx_logging(false).map_sqlx_sqlite_opts(|options| {
            options
                .synchronous(SqliteSynchronous::Off)
                .foreign_keys(false)
                // 1 GiB, for the random ids go all over their index.
                .pragma("cache_size", "-1048576")
        });
        let connection = SeaOrm::connect(options).await?;
        if self.kind == Kind::Postgres {
            // No foreign key is checked row by row.
            connection.execute_unprepared("SET session_replication_role = replica").await?;
            connection.execute_unprepared("SET synchronous_commit = off").await?;
        }
        Ok(connection)
    }

    /// The number of a table's rows.
    pub(crate) async fn count(&self, table: &str) -> Result<i64> {
        let connection = self.connect().await?;
        let row = connection.query_one_raw(sea_orm::Statement::from_string(
            connection.get_database_backend(),
            format!("SELECT count(*) AS rows_of FROM {table}"),
        ));
        let rows = row.await?.ok_or("a count is one row")?.try_get("", "rows_of")?;
        connection.close().await?;
        Ok(rows)
    }
}
