use std::io;
use std::process::ExitCode;
use std::time::Duration;

use chrono::DateTime;
use clap::{Args, Subcommand};
use pipewatch::domain::time::rfc3339;
use reqwest::Url;
use tokio::time::Instant;

use crate::command::exit;
use crate::command::server::{Server, ServerFlags};
use crate::command::spool::deliver::{Receipt, deliver, lock};
use crate::command::spool::{Spool, SpoolError, SpoolFlags};
use crate::{fail, fail_with, print, print_error};

/// The time limit of a silent server, and for another process to finish its delivery.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerFlags,
    #[command(flatten)]
    spool: SpoolFlags,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// List the reports that wait for delivery, by server (default)
    List,
    /// Deliver the reports that wait for this server
    Flush {
        /// First take over the reports that wait for the server at this address, such as a misspelt one
        #[arg(long, value_name = "URL")]
        from: Option<Url>,
    },
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let root = match arguments.spool.root() {
        Ok(root) => root,
        Err(error) => return fail_with(exit::SPOOL_ERROR, &error.to_string()),
    };
    match arguments.action.unwrap_or(Action::List) {
        Action::List => match Spool::all(&root).and_then(|all| describe(&all)) {
            Ok(lines) if lines.is_empty() => print(&format!("no reports in {}", root.display())),
            Ok(lines) => print(&lines.join("\n")),
            Err(error) => fail_with(exit::SPOOL_ERROR, &format!("cannot read {}: {error}", root.display())),
        },
        Action::Flush { from } => {
            let server = match Server::new(&arguments.server, TIMEOUT) {
                Ok(server) => server,
                Err(message) => return fail(&message),
            };
            let opened = Spool::open(&root, &server.shown()).and_then(|spool| {
                if let Some(from) = from {
                    let other = Spool::open(&root, from.as_str().trim_end_matches('/'))?;
                    let moved = spool.take_over(&other).map_err(|cause| spool.error(cause))?;
                    print_error(&format!("took over {moved} reports of {from}"));
                }
                Ok(spool)
            });
            match opened {
                Ok(spool) => flush(&spool, &server).await,
                Err(error) => fail_with(exit::SPOOL_ERROR, &error.to_string()),
            }
        }
    }
}

/// One paragraph per server.
fn describe(all: &[(String, Spool)]) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    for (server, spool) in all {
        let (extent, rejected) = (spool.extent()?, spool.rejected()?.len());
        if extent.files == 0 && rejected == 0 {
            continue;
        }
        let kib = extent.bytes.div_ceil(1024);
        lines.push(format!("{server}: {} reports ({kib} KiB), {rejected} rejected", extent.files));
        lines.push(format!("  {}", spool.folder().display()));
        for name in spool.list()? {
            if let Some(entry) = spool.read(&name)? {
                let text = |key: &str| entry.report[key].as_str().unwrap_or("?").to_owned();
                let since = DateTime::from_timestamp(name.seconds(), 0).map(rfc3339).unwrap_or_default();
                lines.push(format!("  {since}  {}/{}  {}", text("pipeline"), text("source"), text("id")));
            }
        }
    }
    Ok(lines)
}

async fn flush(spool: &Spool, server: &Server) -> ExitCode {
    let lock = match lock(spool, &[], Instant::now() + TIMEOUT).await {
        Ok(Some(lock)) => lock,
        Ok(None) => return fail_with(exit::UNAVAILABLE, "another process is delivering; try again later"),
        Err(error) => return fail_with(exit::SPOOL_ERROR, &error.to_string()),
    };
    let delivery = match deliver(spool, server, &lock).await {
        Ok(delivery) => delivery,
        Err(cause) => return fail_with(exit::SPOOL_ERROR, &spool.error(cause).to_string()),
    };
    let count = |is: fn(&Receipt) -> bool| delivery.receipts.values().filter(|receipt| is(receipt)).count();
    let stored = count(|receipt| matches!(receipt, Receipt::Stored { .. }));
    let duplicates = count(|receipt| matches!(receipt, Receipt::Duplicate));
    let refused = count(|receipt| matches!(receipt, Receipt::Refused { .. }));
    for receipt in delivery.receipts.values() {
        if let Receipt::Refused { errors } = receipt {
            print_error(&format!("a report was refused: {}", errors.join(", ")));
        }
    }
    let waiting = spool.extent().map_or(0, |extent| extent.files);
    let printed = print(&format!("{stored} stored, {duplicates} duplicate, {refused} refused, {waiting} waiting"));
    match delivery.stopped {
        Some(error) => fail_with(error.exit_status(), &error.to_string()),
        None if refused > 0 => ExitCode::from(exit::REFUSED),
        None => printed,
    }
}

impl SpoolError {
    pub(crate) fn exit_status(&self) -> u8 {
        if matches!(self, Self::Full { .. }) { exit::SPOOL_FULL } else { exit::SPOOL_ERROR }
    }
}
