//! Reports on disk that are not delivered yet. The format is shared with the Python package: a folder per server, and in it a
//! file per report.

/// `pipewatch spool`.
pub(crate) mod command;
/// Delivery in order, under the folder's lock.
pub(crate) mod deliver;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the format of a file.
const VERSION: u32 = 1;
/// The bounds of one folder.
const MAX_FILES: usize = 10_000;
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Refused reports that are kept for inspection.
const MAX_REJECTED: usize = 1_000;
/// Unfinished files older than this are deleted.
const UNFINISHED_FOR: Duration = Duration::from_hours(1);
const LOCK: &str = "lock";
const REJECTED: &str = ".rejected";

/// Where reports wait for delivery.
#[derive(Args, Clone)]
pub(crate) struct SpoolFlags {
    #[allow(clippy::doc_markdown, reason = "the text of --help")]
    /// Folder of the spool [default: $XDG_STATE_HOME/pipewatch/spool, otherwise ~/.local/state/pipewatch/spool]
    #[arg(long = "spool-dir", global = true, env = "PIPEWATCH_SPOOL", value_name = "DIR")]
    pub(crate) spool: Option<PathBuf>,
}

impl SpoolFlags {
    /// The folder that contains the folders of all servers.
    pub(crate) fn root(&self) -> Result<PathBuf, SpoolError> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = || absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
        let own = self.spool.clone().filter(|path| !path.as_os_str().is_empty());
        own.or_else(|| Some(state()?.join("pipewatch/spool"))).ok_or(SpoolError::NoFolder)
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    #[error("no folder for the spool: HOME is not set; set PIPEWATCH_SPOOL or --spool-dir")]
    NoFolder,
    #[error(
        "the spool {folder} is full ({files} reports, {} KiB); deliver them with `pipewatch spool flush`, or delete them",
        bytes / 1024
    )]
    Full { folder: String, files: usize, bytes: u64 },
    #[error("cannot use the spool {folder}: {cause}")]
    Io { folder: String, cause: io::Error },
}

/// A report and the route that takes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    version: u32,
    pub(crate) path: String,
    pub(crate) report: Value,
}

impl Entry {
    pub(crate) fn new(path: &str, report: Value) -> Self {
        Self { version: VERSION, path: path.to_owned(), report }
    }
}

/// A refused report, kept for inspection.
#[derive(Serialize, Deserialize)]
struct Rejected {
    path: String,
    report: Value,
    errors: Vec<String>,
}

/// The name of a report's file. Names sort in the order of delivery.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EntryName(String);

impl EntryName {
    /// `<20 digits>-<8 hexadecimal digits>.json`
    fn parse(text: &str) -> Option<Self> {
        let (digits, rest) = text.split_once('-')?;
        let random = rest.strip_suffix(".json")?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_valid = digits.len() == 20
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && random.len() == 8
            && random.bytes().all(is_hex);
        is_valid.then(|| Self(text.to_owned()))
    }

    /// A name after all others of this process.
    fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        let advance = |last: u64| Some(now.max(last + 1));
        let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, advance).unwrap_or_default();
        Self(format!("{:020}-{:08x}.json", now.max(last + 1), fastrand::u32(..)))
    }

    /// When the report was spooled, in seconds since 1970.
    pub(crate) fn seconds(&self) -> i64 {
        self.0.get(..20).and_then(|digits| digits.parse::<i64>().ok()).unwrap_or_default() / 1_000_000
    }
}

/// The reports for one server.
#[derive(Clone)]
pub(crate) struct Spool {
    folder: PathBuf,
}

/// The exclusive right to deliver the reports of a folder, until it is dropped.
pub(crate) struct DeliveryLock(#[allow(dead_code, reason = "dropping the file releases the lock")] File);

/// The number and the size of reports.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) files: usize,
    pub(crate) bytes: u64,
}

impl Spool {
    /// Opens the folder of a server, and creates it if it is missing.
    pub(crate) fn open(root: &Path, server: &str) -> Result<Self, SpoolError> {
        let spool = Self { folder: root.join(encode(server)) };
        let created = DirBuilder::new().recursive(true).mode(0o700).create(&spool.folder);
        created.map_err(|cause| spool.error(cause))?;
        Ok(spool)
    }

    /// All servers that have a folder, with it.
    pub(crate) fn all(root: &Path) -> io::Result<Vec<(String, Self)>> {
        let entries = match fs::read_dir(root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut all = Vec::new();
        for entry in entries {
            let entry = entry?;
            if let Some(server) = entry.file_name().to_str().and_then(decode)
                && entry.file_type()?.is_dir()
            {
                all.push((server, Self { folder: entry.path() }));
            }
        }
        all.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(all)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn error(&self, cause: io::Error) -> SpoolError {
        SpoolError::Io { folder: self.folder.display().to_string(), cause }
    }

    /// Adds reports in this order. They survive a crash of the machine once it returns; after an error none is added.
    pub(crate) fn add(&self, entries: &[Entry]) -> Result<Vec<EntryName>, SpoolError> {
        let mut files = Vec::with_capacity(entries.len());
        for entry in entries {
            // Maps with text keys always serialise.
            files.push((EntryName::next(), serde_json::to_vec(entry).unwrap_or_default()));
        }
        let Extent { files: present, bytes } = self.extent().map_err(|cause| self.error(cause))?;
        let added: u64 = files.iter().map(|(_, text)| text.len() as u64).sum();
        if present + files.len() > MAX_FILES || bytes + added > MAX_BYTES {
            return Err(SpoolError::Full { folder: self.folder.display().to_string(), files: present, bytes });
        }
        self.write_all(&files).map_err(|cause| self.error(cause))?;
        Ok(files.into_iter().map(|(name, _)| name).collect())
    }

    fn write_all(&self, files: &[(EntryName, Vec<u8>)]) -> io::Result<()> {
        let unfinished = |name: &EntryName| self.folder.join(format!(".{}.tmp", name.0));
        let write = |name: &EntryName, text: &[u8]| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(unfinished(name))?;
            file.write_all(text)?;
            file.sync_all()
        };
        let written = files.iter().try_for_each(|(name, text)| write(name, text));
        if let Err(error) = written {
            for (name, _) in files {
                drop(fs::remove_file(unfinished(name)));
            }
            return Err(error);
        }
        for (name, _) in files {
            fs::rename(unfinished(name), self.path(name))?;
        }
        File::open(&self.folder)?.sync_all()
    }

    fn path(&self, name: &EntryName) -> PathBuf {
        self.folder.join(&name.0)
    }

    fn rejected_path(&self, name: &EntryName) -> PathBuf {
        self.folder.join(format!("{}{REJECTED}", name.0))
    }

    /// The reports in the order of delivery.
    pub(crate) fn list(&self) -> io::Result<Vec<EntryName>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            names.extend(entry?.file_name().to_str().and_then(EntryName::parse));
        }
        names.sort();
        Ok(names)
    }

    pub(crate) fn extent(&self) -> io::Result<Extent> {
        let mut extent = Extent::default();
        for name in self.list()? {
            // A file that is gone has been delivered.
            if let Ok(metadata) = fs::metadata(self.path(&name)) {
                extent.files += 1;
                extent.bytes += metadata.len();
            }
        }
        Ok(extent)
    }

    pub(crate) fn contains(&self, name: &EntryName) -> bool {
        self.path(name).exists()
    }

    /// Reads a report. `None` if it is gone, or not a report, which sets it aside.
    fn read(&self, name: &EntryName) -> io::Result<Option<Entry>> {
        let text = match fs::read(self.path(name)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match serde_json::from_slice::<Entry>(&text) {
            Ok(entry) if entry.version == VERSION && entry.path.starts_with("/api/") => Ok(Some(entry)),
            _ => {
                let invalid = self.folder.join(format!("{}.invalid", name.0));
                crate::print_error(&format!("not a report, renamed to {}", invalid.display()));
                fs::rename(self.path(name), invalid)?;
                Ok(None)
            }
        }
    }

    /// Removes a report, if it is there.
    pub(crate) fn remove(&self, name: &EntryName) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Sets a refused report aside, with its errors.
    fn reject(&self, name: &EntryName, entry: &Entry, errors: &[String]) -> io::Result<()> {
        let rejected = Rejected { path: entry.path.clone(), report: entry.report.clone(), errors: errors.to_owned() };
        let text = serde_json::to_vec(&rejected)?;
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(self.rejected_path(name))?;
        file.write_all(&text)?;
        self.remove(name)?;
        let kept = self.rejected()?;
        let surplus = kept.len().saturating_sub(MAX_REJECTED);
        kept.iter().take(surplus).try_for_each(fs::remove_file)
    }

    /// The errors of a report that the server refused. Forgets the report.
    pub(crate) fn take_rejected(&self, name: &EntryName) -> Option<Vec<String>> {
        let path = self.rejected_path(name);
        let rejected: Rejected = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        drop(fs::remove_file(path));
        Some(rejected.errors)
    }

    /// The files of refused reports, the oldest first.
    pub(crate) fn rejected(&self) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.to_str().is_some_and(|text| text.ends_with(REJECTED)) {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// Takes the delivery over, unless another process delivers.
    pub(crate) fn try_lock(&self) -> io::Result<Option<DeliveryLock>> {
        let path = self.folder.join(LOCK);
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => {
                self.remove_unfinished();
                Ok(Some(DeliveryLock(file)))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Deletes what a process left that was killed while it wrote.
    fn remove_unfinished(&self) {
        let is_old = |path: &Path| {
            let age = fs::metadata(path).and_then(|metadata| metadata.modified()).map(|at| at.elapsed());
            matches!(age, Ok(Ok(age)) if age > UNFINISHED_FOR)
        };
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_unfinished = name.to_str().is_some_and(|name| name.starts_with('.') && name.contains(".json.tmp"));
            if is_unfinished && is_old(&entry.path()) {
                drop(fs::remove_file(entry.path()));
            }
        }
    }

    /// Moves the reports of another server here. Returns how many.
    pub(crate) fn take_over(&self, other: &Self) -> io::Result<usize> {
        let names = other.list()?;
        for name in &names {
            fs::rename(other.path(name), self.path(name))?;
        }
        File::open(&self.folder)?.sync_all()?;
        Ok(names.len())
    }
}

/// The folder's name of a server: every byte other than letters, digits, `.`, `_` and `-` as `%XX`.
fn encode(server: &str) -> String {
    use std::fmt::Write as _;
    let mut name = String::new();
    for byte in server.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
    }
    name
}

fn decode(name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        if first == '%' {
            bytes.push(u8::from_str_radix(rest.get(1..3)?, 16).ok()?);
            rest = &rest[3..];
        } else {
            bytes.extend(rest[..first.len_utf8()].bytes());
            rest = &rest[first.len_utf8()..];
        }
    }
    let server = String::from_utf8(bytes).ok()?;
    (encode(&server) == name && server.contains("://")).then_some(server)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(number: u32) -> Entry {
        Entry::new("/api/v1/source-runs", json!({"id": number.to_string()}))
    }

    #[test]
    fn servers_have_folders_of_their_own() {
        assert_eq!(encode("http://127.0.0.1:8000"), "http%3A%2F%2F127.0.0.1%3A8000");
        for server in ["http://127.0.0.1:8000", "https://exämple.org/a%20b/.."] {
            assert_eq!(decode(&encode(server)).as_deref(), Some(server));
        }
        for name in ["lock", "%3", "%zz", "a", "http://x"] {
            assert_eq!(decode(name), None, "{name}");
        }
    }

    #[test]
    fn reports_are_listed_in_the_order_of_their_addition() {
        let root = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(root.path(), "http://a").expect("a spool");
        let mut added = spool.add(&[entry(1), entry(2)]).expect("added");
        added.extend(spool.add(&[entry(3)]).expect("added"));
        fs::write(spool.folder().join(".5.tmp"), "half").expect("written");
        fs::write(spool.folder().join("notes.json"), "{}").expect("written");
        assert_eq!(spool.list().expect("a list"), added);
        assert_eq!(spool.read(&added[1]).expect("read"), Some(entry(2)));
        assert_eq!(spool.extent().expect("its extent").files, 3);
        let servers: Vec<_> = Spool::all(root.path()).expect("servers").into_iter().map(|(server, _)| server).collect();
        assert_eq!(servers, ["http://a"]);
    }

    #[test]
    fn damaged_file_is_set_aside() {
        let root = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(root.path(), "http://a").expect("a spool");
        let name = spool.add(&[entry(1)]).expect("added").remove(0);
        fs::write(spool.path(&name), "{\"version\":1").expect("written");
        assert_eq!(spool.read(&name).expect("read"), None);
        assert_eq!(spool.list().expect("a list"), []);
        assert!(spool.folder().join(format!("{}.invalid", name.0)).exists());
    }

    #[test]
    fn full_spool_refuses_new_reports_and_keeps_the_old_ones() {
        let root = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(root.path(), "http://a").expect("a spool");
        let name = spool.add(&[entry(1)]).expect("added").remove(0);
        File::options().write(true).open(spool.path(&name)).and_then(|file| file.set_len(MAX_BYTES)).expect("sized");
        assert!(matches!(spool.add(&[entry(2)]), Err(SpoolError::Full { files: 1, .. })));
        assert_eq!(spool.list().expect("a list"), [name]);
    }

    #[test]
    fn one_process_delivers_at_a_time() {
        let root = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(root.path(), "http://a").expect("a spool");
        let lock = spool.try_lock().expect("no error").expect("a lock");
        assert!(spool.try_lock().expect("no error").is_none());
        drop(lock);
        assert!(spool.try_lock().expect("no error").is_some());
    }

    #[test]
    fn rejected_reports_are_kept_with_their_errors() {
        let root = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(root.path(), "http://a").expect("a spool");
        let name = spool.add(&[entry(1)]).expect("added").remove(0);
        spool.reject(&name, &entry(1), &["source: missing".to_owned()]).expect("rejected");
        assert_eq!((spool.list().expect("a list").len(), spool.rejected().expect("a list").len()), (0, 1));
        assert_eq!(spool.take_rejected(&name), Some(vec!["source: missing".to_owned()]));
        assert_eq!(spool.take_rejected(&name), None);
    }
}
