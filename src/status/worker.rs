use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use crate::api::alert::render_alert_event;
use crate::domain::alert::{AlertEvent, SelfCheck};
use crate::domain::key::PipelineKey;
use crate::domain::revision::Revision;
use crate::domain::status::{PipelineStatus, evaluate};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::push::message::AlertEvents;
use crate::status::channel::Channel;
use crate::status::context::{Request, StatusContext};
use crate::status::snapshot::Snapshot;
use crate::store::alerts::read::Since;
use crate::store::health::DatabaseProblem;

/// How long the queries of a computation may take.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a watched pipeline waits after a failed computation, at most.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Computes one pipeline's snapshots while they are watched or requested, and retires after an idle interval.
///
/// All computations of a pipeline run here, one after the other: none runs twice, and revisions and instants rise.
pub(super) struct PipelineWorker {
    context: Arc<StatusContext>,
    pipeline: PipelineKey,
    snapshots: Arc<Channel<Snapshot>>,
    requests: mpsc::Receiver<Request>,
    revisions: watch::Receiver<Revision>,
    waiting: Vec<Request>,
    last_computed: Option<Instant>,
    events: RecentAlertEvents,
}

/// The pipeline's recent alert events. Every snapshot has them, so that a client that skips a snapshot misses none.
#[derive(Default)]
struct RecentAlertEvents {
    /// The id of the last event that was read.
    last: Option<i64>,
    /// The revision up to which events were read.
    revision: Option<Revision>,
    recent: AlertEvents,
    /// When the oldest event was read.
    since: Option<Timestamp>,
}

/// How long events are kept at least: no connected client is further behind.
const EVENT_RETENTION: TimeDelta = TimeDelta::minutes(5);

impl RecentAlertEvents {
    fn add(&mut self, last: i64, events: &[AlertEvent], now: Timestamp) {
        self.last = Some(events.last().map_or(last, |event| event.id));
        let is_old = self.since.is_some_and(|since| now - since > EVENT_RETENTION * 2);
        if is_old && events.is_empty() {
            self.recent = AlertEvents::default();
            self.since = None;
        }
        if !events.is_empty() {
            self.since.get_or_insert(now);
            let kept = self.recent.iter().cloned();
            self.recent = kept.chain(events.iter().map(|event| (event.id, render_alert_event(event)))).collect();
        }
    }
}

/// A probe found that the database does not respond.
#[derive(Debug, thiserror::Error)]
#[error("the database cannot be read")]
struct Unreadable;

/// Why the worker wakes.
enum Wake {
    Compute,
    Request(Request),
    Changed,
    Tick,
    Removed,
    Stop,
}

impl PipelineWorker {
    pub(super) fn new(
        context: Arc<StatusContext>,
        pipeline: PipelineKey,
        snapshots: Arc<Channel<Snapshot>>,
        requests: mpsc::Receiver<Request>,
        revisions: watch::Receiver<Revision>,
    ) -> Self {
        Self {
            context,
            pipeline,
            snapshots,
            requests,
            revisions,
            waiting: Vec::new(),
            last_computed: None,
            events: RecentAlertEvents::default(),
        }
    }

    pub(super) async fn run(mut self) {
        let interval = self.context.schedule.interval;
        let mut ticks = interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut problems = self.context.store.database_problems();
        let mut due: Option<Instant> = None;
        let mut idle_ticks = 0;
        loop {
            let wake = tokio::select! {
                // A computation that is due precedes new requests.
                biased;
                () = self.context.stop.cancelled() => Wake::Stop,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Wake::Compute,
                Some(request) = self.requests.recv() => Wake::Request(request),
                changed = self.revisions.changed() => if changed.is_ok() { Wake::Changed } else { Wake::Removed },
                Ok(()) = problems.changed() => Wake::Changed,
                _ = ticks.tick() => Wake::Tick,
            };
            match wake {
                Wake::Request(request) => {
                    idle_ticks = 0;
                    match self.snapshots.newest() {
                        // The computation that it needs has just ended.
                        Some(newest) if self.context.is_fresh(&newest) => drop(request.send(Ok(newest))),
                        _ => {
                            self.waiting.push(request);
                            due = due.or(Some(self.next_allowed()));
                        }
                    }
                }
                Wake::Changed if self.snapshots.is_watched() => due = due.or(Some(self.next_allowed())),
                // The next request finds that the snapshot is behind.
                Wake::Changed => {}
                Wake::Tick if self.snapshots.is_watched() => {
                    idle_ticks = 0;
                    due = Some(Instant::now());
                }
                Wake::Tick => {
                    idle_ticks += 1;
                    if idle_ticks > 1 && self.context.retire(&self.pipeline, &self.requests) {
                        return;
                    }
                }
                Wake::Compute => {
                    due = None;
                    match self.compute().await {
                        Err(removed @ Error::PipelineNotFound(_)) => return self.stop(&removed),
                        Err(_) if self.snapshots.is_watched() => {
                            due = Some(Instant::now() + RETRY_DELAY.min(interval));
                        }
                        // Otherwise the next request tries again.
                        Ok(()) | Err(_) => {}
                    }
                }
                Wake::Removed => {
                    let removed = Error::PipelineNotFound(self.pipeline.clone());
                    return self.stop(&removed);
                }
                Wake::Stop => return self.stop(&Error::ShuttingDown),
            }
        }
    }

    /// When the next computation may start: some time after the one before, so that a burst of changes costs few.
    fn next_allowed(&self) -> Instant {
        let now = Instant::now();
        self.last_computed.map_or(now, |last| now.max(last + self.context.schedule.debounce))
    }

    async fn compute(&mut self) -> Result<()> {
        // Later requests may know of a change that this computation does not see.
        let waiting = std::mem::take(&mut self.waiting);
        self.revisions.mark_unchanged();
        self.last_computed = Some(Instant::now());
        let mut problems = self.context.store.database_problems();
        let computed = tokio::select! {
            biased;
            // Watching clients see the problem at once, and not after the query has timed out.
            _ = problems.wait_for(|problem| *problem == Some(DatabaseProblem::Unreadable)) => {
                Err(Error::database(Unreadable))
            }
            computed = timeout(QUERY_TIMEOUT, self.snapshot()) => computed.map_err(Error::database).flatten(),
        };
        let response = match &computed {
            Ok(snapshot) => {
                metrics::counter!("pipewatch_snapshots_total").increment(1);
                Ok(Arc::clone(snapshot))
            }
            Err(Error::PipelineNotFound(_)) => computed.clone(),
            Err(error) => {
                metrics::counter!("pipewatch_snapshot_errors_total").increment(1);
                self.degraded_snapshot(error)
            }
        };
        if let Ok(snapshot) = &response {
            self.snapshots.publish(Arc::clone(snapshot));
        }
        for request in waiting {
            // The requester may have gone.
            drop(request.send(response.clone()));
        }
        computed.map(drop)
    }

    /// The snapshot that is shown while none can be computed: the last one, with an alert of the server.
    fn degraded_snapshot(&self, error: &Error) -> Result<Arc<Snapshot>> {
        let last = self.snapshots.newest();
        if last.as_ref().is_some_and(|last| last.status().has_server_alert()) {
            tracing::debug!(pipeline = %self.pipeline, error = error as &dyn std::error::Error, "could not compute the status again");
        } else {
            tracing::warn!(
                pipeline = %self.pipeline,
                error = error as &dyn std::error::Error,
                "could not compute the status; trying again"
            );
        }
        let last = last.ok_or_else(|| error.clone())?;
        Ok(Arc::new(Snapshot::new(last.status().clone().not_readable(self.now()))))
    }

    async fn snapshot(&mut self) -> Result<Arc<Snapshot>> {
        let context = Arc::clone(&self.context);
        let rules = context.rules.of(&self.pipeline);
        let now = self.now();
        // Events before the first snapshot are not sent.
        let store = &context.store;
        let last = match self.events.last {
            Some(last) => last,
            None => store.last_alert_event().await?,
        };
        let facts = store.facts(&self.pipeline, now - rules.window).await?;
        let facts = facts.ok_or_else(|| Error::PipelineNotFound(self.pipeline.clone()))?;
        // Read after the facts: they include every event of the revision.
        if self.events.revision != Some(facts.revision) {
            let events = store.alert_events(Some(&self.pipeline), Since::Event(last), u64::MAX >> 1).await?;
            self.events.revision = Some(facts.revision);
            self.events.add(last, &events, now);
        }
        let recent = Arc::clone(&self.events.recent);
        let status = evaluate(facts, rules, now);
        let status = match store.health().problem {
            Some((_, since)) => status.not_writable(since),
            None => self.checked(status),
        };
        Ok(Arc::new(Snapshot::new(status).with_alert_events(recent)))
    }

    /// The status with an alert about this server, if it has a problem.
    fn checked(&self, status: PipelineStatus) -> PipelineStatus {
        let Some(SelfCheck { component, problem: Some(problem) }) = self.context.self_monitor.failed_check() else {
            return status;
        };
        let title = format!("Pipewatch problem: {component}");
        let last = self.snapshots.newest();
        let known = last.as_ref().and_then(|last| last.status().server_alert()).filter(|alert| alert.title == title);
        let since = known.map_or(status.timestamp, |alert| alert.timestamp);
        status.with_server_alert(&title, &problem, since)
    }

    /// The instant of the next snapshot: later than the last one even if the clock is set back, because clients ignore older
    /// ones.
    fn now(&self) -> Timestamp {
        let now = self.context.clock.now();
        self.snapshots.newest().map_or(now, |newest| now.max(newest.timestamp() + TimeDelta::microseconds(1)))
    }

    /// Ends the channel: its last senders are dropped with the handle and this task, and every receiver sees the end.
    fn stop(mut self, why: &Error) {
        self.context.workers().remove(&self.pipeline);
        self.requests.close();
        while let Ok(request) = self.requests.try_recv() {
            self.waiting.push(request);
        }
        for request in std::mem::take(&mut self.waiting) {
            drop(request.send(Err(why.clone())));
        }
    }
}
