use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::domain::pipeline::PipelineKey;
use crate::domain::revision::Revision;

/// Which revision of each pipeline this server knows to be committed.
///
/// A channel per existing pipeline: the newest revision is all that matters, so nothing queues. It is told of a commit
/// before the commit is acknowledged, so whoever was answered finds the change announced.
#[derive(Debug)]
pub(super) struct Changes {
    // A std mutex: held for a map look-up only, never across an await.
    by_pipeline: Mutex<HashMap<PipelineKey, watch::Sender<Revision>>>,
    any: watch::Sender<()>,
}

impl Changes {
    pub(super) fn new() -> Self {
        Self { by_pipeline: Mutex::default(), any: watch::Sender::new(()) }
    }

    /// Announces a committed revision. An older one than is known changes nothing.
    pub(super) fn committed(&self, pipeline: &PipelineKey, revision: Revision) {
        let mut by_pipeline = self.lock();
        let risen = if let Some(channel) = by_pipeline.get(pipeline) {
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
        if risen {
            self.any.send_replace(());
        }
    }

    /// Tells of something that belongs to no pipeline.
    pub(super) fn told(&self) {
        self.any.send_replace(());
    }

    /// Ends the channel of a pipeline that was removed; its receivers see it closed.
    pub(super) fn removed(&self, pipeline: &PipelineKey) {
        if self.lock().remove(pipeline).is_some() {
            self.any.send_replace(());
        }
    }

    /// The same for one that was not found in the database, unless it was made anew since `known` was known.
    pub(super) fn vanished(&self, pipeline: &PipelineKey, known: Option<Revision>) {
        let mut by_pipeline = self.lock();
        if by_pipeline.get(pipeline).map(|channel| *channel.borrow()) == known && by_pipeline.remove(pipeline).is_some()
        {
            drop(by_pipeline);
            self.any.send_replace(());
        }
    }

    /// The pipelines that are known here, by their keys.
    pub(super) fn pipelines(&self) -> Vec<PipelineKey> {
        let mut keys: Vec<PipelineKey> = self.lock().keys().cloned().collect();
        keys.sort_unstable();
        keys
    }

    /// The newest committed revision of a pipeline, if it is known here.
    pub(super) fn newest(&self, pipeline: &PipelineKey) -> Option<Revision> {
        self.lock().get(pipeline).map(|channel| *channel.borrow())
    }

    /// The committed revisions of a pipeline, if it is known here.
    pub(super) fn of(&self, pipeline: &PipelineKey) -> Option<watch::Receiver<Revision>> {
        self.lock().get(pipeline).map(watch::Sender::subscribe)
    }

    /// Woken by every change of any pipeline.
    pub(super) fn any(&self) -> watch::Receiver<()> {
        self.any.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PipelineKey, watch::Sender<Revision>>> {
        self.by_pipeline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
