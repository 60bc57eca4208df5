use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use uuid::Uuid;

use crate::domain::pipeline::PipelineKey;
use crate::domain::revision::Revision;
use crate::store::neighbours::Teller;

/// Which revision of each pipeline this server knows to be committed.
///
/// A channel per existing pipeline: the newest revision is all that matters, so nothing queues. It is told of a commit
/// before the commit is acknowledged, so whoever was answered finds the change announced.
#[derive(Debug)]
pub(super) struct Changes {
    // A std mutex: held for a map look-up only, never across an await.
    by_pipeline: Mutex<BTreeMap<PipelineKey, watch::Sender<Revision>>>,
    any: watch::Sender<()>,
    /// The last step of an alert that was seen by looking for what others changed.
    last_step: AtomicI64,
    /// Tells the other servers, where there may be any.
    teller: Option<Teller>,
}

impl Changes {
    pub(super) fn new(teller: Option<Teller>) -> Self {
        Self { by_pipeline: Mutex::default(), any: watch::Sender::new(()), last_step: AtomicI64::new(0), teller }
    }

    /// Announces a revision that this server has committed. An older one than is known changes nothing.
    pub(super) fn committed(&self, pipeline: &PipelineKey, revision: Revision) {
        self.learned(pipeline, revision);
        self.tell_of(pipeline);
    }

    /// The same of one that was found in the database. Whether it was not known.
    pub(super) fn learned(&self, pipeline: &PipelineKey, revision: Revision) -> bool {
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
            self.stir();
        }
        risen
    }

    /// Announces that this server has committed steps of alerts that belong to no pipeline.
    pub(super) fn stepped(&self) {
        self.stir();
        if let Some(teller) = &self.teller {
            teller.tell_of_alerts();
        }
    }

    /// The number of the last step of an alert, as it was found in the database.
    pub(super) fn learned_step(&self, number: i64) {
        if self.last_step.fetch_max(number, Ordering::Relaxed) < number {
            self.stir();
        }
    }

    /// Wakes those who follow anything at all.
    pub(super) fn stir(&self) {
        self.any.send_replace(());
    }

    /// Ends the channel of a pipeline that this server has removed; its receivers see it closed.
    pub(super) fn removed(&self, pipeline: &PipelineKey) {
        if self.lock().remove(pipeline).is_some() {
            self.stir();
        }
        self.tell_of(pipeline);
    }

    /// The same for one that was not found in the database, unless it was made anew since `known` was known.
    pub(super) fn vanished(&self, pipeline: &PipelineKey, known: Option<Revision>) {
        let mut by_pipeline = self.lock();
        if by_pipeline.get(pipeline).map(|channel| *channel.borrow()) == known && by_pipeline.remove(pipeline).is_some()
        {
            drop(by_pipeline);
            self.stir();
        }
    }

    /// Whether it is by this name that this server tells the others.
    pub(super) fn is_own(&self, name: Uuid) -> bool {
        self.teller.as_ref().is_some_and(|teller| teller.name() == name)
    }

    /// Has this server tell the others of nothing, which it hears itself.
    pub(super) fn greet(&self) {
        if let Some(teller) = &self.teller {
            teller.greet();
        }
    }

    /// What is known of all pipelines.
    pub(super) fn known(&self) -> HashMap<PipelineKey, Revision> {
        self.lock().iter().map(|(key, channel)| (key.clone(), *channel.borrow())).collect()
    }

    /// The pipelines that are known here behind a key, by their keys, at most so many.
    pub(super) fn pipelines(&self, after: Option<&PipelineKey>, most: usize) -> Vec<PipelineKey> {
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.lock().range::<PipelineKey, _>((begin, Bound::Unbounded)).take(most).map(|(key, _)| key.clone()).collect()
    }

    /// How many pipelines are known here.
    pub(super) fn count(&self) -> usize {
        self.lock().len()
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

    fn tell_of(&self, pipeline: &PipelineKey) {
        if let Some(teller) = &self.teller {
            teller.tell_of(pipeline);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PipelineKey, watch::Sender<Revision>>> {
        self.by_pipeline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
