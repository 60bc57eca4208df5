use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::timeout;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::alert::render_alert_event;
use crate::clock::Clock;
use crate::domain::alert::AlertEvent;
use crate::domain::key::PipelineKey;
use crate::domain::revision::Revision;
use crate::domain::status::RuleBook;
use crate::error::Result;
use crate::push::message::{AlertEvents, EventId};
use crate::self_monitor::SelfMonitor;
use crate::status::alert_feed::AlertFeed;
use crate::status::channel::Receiver;
use crate::status::cluster;
use crate::status::context::{Schedule, StatusContext};
use crate::status::export::Exporter;
use crate::status::overview::{Overview, OverviewMonitor};
use crate::status::snapshot::Snapshot;
use crate::status::workers::Workers;
use crate::store::Store;
use crate::store::alerts::read::Since;

/// How long a request waits for a revision that its client has seen.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(1);
/// Alert events that a client gets when it resumes, at most. One that was away for longer reads the list of alerts.
const MAX_MISSED_EVENTS: u64 = 1_000;
/// How far another server's clock may be ahead for its revisions to be believed.
const MAX_CLOCK_LEAD: TimeDelta = TimeDelta::minutes(1);

/// Computes and publishes the status of every pipeline that is watched or requested: on changes, once an interval while it
/// is watched, and for a request that finds no current snapshot.
#[derive(Debug, Clone)]
pub struct Monitor {
    workers: Workers,
    overview: Arc<OverviewMonitor>,
    exporter: Arc<Exporter>,
    alert_feed: Arc<AlertFeed>,
    /// Held while a revision that a client has seen is read.
    refreshing: Arc<tokio::sync::Mutex<()>>,
}

impl Monitor {
    /// A monitor whose tasks end when `stop` is cancelled.
    pub fn new(
        store: Arc<Store>,
        rules: RuleBook,
        schedule: Schedule,
        (clock, self_monitor): (Clock, Arc<SelfMonitor>),
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let alert_feed = AlertFeed::new(Arc::clone(&store));
        if store.is_shared() {
            let follow = cluster::follow(Arc::clone(&store), schedule.revision_poll_interval);
            tasks.spawn(stop.clone().run_until_cancelled_owned(follow));
        }
        let context = StatusContext::new(store, rules, schedule, (clock, self_monitor), tasks, stop);
        let workers = Workers { context: Arc::new(context) };
        let overview = OverviewMonitor::new(workers.clone());
        let exporter = Exporter::new(workers.clone());
        Self { workers, overview, exporter, alert_feed, refreshing: Arc::default() }
    }

    /// A current snapshot: younger than an interval, and of the newest revision that is committed here.
    pub async fn current(&self, pipeline: &PipelineKey) -> Result<Arc<Snapshot>> {
        self.workers.current(pipeline).await
    }

    /// A receiver of the newest snapshot, which there is, and all later ones.
    pub async fn watch(&self, pipeline: &PipelineKey) -> Result<Receiver<Snapshot>> {
        self.workers.watch(pipeline).await
    }

    /// Reads the revision of a pipeline if a client has seen a newer one, which another server on the same database has
    /// committed. It reads once, for a second at most, and for one request at a time.
    pub async fn refresh_if_behind(&self, pipeline: &PipelineKey, seen: Revision) {
        let refresh = async {
            let _turn = self.refreshing.lock().await;
            // The request before may have read it.
            if self.is_behind(pipeline, seen) {
                self.store().refresh_pipelines(std::slice::from_ref(pipeline)).await
            } else {
                Ok(())
            }
        };
        if !self.is_behind(pipeline, seen) {
            return;
        }
        match timeout(REFRESH_TIMEOUT, refresh).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%pipeline, error = &error as &dyn std::error::Error, "could not read the revision");
            }
            Err(_) => tracing::warn!(%pipeline, "could not read the revision in time"),
        }
    }

    /// Whether another server may have committed a revision that a client has seen and this server does not know.
    pub fn is_behind(&self, pipeline: &PipelineKey, seen: Revision) -> bool {
        self.store().is_shared() && self.store().newest_revision(pipeline).is_none_or(|newest| newest < seen)
    }

    /// Whether a server may have assigned this revision by now.
    pub fn may_exist(&self, revision: Revision) -> bool {
        revision <= Revision::after(None, self.workers.context.clock.now() + MAX_CLOCK_LEAD)
    }

    /// The snapshots of at most `limit` pipelines after a key, all current.
    pub async fn overview(&self, after: Option<&PipelineKey>, limit: usize) -> Result<Overview> {
        self.overview.current(after, limit).await
    }

    /// A receiver of the snapshots of all pipelines, at most
    /// [`MAX_OVERVIEW_PIPELINES`](crate::status::overview::MAX_OVERVIEW_PIPELINES): whenever they differ, and once an
    /// interval.
    pub fn watch_overview(&self) -> Receiver<Overview> {
        self.overview.watch()
    }

    /// The statuses of all pipelines and sources in Prometheus' text format, at most an interval old.
    pub async fn prometheus(&self) -> Arc<str> {
        self.exporter.text().await
    }

    /// The alert events of a pipeline, or of all pipelines and the server itself, each once and in order: after the event
    /// `since`, or from now on.
    pub async fn alert_events(
        &self,
        pipeline: Option<PipelineKey>,
        since: Option<i64>,
    ) -> Result<impl Stream<Item = Arc<AlertEvent>> + Send + use<>> {
        let StatusContext { tasks, stop, .. } = &*self.workers.context;
        Arc::clone(&self.alert_feed).follow(tasks, stop, pipeline, since).await
    }

    /// The alert events of a pipeline after a revision that a client has seen, and the id of the last event.
    pub async fn missed_alert_events(&self, pipeline: &PipelineKey, seen: Revision) -> Result<(AlertEvents, EventId)> {
        let last = self.store().last_alert_event().await?;
        let events = self.store().alert_events(Some(pipeline), Since::Revision(seen), MAX_MISSED_EVENTS).await?;
        let last = events.last().map_or(last, |event| event.id.max(last));
        Ok((events.iter().map(|event| (event.id, render_alert_event(event))).collect(), last))
    }

    fn store(&self) -> &Store {
        &self.workers.context.store
    }
}
