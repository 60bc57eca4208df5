use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::Result;
use crate::database::Database;
use crate::machine::{field, leading_number};

/// How long the server may take to serve, and to end.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// The server's program.
#[derive(Debug, Clone)]
pub(crate) struct Program(PathBuf);

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens, as `127.0.0.1:PORT`.
    pub(crate) address: String,
    /// From its exec to the line that announces that it serves.
    pub(crate) start: Duration,
}

impl Program {
    pub(crate) fn at(path: &Path) -> Result<Self> {
        if path.is_file() {
            Ok(Self(path.canonicalize()?))
        } else {
            let path = path.display();
            Err(format!("no server program at {path}; run cargo build --release, or name it with --server").into())
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Serves a database on a port of its own, without any setting of this environment.
    pub(crate) async fn serve(&self, database: &Database, folder: &Path) -> Result<Server> {
        let mut command = Command::new(&self.0);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--database-url", &database.url])
            .current_dir(folder)
            .env_remove("DATABASE_URL")
            .env_remove("PORT")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PIPEWATCH_") {
                command.env_remove(name);
            }
        }
        let begin = Instant::now();
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        let mut line = String::new();
        timeout(START_TIMEOUT, BufReader::new(stdout).read_line(&mut line)).await??;
        let start = begin.elapsed();
        let address = line.trim().strip_prefix("pipewatch listening on http://").ok_or("the server did not serve")?;
        Ok(Server { address: address.to_owned(), child, start })
    }
}

impl Server {
    /// The memory it has resident, in MiB.
    pub(crate) fn resident(&self) -> Result<f64> {
        let id = self.child.id().ok_or("the server has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let kilobytes = field(&status, "VmRSS").and_then(leading_number).ok_or("its status has no VmRSS")?;
        Ok(kilobytes / 1024.0)
    }

    /// Stops it in good order: SIGTERM, as a service manager would.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let id = self.child.id().ok_or("the server has ended early")?;
        let sent = Command::new("kill").args(["-TERM", &id.to_string()]).status().await?;
        let status = timeout(START_TIMEOUT, self.child.wait()).await??;
        if sent.success() && status.success() { Ok(()) } else { Err(format!("the server ended: {status}").into()) }
    }
}
