use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::support::Database;

/// A small file system that the test can fill and free.
pub(crate) struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts it. Without the permission to mount, prints a line on standard error and returns `None`.
    pub(crate) fn mount(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        match mounted {
            Ok(Output { status, .. }) if status.success() => Some(Self { folder }),
            failed => {
                let reason = failed.map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
                // Written directly, because the output of a passing test is captured.
                drop(writeln!(
                    std::io::stderr(),
                    "SKIPPED: the full-disk test needs permission to mount a tmpfs: {reason:?}"
                ));
                None
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }

    /// Writes until the file system is full.
    pub(crate) fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.filler()).expect("a file");
        for size in [1024 * 1024, 4096, 1] {
            let block = vec![0; size];
            while file.write_all(&block).is_ok() {}
        }
    }

    /// Frees the space.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.filler()).expect("the filler file");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because a server left behind by a failed test may still have files open.
        drop(Command::new("umount").arg("-l").arg(self.folder.path()).status());
    }
}

/// A proxy between a server and PostgreSQL that forwards until it falls silent. Then it forwards no byte and closes no
/// connection, like a router that drops an expired NAT entry.
pub(crate) struct SilentProxy {
    pub(crate) url: String,
    /// Cancelled when the connections made so far fall silent.
    silence: Arc<Mutex<CancellationToken>>,
    accepting: JoinHandle<()>,
}

impl SilentProxy {
    pub(crate) async fn start(database: &Database) -> Self {
        let (_, folder) = database.url.split_once("?host=").expect("a PostgreSQL on a socket");
        let socket = format!("{}/.s.PGSQL.5432", folder.replace("%2F", "/"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let url = format!("postgres://pipewatch@{address}/{}", database.name());
        let silence = Arc::new(Mutex::new(CancellationToken::new()));
        let of_next = Arc::clone(&silence);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                let silence = of_next.lock().expect("no panic").clone();
                connections.spawn(forward(client, socket.clone(), silence));
            }
        });
        Self { url, silence, accepting }
    }

    /// Stops forwarding, on existing and on new connections.
    pub(crate) fn fall_silent(&self) {
        self.silence.lock().expect("no panic").cancel();
    }

    /// Forwards new connections again; silent ones stay silent.
    pub(crate) fn forward_new(&self) {
        *self.silence.lock().expect("no panic") = CancellationToken::new();
    }
}

impl Drop for SilentProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn forward(mut client: TcpStream, socket: String, silence: CancellationToken) {
    let mut server = UnixStream::connect(socket).await.expect("PostgreSQL");
    tokio::select! {
        biased;
        () = silence.cancelled() => std::future::pending().await,
        // One side has closed; dropping both closes the other.
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
    }
}
