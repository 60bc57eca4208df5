use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::domain::cardinality::Cardinality;
use crate::error::{Error, Result};
use crate::store::connections::Connections;
use crate::store::failure::Cause;
use crate::store::health::monitor::HealthMonitor;
use crate::store::reports::record::record;
use crate::store::reports::report::{NewReport, Receipt};
use crate::store::revisions::Revisions;

/// Maximum number of requests in the writer's queue. Further requests wait to enter it.
pub(in crate::store) const QUEUE_CAPACITY: usize = 1024;
/// Maximum number of reports in a batch, unless a single request has more. Keeps transactions short.
const MAX_BATCH: usize = 2_000;
/// Timeout of a batch. Longer than the database's own timeouts, which leave the connection usable.
const BATCH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request waits for its commit. A client without a response sends its reports again, under the same ids.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(7);

/// Group commit: reports that arrive during a commit are committed together in the next transaction.
///
/// A commit costs the same (a disk sync, a round trip) for one report and for hundreds, so many small reports cost
/// little more than one large one.
#[derive(Debug)]
pub(in crate::store) struct Writer {
    jobs: mpsc::Sender<Job>,
    health: Arc<HealthMonitor>,
}

struct Job {
    entries: Vec<NewReport>,
    reply: oneshot::Sender<Result<Receipt>>,
}

impl Writer {
    /// Starts the writing task. It ends when the writer is dropped and everything in the queue is committed.
    pub(in crate::store) fn start(
        connections: Connections,
        clock: Clock,
        limits: Cardinality,
        revisions: Arc<Revisions>,
        health: Arc<HealthMonitor>,
    ) -> (Self, JoinHandle<()>) {
        let (jobs, waiting) = mpsc::channel(QUEUE_CAPACITY);
        let committer = Committer { connections, clock, limits, revisions, health: Arc::clone(&health) };
        (Self { jobs, health }, tokio::spawn(async move { committer.run(waiting).await }))
    }

    /// Writes the reports of a request. After an error, they may have been committed or not.
    pub(in crate::store) async fn record(&self, entries: Vec<NewReport>) -> Result<Receipt> {
        if entries.is_empty() {
            return Ok(Receipt::default());
        }
        let _queued = self.health.enqueue();
        let (reply, answer) = oneshot::channel();
        let committed = async {
            self.jobs.send(Job { entries, reply }).await.map_err(|_| Error::ShuttingDown)?;
            answer.await.map_err(|_| Error::ShuttingDown)?
        };
        timeout(RESPONSE_TIMEOUT, committed).await.map_err(Error::database)?
    }
}

struct Committer {
    connections: Connections,
    clock: Clock,
    limits: Cardinality,
    revisions: Arc<Revisions>,
    health: Arc<HealthMonitor>,
}

impl Committer {
    async fn run(self, mut waiting: mpsc::Receiver<Job>) {
        while let Some(first) = waiting.recv().await {
            let mut size = first.entries.len();
            let mut batch = vec![first];
            while size < MAX_BATCH
                && let Ok(job) = waiting.try_recv()
            {
                size += job.entries.len();
                batch.push(job);
            }
            // The clients of closed replies have timed out.
            batch.retain(|job| !job.reply.is_closed());
            if !batch.is_empty() {
                self.commit(batch).await;
            }
        }
    }

    /// Commits a batch. When it fails for the content of one request, each request is retried individually. When it
    /// fails for the database, all requests fail with it, since each would wait as long for the same error.
    async fn commit(&self, batch: Vec<Job>) {
        let (entries, replies): (Vec<_>, Vec<_>) = batch.into_iter().map(|job| (job.entries, job.reply)).unzip();
        let (error, of_database) = match self.record(&entries).await {
            Ok(receipts) => {
                for (reply, receipt) in replies.into_iter().zip(receipts) {
                    // The receiver may be gone; the commit stays.
                    drop(reply.send(Ok(receipt)));
                }
                return;
            }
            Err(error) => error,
        };
        if of_database || replies.len() == 1 {
            tracing::warn!(error = &error as &dyn std::error::Error, "batch insert failed");
            return fail(replies, &error);
        }
        tracing::warn!(error = &error as &dyn std::error::Error, "batch insert failed; retrying requests individually");
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

    /// Writes a batch. An error comes with whether the database caused it, so that every batch would fail.
    async fn record(&self, batch: &[Vec<NewReport>]) -> Result<Vec<Receipt>, (Error, bool)> {
        self.health.batch_begins();
        let writing = record(&self.connections, &self.clock, self.limits, batch);
        let done = self.connections.within(BATCH_TIMEOUT, writing).await;
        let cause = done.as_ref().err().map(Cause::of);
        self.health.batch_ends(cause);
        let receipts = done.map_err(|error: DbErr| (Error::database(error), cause != Some(Cause::Content)))?;
        for receipt in &receipts {
            for (pipeline, revision) in &receipt.revisions {
                self.revisions.committed(pipeline, *revision);
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
