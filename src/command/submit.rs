//! Submits reports through the spool, so that they are delivered later if they cannot be now.

use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use crate::command::exit;
use crate::command::server::{Server, ServerError, ServerFlags};
use crate::command::spool::deliver::{Delivery, DeliveryError, Receipt, deliver, lock, send_directly};
use crate::command::spool::{Entry, EntryName, Spool, SpoolError, SpoolFlags};
use crate::{fail, fail_with, print_error};

/// The time limit of a silent server. Pipewatch responds within 8 s.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long another process may take to deliver.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Args, Clone)]
pub(crate) struct SubmitFlags {
    #[command(flatten)]
    pub(crate) server: ServerFlags,
    #[command(flatten)]
    pub(crate) spool: SpoolFlags,
}

/// What became of a submitted report.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Settled(Receipt),
    /// Kept for a later delivery.
    Spooled,
}

/// The result of a submission.
pub(crate) struct Submission {
    /// In the order of the reports.
    pub(crate) fates: Vec<Fate>,
    /// Why reports are kept.
    pub(crate) notice: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error("{0}")]
    Spool(#[from] SpoolError),
    #[error("{0}")]
    Server(#[from] ServerError),
}

impl SubmitError {
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Spool(error) => error.exit_status(),
            Self::Server(error) => error.exit_status(),
        }
    }
}

/// Submits reports and prints what became of them, one line each.
pub(crate) async fn submit_and_print(
    flags: &SubmitFlags,
    entries: &[Entry],
    use_spool: bool,
) -> std::process::ExitCode {
    if flags.server.is_off() || entries.is_empty() {
        return std::process::ExitCode::SUCCESS;
    }
    let server = match Server::new(&flags.server, TIMEOUT) {
        Ok(server) => server,
        Err(message) => return fail(&message),
    };
    let submitted = if use_spool {
        let opened = flags.spool.root().and_then(|root| Spool::open(&root, &server.shown()));
        match opened {
            Ok(spool) => submit(&spool, &server, entries).await,
            Err(error) => {
                print_error(&format!("warning: {error}; sending without it"));
                submit_directly(&server, entries).await
            }
        }
    } else {
        submit_directly(&server, entries).await
    };
    match submitted {
        Ok(submission) => print_fates(entries, &submission),
        Err(error) => fail_with(error.exit_status(), &format!("{error}; the report is not stored")),
    }
}

fn print_fates(entries: &[Entry], submission: &Submission) -> std::process::ExitCode {
    let mut lines = Vec::new();
    let mut is_refused = false;
    for (entry, fate) in entries.iter().zip(&submission.fates) {
        let id = entry.report["id"].as_str().unwrap_or_default();
        let word = match fate {
            Fate::Settled(Receipt::Stored { warnings }) => {
                for warning in warnings {
                    print_error(&format!("warning: report {id}: {warning}"));
                }
                "stored"
            }
            Fate::Settled(Receipt::Duplicate) => "duplicate",
            Fate::Settled(Receipt::Elsewhere) => "delivered",
            Fate::Spooled => "spooled",
            Fate::Settled(Receipt::Refused { errors }) => {
                is_refused = true;
                for error in errors {
                    print_error(&format!("report {id} refused: {error}"));
                }
                "refused"
            }
        };
        lines.push(format!("{word} {id}"));
    }
    if let Some(notice) = &submission.notice {
        print_error(&format!("{notice}; the report is kept in the spool and delivered later"));
    }
    let printed = crate::print(&lines.join("\n"));
    if is_refused { std::process::ExitCode::from(exit::REFUSED) } else { printed }
}

/// Submits without the spool: all reports are delivered, or none is acknowledged.
async fn submit_directly(server: &Server, entries: &[Entry]) -> Result<Submission, SubmitError> {
    match send_directly(server, entries).await {
        Ok(receipts) => Ok(Submission { fates: receipts.into_iter().map(Fate::Settled).collect(), notice: None }),
        Err(error) => Err(error_of(error, None)),
    }
}

/// Adds the reports to the spool and delivers everything in it, in order.
pub(crate) async fn submit(spool: &Spool, server: &Server, entries: &[Entry]) -> Result<Submission, SubmitError> {
    let deadline = Instant::now() + LOCK_TIMEOUT;
    let names = match spool.add(entries) {
        Err(SpoolError::Full { .. }) => {
            // Delivering what waits makes room, if the server is there.
            if let Some(lock) = lock(spool, &[], deadline).await? {
                let delivery = deliver(spool, server, &lock).await.map_err(|cause| spool.error(cause))?;
                report_strangers(&delivery, &[]);
            }
            spool.add(entries)?
        }
        added => added?,
    };
    let Some(lock) = lock(spool, &names, deadline).await? else {
        let notice = Some("another process is delivering".to_owned());
        return Ok(submission(spool, &names, &Delivery::default(), notice));
    };
    let delivery = deliver(spool, server, &lock).await.map_err(|cause| spool.error(cause))?;
    report_strangers(&delivery, &names);
    match delivery.stopped {
        // A wrong address or token is an error of this call. Reports that fail the call are not kept.
        Some(error) if !error.is_temporary() && names.iter().any(|name| spool.contains(name)) => {
            for name in &names {
                spool.remove(name).map_err(|cause| spool.error(cause))?;
            }
            Err(error.into())
        }
        ref stopped => {
            let notice = stopped.as_ref().map(ToString::to_string);
            Ok(submission(spool, &names, &delivery, notice))
        }
    }
}

fn submission(spool: &Spool, names: &[EntryName], delivery: &Delivery, notice: Option<String>) -> Submission {
    let fate = |name: &EntryName| {
        let refusal = spool.take_rejected(name).map(|errors| Receipt::Refused { errors });
        match refusal.or_else(|| delivery.receipts.get(name).cloned()) {
            Some(receipt) => Fate::Settled(receipt),
            None if spool.contains(name) => Fate::Spooled,
            None => Fate::Settled(Receipt::Elsewhere),
        }
    };
    let fates: Vec<_> = names.iter().map(fate).collect();
    let notice = notice.filter(|_| fates.contains(&Fate::Spooled));
    Submission { fates, notice }
}

/// Prints the refusals of reports that earlier commands left.
pub(crate) fn report_strangers(delivery: &Delivery, own: &[EntryName]) {
    for (name, receipt) in &delivery.receipts {
        if let Receipt::Refused { errors } = receipt
            && !own.contains(name)
        {
            print_error(&format!("warning: an earlier report was refused: {}; see pipewatch spool", errors.join(", ")));
        }
    }
}

fn error_of(error: DeliveryError, spool: Option<&Spool>) -> SubmitError {
    match error {
        DeliveryError::Server(error) => error.into(),
        DeliveryError::Io(cause) => {
            let folder = spool.map(|spool| spool.folder().display().to_string()).unwrap_or_default();
            SpoolError::Io { folder, cause }.into()
        }
    }
}
