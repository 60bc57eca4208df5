use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::domain::cardinality::Cardinality;
use crate::error::{Error, Result};
use crate::store::changes::Changes;
use crate::store::connect::Connections;
use crate::store::failure::Cause;
use crate::store::health::HealthMonitor;
use crate::store::record::{Entry, Receipt, record};

/// Requests that may wait for the writer; a further one waits for its place.
pub(super) const QUEUE: usize = 1024;
/// Reports that are committed together, unless a single request has more. Keeps a transaction short.
const GROUP: usize = 2_000;
/// How long a group may take. It is longer than the database's own deadlines, which leave a connection that can be used.
const GROUP_LIMIT: Duration = Duration::from_secs(5);
/// How long a request waits until it is committed. Whoever gets no answer sends it again, under the same ids.
const ANSWER_LIMIT: Duration = Duration::from_secs(7);

/// Group commit: while one transaction is being committed, further reports gather, and go together into the next.
///
/// A commit costs the same (a sync of the disk, a round trip) for one report and for hundreds, so many small reports
/// cost little more than one large one.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    health: Arc<HealthMonitor>,
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
        health: Arc<HealthMonitor>,
    ) -> (Self, JoinHandle<()>) {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let committer = Committer { connections, clock, limits, changes, health: Arc::clone(&health) };
        (Self { jobs, health }, tokio::spawn(async move { committer.run(waiting).await }))
    }

    /// Writes the reports of a request. After an error they may have been committed or not.
    pub(super) async fn record(&self, entries: Vec<Entry>) -> Result<Receipt> {
        if entries.is_empty() {
            return Ok(Receipt::default());
        }
        let _queued = self.health.enqueue();
        let (reply, answer) = oneshot::channel();
        let committed = async {
            self.jobs.send(Job { entries, reply }).await.map_err(|_| Error::ShuttingDown)?;
            answer.await.map_err(|_| Error::ShuttingDown)?
        };
        timeout(ANSWER_LIMIT, committed).await.map_err(Error::database)?
    }
}

struct Committer {
    connections: Connections,
    clock: Clock,
    limits: Cardinality,
    changes: Arc<Changes>,
    health: Arc<HealthMonitor>,
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
            // Whoever has waited too long has been answered.
            group.retain(|job| !job.reply.is_closed());
            if !group.is_empty() {
                self.commit(group).await;
            }
        }
    }

    /// Commits a group. When it fails for the content of one request, each is tried by itself; when it fails for the
    /// database, all fail with it, for each would wait as long for the same error.
    async fn commit(&self, group: Vec<Job>) {
        let (entries, replies): (Vec<_>, Vec<_>) = group.into_iter().map(|job| (job.entries, job.reply)).unzip();
        let (error, of_database) = match self.record(&entries).await {
            Ok(receipts) => {
                for (reply, receipt) in replies.into_iter().zip(receipts) {
                    // The one who asked may have gone; what was committed stays.
                    drop(reply.send(Ok(receipt)));
                }
                return;
            }
            Err(error) => error,
        };
        if of_database || replies.len() == 1 {
            tracing::warn!(error = &error as &dyn std::error::Error, "a group of reports failed");
            return fail(replies, &error);
        }
        tracing::warn!(error = &error as &dyn std::error::Error, "a group of reports failed; each goes alone");
        let mut jobs = entries.into_iter().zip(replies);
        while let Some((entries, reply)) = jobs.next() {
            match self.record(std::slice::from_ref(&entries)).await {
                Ok(mut receipts) => drop(reply.send(Ok(receipts.swap_remove(0)))),
                Err((error, of_database)) => {
                    drop(reply.send(Err(error.clone())));
                    if of_database {
                        return fail(jobs.map(|(_, reply)| reply), &error);
                    }
                }
            }
        }
    }

    /// Writes a group. An error comes with whether it is the database's, which every group would meet.
    async fn record(&self, group: &[Vec<Entry>]) -> Result<Vec<Receipt>, (Error, bool)> {
        self.health.group_begins();
        let writing = record(&self.connections, &self.clock, self.limits, group);
        let done = self.connections.within(GROUP_LIMIT, writing).await;
        let cause = done.as_ref().err().map(Cause::of);
        self.health.group_ends(cause);
        let receipts = done.map_err(|error: DbErr| (Error::database(error), cause != Some(Cause::Content)))?;
        for receipt in &receipts {
            for (pipeline, revision) in &receipt.revisions {
                self.changes.committed(pipeline, *revision);
            }
        }
        Ok(receipts)
    }
}

fn fail(replies: impl IntoIterator<Item = oneshot::Sender<Result<Receipt>>>, error: &Error) {
    for reply in replies {
        drop(reply.send(Err(error.clone())));
    }
}
