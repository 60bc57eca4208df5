use std::fmt;
use std::sync::{Arc, Weak};

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use metrics::Counter;
use parking_lot::{Mutex, MutexGuard};
use slab::Slab;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::revision::Revision;
use crate::push::completion::Completion;
use crate::push::connection::Connection;
use crate::push::encoding::Encoding;
use crate::push::message::{EventId, Latest, Message, Versioned};
use crate::push::quota::{QuotaPermit, TopicKey};
use crate::push::subscription::{Delivery, Subscription};

/// Subscribers that one task serves. A larger topic has several tasks, which the runtime spreads over the cores.
const SHARD_SIZE: usize = 1_024;
/// Subscribers served before other tasks on this core run.
const YIELD_EVERY: usize = 64;

/// What a topic's source yields, in order.
#[derive(Debug)]
pub enum Update {
    /// The newest state: a subscriber that is behind skips to it.
    Message(Arc<Message>),
    /// An event, which every subscriber gets.
    Event(Arc<Message>),
    /// The source has failed. The bytes are the JSON array of GraphQL errors.
    Errors(bytes::Bytes),
}

/// Where a topic's updates come from.
pub type UpdateStream = BoxStream<'static, Update>;

/// What a topic needs of the broker.
pub(super) trait TopicRegistry: Send + Sync {
    /// Removes the topic and ends it, unless it has a subscriber again.
    fn close_if_empty(&self, topic: &Topic);
    /// Removes the topic.
    fn deregister(&self, topic: &Topic);
}

/// All subscriptions to the same thing: it is rendered once, and its bytes go to every subscriber.
pub(super) struct Topic {
    pub(super) key: TopicKey,
    /// Whether it counts against the limits: topics of the status routes do not.
    pub(super) is_limited: bool,
    latest: Arc<Latest>,
    subscribers: Mutex<Subscribers>,
    /// Cancelled with the last subscriber: the source is dropped.
    pub(super) cancelled: CancellationToken,
    registry: Weak<dyn TopicRegistry>,
    sent: Counter,
}

#[derive(Default)]
struct Subscribers {
    shards: Vec<Arc<Shard>>,
    count: usize,
    has_ended: bool,
}

struct Shard {
    topic: Weak<Topic>,
    subscribers: Mutex<Slab<Subscriber>>,
}

#[derive(Clone)]
struct Subscriber {
    connection: Arc<Connection>,
    subscription: Arc<Subscription>,
}

/// A subscription to a topic. Nothing more is sent after it is dropped.
#[derive(Debug)]
pub struct SubscriptionGuard {
    subscription: Arc<Subscription>,
    connection: Weak<Connection>,
    shard: Weak<Shard>,
    index: usize,
    /// Boxed: most subscribers are on an account without limits.
    quota: Option<Box<QuotaPermit>>,
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Topic")
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shard")
    }
}

impl Topic {
    pub(super) fn new(key: TopicKey, is_limited: bool, registry: Weak<dyn TopicRegistry>, sent: Counter) -> Arc<Self> {
        Arc::new(Self {
            key,
            is_limited,
            latest: Arc::new(Latest::new()),
            subscribers: Mutex::default(),
            cancelled: CancellationToken::new(),
            registry,
            sent,
        })
    }

    pub(super) fn has_subscribers(&self) -> bool {
        lock(&self.subscribers).count > 0
    }

    /// Publishes what the source yields, until it ends or the last subscriber has left.
    pub(super) async fn run(self: Arc<Self>, mut source: UpdateStream) {
        let mut completion = Completion::Complete;
        loop {
            match self.cancelled.run_until_cancelled(source.next()).await {
                None => return,
                Some(Some(Update::Message(message))) => self.latest.publish(message),
                Some(Some(Update::Event(event))) => self.send_event(&event),
                Some(Some(Update::Errors(errors))) => {
                    completion = Completion::Errors(errors);
                    break;
                }
                Some(None) => break,
            }
        }
        self.end(&completion).await;
    }

    /// Sends an event to every subscriber, even to one that is behind.
    fn send_event(&self, event: &Message) {
        let shards = lock(&self.subscribers).shards.clone();
        let mut scratch = Vec::new();
        for shard in shards {
            for subscriber in shard.subscribers() {
                subscriber.connection.send_event(&subscriber.subscription, event, &mut scratch);
            }
        }
    }

    async fn end(&self, completion: &Completion) {
        let shards = {
            let mut subscribers = lock(&self.subscribers);
            subscribers.has_ended = true;
            subscribers.shards.clone()
        };
        if let Some(registry) = self.registry.upgrade() {
            registry.deregister(self);
        }
        for shard in shards {
            for subscribers in shard.subscribers().chunks(YIELD_EVERY) {
                for subscriber in subscribers {
                    subscriber.connection.end(&subscriber.subscription, completion);
                }
                tokio::task::yield_now().await;
            }
        }
        self.cancelled.cancel();
    }

    /// Adds a subscriber; `None` if the topic has ended.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        encoding: Encoding,
        id: &str,
        last_event_id: Option<EventId>,
    ) -> Option<SubscriptionGuard> {
        let mut subscribers = lock(&self.subscribers);
        if subscribers.has_ended || self.cancelled.is_cancelled() {
            return None;
        }
        subscribers.count += 1;
        let has_room = |shard: &&Arc<Shard>| lock(&shard.subscribers).len() < SHARD_SIZE;
        let found = subscribers.shards.iter().rev().find(has_room).cloned();
        let shard = found.unwrap_or_else(|| {
            let shard = Arc::new(Shard { topic: Arc::downgrade(self), subscribers: Mutex::default() });
            subscribers.shards.push(Arc::clone(&shard));
            tokio::spawn(run_shard(Arc::clone(&shard), self.latest.watch(), self.cancelled.clone()));
            shard
        });
        let subscription = Arc::new(Subscription::new(Arc::clone(&self.latest), encoding, id, last_event_id));
        connection.subscribe(&subscription);
        let subscriber = Subscriber { connection: Arc::clone(connection), subscription: Arc::clone(&subscription) };
        let index = lock(&shard.subscribers).insert(subscriber);
        let (connection, shard) = (Arc::downgrade(connection), Arc::downgrade(&shard));
        Some(SubscriptionGuard { subscription, connection, shard, index, quota: None })
    }

    fn leave(&self) {
        let is_last = {
            let mut subscribers = lock(&self.subscribers);
            subscribers.count -= 1;
            subscribers.count == 0 && !subscribers.has_ended
        };
        if is_last {
            match self.registry.upgrade() {
                Some(registry) => registry.close_if_empty(self),
                None => self.cancelled.cancel(),
            }
        }
    }
}

impl Shard {
    fn subscribers(&self) -> Vec<Subscriber> {
        lock(&self.subscribers).iter().map(|(_, subscriber)| subscriber.clone()).collect()
    }
}

/// Sends each new message to the subscribers of one shard.
async fn run_shard(shard: Arc<Shard>, mut latest: watch::Receiver<Versioned>, cancelled: CancellationToken) {
    let mut scratch = Vec::new();
    let mut batch: Vec<Subscriber> = Vec::with_capacity(YIELD_EVERY);
    while let Some(Ok(())) = cancelled.run_until_cancelled(latest.changed()).await {
        let (version, message) = latest.borrow_and_update().clone();
        let (Some(message), Some(topic)) = (message, shard.topic.upgrade()) else { continue };
        let mut from = 0;
        let mut sent = 0;
        loop {
            // A client that subscribes or leaves must not wait for the whole shard.
            {
                let subscribers = lock(&shard.subscribers);
                let to = from + YIELD_EVERY;
                batch.extend((from..to).filter_map(|index| subscribers.get(index)).cloned());
                from = if to < subscribers.capacity() { to } else { usize::MAX };
            }
            for subscriber in batch.drain(..) {
                let delivery = subscriber.connection.push(&subscriber.subscription, version, &message, &mut scratch);
                sent += u64::from(delivery == Delivery::Sent);
            }
            if from == usize::MAX {
                break;
            }
            tokio::task::yield_now().await;
        }
        topic.sent.increment(sent);
    }
}

impl SubscriptionGuard {
    /// Whether the topic has ended, so that the client may use the id again.
    pub fn has_ended(&self) -> bool {
        self.subscription.has_ended()
    }

    pub(super) fn with_quota(mut self, quota: Option<Box<QuotaPermit>>) -> Self {
        self.quota = quota;
        self
    }

    /// Sends the newest message, if there is one of this revision or a later one.
    pub(super) fn push_newest(&self, connection: &Arc<Connection>, min_revision: Option<Revision>) {
        let (version, newest) = self.subscription.latest.get();
        if let Some(message) = newest
            && message.revision >= min_revision
        {
            connection.push(&self.subscription, version, &message, &mut Vec::new());
        }
    }
}

impl Drop for SubscriptionGuard {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.upgrade() {
            connection.unsubscribe(&self.subscription);
        }
        let Some(shard) = self.shard.upgrade() else { return };
        let subscriber = lock(&shard.subscribers).try_remove(self.index);
        if let Some(topic) = shard.topic.upgrade() {
            topic.leave();
        }
        drop(subscriber);
    }
}

// Synchronous mutexes: held for look-ups only, never across an await.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}
