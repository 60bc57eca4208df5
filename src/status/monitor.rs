//! When to compute: on changes, once an interval while somebody watches, and for a request that finds nothing fresh.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::Stream;
use futures_util::stream::{self, StreamExt as _};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::domain::alert::AlertEvent;
use crate::domain::pipeline::PipelineKey;
use crate::domain::revision::Revision;
use crate::domain::status::RuleBook;
use crate::error::{Error, Result};
use crate::self_check::SelfCheck;
use crate::status::alert_feed::AlertFeed;
use crate::status::channel::{Channel, Watch};
use crate::status::snapshot::Snapshot;
use crate::status::worker::Keeper;
use crate::status::{cluster, overview};
use crate::store::Store;

/// Pipelines that an overview has at most: the first by their keys.
pub const OVERVIEW: usize = 1_000;
/// Pipelines that are computed for an overview at a time.
pub(super) const AT_A_TIME: usize = 32;

/// Pipelines, by their keys.
pub type Overview = Vec<Arc<Snapshot>>;

/// How long a request waits for a revision that its client has seen.
const LOOK: Duration = Duration::from_secs(1);
/// How far the clock of another server may be ahead whose revisions are believed.
const AHEAD: TimeDelta = TimeDelta::minutes(1);

/// When to compute.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// How often a watched pipeline is computed without a change.
    pub interval: Duration,
    /// How long after a computation the next change may have to wait, so that a burst costs one computation.
    pub debounce: Duration,
    /// How often a server that shares its database looks for what the others changed, told of it or not.
    pub look_around: Duration,
}

/// Computes and publishes the snapshots of every pipeline that somebody watches or asks for.
///
/// A pipeline has a task while it is watched or asked for, and none otherwise.
#[derive(Debug, Clone)]
pub struct Monitor {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    pub(super) rules: RuleBook,
    pub(super) schedule: Schedule,
    pub(super) clock: Clock,
    pub(super) self_check: Arc<SelfCheck>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    // A synchronous mutex: held for a map look-up only, never across an await.
    pub(super) desks: Mutex<HashMap<PipelineKey, Desk>>,
    pub(super) overview: Mutex<Option<Arc<Channel<Overview>>>>,
    /// Woken by every snapshot of any pipeline.
    pub(super) published: watch::Sender<()>,
    pub(super) alert_feed: Arc<AlertFeed>,
    /// Held while a revision is looked for that a client has seen.
    pub(super) looking: tokio::sync::Mutex<()>,
}

/// Where a pipeline's keeper is asked, and where it publishes.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    requests: mpsc::Sender<Request>,
    snapshots: Arc<Channel<Snapshot>>,
}

/// Somebody who needs a snapshot that is up to date.
pub(super) type Request = oneshot::Sender<Result<Arc<Snapshot>>>;

impl Monitor {
    /// Starts without a task: the first who watches or asks brings one. Its tasks end when `stop` is cancelled.
    pub fn new(
        store: Arc<Store>,
        rules: RuleBook,
        schedule: Schedule,
        (clock, self_check): (Clock, Arc<SelfCheck>),
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let alert_feed = AlertFeed::new(Arc::clone(&store));
        let shared = Arc::new(Shared {
            store,
            rules,
            schedule,
            clock,
            self_check,
            tasks,
            stop,
            desks: Mutex::default(),
            overview: Mutex::default(),
            published: watch::Sender::new(()),
            alert_feed,
            looking: tokio::sync::Mutex::default(),
        });
        if shared.store.is_shared() {
            let follow = cluster::follow(Arc::clone(&shared.store), shared.schedule.look_around);
            shared.tasks.spawn(shared.stop.clone().run_until_cancelled_owned(follow));
        }
        Self { shared }
    }

    /// A snapshot that is up to date: not older than an interval, nor than the newest change that is committed here.
    pub async fn current(&self, pipeline: &PipelineKey) -> Result<Arc<Snapshot>> {
        loop {
            let desk = self.shared.desk(pipeline)?;
            if let Some(newest) = desk.snapshots.newest()
                && self.shared.is_fresh(&newest)
            {
                return Ok(newest);
            }
            let (request, answer) = oneshot::channel();
            if desk.requests.send(request).await.is_ok()
                && let Ok(answer) = answer.await
            {
                return answer;
            }
            // The keeper went home, or the server does.
            if self.shared.stop.is_cancelled() {
                return Err(Error::ShuttingDown);
            }
        }
    }

    /// Watches a pipeline: the newest snapshot comes at once, then each new one.
    pub async fn watch(&self, pipeline: &PipelineKey) -> Result<Watch<Snapshot>> {
        loop {
            // Watching comes before asking, so that the keeper stays.
            let watch = self.shared.desk(pipeline)?.snapshots.watch();
            self.current(pipeline).await?;
            // Should the keeper have gone home before it saw us, its channel has nothing and is closed.
            if watch.newest().is_some() {
                return Ok(watch);
            }
        }
    }

    /// Looks for a newer revision of a pipeline of which a client has seen one, by another server on the same database. It
    /// looks once, for a second at most, and one request at a time.
    pub async fn look_again(&self, pipeline: &PipelineKey, seen: Revision) {
        let look = async {
            let _turn = self.shared.looking.lock().await;
            // The one before may have found it.
            if self.is_behind(pipeline, seen) {
                self.shared.store.refresh_pipelines(std::slice::from_ref(pipeline)).await
            } else {
                Ok(())
            }
        };
        if !self.is_behind(pipeline, seen) {
            return;
        }
        match timeout(LOOK, look).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%pipeline, error = &error as &dyn std::error::Error, "its revision could not be read");
            }
            Err(_) => tracing::warn!(%pipeline, "its revision could not be read in time"),
        }
    }

    /// Whether another server may have committed a revision that a client has seen and this server does not know.
    pub fn is_behind(&self, pipeline: &PipelineKey, seen: Revision) -> bool {
        let store = &self.shared.store;
        store.is_shared() && store.newest_revision(pipeline).is_none_or(|newest| newest < seen)
    }

    /// Whether a server may have given this revision by now.
    pub fn may_exist(&self, revision: Revision) -> bool {
        revision <= Revision::after(None, self.shared.clock.now() + AHEAD)
    }

    /// The snapshots of the pipelines behind a key, by their keys, at most so many. Up to date.
    pub async fn overview(&self, after: Option<&PipelineKey>, most: usize) -> Result<Overview> {
        let keys = self.shared.store.known_pipelines(after, most);
        let snapshots = stream::iter(keys).map(async |key| self.current(&key).await).buffered(AT_A_TIME);
        let is_gone = |snapshot: &Result<_>| matches!(snapshot, Err(Error::PipelineNotFound(_)));
        let snapshots: Vec<_> = snapshots.collect().await;
        snapshots.into_iter().filter(|snapshot| !is_gone(snapshot)).collect()
    }

    /// The events of the alerts of a pipeline, or of all and of the server itself, each once and in order: after the number
    /// `since`, or from now on.
    pub async fn alert_events(
        &self,
        pipeline: Option<PipelineKey>,
        since: Option<i64>,
    ) -> Result<impl Stream<Item = Arc<AlertEvent>> + Send + use<>> {
        let Shared { alert_feed, tasks, stop, .. } = &*self.shared;
        Arc::clone(alert_feed).follow(tasks, stop, pipeline, since).await
    }

    /// Watches all pipelines, as far as [`OVERVIEW`]: the list of their snapshots, again whenever it differs and once an
    /// interval.
    pub fn watch_overview(&self) -> Watch<Overview> {
        let mut slot = self.shared.overview.lock();
        let channel = slot.get_or_insert_with(|| {
            let channel = Arc::new(Channel::default());
            self.shared.tasks.spawn(overview::run(self.clone(), Arc::clone(&channel)));
            channel
        });
        channel.watch()
    }
}

impl Shared {
    /// The desk of a pipeline that exists; its keeper comes when there is none.
    fn desk(self: &Arc<Self>, pipeline: &PipelineKey) -> Result<Desk> {
        let mut desks = self.desks();
        if let Some(desk) = desks.get(pipeline) {
            return Ok(desk.clone());
        }
        let Some(revisions) = self.store.revisions(pipeline) else {
            return Err(Error::PipelineNotFound(pipeline.clone()));
        };
        let (requests, asked) = mpsc::channel(64);
        let desk = Desk { requests, snapshots: Arc::default() };
        desks.insert(pipeline.clone(), desk.clone());
        drop(desks);
        let keeper = Keeper::new(Arc::clone(self), pipeline.clone(), Arc::clone(&desk.snapshots), asked, revisions);
        self.tasks.spawn(keeper.run());
        Ok(desk)
    }

    /// Takes a desk away, unless somebody watches or asks there and the pipeline still exists.
    pub(super) fn close_desk(&self, pipeline: &PipelineKey, asked: &mpsc::Receiver<Request>, whatever: bool) -> bool {
        let mut desks = self.desks();
        let needed = desks.get(pipeline).is_some_and(|desk| desk.snapshots.is_watched() || !asked.is_empty());
        if needed && !whatever {
            return false;
        }
        desks.remove(pipeline);
        true
    }

    pub(super) fn is_fresh(&self, snapshot: &Snapshot) -> bool {
        let newest = self.store.newest_revision(&snapshot.status().pipeline);
        // In trouble every look may be the one that ends it, and the first that finds it must show it.
        !snapshot.status().is_in_trouble()
            && self.self_check.is_well()
            && snapshot.computed_at().elapsed() < self.schedule.interval
            && newest.is_some_and(|revision| snapshot.revision() >= revision)
    }

    fn desks(&self) -> MutexGuard<'_, HashMap<PipelineKey, Desk>> {
        self.desks.lock()
    }
}
