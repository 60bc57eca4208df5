//! The SQLite file: one server at a time serves it, and a deleted or replaced file is detected.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sea_orm::DbErr;
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use tokio::time::sleep;

use crate::error::{Error, Result};

/// How long a server waits for another one to release the lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(100);

/// Returns the path of a SQLite URL, without symbolic links; `None` for an in-memory database and for PostgreSQL.
pub(in crate::store) fn path(url: &str) -> Result<Option<PathBuf>> {
    if !url.starts_with("sqlite:") {
        return Ok(None);
    }
    let options: SqliteConnectOptions = url.parse().map_err(Error::database)?;
    let path = options.get_filename();
    // The driver's names of in-memory databases.
    if path.to_string_lossy().starts_with("file:") || url.contains("mode=memory") {
        return Ok(None);
    }
    Ok(Some(canonical(path)))
}

/// Resolves different spellings of a path, also for a file that does not exist yet.
fn canonical(path: &Path) -> PathBuf {
    if let Ok(path) = path.canonicalize() {
        return path;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        // Opening the database reports problems with the path.
        _ => path.to_owned(),
    }
}

/// Returns the path of a file that belongs to the database, such as its WAL.
pub(in crate::store) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The lock of the process that serves a file. The kernel releases it when the process ends, however it ends. The
/// lock file is never deleted: a lock on a deleted file excludes no other process.
#[derive(Debug)]
pub(in crate::store) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Acquires the lock of a database file.
    pub(in crate::store) async fn take(database: &Path) -> Result<Self> {
        let path = with_suffix(database, ".lock");
        let unusable =
            |error: std::io::Error| Error::Unusable(format!("cannot use the lock file {}: {error}", path.display()));
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
        // Only for the error message of other processes.
        let noted = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        if let Err(error) = noted {
            tracing::debug!(%error, "cannot write the process id to the lock file");
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

/// The identity of a database file when it was opened.
#[derive(Debug)]
pub(in crate::store) struct SqliteFile {
    path: PathBuf,
    identity: Identity,
}

/// Device and inode.
type Identity = (u64, u64);

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

impl SqliteFile {
    /// The identity of a database that has just been opened.
    pub(in crate::store) fn opened(path: PathBuf) -> Result<Self, DbErr> {
        let metadata = path.metadata().map_err(|error| DbErr::Custom(format!("{}: {error}", path.display())))?;
        Ok(Self { identity: identity(&metadata), path })
    }

    pub(in crate::store) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails unless the file is still in place. Writes to a deleted file succeed, and are lost when the process ends.
    pub(in crate::store) fn check(&self) -> Result<(), DbErr> {
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
