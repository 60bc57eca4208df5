//! Delivers the reports of `pipewatch run` without delaying the command.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::command::server::Server;
use crate::command::spool::deliver::{Receipt, deliver, lock, send_directly};
use crate::command::spool::{Entry, EntryName, Spool, SpoolError};
use crate::command::submit::report_strangers;
use crate::print_error;

/// The time limits between two attempts while the command runs.
const MIN_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_mins(1);

pub(super) struct Reporter {
    /// `None` if nothing is to be reported.
    server: Option<Server>,
    /// `None` if it is not usable.
    spool: Option<Spool>,
    /// Reports that are not in the spool.
    unspooled: Vec<Entry>,
    start: Option<JoinHandle<Result<(), Entry>>>,
    delivery: Option<JoinHandle<()>>,
}

impl Reporter {
    pub(super) fn new(server: Server, spool: Result<Spool, SpoolError>) -> Self {
        if let Err(error) = &spool {
            print_error(&format!("warning: {error}; reports are lost if the server cannot be reached"));
        }
        Self { server: Some(server), spool: spool.ok(), ..Self::off() }
    }

    /// Reports nothing.
    pub(super) fn off() -> Self {
        Self { server: None, spool: None, unspooled: Vec::new(), start: None, delivery: None }
    }

    pub(super) fn has_spool(&self) -> bool {
        self.spool.is_some()
    }

    /// Reports the start in the background.
    pub(super) fn start(&mut self, entry: Entry) {
        let Some(server) = self.server.clone() else { return };
        let Some(spool) = self.spool.clone() else {
            // Sent again with the end, which the server recognises by the id.
            self.unspooled.push(entry.clone());
            self.delivery = Some(tokio::spawn(async move {
                drop(send_directly(&server, &[entry]).await);
            }));
            return;
        };
        let into = spool.clone();
        let (added, is_added) = oneshot::channel();
        self.start = Some(tokio::task::spawn_blocking(move || {
            let result = into.add(std::slice::from_ref(&entry));
            // The receiver is gone if the run has ended already.
            let _ = added.send(());
            result.map(|_| ()).map_err(|error| {
                print_error(&format!("warning: {error}; the start of the run is reported with its end"));
                entry
            })
        }));
        self.delivery = Some(tokio::spawn(async move {
            drop(is_added.await);
            deliver_until_empty(&spool, &server).await;
        }));
    }

    /// Reports the end. Returns the errors of a refusal.
    pub(super) async fn end(&mut self, entry: Entry) -> Option<Vec<String>> {
        let server = self.server.clone()?;
        if let Some(start) = self.start.take()
            && let Ok(Err(entry)) = start.await
        {
            self.unspooled.push(entry);
        }
        if let Some(delivery) = self.delivery.take() {
            // A request in progress is repeated: the server recognises its id.
            delivery.abort();
            drop(delivery.await);
        }
        let name = self.spool.as_ref().and_then(|spool| match spool.add(std::slice::from_ref(&entry)) {
            Ok(names) => names.into_iter().next(),
            Err(error) => {
                print_error(&format!("warning: {error}; sending without it"));
                None
            }
        });
        if name.is_none() {
            self.unspooled.push(entry);
        }
        let refusal = self.deliver_spooled(&server, name.as_ref()).await;
        refusal.or(self.send_unspooled(&server).await)
    }

    async fn deliver_spooled(&self, server: &Server, own: Option<&EntryName>) -> Option<Vec<String>> {
        let (spool, own) = (self.spool.as_ref()?, own?);
        let names = std::slice::from_ref(own);
        let is_waiting = |reason: &str| {
            print_error(&format!("{reason}; the report is kept in the spool and delivered later"));
        };
        match lock(spool, names, Instant::now() + MIN_PAUSE).await {
            Ok(Some(lock)) => match deliver(spool, server, &lock).await {
                Ok(delivery) => {
                    report_strangers(&delivery, names);
                    if let Some(stopped) = &delivery.stopped {
                        is_waiting(&stopped.to_string());
                    }
                }
                Err(cause) => is_waiting(&spool.error(cause).to_string()),
            },
            Ok(None) if spool.contains(own) => is_waiting("another process is delivering"),
            Ok(None) => {}
            Err(error) => is_waiting(&error.to_string()),
        }
        spool.take_rejected(own)
    }

    async fn send_unspooled(&mut self, server: &Server) -> Option<Vec<String>> {
        let entries = std::mem::take(&mut self.unspooled);
        if entries.is_empty() {
            return None;
        }
        match send_directly(server, &entries).await {
            Ok(receipts) => match receipts.into_iter().last() {
                Some(Receipt::Refused { errors }) => Some(errors),
                _ => None,
            },
            Err(error) => {
                print_error(&format!("{error}; the run is not reported"));
                None
            }
        }
    }
}

/// Delivers what waits in the spool, with pauses after failures.
async fn deliver_until_empty(spool: &Spool, server: &Server) {
    let mut pause = MIN_PAUSE;
    loop {
        let mut at_least = Duration::ZERO;
        if let Ok(Some(lock)) = lock(spool, &[], Instant::now()).await
            && let Ok(delivery) = deliver(spool, server, &lock).await
        {
            report_strangers(&delivery, &[]);
            match &delivery.stopped {
                Some(stopped) => at_least = stopped.retry_after().unwrap_or_default(),
                None => return,
            }
        }
        sleep(pause.max(at_least.min(MAX_PAUSE))).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}
