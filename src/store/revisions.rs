use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use uuid::Uuid;

use crate::domain::key::PipelineKey;
use crate::domain::revision::Revision;
use crate::store::notifier::ChangeNotifier;

/// The latest committed revision of each pipeline known to this server.
///
/// There is one channel per pipeline. Only the latest revision matters, so nothing queues. A revision is published
/// before its commit is acknowledged, so a client that has its response finds the change published.
#[derive(Debug)]
pub(super) struct Revisions {
    // A synchronous mutex: held for map look-ups only, never across an await.
    by_pipeline: Mutex<BTreeMap<PipelineKey, watch::Sender<Revision>>>,
    any: watch::Sender<()>,
    /// The number of the last alert event found in the database.
    last_event: AtomicI64,
    /// Notifies other servers, where the database is shared.
    notifier: Option<ChangeNotifier>,
}

impl Revisions {
    pub(super) fn new(notifier: Option<ChangeNotifier>) -> Self {
        Self { by_pipeline: Mutex::default(), any: watch::Sender::new(()), last_event: AtomicI64::new(0), notifier }
    }

    /// Publishes a revision that this server has committed. An older revision changes nothing.
    pub(super) fn committed(&self, pipeline: &PipelineKey, revision: Revision) {
        self.observe_revision(pipeline, revision);
        self.notify_pipeline(pipeline);
    }

    /// Publishes a revision found in the database. Returns whether it is new.
    pub(super) fn observe_revision(&self, pipeline: &PipelineKey, revision: Revision) -> bool {
        let mut by_pipeline = self.lock();
        let is_new = if let Some(channel) = by_pipeline.get(pipeline) {
            channel.send_if_modified(|known| {
                let newer = revision > *known;
                *known = revision.max(*known);
                newer
            })
        } else {
            by_pipeline.insert(pipeline.clone(), watch::Sender::new(revision));
            true
        };
        drop(by_pipeline);
        if is_new {
            self.notify_all();
        }
        is_new
    }

    /// Publishes that this server has committed alert events of no pipeline.
    pub(super) fn alert_event_committed(&self) {
        self.notify_all();
        if let Some(notifier) = &self.notifier {
            notifier.notify_alerts();
        }
    }

    /// Publishes the number of the last alert event found in the database.
    pub(super) fn observe_event(&self, number: i64) {
        if self.last_event.fetch_max(number, Ordering::Relaxed) < number {
            self.notify_all();
        }
    }

    /// Wakes the subscribers to any change.
    pub(super) fn notify_all(&self) {
        self.any.send_replace(());
    }

    /// Closes the channel of a pipeline that this server has removed.
    pub(super) fn removed(&self, pipeline: &PipelineKey) {
        if self.lock().remove(pipeline).is_some() {
            self.notify_all();
        }
        self.notify_pipeline(pipeline);
    }

    /// Closes the channel of a pipeline that was not found in the database, unless it has been created again since
    /// `known` was read.
    pub(super) fn observe_removal(&self, pipeline: &PipelineKey, known: Option<Revision>) {
        let mut by_pipeline = self.lock();
        if by_pipeline.get(pipeline).map(|channel| *channel.borrow()) == known && by_pipeline.remove(pipeline).is_some()
        {
            drop(by_pipeline);
            self.notify_all();
        }
    }

    /// Whether a notification comes from this server.
    pub(super) fn is_own(&self, sender: Uuid) -> bool {
        self.notifier.as_ref().is_some_and(|notifier| notifier.id() == sender)
    }

    /// Sends an empty notification, which this server receives too.
    pub(super) fn send_loopback(&self) {
        if let Some(notifier) = &self.notifier {
            notifier.send_loopback();
        }
    }

    /// Returns the latest revisions of all known pipelines.
    pub(super) fn known(&self) -> HashMap<PipelineKey, Revision> {
        self.lock().iter().map(|(key, channel)| (key.clone(), *channel.borrow())).collect()
    }

    /// Returns the known pipelines after a key, ordered by key.
    pub(super) fn pipelines(&self, after: Option<&PipelineKey>, limit: usize) -> Vec<PipelineKey> {
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.lock().range::<PipelineKey, _>((begin, Bound::Unbounded)).take(limit).map(|(key, _)| key.clone()).collect()
    }

    /// Returns the number of known pipelines.
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Returns the latest committed revision of a pipeline, if the pipeline is known.
    pub(super) fn newest(&self, pipeline: &PipelineKey) -> Option<Revision> {
        self.lock().get(pipeline).map(|channel| *channel.borrow())
    }

    /// Subscribes to the revisions of a pipeline, if the pipeline is known.
    pub(super) fn of(&self, pipeline: &PipelineKey) -> Option<watch::Receiver<Revision>> {
        self.lock().get(pipeline).map(watch::Sender::subscribe)
    }

    /// Subscribes to changes of any pipeline.
    pub(super) fn any(&self) -> watch::Receiver<()> {
        self.any.subscribe()
    }

    fn notify_pipeline(&self, pipeline: &PipelineKey) {
        if let Some(notifier) = &self.notifier {
            notifier.notify_pipeline(pipeline);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PipelineKey, watch::Sender<Revision>>> {
        self.by_pipeline.lock()
    }
}
