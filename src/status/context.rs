use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::domain::key::PipelineKey;
use crate::domain::status::RuleBook;
use crate::error::Result;
use crate::self_monitor::SelfMonitor;
use crate::status::channel::Channel;
use crate::status::snapshot::Snapshot;
use crate::store::Store;

/// When statuses are computed.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// How often a watched pipeline is computed without a change.
    pub interval: Duration,
    /// How long a change waits after a computation, at most: a burst of changes costs one computation.
    pub debounce: Duration,
    /// How often a server that shares its database reads the revisions of all pipelines.
    pub revision_poll_interval: Duration,
}

/// What all computations share.
#[derive(Debug)]
pub(super) struct StatusContext {
    pub(super) store: Arc<Store>,
    pub(super) rules: RuleBook,
    pub(super) schedule: Schedule,
    pub(super) clock: Clock,
    pub(super) self_monitor: Arc<SelfMonitor>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    // A synchronous mutex: held for a map look-up only, never across an await.
    workers: Mutex<HashMap<PipelineKey, WorkerHandle>>,
}

/// A pipeline's worker: where it takes requests and publishes snapshots.
#[derive(Debug, Clone)]
pub(super) struct WorkerHandle {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) snapshots: Arc<Channel<Snapshot>>,
}

/// A request for a current snapshot.
pub(super) type Request = oneshot::Sender<Result<Arc<Snapshot>>>;

impl StatusContext {
    pub(super) fn new(
        store: Arc<Store>,
        rules: RuleBook,
        schedule: Schedule,
        (clock, self_monitor): (Clock, Arc<SelfMonitor>),
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self { store, rules, schedule, clock, self_monitor, tasks, stop, workers: Mutex::default() }
    }

    /// Whether a snapshot is current: younger than an interval, and of the newest revision that is committed here.
    pub(super) fn is_fresh(&self, snapshot: &Snapshot) -> bool {
        let newest = self.store.newest_revision(&snapshot.status().pipeline);
        // While the server has a problem, any computation may be the one that shows its end.
        !snapshot.status().has_server_alert()
            && self.self_monitor.is_healthy()
            && snapshot.computed_at().elapsed() < self.schedule.interval
            && newest.is_some_and(|revision| snapshot.revision() >= revision)
    }

    /// Removes a worker, unless it is needed: a receiver or a request waits for it.
    pub(super) fn retire(&self, pipeline: &PipelineKey, requests: &mpsc::Receiver<Request>) -> bool {
        let mut workers = self.workers();
        let is_needed =
            workers.get(pipeline).is_some_and(|worker| worker.snapshots.is_watched() || !requests.is_empty());
        if !is_needed {
            workers.remove(pipeline);
        }
        !is_needed
    }

    pub(super) fn workers(&self) -> MutexGuard<'_, HashMap<PipelineKey, WorkerHandle>> {
        self.workers.lock()
    }
}
