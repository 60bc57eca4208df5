use std::collections::HashMap;
use std::sync::{Arc, Weak};

use metrics::{Counter, counter, gauge};
use parking_lot::{Mutex, MutexGuard};

use crate::domain::revision::Revision;
use crate::push::connection::Connection;
use crate::push::encoding::Encoding;
use crate::push::message::EventId;
use crate::push::quota::{TooManyTopics, TopicKey, TopicLimits, TopicQuota};
use crate::push::topic::{SubscriptionGuard, Topic, TopicRegistry, UpdateStream};

/// What a subscriber has received on an earlier connection.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResumePoint {
    /// No older message is sent: the source has this revision, and yields it next.
    pub min_revision: Option<Revision>,
    /// The last alert event that was sent; `None` sends only events to come.
    pub last_event_id: Option<EventId>,
}

/// All topics.
#[derive(Debug, Clone)]
pub struct Broker {
    topics: Arc<Topics>,
    quota: TopicQuota,
    sent: Counter,
}

#[derive(Debug, Default)]
struct Topics(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    by_key: HashMap<TopicKey, Arc<Topic>>,
    /// How many of them count against the limit.
    limited: usize,
}

impl Broker {
    /// At most `max_topics` at a time, a tenth of them for one address, and `per_connection` subscriptions of one
    /// connection.
    pub fn new(max_topics: usize, per_connection: usize) -> Self {
        let limits = TopicLimits { all: max_topics, per_address: (max_topics / 10).max(1), per_connection };
        let sent = counter!("pipewatch_messages_sent_total");
        Self { topics: Arc::default(), quota: TopicQuota::new(limits), sent }
    }

    /// Subscribes a connection to the topic of this key, which is created from the source if it is missing. The newest
    /// message is sent at once, if there is one of `min_revision` or later.
    ///
    /// # Errors
    /// When a limit is reached.
    pub fn join(
        &self,
        key: TopicKey,
        source: impl FnOnce() -> UpdateStream,
        connection: &Arc<Connection>,
        (encoding, id): (Encoding, &str),
        min_revision: Option<Revision>,
    ) -> Result<SubscriptionGuard, TooManyTopics> {
        let quota = self.quota.acquire(key, connection.account())?;
        let max = self.quota.limits.all;
        let mut table = self.topics.lock();
        if table.limited >= max && !table.by_key.contains_key(&key) {
            return Err(TooManyTopics::All(max));
        }
        let guard = self.enter(&mut table, (key, true), source, connection, (encoding, id, None));
        drop(table);
        guard.push_newest(connection, min_revision);
        Ok(guard.with_quota(quota))
    }

    /// The same for a topic of the status routes, which no limit counts, from where the subscriber resumes.
    pub fn join_from(
        &self,
        key: TopicKey,
        source: impl FnOnce() -> UpdateStream,
        connection: &Arc<Connection>,
        encoding: Encoding,
        from: ResumePoint,
    ) -> SubscriptionGuard {
        let mut table = self.topics.lock();
        let guard = self.enter(&mut table, (key, false), source, connection, (encoding, "", from.last_event_id));
        drop(table);
        guard.push_newest(connection, from.min_revision);
        guard
    }

    /// How many topics there are.
    pub fn len(&self) -> usize {
        self.topics.lock().by_key.len()
    }

    /// Whether there is no topic.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn enter(
        &self,
        table: &mut Table,
        (key, is_limited): (TopicKey, bool),
        source: impl FnOnce() -> UpdateStream,
        connection: &Arc<Connection>,
        (encoding, id, last_event_id): (Encoding, &str, Option<EventId>),
    ) -> SubscriptionGuard {
        let subscribe = |topic: &Arc<Topic>| topic.subscribe(connection, encoding, id, last_event_id);
        if let Some(guard) = table.by_key.get(&key).and_then(subscribe) {
            return guard;
        }
        let registry: Weak<Topics> = Arc::downgrade(&self.topics);
        let topic = Topic::new(key, is_limited, registry, self.sent.clone());
        table.insert(&topic);
        let guard = subscribe(&topic).expect("a new topic has not ended");
        // The first subscriber gets all that the source yields.
        tokio::spawn(topic.run(source()));
        guard
    }
}

impl Topics {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock()
    }
}

impl TopicRegistry for Topics {
    fn close_if_empty(&self, topic: &Topic) {
        let mut table = self.lock();
        if !topic.has_subscribers() {
            topic.cancelled.cancel();
            table.remove(topic);
        }
    }

    fn deregister(&self, topic: &Topic) {
        self.lock().remove(topic);
    }
}

impl Table {
    fn insert(&mut self, topic: &Arc<Topic>) {
        self.limited += usize::from(topic.is_limited);
        if let Some(ended) = self.by_key.insert(topic.key, Arc::clone(topic)) {
            self.limited -= usize::from(ended.is_limited);
        }
        self.report();
    }

    fn remove(&mut self, topic: &Topic) {
        if self.by_key.get(&topic.key).is_some_and(|found| std::ptr::eq(Arc::as_ptr(found), topic)) {
            self.by_key.remove(&topic.key);
            self.limited -= usize::from(topic.is_limited);
            self.report();
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "a count far below 2⁵³")]
    fn report(&self) {
        gauge!("pipewatch_topics").set(self.by_key.len() as f64);
    }
}
