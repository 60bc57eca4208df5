use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::Result;
use crate::delivery::protocol::Protocol;

/// The measured server, on one core.
pub(crate) struct Target {
    /// As the table names it.
    pub(crate) name: &'static str,
    /// The protocol of its subscribers.
    pub(crate) protocol: Protocol,
    /// The path of their requests.
    pub(crate) path: &'static str,
    /// Their subscription.
    pub(crate) query: &'static str,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What a target is.
pub(crate) enum Kind {
    /// Pipewatch itself.
    Pipewatch,
    /// The bare sender.
    Bare,
    /// An axum handler that returns a constant.
    Constant,
    /// A peer of this name.
    Peer(&'static str),
}

/// A running server; killed when dropped.
pub(crate) struct Running {
    child: Child,
    /// Where it listens.
    pub(crate) address: String,
    /// The process that serves.
    pub(crate) pid: u32,
}

/// The port of a target that cannot choose one itself.
const PORT: u16 = 18_471;

impl Target {
    /// Starts it on the first core.
    pub(crate) fn start(&self, server: &Path, folder: &Path, status: &Path, peers: &Path) -> Result<Running> {
        let address = format!("127.0.0.1:{PORT}");
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]);
        match &self.kind {
            Kind::Pipewatch => {
                let database = format!("sqlite://{}/delivery.db", folder.display());
                command.arg(server).args([
                    "serve",
                    "--listen",
                    &address,
                    "--interval",
                    "1s",
                    "--database-url",
                    &database,
                ]);
                command.args(["--max-connections", "16000", "--window", "1h"]);
            }
            Kind::Bare => {
                command.arg(std::env::current_exe()?).args(["bare", "--address", &address]).arg("--status").arg(status);
            }
            Kind::Constant => {
                command
                    .arg(std::env::current_exe()?)
                    .args(["constant", "--address", &address])
                    .arg("--status")
                    .arg(status);
            }
            Kind::Peer(name) => {
                command.arg(peers.join("start.sh")).arg(name).arg(PORT.to_string());
            }
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        if line.is_empty() {
            child.wait()?;
            return Err(format!("{} did not start", self.name).into());
        }
        let pid = serving(child.id());
        Ok(Running { child, address, pid })
    }
}

/// nginx serves in a child; everything else in the process that was started.
fn serving(pid: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let is_nginx =
        |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "nginx");
    children.split_whitespace().filter_map(|child| child.parse().ok()).find(is_nginx).unwrap_or(pid)
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM, so that what it started ends with it; then for good.
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(15);
        while sent.is_ok() && std::time::Instant::now() < end {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
