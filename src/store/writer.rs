use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::domain::cardinality::Cardinality;
use crate::error::{Error, Result};
use crate::store::changes::Changes;
use crate::store::connect::Connections;
use crate::store::record::{Entry, Receipt, record};

/// Requests that may wait for the writer; a further one waits for its place.
const QUEUE: usize = 1024;
/// Reports that are committed together, unless a single request has more. Keeps a transaction short.
const GROUP: usize = 2_000;

/// Group commit: while one transaction is being committed, further reports gather, and go together into the next.
///
/// A commit costs the same (a sync of the disk, a round trip) for one report and for hundreds, so many small reports
/// cost little more than one large one.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

struct Job {
    entries: Vec<Entry>,
    reply: oneshot::Sender<Result<Receipt>>,
}

impl Writer {
    /// Starts the task that writes. It ends when the writer is dropped and all that was handed in is committed.
    pub(super) fn start(
        connections: Connections,
        clock: Clock,
        limits: Cardinality,
        changes: Arc<Changes>,
    ) -> (Self, JoinHandle<()>) {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let task = tokio::spawn(async move { Committer { connections, clock, limits, changes }.run(waiting).await });
        (Self { jobs }, task)
    }

    pub(super) async fn record(&self, entries: Vec<Entry>) -> Result<Receipt> {
        if entries.is_empty() {
            return Ok(Receipt::default());
        }
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job { entries, reply }).await.map_err(|_| Error::ShuttingDown)?;
        answer.await.map_err(|_| Error::ShuttingDown)?
    }
}

struct Committer {
    connections: Connections,
    clock: Clock,
    limits: Cardinality,
    changes: Arc<Changes>,
}

impl Committer {
    async fn run(self, mut waiting: mpsc::Receiver<Job>) {
        while let Some(first) = waiting.recv().await {
            let mut size = first.entries.len();
            let mut group = vec![first];
            while size < GROUP
                && let Ok(job) = waiting.try_recv()
            {
                size += job.entries.len();
                group.push(job);
            }
            self.commit(group).await;
        }
    }

    /// Commits a group. Should that fail, each request is tried by itself, so that what is wrong with one does not
    /// befall the others.
    async fn commit(&self, group: Vec<Job>) {
        let (entries, replies): (Vec<_>, Vec<_>) = group.into_iter().map(|job| (job.entries, job.reply)).unzip();
        match self.record(&entries).await {
            Ok(receipts) => {
                for (reply, receipt) in replies.into_iter().zip(receipts) {
                    // The one who asked may have gone; what was committed stays.
                    drop(reply.send(Ok(receipt)));
                }
            }
            Err(error) if replies.len() == 1 => {
                for reply in replies {
                    drop(reply.send(Err(error.clone())));
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a group of reports failed; each goes alone");
                for (entries, reply) in entries.into_iter().zip(replies) {
                    let alone = self.record(std::slice::from_ref(&entries)).await;
                    drop(reply.send(alone.map(|mut receipts| receipts.swap_remove(0))));
                }
            }
        }
    }

    async fn record(&self, group: &[Vec<Entry>]) -> Result<Vec<Receipt>> {
        let receipts = record(&self.connections, &self.clock, self.limits, group).await.map_err(Error::database)?;
        for receipt in &receipts {
            for (pipeline, revision) in &receipt.revisions {
                self.changes.committed(pipeline, *revision);
            }
        }
        Ok(receipts)
    }
}
