//! The file of a SQLite database: one server at a time serves it, and a file that is deleted or replaced is noticed.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sea_orm::DbErr;
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use tokio::time::sleep;

use crate::error::{Error, Result};

/// How long a server waits for its predecessor to release the lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(100);

/// The path of a SQLite URL, without symbolic links; `None` for a database in memory, and for PostgreSQL.
pub(super) fn path(url: &str) -> Result<Option<PathBuf>> {
    if !url.starts_with("sqlite:") {
        return Ok(None);
    }
    let options: SqliteConnectOptions = url.parse().map_err(Error::database)?;
    let path = options.get_filename();
    // The driver names databases in memory so.
    if path.to_string_lossy().starts_with("file:") || url.contains("mode=memory") {
        return Ok(None);
    }
    Ok(Some(canonical(path)))
}

/// Two ways to write one path become the same, also for a file that does not exist yet.
fn canonical(path: &Path) -> PathBuf {
    if let Ok(path) = path.canonicalize() {
        return path;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        // Opening the database says what is wrong with the path.
        _ => path.to_owned(),
    }
}

/// The path with a suffix, as SQLite names the files that belong to a database.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Held by the process that serves a file. The kernel releases it when the process ends, however it ends. The lock is on
/// a file of its own, which is never deleted: a lock on a deleted file excludes no one.
#[derive(Debug)]
pub(super) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock of this database file.
    pub(super) async fn take(database: &Path) -> Result<Self> {
        let path = with_suffix(database, ".lock");
        let unusable = |error: std::io::Error| {
            Error::Unusable(format!("the lock file {} cannot be used: {error}", path.display()))
        };
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(unusable)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_TIMEOUT => sleep(LOCK_RETRY).await,
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Unusable(format!(
                        "{} is in use by another pipewatch process{}; stop it first, or use another file (the lock is {})",
                        database.display(),
                        holder(&mut file),
                        path.display()
                    )));
                }
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
            }
        }
        // For the error message of others; the lock is what counts.
        let noted = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        if let Err(error) = noted {
            tracing::debug!(%error, "the process id could not be written to the lock file");
        }
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> String {
    let mut pid = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut pid));
    match (read, pid.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!(" (process {pid})"),
        _ => String::new(),
    }
}

/// A database file as it was when it was opened.
#[derive(Debug)]
pub(super) struct SqliteFile {
    path: PathBuf,
    identity: Identity,
}

/// Device and inode.
type Identity = (u64, u64);

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

impl SqliteFile {
    /// Of a database that has just been opened.
    pub(super) fn opened(path: PathBuf) -> Result<Self, DbErr> {
        let metadata = path.metadata().map_err(|error| DbErr::Custom(format!("{}: {error}", path.display())))?;
        Ok(Self { identity: identity(&metadata), path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is still where it was. A process that has a deleted file open can write to it without an error,
    /// and all of it is lost when the process ends.
    pub(super) fn check(&self) -> Result<(), DbErr> {
        let what = match self.path.metadata() {
            Ok(metadata) if identity(&metadata) == self.identity => return Ok(()),
            Ok(_) => "was replaced by another file".to_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "was deleted".to_owned(),
            Err(error) => format!("cannot be examined: {error}"),
        };
        let path = self.path.display();
        Err(DbErr::Custom(format!(
            "the database file {path} {what} while the server uses it; put the file back, or restart the server"
        )))
    }
}
