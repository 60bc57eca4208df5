use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};
use tokio_stream::StreamMap;

use crate::domain::key::PipelineKey;
use crate::error::{Error, Result};
use crate::status::channel::{Changes, Channel, Receiver};
use crate::status::snapshot::Snapshot;
use crate::status::workers::Workers;

/// Pipelines of an overview, at most: the first by their keys.
pub const MAX_OVERVIEW_PIPELINES: usize = 1_000;
/// Pipelines that are computed for an overview at a time.
const MAX_CONCURRENT_COMPUTATIONS: usize = 32;

/// The snapshots of pipelines, by their keys.
pub type Overview = Vec<Arc<Snapshot>>;

/// The overview of all pipelines, computed while it is watched.
#[derive(Debug)]
pub(super) struct OverviewMonitor {
    workers: Workers,
    channel: Mutex<Option<Arc<Channel<Overview>>>>,
}

/// The pipelines of an overview: their newest snapshots, and the streams of later ones.
#[derive(Default)]
struct Pipelines {
    newest: BTreeMap<PipelineKey, Arc<Snapshot>>,
    changes: StreamMap<PipelineKey, Changes<Snapshot>>,
}

impl OverviewMonitor {
    pub(super) fn new(workers: Workers) -> Arc<Self> {
        Arc::new(Self { workers, channel: Mutex::default() })
    }

    /// The snapshots of at most `limit` pipelines after a key, all current.
    pub(super) async fn current(&self, after: Option<&PipelineKey>, limit: usize) -> Result<Overview> {
        let keys = self.workers.context.store.known_pipelines(after, limit);
        let current = stream::iter(keys).map(async |key| self.workers.current(&key).await);
        let snapshots: Vec<_> = current.buffered(MAX_CONCURRENT_COMPUTATIONS).collect().await;
        let is_removed = |snapshot: &Result<_>| matches!(snapshot, Err(Error::PipelineNotFound(_)));
        snapshots.into_iter().filter(|snapshot| !is_removed(snapshot)).collect()
    }

    /// A receiver of the overview.
    pub(super) fn watch(self: &Arc<Self>) -> Receiver<Overview> {
        let mut channel = self.channel();
        let started = channel.get_or_insert_with(|| {
            let started = Arc::new(Channel::default());
            self.workers.context.tasks.spawn(Arc::clone(self).run(Arc::clone(&started)));
            started
        });
        started.subscribe()
    }

    /// Publishes the overview whenever it differs, and once an interval, until it is not watched any more.
    async fn run(self: Arc<Self>, channel: Arc<Channel<Overview>>) {
        let context = &self.workers.context;
        let mut registered = context.store.any_change();
        let mut pipelines = Pipelines::default();
        let mut published: Option<Instant> = None;
        loop {
            registered.mark_unchanged();
            pipelines.update(&self.workers).await;
            let overview: Overview = pipelines.newest.values().cloned().collect();
            let is_due = published.is_none_or(|published| published.elapsed() >= context.schedule.interval);
            if is_due || channel.newest().is_none_or(|newest| differs(&newest, &overview)) {
                channel.publish(Arc::new(overview));
                published = Some(Instant::now());
            }

            let changed = async {
                sleep(context.schedule.debounce).await;
                tokio::select! {
                    () = pipelines.changed() => {}
                    _ = registered.changed() => {}
                }
            };
            let has_ended = tokio::select! {
                () = context.stop.cancelled() => true,
                () = channel.wait_idle() => self.close(&channel),
                () = changed => false,
            };
            if has_ended {
                return;
            }
        }
    }

    /// Drops the channel, unless it is watched again.
    fn close(&self, channel: &Channel<Overview>) -> bool {
        let mut current = self.channel();
        let is_idle = !channel.is_watched();
        if is_idle {
            *current = None;
        }
        is_idle
    }

    fn channel(&self) -> MutexGuard<'_, Option<Arc<Channel<Overview>>>> {
        self.channel.lock()
    }
}

impl Pipelines {
    /// Adds new pipelines and removes those that are gone.
    async fn update(&mut self, workers: &Workers) {
        let known = workers.context.store.known_pipelines(None, MAX_OVERVIEW_PIPELINES);
        // The map drops streams that have ended.
        let watched: HashSet<PipelineKey> = self.changes.keys().cloned().collect();
        for removed in watched.iter().filter(|key| known.binary_search(key).is_err()) {
            self.changes.remove(removed);
        }
        self.newest.retain(|key, _| watched.contains(key) && known.binary_search(key).is_ok());
        let new: Vec<PipelineKey> = known.into_iter().filter(|key| !watched.contains(key)).collect();
        let watching = stream::iter(new).map(async |key| (workers.watch(&key).await, key));
        for (receiver, key) in watching.buffered(MAX_CONCURRENT_COMPUTATIONS).collect::<Vec<_>>().await {
            match receiver {
                Ok(receiver) => {
                    let (newest, changes) = receiver.into_parts();
                    self.newest.extend(newest.map(|newest| (key.clone(), newest)));
                    self.changes.insert(key, changes);
                }
                // The next change tries again.
                Err(error) => tracing::debug!(pipeline = %key, %error, "pipeline is not in the overview"),
            }
        }
    }

    /// Waits for newer snapshots, and takes all that there are.
    async fn changed(&mut self) {
        if self.changes.is_empty() {
            return std::future::pending().await;
        }
        let mut changed = Vec::new();
        self.changes.next_many(&mut changed, MAX_OVERVIEW_PIPELINES).await;
        self.newest.extend(changed.into_iter().filter_map(|(key, newest)| Some((key, newest?))));
    }
}

/// Whether a client would see a difference.
fn differs(one: &Overview, two: &Overview) -> bool {
    let shown = |snapshot: &Arc<Snapshot>| {
        let status = snapshot.status();
        (status.pipeline.clone(), status.revision, status.overall_status, counts(snapshot))
    };
    !one.iter().map(shown).eq(two.iter().map(shown))
}

fn counts(snapshot: &Snapshot) -> [u64; 6] {
    let health = &snapshot.status().scraping_health;
    [
        health.sources_processed,
        health.total_sources,
        health.failed_sources,
        health.stale_sources,
        health.articles_collected(),
        health.events_extracted(),
    ]
}
