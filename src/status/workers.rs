use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::domain::key::PipelineKey;
use crate::error::{Error, Result};
use crate::status::channel::Receiver;
use crate::status::context::{StatusContext, WorkerHandle};
use crate::status::snapshot::Snapshot;
use crate::status::worker::PipelineWorker;

/// Requests that wait for a worker, at most.
const REQUEST_QUEUE: usize = 64;

/// The workers of all pipelines. A pipeline has one while its status is watched or requested.
#[derive(Debug, Clone)]
pub(super) struct Workers {
    pub(super) context: Arc<StatusContext>,
}

impl Workers {
    /// A current snapshot.
    pub(super) async fn current(&self, pipeline: &PipelineKey) -> Result<Arc<Snapshot>> {
        loop {
            let worker = self.worker(pipeline)?;
            if let Some(newest) = worker.snapshots.newest()
                && self.context.is_fresh(&newest)
            {
                return Ok(newest);
            }
            let (request, response) = oneshot::channel();
            if worker.requests.send(request).await.is_ok()
                && let Ok(response) = response.await
            {
                return response;
            }
            // The worker retired, or the server stops.
            if self.context.stop.is_cancelled() {
                return Err(Error::ShuttingDown);
            }
        }
    }

    /// A receiver of the newest snapshot, which there is, and all later ones.
    pub(super) async fn watch(&self, pipeline: &PipelineKey) -> Result<Receiver<Snapshot>> {
        loop {
            // Subscribing precedes the request, so that the worker does not retire.
            let receiver = self.worker(pipeline)?.snapshots.subscribe();
            self.current(pipeline).await?;
            // If the worker retired before, its channel is closed and has no snapshot.
            if receiver.newest().is_some() {
                return Ok(receiver);
            }
        }
    }

    /// The worker of an existing pipeline; started if it does not run.
    fn worker(&self, pipeline: &PipelineKey) -> Result<WorkerHandle> {
        let mut workers = self.context.workers();
        if let Some(worker) = workers.get(pipeline) {
            return Ok(worker.clone());
        }
        let Some(revisions) = self.context.store.revisions(pipeline) else {
            return Err(Error::PipelineNotFound(pipeline.clone()));
        };
        let (sender, requests) = mpsc::channel(REQUEST_QUEUE);
        let handle = WorkerHandle { requests: sender, snapshots: Arc::default() };
        workers.insert(pipeline.clone(), handle.clone());
        drop(workers);
        let (context, snapshots) = (Arc::clone(&self.context), Arc::clone(&handle.snapshots));
        let worker = PipelineWorker::new(context, pipeline.clone(), snapshots, requests, revisions);
        self.context.tasks.spawn(worker.run());
        Ok(handle)
    }
}
