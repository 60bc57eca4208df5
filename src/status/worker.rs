use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use crate::api::status::alert_step;
use crate::domain::alert::{AlertEvent, Trouble};
use crate::domain::pipeline::PipelineKey;
use crate::domain::revision::Revision;
use crate::domain::status::{PipelineStatus, evaluate};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::push::message::AlertEvents;
use crate::status::channel::Channel;
use crate::status::monitor::{Request, Shared};
use crate::status::snapshot::Snapshot;
use crate::store::alerts::read::Since;
use crate::store::health::DatabaseProblem;

/// How long the database may take; after that it counts as one that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How soon a computation that failed is tried again for those who watch; an interval may be long.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Keeps one pipeline's snapshot while somebody watches it or asks for it, and goes home after an interval in which
/// nobody did.
///
/// All computing of a pipeline is here, one after the other: that makes it single-flight, and the snapshots rise.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    pipeline: PipelineKey,
    snapshots: Arc<Channel<Snapshot>>,
    asked: mpsc::Receiver<Request>,
    revisions: watch::Receiver<Revision>,
    waiting: Vec<Request>,
    last: Option<Instant>,
    steps: RecentAlertEvents,
}

/// The last steps of the pipeline's alerts. They go with every snapshot, so that who skips one misses no step.
#[derive(Default)]
struct RecentAlertEvents {
    /// The number of the last that was read.
    last: Option<i64>,
    /// The revision up to which they were read.
    revision: Option<Revision>,
    recent: AlertEvents,
    /// When the oldest of them was read.
    since: Option<Timestamp>,
}

/// Nobody is behind by so much who is still connected.
const RECENT: TimeDelta = TimeDelta::minutes(5);

impl RecentAlertEvents {
    fn add(&mut self, last: i64, events: &[AlertEvent], now: Timestamp) {
        self.last = Some(events.last().map_or(last, |event| event.id));
        let is_old = self.since.is_some_and(|since| now - since > RECENT * 2);
        if is_old && events.is_empty() {
            self.recent = AlertEvents::default();
            self.since = None;
        }
        if !events.is_empty() {
            self.since.get_or_insert(now);
            let kept = self.recent.iter().cloned();
            self.recent = kept.chain(events.iter().map(|event| (event.id, alert_step(event)))).collect();
        }
    }
}

/// A probe has found that the database does not answer.
#[derive(Debug, thiserror::Error)]
#[error("the database cannot be read")]
struct Unreadable;

enum Next {
    Compute,
    Ask(Request),
    Changed,
    Tick,
    Gone,
    Stop,
}

impl Keeper {
    pub(super) fn new(
        shared: Arc<Shared>,
        pipeline: PipelineKey,
        snapshots: Arc<Channel<Snapshot>>,
        asked: mpsc::Receiver<Request>,
        revisions: watch::Receiver<Revision>,
    ) -> Self {
        Self {
            shared,
            pipeline,
            snapshots,
            asked,
            revisions,
            waiting: Vec::new(),
            last: None,
            steps: RecentAlertEvents::default(),
        }
    }

    pub(super) async fn run(mut self) {
        let interval = self.shared.schedule.interval;
        let mut ticks = interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut problems = self.shared.store.database_problems();
        let mut due: Option<Instant> = None;
        let mut idle_ticks = 0;
        loop {
            let next = tokio::select! {
                // What has waited long enough comes before what has only just come.
                biased;
                () = self.shared.stop.cancelled() => Next::Stop,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Next::Compute,
                Some(request) = self.asked.recv() => Next::Ask(request),
                changed = self.revisions.changed() => if changed.is_ok() { Next::Changed } else { Next::Gone },
                Ok(()) = problems.changed() => Next::Changed,
                _ = ticks.tick() => Next::Tick,
            };
            match next {
                Next::Ask(request) => {
                    idle_ticks = 0;
                    match self.snapshots.newest() {
                        // It came while the computing was under way that it needed.
                        Some(newest) if self.shared.is_fresh(&newest) => drop(request.send(Ok(newest))),
                        _ => {
                            self.waiting.push(request);
                            due = due.or(Some(self.earliest()));
                        }
                    }
                }
                Next::Changed if self.snapshots.is_watched() => due = due.or(Some(self.earliest())),
                // Who asks next will find the snapshot behind, and ask.
                Next::Changed => {}
                Next::Tick if self.snapshots.is_watched() => {
                    idle_ticks = 0;
                    due = Some(Instant::now());
                }
                Next::Tick => {
                    idle_ticks += 1;
                    if idle_ticks > 1 && self.shared.close_desk(&self.pipeline, &self.asked, false) {
                        return;
                    }
                }
                Next::Compute => {
                    due = None;
                    match self.compute().await {
                        Err(gone @ Error::PipelineNotFound(_)) => return self.leave(&gone),
                        Err(_) if self.snapshots.is_watched() => {
                            due = Some(Instant::now() + TRY_AGAIN.min(interval));
                        }
                        // Otherwise who asks next has it tried again.
                        Ok(()) | Err(_) => {}
                    }
                }
                Next::Gone => {
                    let gone = Error::PipelineNotFound(self.pipeline.clone());
                    return self.leave(&gone);
                }
                Next::Stop => return self.leave(&Error::ShuttingDown),
            }
        }
    }

    /// A computation that nobody has to wait for follows the one before at a distance: a burst of changes costs few.
    fn earliest(&self) -> Instant {
        let now = Instant::now();
        self.last.map_or(now, |last| now.max(last + self.shared.schedule.debounce))
    }

    async fn compute(&mut self) -> Result<()> {
        // Who asks from here on may know of a change that this computation does not see.
        let waiting = std::mem::take(&mut self.waiting);
        self.revisions.mark_unchanged();
        self.last = Some(Instant::now());
        let mut problems = self.shared.store.database_problems();
        let computed = tokio::select! {
            biased;
            // Those who watch see at once what a query would say only after a while.
            _ = problems.wait_for(|problem| *problem == Some(DatabaseProblem::Unreadable)) => {
                Err(Error::database(Unreadable))
            }
            computed = timeout(PATIENCE, self.snapshot()) => computed.map_err(Error::database).flatten(),
        };
        let answer = match &computed {
            Ok(snapshot) => {
                metrics::counter!("pipewatch_snapshots_total").increment(1);
                Ok(Arc::clone(snapshot))
            }
            Err(Error::PipelineNotFound(_)) => computed.clone(),
            Err(error) => {
                metrics::counter!("pipewatch_snapshot_errors_total").increment(1);
                self.trouble(error)
            }
        };
        if let Ok(snapshot) = &answer {
            self.snapshots.publish(Arc::clone(snapshot));
            self.shared.published.send_replace(());
        }
        for request in waiting {
            // Who asked may have gone.
            drop(request.send(answer.clone()));
        }
        computed.map(drop)
    }

    /// What is shown while nothing can be computed: what was known last, saying that it is.
    fn trouble(&self, error: &Error) -> Result<Arc<Snapshot>> {
        let last = self.snapshots.newest();
        if last.as_ref().is_some_and(|last| last.status().is_in_trouble()) {
            tracing::debug!(pipeline = %self.pipeline, error = error as &dyn std::error::Error, "still in trouble");
        } else {
            tracing::warn!(
                pipeline = %self.pipeline,
                error = error as &dyn std::error::Error,
                "the status could not be computed; it is tried again"
            );
        }
        let last = last.ok_or_else(|| error.clone())?;
        Ok(Arc::new(Snapshot::new(last.status().clone().in_trouble(self.now()))))
    }

    async fn snapshot(&mut self) -> Result<Arc<Snapshot>> {
        let shared = Arc::clone(&self.shared);
        let rules = shared.rules.of(&self.pipeline);
        let now = self.now();
        // What there is at the beginning is past.
        let store = &self.shared.store;
        let last = match self.steps.last {
            Some(last) => last,
            None => store.last_alert_event().await?,
        };
        let facts = self.shared.store.facts(&self.pipeline, now - rules.window).await?;
        let facts = facts.ok_or_else(|| Error::PipelineNotFound(self.pipeline.clone()))?;
        // Read after the facts: whatever step the revision has is among them.
        if self.steps.revision != Some(facts.revision) {
            let events = store.alert_events(Some(&self.pipeline), Since::Event(last), u64::MAX >> 1).await?;
            self.steps.revision = Some(facts.revision);
            self.steps.add(last, &events, now);
        }
        let steps = Arc::clone(&self.steps.recent);
        let status = evaluate(facts, rules, now);
        let status = match store.health().problem {
            Some((_, since)) => status.not_writable(since),
            None => self.checked(status),
        };
        Ok(Arc::new(Snapshot::new(status).with_alert_events(steps)))
    }

    /// The status with what is wrong with this server itself, if something is.
    fn checked(&self, status: PipelineStatus) -> PipelineStatus {
        let Some(Trouble { part, wrong: Some(wrong) }) = self.shared.self_check.trouble() else { return status };
        let title = format!("Pipewatch itself: {part}");
        let last = self.snapshots.newest();
        let known = last.as_ref().and_then(|last| last.status().server_alert()).filter(|alert| alert.title == title);
        let since = known.map_or(status.timestamp, |alert| alert.timestamp);
        status.with_server_alert(&title, &wrong, since)
    }

    /// The instant of the next snapshot: later than that of the last, even when the machine's time is set back, or
    /// watchers would hold it for old.
    fn now(&self) -> Timestamp {
        let now = self.shared.clock.now();
        self.snapshots.newest().map_or(now, |newest| now.max(newest.timestamp() + TimeDelta::microseconds(1)))
    }

    /// Ends the channel: with the desk and this task its last senders go, and every watcher sees the end.
    fn leave(mut self, why: &Error) {
        self.shared.close_desk(&self.pipeline, &self.asked, true);
        self.asked.close();
        while let Ok(request) = self.asked.try_recv() {
            self.waiting.push(request);
        }
        for request in std::mem::take(&mut self.waiting) {
            drop(request.send(Err(why.clone())));
        }
    }
}
