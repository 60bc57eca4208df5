use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Mutex, broadcast, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::alert::AlertEvent;
use crate::domain::key::PipelineKey;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::alerts::read::Since;

/// Events per query.
const BATCH_SIZE: u64 = 500;
/// Events that are kept for slow followers. One that is further behind reads the database.
const BROADCAST_CAPACITY: usize = 1_024;
/// How long the reader waits after a failed query, unless something changes.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// The events of all alerts as they are committed. One query per commit reads them for all followers; without a follower
/// nothing is read.
#[derive(Debug)]
pub(super) struct AlertFeed {
    store: Arc<Store>,
    events: broadcast::Sender<Arc<AlertEvent>>,
    /// The id of the last event that was sent, while there is a reader. Locked across the query that finds where the reader
    /// starts, so that simultaneous followers start at the same event.
    reader: Mutex<Option<Arc<AtomicI64>>>,
}

impl AlertFeed {
    pub(super) fn new(store: Arc<Store>) -> Arc<Self> {
        Arc::new(Self { store, events: broadcast::Sender::new(BROADCAST_CAPACITY), reader: Mutex::default() })
    }

    /// The events of a pipeline, or of all, after the event `since`, or from now on. Earlier events are read for this follower
    /// alone, later ones once for all.
    pub(super) async fn follow(
        self: Arc<Self>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
        pipeline: Option<PipelineKey>,
        since: Option<i64>,
    ) -> Result<impl Stream<Item = Arc<AlertEvent>> + Send + use<>> {
        let mut reader = self.reader.lock().await;
        // Subscribing precedes reading the position: no event is lost between.
        let events = self.events.subscribe();
        let sent = if let Some(sent) = reader.as_ref() {
            sent.load(Ordering::Acquire)
        } else {
            let changes = self.store.any_change();
            let last = self.store.last_alert_event().await?;
            count_query();
            let sent = Arc::new(AtomicI64::new(last));
            *reader = Some(Arc::clone(&sent));
            let reading = Arc::clone(&self).read(changes, sent);
            tasks.spawn(stop.clone().run_until_cancelled_owned(reading));
            last
        };
        drop(reader);
        let last = since.unwrap_or(sent);
        let follower = Follower { feed: self, events, pipeline, last, is_behind: last < sent, read: VecDeque::new() };
        Ok(unfold(follower, |mut follower| async move { follower.next().await.map(|event| (event, follower)) }))
    }

    /// Reads new events after each change, until there is no follower.
    async fn read(self: Arc<Self>, mut changes: watch::Receiver<()>, sent: Arc<AtomicI64>) {
        let mut has_more = true;
        loop {
            if !std::mem::take(&mut has_more) && changes.changed().await.is_err() {
                return;
            }
            changes.mark_unchanged();
            {
                let mut reader = self.reader.lock().await;
                if self.events.receiver_count() == 0 {
                    *reader = None;
                    return;
                }
            }
            count_query();
            match self.store.alert_events(None, Since::Event(sent.load(Ordering::Acquire)), BATCH_SIZE).await {
                Ok(events) => {
                    has_more = events.len() as u64 == BATCH_SIZE;
                    for event in events {
                        let number = event.id;
                        // Sending fails only without a follower.
                        drop(self.events.send(Arc::new(event)));
                        sent.store(number, Ordering::Release);
                    }
                }
                Err(error) => {
                    warn_of(&error);
                    drop(timeout(RETRY_DELAY, changes.changed()).await);
                    has_more = true;
                }
            }
        }
    }
}

/// A follower's position.
struct Follower {
    feed: Arc<AlertFeed>,
    events: broadcast::Receiver<Arc<AlertEvent>>,
    pipeline: Option<PipelineKey>,
    /// The id of the last event that it returned.
    last: i64,
    /// Whether it has missed events, and reads them from the database.
    is_behind: bool,
    /// Events from the database that were not returned yet.
    read: VecDeque<AlertEvent>,
}

impl Follower {
    async fn next(&mut self) -> Option<Arc<AlertEvent>> {
        loop {
            if let Some(event) = self.read.pop_front() {
                self.last = event.id;
                return Some(Arc::new(event));
            }
            if self.is_behind {
                self.catch_up().await;
                continue;
            }
            match self.events.recv().await {
                Ok(event) if event.id <= self.last => {}
                Ok(event) => {
                    self.last = event.id;
                    if self.pipeline.is_none() || event.subject.pipeline == self.pipeline {
                        return Some(event);
                    }
                }
                Err(RecvError::Lagged(_)) => self.is_behind = true,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Reads missed events, one batch at a time.
    async fn catch_up(&mut self) {
        count_query();
        match self.feed.store.alert_events(self.pipeline.as_ref(), Since::Event(self.last), BATCH_SIZE).await {
            Ok(events) => {
                self.is_behind = events.len() as u64 == BATCH_SIZE;
                self.read = events.into();
            }
            Err(error) => {
                warn_of(&error);
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }
}

fn count_query() {
    metrics::counter!("pipewatch_alert_event_queries_total").increment(1);
}

fn warn_of(error: &Error) {
    tracing::warn!(error = error as &dyn std::error::Error, "could not read alert events; trying again");
}
